"""Search over architectures alone: an architecture's cuts, clocks and links all come with one evaluation of it.

For one architecture the evaluator gives every metric of every (cut, clock, DRAM, link) as arrays, so its own front is
known exactly and only the architecture is left to be searched: a memetic algorithm whose local search is exact. New
architectures are neighbours of those on the front, in one or two knobs and mostly by one step (Pareto local search:
Paquete, Chiarandini and Stützle, 2004), sometimes of those on the front that remains without them, crossings of two,
or random ones. Two knobs at once go along a constraint that one alone would break.

The budget counts architectures. One that has no feasible design ranks by the least violation among its designs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dse.algorithms import Algorithm
from dse.algorithms._opening import opening
from dse.algorithms._ordered import is_ordered
from dse.algorithms._unseen import generator, unseen_near
from dse.study import Trial

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["ALGORITHM", "Memetic"]

AT_RANDOM = 20
"""Architectures before the first neighbour: those of the opening, then random ones."""
RANDOM, CROSSED = 0.1, 0.15
"""Shares of random architectures and of crossings after that; the rest are neighbours."""
TWO_KNOBS = 0.5
"""Share of the neighbours that differ in two knobs."""
ONE_STEP = 0.8
"""How often an ordered knob goes to the next value; else it goes to any."""
DEEPER = 0.2
"""How often a parent is taken from the next of the layers."""
LAYERS = 3
"""The front, the front without its architectures, and so on."""
TRIES = 64
"""Draws per architecture asked for, before an unseen neighbour of the last repeat is taken."""


class Memetic:
    """The objective values on every architecture's own front, and what those that have none miss by."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        space = spec.space
        self._knobs = space.architecture_knobs
        self._own = [space.knobs.index(knob) for knob in self._knobs]
        self._shape = tuple(space.shape[k] for k in self._own)
        self._free = [k for k, n in enumerate(self._shape) if n > 1]
        self._opening = tuple(dict.fromkeys(self._architecture(indices) for indices in opening(spec)))
        self._fronts: dict[tuple[int, ...], np.ndarray] = {}
        self._violations: dict[tuple[int, ...], float] = {}

    def ask(self, position: int) -> list[tuple[int, ...]]:
        """The architectures (indices of the architecture knobs) from this position, counted in architectures."""
        rng = generator(self._spec.seed, position)
        wanted = self._spec.proposals
        seen = {*self._fronts, *self._violations}
        asked = list(self._opening[position : position + wanted])
        seen.update(asked)
        layers = self._layers()
        for _ in range(wanted - len(asked)):
            found = self._unseen(rng, layers if position + len(asked) >= AT_RANDOM else [], seen)
            if found is None:
                break
            seen.add(found)
            asked.append(found)
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        """What the architectures left: the designs on their own front, or the one that comes closest to feasible."""
        found: dict[tuple[int, ...], list[Trial]] = {}
        for trial in trials:
            found.setdefault(self._architecture(trial.indices), []).append(trial)
        for architecture, left in found.items():
            feasible = [trial.values(self._spec.objectives) for trial in left if trial.feasible(self._spec)]
            if feasible:
                self._fronts[architecture] = np.unique(feasible, axis=0)
            else:
                self._violations[architecture] = min(self._violation(trial) for trial in left)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        for batch in batches:
            self.tell(batch)

    def _architecture(self, indices: Sequence[int]) -> tuple[int, ...]:
        return tuple(indices[k] for k in self._own)

    def _violation(self, trial: Trial) -> float:
        if trial.metrics is None:
            return float("inf")
        return float(sum(max(violation, 0.0) for violation in self._spec.violations(trial.metrics)))

    def _layers(self) -> list[list[tuple[int, ...]]]:
        """The architectures to start from, the best first; several with equal designs on a front count once."""
        from moocore import is_nondominated

        rest = list(self._fronts.items())
        layers: list[list[tuple[int, ...]]] = []
        while rest and len(layers) < LAYERS:
            values = np.concatenate([front for _, front in rest])
            owner = np.repeat(np.arange(len(rest)), [len(front) for _, front in rest])
            kept = np.asarray(is_nondominated(values, keep_weakly=True), dtype=bool)
            _, first = np.unique(values[kept], axis=0, return_index=True)
            chosen = set(owner[kept][first].tolist())
            layers.append([rest[i][0] for i in sorted(chosen)])
            rest = [item for i, item in enumerate(rest) if i not in chosen]
        if not layers and self._violations:
            layers.append(sorted(self._violations, key=self._violations.__getitem__)[:LAYERS])
        return layers

    def _unseen(
        self, rng: np.random.Generator, layers: list[list[tuple[int, ...]]], seen: set[tuple[int, ...]]
    ) -> tuple[int, ...] | None:
        for _ in range(TRIES):
            candidate = self._candidate(rng, layers)
            if candidate not in seen:
                return candidate
        return unseen_near(rng, candidate, self._shape, seen)

    def _candidate(self, rng: np.random.Generator, layers: list[list[tuple[int, ...]]]) -> tuple[int, ...]:
        draw = rng.random()
        if not layers or draw < RANDOM:
            return tuple(int(i) for i in rng.integers(0, self._shape))
        parent = self._parent(rng, layers)
        if draw < RANDOM + CROSSED:
            other, swapped = self._parent(rng, layers), rng.random(len(self._shape)) < 0.5
            return tuple(b if swap else a for a, b, swap in zip(parent, other, swapped, strict=True))
        changed = list(parent)
        knobs = min(2 if rng.random() < TWO_KNOBS else 1, len(self._free))
        for k in rng.choice(self._free, size=knobs, replace=False) if knobs else ():
            changed[k] = self._moved(rng, int(k), changed[k])
        return tuple(changed)

    def _parent(self, rng: np.random.Generator, layers: list[list[tuple[int, ...]]]) -> tuple[int, ...]:
        depth = 0
        while depth < len(layers) - 1 and rng.random() < DEEPER:
            depth += 1
        return layers[depth][int(rng.integers(len(layers[depth])))]

    def _moved(self, rng: np.random.Generator, knob: int, at: int) -> int:
        """Another value of a knob: the next one up or down, or any."""
        n = self._shape[knob]
        if is_ordered(self._knobs[knob]) and rng.random() < ONE_STEP:
            to = at + (1 if rng.random() < 0.5 else -1)
            return to if 0 <= to < n else 2 * at - to
        return int((at + rng.integers(1, n)) % n)


ALGORITHM = Algorithm(
    name="memetic",
    summary="architectures near the front, each with all its cuts, clocks and links",
    storage="table",
    batch_size=10,
    proposer=Memetic,
    unit="architectures",
    budget=300,
)
