"""The exact front of a finite space, architecture by architecture.

For one architecture the evaluator gives every metric of every (cut, clock, DRAM, link) as arrays by sums over the
layers, so a million designs are a few thousand small tables. Only the front so far, its ties and the counts stay in
memory. Every design of the space is either counted as illegal, as infeasible, or compared: the front is proven.

With all mappings kept (`mapping="pareto"`) a design stands for many combinations of its layers' mappings. The table
then holds bounds that no combination is below, and only designs whose bound the front so far does not beat are
summed up into their combinations; the others are counted as beaten by their bound.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.algorithms import Algorithm
from dse.front import FrontStream
from dse.result import MAPPING_COLUMNS, Baseline, Counts
from dse.study import Trial
from evaluators.sensor import MANY_COSTS
from search_spaces.errors import UserError
from search_spaces.space import ARCHITECTURE_KNOBS, SearchSpace

if TYPE_CHECKING:
    from dse.run import Run
    from dse.store import TableStore
    from dse.study import Constraint, Evaluator, StudySpec

__all__ = ["ALGORITHM", "Baselines", "Table", "check_mappings", "design_of", "enumerate_space", "table"]

COMMIT_SECONDS = 1.0
"""What is found is committed when this long has passed since the last time, and at the end."""

_POINTS_PER_DESIGN = 2**20
"""Combinations of one design have the positions from design × this."""


@dataclass(frozen=True)
class Table:
    """Designs of one architecture: `indices` (n, knobs), `metrics` (n, columns), and which are possible (n,).

    `counts` are those of all designs of the architecture, also where the table holds only some.
    """

    columns: tuple[str, ...]
    indices: np.ndarray
    metrics: np.ndarray
    legal: np.ndarray
    feasible: np.ndarray
    counts: Counts


class _Grid:
    """All designs of one architecture laid flat, one row each; what stands against them is counted at once."""

    def __init__(
        self, space: SearchSpace, architecture: Sequence[int], block: Any, constraints: Sequence[Constraint]
    ) -> None:
        self._space = space
        self._architecture = architecture
        self._block = block
        self._others = [k for k, knob in enumerate(space.knobs) if knob.name not in ARCHITECTURE_KNOBS]
        self._own = [k for k, knob in enumerate(space.knobs) if knob.name in ARCHITECTURE_KNOBS]
        self.shape = tuple(space.shape[k] for k in self._others)
        self.size = int(np.prod(self.shape))
        self.columns = tuple(block.metrics)
        self.legal: np.ndarray = np.broadcast_to(block.legal, self.shape).reshape(self.size)
        self.feasible = self.legal.copy()
        infeasible: dict[str, int] = {}
        for constraint in constraints:
            broken = self.legal & (constraint.violation({constraint.metric: self.column(constraint.metric)}) > 0)
            if broken.any():
                infeasible[str(constraint)] = int(broken.sum())
            self.feasible &= ~broken
        self.counts = Counts(self.size, int(self.feasible.sum()), dict(block.illegal_counts), infeasible)

    def column(self, name: str) -> np.ndarray:
        column: np.ndarray = np.broadcast_to(self._block.metrics[name], self.shape).reshape(self.size)
        return column

    def values(self, names: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Metrics of some designs, (rows, names)."""
        return np.stack([self.column(name)[rows] for name in names], axis=1)

    def indices(self, rows: np.ndarray) -> np.ndarray:
        """Knob indices of some designs, (rows, knobs)."""
        indices = np.empty((len(rows), len(self._space.knobs)), dtype=np.int64)
        indices[:, self._others] = self.cells(rows)
        indices[:, self._own] = np.asarray(self._architecture)
        return indices

    def cells(self, rows: np.ndarray) -> np.ndarray:
        """Where some designs stand on the axes of the block, (rows, axes)."""
        return np.stack(np.unravel_index(rows, self.shape), axis=1)

    def table(self, rows: np.ndarray) -> Table:
        metrics = self.values(self.columns, rows)
        return Table(self.columns, self.indices(rows), metrics, self.legal[rows], self.feasible[rows], self.counts)


def table(
    evaluator: Evaluator, space: SearchSpace, architecture: Sequence[int], constraints: Sequence[Constraint]
) -> Table:
    """Every design with this choice of the architecture knobs, with its metrics and what stands against it.

    Raises UserError where all mappings are kept: then a design has many metrics.
    """
    block = evaluator.architecture_block(space, architecture)
    if block.combinations is not None:
        raise UserError(MANY_COSTS)
    grid = _Grid(space, architecture, block, constraints)
    return grid.table(np.arange(grid.size))


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

    def wanted(self, grid: _Grid) -> np.ndarray:
        """Which designs may be better than the baselines so far, their metrics being bounds at least: boolean (n,)."""
        wanted = np.zeros(grid.size, dtype=bool)
        cuts = grid.cells(np.arange(grid.size))[:, 0]
        for place, cut in self._places.items():
            for objective in self._objectives:
                known = self._best.get(f"{place}, least {objective}")
                better = np.full(grid.size, True)
                if known is not None:
                    less, equal = np.zeros(grid.size, dtype=bool), np.full(grid.size, True)
                    for name in self._order(objective):
                        less |= equal & (grid.column(name) < known.metrics[name])
                        equal &= grid.column(name) == known.metrics[name]
                    better = (grid.feasible | less) if known.broken else (grid.feasible & less)
                wanted |= better & grid.legal & (cuts == cut)
        return wanted

    def _order(self, objective: str) -> list[str]:
        """By what the best design for an objective is chosen, the first first."""
        return [objective, *(o for o in self._objectives if o != objective), "area_mm2"]

    def add(self, table: Table) -> None:
        for place, cut in self._places.items():
            rows = np.flatnonzero((table.indices[:, self._cut] == cut) & table.legal)
            if not len(rows):
                continue
            for objective in self._objectives:
                # A feasible design first, then the least objective, then the others, area, and the knobs' order.
                keys = [table.metrics[rows, table.columns.index(name)] for name in reversed(self._order(objective))]
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
        return bool(baseline.broken), *(baseline.metrics[name] for name in self._order(objective))

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


ON_MAPPINGS = frozenset(
    {
        "sensor_energy_j",
        "accelerator_energy_j",
        "latency_s",
        "sensor_latency_s",
        "throughput_fps",
        "sensor_power_w",
        "total_energy_j",
    }
)
"""Metrics that a layer's mapping changes: all get worse, or stay, when its energy or latency grows."""


def check_mappings(spec: StudySpec) -> None:
    """Refuse what the front over mappings cannot answer. Raises UserError.

    Only the combinations that no other beats are looked at, so a constraint must not favour those that are beaten.
    """
    if spec.algorithm != "exact":
        raise UserError(
            f'mapping="pareto" gives a design many costs, which only algorithm exact compares, not {spec.algorithm}; '
            'take mapping="edp", "delay" or "energy"'
        )
    for constraint in spec.constraints:
        bound = constraint.maximum if constraint.metric == "throughput_fps" else constraint.minimum
        if constraint.metric in ON_MAPPINGS and bound is not None:
            raise UserError(
                f'{constraint} asks for worse mappings than there are, which mapping="pareto" leaves out; '
                'drop it, or take mapping="edp", "delay" or "energy"'
            )


class _Enumeration:
    """The front, the baselines and the counts of the first `visited` architectures.

    Not `whole` where something struck in the middle of adding one: then it must not be kept.
    """

    def __init__(
        self,
        spec: StudySpec,
        evaluator: Evaluator,
        visited: int,
        counts: Counts,
        best: Sequence[Baseline],
        known: Sequence[Trial],
    ) -> None:
        self.visited = visited
        self.whole = True
        self._spec = spec
        self._evaluator = evaluator
        self._known = known
        self._stream: FrontStream | None = None
        self.counts = counts
        self.baselines = Baselines(spec, best)

    @property
    def size(self) -> int:
        return self._stream.size if self._stream is not None else 0

    def visit(self, architecture: Sequence[int]) -> None:
        """Add all designs of one architecture."""
        spec = self._spec
        block = self._evaluator.architecture_block(spec.space, architecture)
        grid = _Grid(spec.space, architecture, block, spec.constraints)
        if block.combinations is None:
            self._add_designs(grid)
        else:
            self._add_combinations(grid, architecture, block.combinations)

    def _front_so_far(self, columns: tuple[str, ...]) -> FrontStream:
        if self._stream is None:
            self._stream = FrontStream(self._spec.objectives, columns)
            if self._known:
                self._stream.add(
                    np.array([trial.indices for trial in self._known]),
                    np.array([[(trial.metrics or {})[name] for name in columns] for trial in self._known]),
                )
                self._known = ()
        return self._stream

    def _add_designs(self, grid: _Grid) -> None:
        stream = self._front_so_far(grid.columns)
        rows = np.flatnonzero(grid.feasible)
        found = grid.table(rows[stream.surviving(grid.values(self._spec.objectives, rows))])
        self._add(stream, found, grid.table(np.flatnonzero(self.baselines.wanted(grid))), grid.counts)

    def _add_combinations(self, grid: _Grid, architecture: Sequence[int], combinations: int) -> None:
        spec, columns = self._spec, (*grid.columns, *MAPPING_COLUMNS)
        stream = self._front_so_far(columns)
        beaten = grid.feasible.copy()
        beaten[beaten] = stream.beats(grid.values(spec.objectives, np.flatnonzero(grid.feasible)))
        rows = np.flatnonzero((grid.feasible & ~beaten) | self.baselines.wanted(grid))
        counts = replace(grid.counts, bounded=int(beaten.sum()), combinations=combinations)
        indices, metrics = grid.indices(rows[:0]), np.empty((0, len(columns)))
        if len(rows):
            found = self._evaluator.combinations(spec.space, architecture, grid.cells(rows))
            metrics = np.stack([*(found.metrics[name] for name in grid.columns), found.point, found.changed], axis=1)
            indices = grid.indices(rows)[found.cell]
        feasible = np.ones(len(metrics), dtype=bool)
        for constraint in spec.constraints:
            column = metrics[:, columns.index(constraint.metric)]
            feasible &= constraint.violation({constraint.metric: column}) <= 0
        designs = Table(columns, indices, metrics, np.ones_like(feasible), feasible, counts)
        self._add(stream, designs, designs, counts)

    def _add(self, stream: FrontStream, designs: Table, baselines: Table, counts: Counts) -> None:
        """Designs for the front and for the baselines, and the counts of their architecture, as one step."""
        self.whole = False
        stream.add(designs.indices[designs.feasible], designs.metrics[designs.feasible])
        self.baselines.add(baselines)
        self.counts += counts
        self.visited += 1
        self.whole = True

    def front(self, known: Collection[int]) -> tuple[set[int], list[Trial]]:
        """The positions of the front so far, and its trials that are not among the `known` positions."""
        if self._stream is None or not self._stream.size:
            return set(), []
        front = self._stream.front()
        positions = np.ravel_multi_index(tuple(front.indices.T), self._spec.space.shape)
        if MAPPING_COLUMNS[0] in front.columns:
            positions = positions * _POINTS_PER_DESIGN + front.column(MAPPING_COLUMNS[0]).astype(np.int64)
        new = [
            Trial(position, tuple(map(int, front.indices[i])), front.row(i))
            for i, position in enumerate(positions.tolist())
            if position not in known
        ]
        return set(positions.tolist()), new


class _TimeIsUpError(Exception):
    """The time limit struck while layers were mapped; those that are mapped are in the memo."""


def enumerate_space(run: Run, store: TableStore) -> str:
    """All architectures in order, committed now and then; says whether it got through or why it stopped.

    A time limit is looked at after every architecture, and after every few layers that are mapped.
    """
    spec, space = run.spec, run.spec.space
    n_architectures = prod(len(knob.values) for knob in space.architecture_knobs)
    per_architecture = space.size // n_architectures
    state = store.state() or {"next": 0, "counts": {}, "best": [], "complete": False}
    counts = Counts(**state["counts"])
    run.resumed = counts.designs
    run.progress.start("exact", space.size, counts.designs)
    if state["complete"]:
        return "space"

    stored = store.trials()
    kept = {trial.position for trial in stored}
    best = [Baseline.from_json(b) for b in state["best"]]
    committed = int(state["next"])
    found = _Enumeration(spec, run.evaluator, committed, counts, best, stored)
    last_commit = time.monotonic()

    def commit() -> None:
        nonlocal committed, kept, last_commit
        front, new = found.front(kept)
        state = {
            "next": found.visited,
            "counts": found.counts.as_json(),
            "best": [baseline.as_json() for baseline in found.baselines.best()],
            "baselines": [baseline.as_json() for baseline in found.baselines.all()],
            "complete": found.visited == n_architectures,
        }
        with run.interrupts.shielded():
            store.replace(new, sorted(kept - front), state)
            kept = front
            run.new += per_architecture * (found.visited - committed)
            committed, last_commit = found.visited, time.monotonic()

    remaining = islice(space.architectures(), committed, None)
    try:
        while batch := list(islice(remaining, min(ALGORITHM.batch_size, 8 * run.workers))):
            for architecture in _mapped(run, batch, first=run.calls == 0):
                with run.interrupts.shielded():
                    found.visit(architecture)
                run.calls += 1
                run.progress.update(found.counts.designs, found.size, run.memo_hits)
                if run.out_of_time:
                    break
                if time.monotonic() - last_commit > COMMIT_SECONDS:
                    commit()
            if run.out_of_time and found.visited < n_architectures:
                return "time limit"
        return "space"
    finally:
        if found.whole:
            commit()


def _mapped(run: Run, batch: Sequence[tuple[int, ...]], *, first: bool) -> Iterator[tuple[int, ...]]:
    """The architectures of a batch with their layers mapped; none where the time is up before.

    The `first` architecture of a run is given out in any case: every run gets on, however short its time.
    """

    def told(done: int, total: int) -> None:
        run.progress.preparing(done, total)
        if run.out_of_time:
            raise _TimeIsUpError

    points = [run.spec.space.decode(design_of(run.spec.space, architecture)) for architecture in batch]
    if first and run.deadline is not None:
        run.evaluator.prepare(points[:1], workers=run.workers, progress=run.progress.preparing)
        yield batch[0]
        batch, points = batch[1:], points[1:]
    try:
        run.evaluator.prepare(points, workers=run.workers, progress=told)
    except _TimeIsUpError:
        return
    yield from batch


ALGORITHM = Algorithm(
    name="exact",
    summary="every design by sums over layers: the proven front of the space",
    storage="table",
    batch_size=32,
    proposer=None,
    unit="architectures",
)
