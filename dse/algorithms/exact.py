"""The exact front of a finite space, architecture by architecture.

For one architecture the evaluator gives every metric of every (cut, clock, DRAM, link) as arrays by prefix sums over
the layers, so a million designs are a few thousand small tables. Only the front so far, its ties and the counts stay
in memory. Every design of the space is either counted as illegal, as infeasible, or compared: the front is proven.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.algorithms import Algorithm
from dse.result import Baseline, Counts
from search_spaces.space import ARCHITECTURE_KNOBS, SearchSpace

if TYPE_CHECKING:
    from dse.study import Constraint, Evaluator, StudySpec

__all__ = ["ALGORITHM", "Baselines", "Table", "design_of", "table"]


@dataclass(frozen=True)
class Table:
    """All designs of one architecture: `indices` (n, knobs), `metrics` (n, columns), and which are possible (n,)."""

    columns: tuple[str, ...]
    indices: np.ndarray
    metrics: np.ndarray
    legal: np.ndarray
    feasible: np.ndarray
    counts: Counts


def table(
    evaluator: Evaluator, space: SearchSpace, architecture: Sequence[int], constraints: Sequence[Constraint]
) -> Table:
    """Every design with this choice of the architecture knobs, with its metrics and what stands against it."""
    block = evaluator.architecture_block(space, architecture)
    others = [k for k, knob in enumerate(space.knobs) if knob.name not in ARCHITECTURE_KNOBS]
    own = [k for k, knob in enumerate(space.knobs) if knob.name in ARCHITECTURE_KNOBS]
    shape = tuple(space.shape[k] for k in others)
    n = int(np.prod(shape))
    indices = np.empty((n, len(space.knobs)), dtype=np.int64)
    indices[:, others] = np.indices(shape).reshape(len(others), n).T
    indices[:, own] = np.asarray(architecture)
    columns = tuple(block.metrics)
    legal = np.broadcast_to(block.legal, shape).reshape(n)
    metrics = np.stack([np.broadcast_to(block.metrics[name], shape).reshape(n) for name in columns], axis=1)
    feasible = legal.copy()
    infeasible: dict[str, int] = {}
    for constraint in constraints:
        column = metrics[:, columns.index(constraint.metric)]
        broken = legal & (constraint.violation({constraint.metric: column}) > 0)
        if broken.any():
            infeasible[str(constraint)] = int(broken.sum())
        feasible &= ~broken
    counts = Counts(n, int(feasible.sum()), dict(block.illegal_counts), infeasible)
    return Table(columns, indices, metrics, legal, feasible, counts)


def design_of(space: SearchSpace, architecture: Sequence[int]) -> tuple[int, ...]:
    """One design with this choice of the architecture knobs: the first value of every other knob."""
    chosen = dict(zip((knob.name for knob in space.architecture_knobs), architecture, strict=True))
    return tuple(int(chosen.get(knob.name, 0)) for knob in space.knobs)


class Baselines:
    """The best design with everything on one node, one for each objective, over all tables added.

    A space without the network's first or last cut has no such design for the edge or the sensor node.
    """

    def __init__(self, spec: StudySpec, known: Sequence[Baseline] = ()) -> None:
        self._cut = [knob.name for knob in spec.space.knobs].index("cut")
        cuts = spec.space.knobs[self._cut].values
        ends = {"all on the edge": spec.network.cuts[0].name, "all on the sensor": spec.network.cuts[-1].name}
        self._places = {place: cuts.index(name) for place, name in ends.items() if name in cuts}
        self._objectives = spec.objectives
        self._constraints = spec.constraints
        self._best = {baseline.label: baseline for baseline in known}

    def add(self, table: Table) -> None:
        for place, cut in self._places.items():
            rows = np.flatnonzero((table.indices[:, self._cut] == cut) & table.legal)
            if not len(rows):
                continue
            for objective in self._objectives:
                # A feasible design first, then the least objective, then the others, area, and the knobs' order.
                order = [objective, *(o for o in self._objectives if o != objective), "area_mm2"]
                keys = [table.metrics[rows, table.columns.index(name)] for name in reversed(order)]
                keys.append(~table.feasible[rows])
                self._offer(table, int(rows[np.lexsort(keys)[0]]), f"{place}, least {objective}", objective)

    def _offer(self, table: Table, row: int, label: str, objective: str) -> None:
        metrics = dict(zip(table.columns, map(float, table.metrics[row]), strict=True))
        broken = tuple(str(c) for c in self._constraints if c.violation(metrics) > 0)
        offered = Baseline(label, tuple(map(int, table.indices[row])), metrics, broken)
        known = self._best.get(label)
        if known is None or self._key(offered, objective) < self._key(known, objective):
            self._best[label] = offered

    def _key(self, baseline: Baseline, objective: str) -> tuple[Any, ...]:
        others = [baseline.metrics[o] for o in self._objectives if o != objective]
        return bool(baseline.broken), baseline.metrics[objective], *others, baseline.metrics["area_mm2"]

    def all(self) -> tuple[Baseline, ...]:
        """The baselines, those that are one design for several objectives joined."""
        joined: dict[tuple[str, tuple[int, ...]], Baseline] = {}
        for baseline in self._best.values():
            place = baseline.label.split(",")[0]
            same = joined.get((place, baseline.indices))
            label = baseline.label if same is None else f"{same.label} and {baseline.label.split('least ')[1]}"
            joined[place, baseline.indices] = Baseline(label, baseline.indices, baseline.metrics, baseline.broken)
        return tuple(joined.values())

    def best(self) -> tuple[Baseline, ...]:
        return tuple(self._best.values())


ALGORITHM = Algorithm(
    name="exact",
    summary="every design by prefix sums: the proven front of the space",
    storage="table",
    batch_size=32,
    proposer=None,
    unit="architectures",
)
