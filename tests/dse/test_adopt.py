"""Studies made with Optuna's own calls: taken over where they ask the same, refused naming what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from dse.adopt import OTHER_VALUES
from dse.result import StudyResult, read_result
from dse.run import run_study
from dse.salvage import recover
from search_spaces.errors import IllegalDesign, UserError
from tests.dse import fakes
from tests.dse.fakes import stored

optuna.logging.set_verbosity(optuna.logging.WARNING)
SPACE = fakes.space(pes=(4, 8), clocks=(100, 200, 300))
SPEC = fakes.spec("optuna-nsga2", batch_size=10, space=SPACE)
OWN = 30


def distributions() -> dict[str, BaseDistribution]:
    """What a user of Optuna may write for the knobs of the space: not only categories, and in any order."""
    made: dict[str, BaseDistribution] = {
        knob.name: CategoricalDistribution(knob.values[::-1]) for knob in SPACE.knobs if len(knob.values) > 1
    }
    return made | {
        "clock_mhz": IntDistribution(100, 300, step=100),
        "weight_buffer_scale": FloatDistribution(0.5, 1.0, step=0.5),
        "dram": CategoricalDistribution(["lpddr4"]),
    }


def by_hand(
    storage: str,
    name: str,
    trials: int = OWN,
    directions: tuple[str, ...] = ("minimize", "minimize"),
    ranges: dict[str, BaseDistribution] | None = None,
    measure: Callable[[dict[str, float]], list[float]] = lambda metrics: [metrics[name] for name in SPEC.objectives],
) -> optuna.Study:
    """A study as somebody makes it who does not know paretocut, repeats, failures and zombies included."""
    study = optuna.create_study(
        study_name=name, storage=storage, directions=directions, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    evaluator = fakes.FakeEvaluator()
    ranges = ranges or distributions()
    first: dict[str, Any] = {}
    for number in range(trials):
        if number == 5:
            study.enqueue_trial(first)
        trial = study.ask(ranges)
        first = first or trial.params
        try:
            metrics = evaluator.metrics(SPACE.decode(SPACE.encode(trial.params)))
        except (IllegalDesign, UserError):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        study.tell(trial, measure(metrics)[: len(directions)])
    study.ask(ranges)
    return study


def run(out: Path, budget: int, **options: Any) -> StudyResult:
    return run_study(SPEC, out, budget=budget, evaluator=fakes.FakeEvaluator(), **options)


@pytest.mark.parametrize("where", ["file", "storage"])
def test_its_trials_count_as_seen(where: str, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    storage = f"sqlite:///{out / 'study.db' if where == 'file' else tmp_path / 'shared.db'}"
    study = by_hand(storage, "mine" if where == "storage" else "any name")
    options = {} if where == "file" else {"storage": storage}
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    theirs = {SPACE.encode(trial.params) for trial in complete}
    assert len(theirs) < len(complete), "some are repeats"
    before = [(trial.params, trial.values) for trial in study.trials[:OWN]]

    with pytest.raises(UserError, match="--adopt"):
        run(out, 50, **options)
    first = run(out, len(theirs) + 15, adopt=True, **options)
    assert first.session is not None and first.session.new_trials == 15 and first.session.reclaimed_trials == 1
    result = run(out, 60, adopt=True, **options)
    trials = stored(out)
    assert [trial.position for trial in trials] == list(range(-len(theirs), 60 - len(theirs)))
    assert {trial.indices for trial in trials if trial.position < 0} == theirs
    assert len({trial.indices for trial in trials}) == 60, "no repeats"
    evaluator = fakes.FakeEvaluator()
    for trial in trials:
        if trial.metrics is not None:
            assert trial.metrics == evaluator.metrics(SPACE.decode(trial.indices))
    assert [(trial.params, trial.values) for trial in study.trials[:OWN]] == before
    names = {name for trial in study.trials if trial.state.is_finished() for name in trial.params}
    assert names == set(distributions())
    assert read_result(out).front.sha256() == result.front.sha256()

    # Going on does not depend on where it stopped.
    again = tmp_path / "again" / "mine"
    again.mkdir(parents=True)
    by_hand(f"sqlite:///{again / 'study.db'}", "mine")
    run(again, 60, adopt=True)
    assert stored(again) == trials


def test_values_of_another_evaluator_stay_off_the_front(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    by_hand(f"sqlite:///{out / 'study.db'}", "mine", measure=lambda metrics: [0.0, 0.0])
    result = run(out, 50, adopt=True)
    adopted = [trial for trial in stored(out) if trial.position < 0]
    assert adopted and {trial.reason for trial in adopted} == {OTHER_VALUES}
    assert result.counts.illegal[OTHER_VALUES] == len(adopted)
    assert (result.front.values > 0).all()
    assert len({trial.indices for trial in stored(out)}) == 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"directions": ("minimize", "maximize")}, "directions: minimize, maximize, now minimize, minimize"),
        ({"directions": ("minimize",)}, "directions: minimize, now minimize, minimize"),
        (
            {"ranges": {"clock_mhz": IntDistribution(100, 400, step=100)}},
            r"parameter clock_mhz: \[100, 200, 300, 400\]",
        ),
        ({"ranges": {"clock_mhz": FloatDistribution(100, 300)}}, "parameter clock_mhz: a continuous range, now"),
        (
            {"ranges": {"link": CategoricalDistribution(["100base-t", "wifi"])}},
            r'parameter link: \["100base-t", "wifi"\]',
        ),
        ({"ranges": {"colour": CategoricalDistribution(["red"])}}, "parameter colour: is no knob"),
        ({"ranges": {"cut": None}}, "parameter cut: not in trial"),
    ],
)
def test_what_differs_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    if "ranges" in change:
        ranges = {name: range_ for name, range_ in (distributions() | change["ranges"]).items() if range_ is not None}
        study = optuna.create_study(
            study_name="mine", storage=f"sqlite:///{out / 'study.db'}", directions=["minimize"] * 2
        )
        study.tell(study.ask(ranges), [1.0, 1.0])
    else:
        study = by_hand(f"sqlite:///{out / 'study.db'}", "mine", trials=2, **change)
    attributes = study.user_attrs
    with pytest.raises(UserError, match=message) as refused:
        run(out, 50, adopt=True)
    assert "\n" not in str(refused.value) and "--out" in str(refused.value)
    assert study.user_attrs == attributes


def test_there_must_be_something_to_adopt_and_an_algorithm_to_do_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to adopt: there is no"):
        run(tmp_path / "mine", 5, adopt=True)
    with pytest.raises(UserError, match=r"nothing to adopt: .* has no study 'mine', which is the name of the folder"):
        run(tmp_path / "mine", 5, adopt=True, storage=str(tmp_path / "journal.log"))
    with pytest.raises(UserError, match="--adopt is for"):
        run_study(fakes.spec("nsga2"), tmp_path / "x", budget=5, evaluator=fakes.FakeEvaluator(), adopt=True)


def test_a_study_killed_while_it_was_taken_over_is_taken_over_again(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    by_hand(f"sqlite:///{out / 'study.db'}", "mine")

    class Dies(fakes.FakeEvaluator):
        def metrics(self, point: Any) -> dict[str, float]:
            if len(self.asked) == 7:
                raise MemoryError
            return super().metrics(point)

    with pytest.raises(MemoryError):
        run_study(SPEC, out, budget=50, evaluator=Dies(), adopt=True)
    with pytest.raises(UserError, match="--adopt"):
        run(out, 50)
    run(out, 50, adopt=True)
    assert len(stored(out)) == 50


def test_adopted_trials_are_recovered_too(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    by_hand(f"sqlite:///{out / 'study.db'}", "mine")
    run(out, 50, adopt=True)
    expected = stored(out)
    data = (out / "study.db").read_bytes()
    (out / "study.db").write_bytes(bytes(4096) + data[4096:])
    found = recover(out)
    assert found is not None and found.trials > 0
    assert any(trial.position < 0 for trial in stored(out)), "adopted ones come before the study's own"
    run(out, 50)
    kept = {trial.position: trial for trial in stored(out)}
    assert all(kept[trial.position] == trial for trial in expected if trial.position in kept)
    assert len(kept) == 50
