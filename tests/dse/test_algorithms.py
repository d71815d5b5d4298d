"""The contract of every search algorithm: deterministic, resumable, without repeats, never better than exact."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import moocore
import numpy as np
import pytest

from dse import algorithms
from dse.front import hypervolume, reference_point
from dse.run import run_study
from dse.store import read_store
from dse.study import StudySpec, Trial
from search_spaces.errors import UserError
from tests.dse import fakes

HEURISTICS = [name for name in algorithms.names() if algorithms.load(name).proposer is not None]
BUDGET = {"optuna-tpe": 57}


def trials(spec: StudySpec, out: Path, budget: int, **options: object) -> list[Trial]:
    run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator(), **options)  # type: ignore[arg-type]
    return stored(out)


def stored(out: Path) -> list[Trial]:
    store = read_store(out)
    try:
        return store.trials()
    finally:
        store.close()


def test_the_issue_s_algorithms_are_there() -> None:
    assert {"exact", "nsga2", "optuna-nsga2", "optuna-tpe", "random"} <= set(algorithms.names())
    with pytest.raises(UserError, match="did you mean 'nsga2'"):
        algorithms.load("nsga")


@pytest.mark.parametrize("name", algorithms.names())
def test_an_algorithm_says_what_it_is(name: str) -> None:
    algorithm = algorithms.load(name)
    assert algorithm.name == name and algorithm.summary and algorithm.batch_size >= 2


@pytest.mark.parametrize("name", HEURISTICS)
def test_same_seed_same_trials_however_they_are_run(name: str, tmp_path: Path) -> None:
    budget = BUDGET.get(name, 155)
    spec = fakes.spec(name, batch_size=10, space=fakes.space(pes=(4,), clocks=(100, 800)))
    whole = trials(spec, tmp_path / "whole", budget)
    assert [trial.position for trial in whole] == list(range(budget))

    # In pieces that end inside batches and at their borders, as a larger budget each time, with two workers.
    draw = random.Random(name)
    for done in sorted({30, *(draw.randrange(1, budget) for _ in range(2)), budget}):
        assert trials(spec, tmp_path / "pieces", done, workers=2) == whole[:done]

    other = trials(replace(spec, seed=2), tmp_path / "other", 20)
    assert [t.indices for t in other] != [t.indices for t in whole[:20]]


@pytest.mark.parametrize("name", HEURISTICS)
def test_nothing_is_evaluated_twice_and_a_space_is_used_up(name: str, tmp_path: Path) -> None:
    space = fakes.tiny_space()
    spec = fakes.spec(name, space=space, batch_size=10)
    evaluator = fakes.FakeEvaluator()
    result = run_study(spec, tmp_path, budget=10_000, evaluator=evaluator)
    assert result.session is not None and result.session.stopped_by == "space"
    found = [trial.indices for trial in stored(tmp_path)]
    assert len(found) == len(set(found)) == space.size
    assert result.session.evaluator_calls == space.size
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


def test_nsga2_reaches_nine_tenths_of_the_exact_hypervolume(tmp_path: Path) -> None:
    exact = run_study(fakes.spec("exact"), tmp_path / "exact", evaluator=fakes.FakeEvaluator())
    reference = reference_point([exact.front])
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
    assert len(kept) == 33
    whole = trials(spec, tmp_path / "whole", 60)
    assert trials(spec, tmp_path, 60) == whole
    assert kept == whole[:33]


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_time_limit_stops_and_the_same_command_goes_on(name: str, tmp_path: Path) -> None:
    spec = fakes.spec(name, batch_size=20)
    for _ in range(2):
        result = run_study(spec, tmp_path, budget=60, time_limit=1e-9, evaluator=fakes.FakeEvaluator())
        assert result.session is not None and result.session.stopped_by == "time limit"
    # However short its time, a run gets on by one chunk of 8.
    assert len(stored(tmp_path)) == 16
    assert trials(spec, tmp_path, 60) == trials(spec, tmp_path / "whole", 60)
