"""The contract of every search algorithm: deterministic, resumable, without repeats, never better than exact."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import moocore
import numpy as np
import optuna
import pytest

from dse import algorithms
from dse.algorithms._opening import opening
from dse.algorithms._optuna import OptunaProposer, ordered
from dse.algorithms.optuna_nsga3 import divisions
from dse.front import hypervolume, reference_point
from dse.run import run_study
from dse.study import Constraint, StudySpec, Trial
from dse.warm_start import warm_start
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.space import ARCHITECTURE_KNOBS
from tests.dse import fakes
from tests.dse.fakes import stored

HEURISTICS = [
    # A proposal of the Gaussian processes takes a second; the default run has a shorter test for them.
    pytest.param(name, marks=pytest.mark.slow) if name == "optuna-gp" else name
    for name in algorithms.names()
    if algorithms.load(name).proposer is not None
]
BUDGET = {"optuna-tpe": 57, "optuna-gp": 45, "memetic": 37}


def trials(spec: StudySpec, out: Path, budget: int, **options: object) -> list[Trial]:
    run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator(), **options)  # type: ignore[arg-type]
    return stored(out)


def units(spec: StudySpec, found: list[Trial]) -> list[tuple[int, ...]]:
    """What was proposed, in order: the designs, or the architectures that designs were left of."""
    if algorithms.load(spec.algorithm).unit == "designs":
        return [trial.indices for trial in found]
    own = [k for k, knob in enumerate(spec.space.knobs) if knob.name in ARCHITECTURE_KNOBS]
    return [architecture for architecture, _ in groupby(tuple(t.indices[k] for k in own) for t in found)]


def first(spec: StudySpec, found: list[Trial], n: int) -> list[Trial]:
    """The trials of the first n designs, or architectures."""
    proposed = set(units(spec, found)[:n])
    return [trial for trial in found if proposed & set(units(spec, [trial]))]


def test_the_issue_s_algorithms_are_there() -> None:
    heuristics = {"memetic", "nsga2", "optuna-nsga2", "optuna-nsga3", "optuna-tpe", "optuna-gp", "random"}
    assert {"exact", *heuristics} <= set(algorithms.names())
    with pytest.raises(UserError, match="did you mean 'nsga2'"):
        algorithms.load("nsga")


@pytest.mark.parametrize("name", algorithms.names())
def test_an_algorithm_says_what_it_is(name: str) -> None:
    algorithm = algorithms.load(name)
    assert algorithm.name == name and algorithm.summary and algorithm.batch_size >= 2


@pytest.mark.parametrize("name", HEURISTICS)
def test_same_seed_same_trials_however_they_are_run(name: str, tmp_path: Path) -> None:
    budget = BUDGET.get(name, 155)
    space = fakes.space(pes=(4,) if name != "memetic" else (4, 16), clocks=(100, 800))
    spec = fakes.spec(name, batch_size=10, space=space)
    whole = trials(spec, tmp_path / "whole", budget)
    assert len(units(spec, whole)) == budget
    if name == "memetic":
        each = [trial.position // 36 for trial in whole]
        assert each == sorted(each) and set(each) == set(range(budget))
    else:
        assert [trial.position for trial in whole] == list(range(budget))

    # In pieces that end inside batches and at their borders, as a larger budget each time, with two workers.
    draw = random.Random(name)
    for done in sorted({30, *(draw.randrange(1, budget) for _ in range(2)), budget}):
        assert trials(spec, tmp_path / "pieces", done, workers=2) == first(spec, whole, done)

    other = trials(replace(spec, seed=2), tmp_path / "other", 30)
    assert units(spec, other) != units(spec, whole)[:30]


@pytest.mark.parametrize("name", HEURISTICS)
def test_nothing_is_evaluated_twice_and_a_space_is_used_up(name: str, tmp_path: Path) -> None:
    space = fakes.tiny_space()
    spec = fakes.spec(name, space=space, batch_size=10)
    evaluator = fakes.FakeEvaluator()
    result = run_study(spec, tmp_path, budget=10_000, evaluator=evaluator)
    assert result.session is not None and result.session.stopped_by == "space"
    found = units(spec, stored(tmp_path))
    size = space.size if name != "memetic" else len(list(space.architectures()))
    assert len(found) == len(set(found)) == size
    assert result.session.evaluator_calls == size
    exact = run_study(fakes.spec("exact", space=space), tmp_path / "exact", evaluator=fakes.FakeEvaluator())
    assert result.front.sha256() == exact.front.sha256()
    assert result.counts == exact.counts


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_heuristic_never_dominates_the_exact_front(name: str, tmp_path: Path) -> None:
    exact = run_study(fakes.spec("exact"), tmp_path / "exact", evaluator=fakes.FakeEvaluator())
    result = run_study(
        fakes.spec(name), tmp_path / "heuristic", budget=BUDGET.get(name, 300), evaluator=fakes.FakeEvaluator()
    )
    both = np.concatenate([exact.front.values, result.front.values])
    kept = np.asarray(moocore.is_nondominated(both, keep_weakly=True))
    assert kept[: len(exact.front)].all()


@pytest.mark.parametrize("name", HEURISTICS)
def test_no_front_is_beaten_by_everything_on_the_edge(name: str, tmp_path: Path) -> None:
    result = run_study(fakes.spec(name), tmp_path, budget=20, evaluator=fakes.FakeEvaluator())
    edge = [b for b in result.baselines if b.label.startswith("all on the edge") and not b.broken]
    assert edge
    for baseline in edge:
        at = np.array([baseline.metrics[name] for name in result.objectives])
        assert not ((at <= result.front.values).all(axis=1) & (at < result.front.values).any(axis=1)).any()


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_search_starts_from_the_designs_it_is_given(name: str, tmp_path: Path) -> None:
    given = ((3, 1, 1, 1, 1, 0, 1, 0, 2, 0, 1), (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), (4, 1, 3, 2, 1, 0, 1, 0, 1, 0, 2))
    spec = fakes.spec(name, batch_size=2, warm_start=given)
    found = units(spec, trials(spec, tmp_path, 20))
    asked = units(spec, [Trial(k, indices, reason="") for k, indices in enumerate(opening(spec))])
    expected = list(dict.fromkeys(asked))
    assert found[: len(expected)] == expected and len(found) == len(set(found))
    assert opening(spec)[:3] == given and len(expected) > 3


def test_a_warm_start_is_part_of_the_question() -> None:
    cold = fakes.spec("nsga2")
    warm = replace(cold, warm_start=((0,) * 11,))
    asked = [spec.question({}) for spec in (cold, warm, replace(cold, warm_start=((1,) + (0,) * 10,)))]
    assert len({str(question.get("warm_start")) for question in asked}) == 3
    assert replace(warm, algorithm="exact").question({}) == replace(cold, algorithm="exact").question({})
    with pytest.raises(UserError, match="11 indices, not 2"):
        replace(cold, warm_start=((0, 0),))


def test_a_warm_start_takes_one_design_of_every_point_that_is_in_the_space(tmp_path: Path) -> None:
    wide = fakes.space()
    result = run_study(fakes.spec("exact", space=wide), tmp_path, evaluator=fakes.FakeEvaluator())
    same = warm_start(tmp_path, wide)
    assert (len(same.designs), same.skipped) == (result.front.size, 0)

    narrow = fakes.space(clocks=(100, 200, 800))
    some = warm_start(tmp_path, narrow)
    assert some.designs and some.skipped and len(some.designs) + some.skipped == result.front.size
    values = {tuple(sorted(result.design(row).items())) for row in result.front.indices}
    for design in some.designs:
        assert tuple(sorted(narrow.decode(design).knobs)) in values
    with pytest.raises(UserError, match="none of the"):
        warm_start(tmp_path, fakes.space(pes=(5,), clocks=(123,)))


@pytest.mark.parametrize("name", HEURISTICS)
def test_constraints_lead_to_feasible_designs(name: str, tmp_path: Path) -> None:
    """A bound that few designs keep: those that learn propose feasible ones at least twice as often as chance."""
    bounds = (Constraint("area_mm2", 2.0), Constraint("link_utilisation", 0.2))
    spec = fakes.spec(name, constraints=bounds)
    draw = np.random.default_rng(1)
    evaluator = fakes.FakeEvaluator()

    def share(designs: list[tuple[int, ...]]) -> float:
        kept = 0
        for indices in designs:
            with suppress(IllegalDesign):
                metrics = evaluator.metrics(spec.space.decode(indices))
                kept += all(violation <= 0 for violation in spec.violations(metrics))
        return kept / len(designs)

    chance = share([tuple(int(i) for i in draw.integers(0, spec.space.shape)) for _ in range(2000)])
    budget = {"optuna-gp": 40, "optuna-tpe": 120, "memetic": 60}.get(name, 300)
    found = [trial.indices for trial in trials(spec, tmp_path, budget)]
    late = share(found[len(found) // 2 :])
    assert chance < 0.3
    assert abs(late - chance) < 0.1 if name == "random" else late > 2 * chance


def test_optuna_s_samplers_see_constraints_and_no_penalty() -> None:
    spec = fakes.spec("optuna-tpe")
    proposer = OptunaProposer(spec, lambda seed: optuna.samplers.RandomSampler(seed=seed), ordered(spec.space))
    evaluated = evaluate(spec, proposer.ask(0), 0)
    proposer.tell(evaluated)
    illegal = 0
    for trial, seen in zip(evaluated, proposer._study.trials, strict=True):
        assert seen.constraints.keys() == {"link_utilisation", "area_mm2", "legal"}
        if trial.metrics is None:
            illegal += 1
            assert seen.constraints["legal"] > 0
        else:
            assert seen.values == list(trial.values(spec.objectives))
            broken = {name for name, violation in seen.constraints.items() if violation > 0}
            assert not broken if trial.feasible(spec) else broken
    assert 0 < illegal < len(evaluated)


def test_gaussian_processes_go_on_as_if_never_stopped() -> None:
    """The fits of a batch begin where its last one ended: a sampler that lived longer would go on differently."""
    spec = fakes.spec("optuna-gp", space=fakes.small_space(), batch_size=2)
    first = algorithms.load("optuna-gp").proposer
    assert first is not None
    going, batches = first(spec), []
    for position in range(0, 24, 2):
        batches.append(evaluate(spec, going.ask(position), position))
        going.tell(batches[-1])
    again = first(spec)
    again.recall(batches[:11])
    assert again.ask(22) == [trial.indices for trial in batches[11]]
    designs = [trial.indices for batch in batches for trial in batch]
    assert len(set(designs)) == len(designs)


def evaluate(spec: StudySpec, designs: list[tuple[int, ...]], position: int) -> list[Trial]:
    evaluator, found = fakes.FakeEvaluator(), []
    for k, indices in enumerate(designs, start=position):
        try:
            found.append(Trial(k, indices, evaluator.metrics(spec.space.decode(indices))))
        except IllegalDesign as illegal:
            found.append(Trial(k, indices, reason=illegal.reason))
    return found


@pytest.mark.parametrize(("objectives", "population"), [(2, 50), (3, 50), (3, 2), (4, 100)])
def test_nsga3_has_no_more_reference_points_than_individuals(objectives: int, population: int) -> None:
    from optuna.samplers._nsgaiii._elite_population_selection_strategy import _generate_default_reference_point

    parts = divisions(objectives, population)
    assert parts == 1 or len(_generate_default_reference_point(objectives, parts)) <= population
    assert len(_generate_default_reference_point(objectives, parts + 1)) > population


def test_memetic_reaches_the_exact_hypervolume_with_a_third_of_the_architectures(tmp_path: Path) -> None:
    exact = run_study(fakes.spec("exact"), tmp_path / "exact", evaluator=fakes.FakeEvaluator())
    reference = reference_point(exact.front.distinct)
    best = hypervolume(exact.front, reference)
    for seed in range(1, 4):
        spec = fakes.spec("memetic", seed=seed)
        found = run_study(spec, tmp_path / str(seed), budget=64, evaluator=fakes.FakeEvaluator())
        assert hypervolume(found.front, reference) >= 0.98 * best, f"seed {seed}"
        assert found.counts.designs == 64 * 90 and found.visited == 64 and not found.exact


def test_an_architecture_without_a_feasible_design_leaves_the_one_that_comes_closest(tmp_path: Path) -> None:
    spec = fakes.spec("memetic", constraints=(Constraint("area_mm2", 1e-3),))
    found = trials(spec, tmp_path, 30)
    assert len(found) == 30 and not any(trial.feasible(spec) for trial in found)
    legal = [trial for trial in found if trial.metrics is not None]
    assert legal and legal[0].metrics is not None
    areas = [trial.metrics["area_mm2"] for trial in legal if trial.metrics]
    # The search goes on from those: what it proposes after its random ones is smaller.
    assert np.mean(areas[20:]) < np.mean(areas[4:20])


def test_nsga2_reaches_nine_tenths_of_the_exact_hypervolume(tmp_path: Path) -> None:
    exact = run_study(fakes.spec("exact"), tmp_path / "exact", evaluator=fakes.FakeEvaluator())
    reference = reference_point(exact.front.distinct)
    best = hypervolume(exact.front, reference)
    for seed in range(1, 6):
        found = run_study(
            fakes.spec("nsga2", seed=seed), tmp_path / str(seed), budget=600, evaluator=fakes.FakeEvaluator()
        )
        assert hypervolume(found.front, reference) >= 0.9 * best, f"seed {seed}"


@pytest.mark.parametrize("name", HEURISTICS)
def test_an_interrupt_keeps_what_was_evaluated(name: str, tmp_path: Path) -> None:
    spec = fakes.spec(name, batch_size=20)
    stopped = run_study(spec, tmp_path, budget=60, evaluator=fakes.FakeEvaluator(interrupt_after=33))
    assert stopped.session is not None and stopped.session.stopped_by == "interrupt"
    # The chunk that was interrupted is evaluated again; what was finished before it is kept.
    kept = stored(tmp_path)
    assert len(units(spec, kept)) == (33 if name != "memetic" else 1)  # its first architecture has 90 designs
    whole = trials(spec, tmp_path / "whole", 60)
    assert trials(spec, tmp_path, 60) == whole
    assert kept == whole[: len(kept)]


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_time_limit_stops_and_the_same_command_goes_on(name: str, tmp_path: Path) -> None:
    spec = fakes.spec(name, batch_size=20)
    for _ in range(2):
        result = run_study(spec, tmp_path, budget=60, time_limit=1e-9, evaluator=fakes.FakeEvaluator())
        assert result.session is not None and result.session.stopped_by == "time limit"
    # However short its time, a run gets on by one chunk of 8, or one architecture.
    assert len(units(spec, stored(tmp_path))) == (16 if name != "memetic" else 2)
    assert trials(spec, tmp_path, 60) == trials(spec, tmp_path / "whole", 60)
