"""Shares of variance against looking at every design; PED-ANOVA as Optuna itself gives it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse import importance
from dse.console import console
from dse.importance import exact_importance, ped_anova
from dse.report.importance import importance_table, plot_importance
from dse.run import run_study
from dse.store import read_store
from dse.study import Constraint, StudySpec, Trial
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.space import SearchSpace
from search_spaces.types import Knob
from tests.dse import fakes


@dataclass
class Dice(fakes.FakeEvaluator):
    """Whole numbers drawn for every design; a share of them cannot exist."""

    seed: int = 0
    holes: float = 0.2
    sides: int = 5

    def _figures(self, point: Any) -> dict[str, float]:
        draw = np.random.default_rng([self.seed, *point.indices])
        if draw.random() < self.holes:
            raise IllegalDesign("a hole", "no such design")
        thrown = {name: float(draw.integers(1, self.sides)) for name in ("sensor_energy_j", "latency_s", "area_mm2")}
        return dict.fromkeys(super()._figures(SAFE), 1.0) | thrown


SAFE = fakes.tiny_space().decode((0,) * 11)


def variance(values: Sequence[Fraction]) -> Fraction:
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values)


def shares_slowly(spec: StudySpec, evaluator: Dice, objective: str) -> tuple[dict[str, Fraction], dict[str, Fraction]]:
    """First-order and total indices in exact arithmetic, by grouping all feasible designs."""
    designs = [(indices, Fraction(metrics[objective])) for indices, metrics in fakes.feasible(spec, evaluator)]
    whole = variance([value for _, value in designs])
    alone, total = {}, {}
    for k, knob in enumerate(spec.space.knobs):
        if len(knob.values) < 2:
            continue
        by_value, by_rest = defaultdict(list), defaultdict(list)
        for indices, value in designs:
            by_value[indices[k]].append(value)
            by_rest[indices[:k] + indices[k + 1 :]].append(value)
        means = [sum(values, Fraction(0)) / len(values) for values in by_value.values() for _ in values]
        alone[knob.name] = variance(means) / whole if whole else Fraction(0)
        inside = sum((variance(values) * len(values) for values in by_rest.values()), Fraction(0)) / len(designs)
        total[knob.name] = inside / whole if whole else Fraction(0)
    return alone, total


def small(sizes: dict[str, int]) -> SearchSpace:
    return SearchSpace(
        tuple(
            Knob(knob.name, knob.values[: sizes.get(knob.name, 1)]) for knob in fakes.space(clocks=(50, 100, 200)).knobs
        )
    )


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.fixed_dictionaries(
        {name: st.integers(1, 3) for name in ("cut", "pe_cols", "glb_kib", "weight_buffer_scale", "clock_mhz")}
    ),
    seed=st.integers(0, 99),
    holes=st.sampled_from([0.0, 0.4]),
    sides=st.sampled_from([2, 5]),
    three=st.booleans(),
    kept=st.sampled_from([0, 64 * 2**20]),
)
def test_shares_of_variance_equal_a_slow_count(
    sizes: dict[str, int], seed: int, holes: float, sides: int, three: bool, kept: int
) -> None:
    objectives = ("sensor_energy_j", "latency_s", "area_mm2")[: 3 if three else 2]
    bounds = (Constraint("area_mm2", 3.0),)
    spec = fakes.spec("exact", space=small(sizes | {"link": 1}), objectives=objectives, constraints=bounds)
    evaluator = Dice(seed=seed, holes=holes, sides=sides)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importance, "KEPT_BYTES", kept)
        try:
            found = exact_importance(spec, evaluator)
        except UserError:
            assert not any(fakes.feasible(spec, evaluator))
            return
    for objective in objectives:
        alone, total = shares_slowly(spec, evaluator, objective)
        assert found.alone[objective] == pytest.approx({name: float(share) for name, share in alone.items()})
        assert found.total[objective] == pytest.approx({name: float(share) for name, share in total.items()})


def test_a_knob_that_decides_alone_has_the_whole_variance() -> None:
    class Clock(Dice):
        def _figures(self, point: Any) -> dict[str, float]:
            return super()._figures(point) | {"latency_s": 1e6 + 1 / dict(point.knobs)["clock_mhz"]}

    spec = fakes.spec("exact", space=small({"cut": 3, "pe_cols": 2, "clock_mhz": 3}), constraints=())
    found = exact_importance(spec, Clock(holes=0.0))
    assert found.alone["latency_s"] == pytest.approx({"cut": 0, "pe_cols": 0, "clock_mhz": 1}, abs=1e-6)
    assert found.total["latency_s"] == pytest.approx({"cut": 0, "pe_cols": 0, "clock_mhz": 1}, abs=1e-6)
    assert found.designs == found.visited == 18


@pytest.mark.filterwarnings("ignore:PedAnova")
def test_ped_anova_is_what_optuna_says(tmp_path: Path) -> None:
    spec = fakes.spec("optuna-nsga2", space=fakes.small_space(), constraints=())
    run_study(spec, tmp_path / "study", budget=120, evaluator=fakes.FakeEvaluator())
    store = read_store(tmp_path / "study")
    found = ped_anova(store.trials(), store.question())
    store.close()
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/study/study.db")
    ours = optuna.create_study(directions=study.directions)
    ours.add_trials([trial for trial in study.trials if np.isfinite(trial.values).all()])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    for name, target in (
        ("sensor_energy_j", lambda t: t.values[0]),
        ("latency_s", lambda t: t.values[1]),
        ("front", None),
    ):
        theirs = optuna.importance.get_param_importances(ours, evaluator=evaluator, target=target)
        assert found.alone[name] == pytest.approx(theirs)
    assert found.designs == len(ours.trials) and not found.total


def test_too_few_trials_are_one_line() -> None:
    question = fakes.spec("random").question(fakes.FakeEvaluator().fingerprint())
    with pytest.raises(UserError, match="at least 10 feasible trials, and there are 0"):
        ped_anova([Trial(0, (0,) * 11, reason="no")], question)


@pytest.mark.parametrize("exact", [True, False])
def test_importance_is_shown_and_drawn(exact: bool, tmp_path: Path) -> None:
    three = ("sensor_energy_j", "latency_s", "area_mm2")
    spec = fakes.spec("exact" if exact else "nsga2", space=fakes.small_space(), objectives=three)
    if exact:
        found = exact_importance(spec, fakes.FakeEvaluator())
    else:
        run_study(spec, tmp_path / "a", budget=40, evaluator=fakes.FakeEvaluator())
        store = read_store(tmp_path / "a")
        found = ped_anova(store.trials(), store.question())
        store.close()
    plot_importance(found, "fakenet", tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    screen = console()
    with screen.capture() as captured:
        screen.print(importance_table(found, "fakenet"))
    text = " ".join(captured.get().split())
    assert "accelerator area" in text and "clock_mhz" in text
    assert ("feasible of 1,728 designs" if exact else "fewer than 5 trials") in text


SCRIPT = """
from dse import Constraint, StudySpec
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space

def study():
    network = networks.load("lenet5")
    space = sensor_edge_space(network, accelerators=("eyeriss_like",), pe_cols=(2, 14), pe_rows=(12,), glb_kib=(64,),
                              input_buffer_scale=(1.0,), weight_buffer_scale=(1.0,), clock_mhz=(100, 200))
    return StudySpec(network, space, SystemSettings(frame_rate_fps=RATE), algorithm="random")
"""


def test_the_script_that_asked_evaluates_the_space_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dse.cli import main

    def paretocut(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, errors = capsys.readouterr()
        return int(ended.value.code or 0), out, errors

    monkeypatch.chdir(tmp_path)
    Path("asks.py").write_text(SCRIPT.replace("RATE", "25.0"))
    assert paretocut("run", "asks.py", "--budget", "20", "--constraint", "area_mm2<=3", "--out", "a")[0] == 0
    by_trials = json.loads(paretocut("importance", "a", "--json")[1])
    assert by_trials["method"] == "PED-ANOVA" and by_trials["designs"] == 20
    status, out, errors = paretocut("importance", "a", "--exact", "--plot", "bars.png")
    assert status == 0 and "of 156 designs" in out and Path("bars.png").exists(), errors
    Path("asks.py").write_text(SCRIPT.replace("RATE", "30.0"))
    status, _, errors = paretocut("importance", "a", "--exact")
    assert status == 2 and "settings.frame_rate_fps: 25.0, now 30.0" in errors and errors.count("\n") == 1
    Path("asks.py").unlink()
    status, _, errors = paretocut("importance", "a", "--exact")
    assert status == 2 and "say --script" in errors
