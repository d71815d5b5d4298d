"""How a search got on: the hypervolume after so many evaluations, architectures and seconds of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dse.files import read_json
from dse.indicators import Yardstick
from dse.result import StudyResult, read_result
from dse.store import read_store
from dse.study import parse_constraint
from search_spaces.space import ARCHITECTURE_KNOBS

__all__ = ["LEVELS", "Effort", "History", "read_history", "working_seconds"]

LEVELS = (0.90, 0.95, 0.98)
"""Shares of the reference front's hypervolume at which the effort is told."""


@dataclass(frozen=True)
class Effort:
    """What a search had spent at some point: designs evaluated, different architectures among them, and seconds.

    Seconds are None where the store does not know them, and reach to the end of the commit.
    """

    evaluations: int
    architectures: int
    seconds: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class History:
    """The trials of a heuristic in order: objective `values` (n, objectives), infinite where not feasible; and, up to
    each, designs evaluated and architectures met (n,), and working `seconds` (n,) or None.

    A search over architectures evaluates more designs than it leaves trials.
    """

    values: np.ndarray
    evaluations: np.ndarray
    architectures: np.ndarray
    seconds: np.ndarray | None

    @property
    def total(self) -> Effort:
        return self.after(len(self.values))

    def after(self, n: int) -> Effort:
        """What the first n trials took."""
        if not n:
            return Effort(0, 0, 0.0)
        seconds = None if self.seconds is None else float(self.seconds[n - 1])
        return Effort(int(self.evaluations[n - 1]), int(self.architectures[n - 1]), seconds)

    def hypervolume(self, yardstick: Yardstick, n: int) -> float:
        """The hypervolume after n trials."""
        values = self.values[:n]
        return yardstick.hypervolume_of(values[np.isfinite(values).all(axis=1)])

    def reaching(self, yardstick: Yardstick, share: float) -> Effort | None:
        """What it took to this share of the reference front's hypervolume; None where it never got there.

        The hypervolume only grows, so the first such trial is found by halving.
        """
        goal = share * yardstick.hypervolume
        low, high = 0, len(self.values)
        if self.hypervolume(yardstick, high) < goal:
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.hypervolume(yardstick, middle) >= goal else (middle + 1, high)
        return self.after(low)


def read_history(folder: Path) -> tuple[StudyResult, History | None, Effort]:
    """A study's answer, how it came about (None for `exact`, which keeps its front alone), and what it took in all."""
    result = read_result(folder)
    order = result.question["order"]
    own = [k for k, name in enumerate(order) if name in ARCHITECTURE_KNOBS]
    of_one = int(np.prod([len(result.knobs[name]) for k, name in enumerate(order) if k not in own], dtype=object))
    if result.question["algorithm"] == "exact":
        designs = result.counts.designs
        return result, None, Effort(designs, designs // of_one, _seconds_of_runs(folder))
    store = read_store(folder)
    try:
        trials, spans = store.trials(), store.spans()
    finally:
        store.close()
    constraints = [parse_constraint(text) for text in result.question["constraints"]]
    values = np.full((len(trials), len(result.objectives)), np.inf)
    seen: set[tuple[int, ...]] = set()
    met = []
    for i, trial in enumerate(trials):
        seen.add(tuple(trial.indices[k] for k in own))
        met.append(len(seen))
        if trial.meets(constraints):
            values[i] = trial.values(result.objectives)
    architectures = np.array(met, dtype=int)
    evaluations = np.arange(1, len(trials) + 1) if result.unit == "designs" else architectures * of_one
    history = History(values, evaluations, architectures, working_seconds(spans) if spans else None)
    return result, history, history.total


def _seconds_of_runs(folder: Path) -> float | None:
    """The seconds of all runs of a study, by its `run.json`."""
    record = read_json(folder / "run.json")
    sums = record.get("all_sessions") if isinstance(record, dict) else None
    seconds = sums.get("seconds") if isinstance(sums, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else None


def working_seconds(spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """For the end of every span (begun, finished): for how long, up to then, at least one span was going on.

    Pauses between two runs of a study do not count, and what several processes did at the same time counts once.

    >>> working_seconds([(0, 2), (1, 3), (10, 11)])
    array([2., 3., 4.])
    """
    times = np.asarray(spans, dtype=float).reshape(-1, 2)
    order = np.argsort(times[:, 0], kind="stable")
    begun, reached = times[order, 0], np.maximum.accumulate(times[order, 1])
    first = np.flatnonzero(np.r_[True, begun[1:] > reached[:-1]]) if len(times) else np.empty(0, int)
    starts, ends = begun[first], reached[np.r_[first[1:] - 1, len(times) - 1]] if len(times) else first
    ends = np.maximum(ends, starts)
    before = np.concatenate([[0.0], np.cumsum(ends - starts)])
    piece = np.searchsorted(starts, times[:, 1], side="right") - 1
    inside = np.minimum(times[:, 1], ends[piece]) - starts[piece]
    return before[piece] + np.maximum(inside, 0.0)
