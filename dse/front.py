"""The Pareto front: an immutable table of non-dominated designs, and a stream that builds it block by block.

Every objective is minimised. Designs with equal objectives are all kept, in the order of their knob indices.
Dominance and hypervolume come from moocore, which is exact and O(n log n) for two and three objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import pairwise

import numpy as np

__all__ = ["MARGIN", "Front", "FrontStream", "extent", "hypervolume", "reference_point"]

MARGIN = 0.1
"""By how much of a front's range its reference point lies beyond its worst values."""


@dataclass(frozen=True, eq=False)
class Front:
    """Non-dominated designs: `indices` int64 (designs, knobs), `metrics` float64 (designs, columns) in SI units.

    Rows are ordered by objective values, then by knob indices. `size` counts distinct objective vectors, `len`
    counts designs.
    """

    objectives: tuple[str, ...]
    columns: tuple[str, ...]
    indices: np.ndarray
    metrics: np.ndarray

    def __post_init__(self) -> None:
        missing = [name for name in self.objectives if name not in self.columns]
        if missing:
            raise ValueError(f"objectives {missing} are not among the columns {self.columns}")
        for array in (self.indices, self.metrics):
            array.setflags(write=False)

    @classmethod
    def of(cls, objectives: Sequence[str], columns: Sequence[str], indices: np.ndarray, metrics: np.ndarray) -> Front:
        """The front of any designs: `indices` (designs, knobs), `metrics` (designs, columns)."""
        stream = FrontStream(objectives, columns)
        stream.add(indices, metrics)
        return stream.front()

    @cached_property
    def values(self) -> np.ndarray:
        """Objective values, float64 (designs, objectives)."""
        return self.metrics[:, [self.columns.index(name) for name in self.objectives]]

    @cached_property
    def distinct(self) -> np.ndarray:
        """Distinct objective vectors in ascending order, float64 (size, objectives)."""
        return np.unique(self.values, axis=0) if len(self) else self.values

    @property
    def size(self) -> int:
        return len(self.distinct)

    def __len__(self) -> int:
        return len(self.indices)

    def column(self, name: str) -> np.ndarray:
        return self.metrics[:, self.columns.index(name)]

    def row(self, i: int) -> dict[str, float]:
        return {name: float(value) for name, value in zip(self.columns, self.metrics[i], strict=True)}

    def groups(self) -> list[tuple[int, int]]:
        """Half-open ranges of rows with equal objectives, in order."""
        starts = [i for i in range(len(self)) if i == 0 or (self.values[i] != self.values[i - 1]).any()]
        return list(pairwise([*starts, len(self)]))

    def numbers(self, whole: Front) -> list[int]:
        """What the distinct points of this front, a part of `whole`, are there, counted from 1."""
        place = {vector.tobytes(): n for n, vector in enumerate(whole.distinct + 0.0, start=1)}
        return [place[vector.tobytes()] for vector in self.distinct + 0.0]

    def sha256(self) -> str:
        """A hash of the front: objective values and knob indices, bit by bit."""
        values = np.ascontiguousarray(self.values, dtype="<f8").tobytes()
        return sha256(values + np.ascontiguousarray(self.indices, dtype="<i8").tobytes()).hexdigest()


_BLOCK = 256
"""Vectors that are compared with the whole front at once."""


class FrontStream:
    """Keeps the front of all designs added so far; memory grows with the front and its ties, nothing else."""

    def __init__(self, objectives: Sequence[str], columns: Sequence[str]) -> None:
        self.objectives = tuple(objectives)
        self.columns = tuple(columns)
        self._select = [self.columns.index(name) for name in self.objectives]
        self._distinct = np.empty((0, len(self.objectives)))
        self._chunks: dict[bytes, list[tuple[np.ndarray, np.ndarray]]] = {}

    @property
    def size(self) -> int:
        """Distinct objective vectors on the front so far."""
        return len(self._distinct)

    def beats(self, values: np.ndarray) -> np.ndarray:
        """Which of these objective vectors (n, objectives) a point of the front beats: boolean (n,).

        A point beats what is no better in any objective and worse in one.
        """
        beaten = np.zeros(len(values), dtype=bool)
        if not self.size:
            return beaten
        if len(self.objectives) == 2:
            # The front is sorted: of its points no worse in the first objective the last is best in the second.
            at = np.searchsorted(self._distinct[:, 0], values[:, 0], side="right") - 1
            rival = self._distinct[np.maximum(at, 0)]
            return (at >= 0) & (rival[:, 1] <= values[:, 1]) & (rival < values).any(axis=1)
        for start in range(0, len(values), _BLOCK):
            part = values[start : start + _BLOCK, None]
            no_worse = np.asarray((self._distinct <= part).all(axis=2))
            better = np.asarray((self._distinct < part).any(axis=2))
            beaten[start : start + _BLOCK] = np.any(no_worse & better, axis=1)
        return beaten

    def surviving(self, values: np.ndarray) -> np.ndarray:
        """Which of these objective vectors (n, objectives) would be on the front: boolean (n,)."""
        from moocore import is_nondominated

        kept = ~self.beats(values)
        if kept.any():
            kept[kept] = np.asarray(is_nondominated(values[kept], keep_weakly=True), dtype=bool)
        return kept

    def add(self, indices: np.ndarray, metrics: np.ndarray) -> None:
        """Merge designs: `indices` (n, knobs), `metrics` (n, columns), finite."""
        from moocore import is_nondominated

        metrics = np.asarray(metrics, dtype=np.float64)
        # Adding zero turns -0.0 into 0.0: equal objectives must have equal bytes to be recognised as ties.
        values = metrics[:, self._select] + 0.0
        kept = self.surviving(values)
        if not kept.any():
            return
        indices = np.asarray(indices, dtype=np.int64)[kept]
        metrics, values = metrics[kept], values[kept]
        distinct, inverse = np.unique(values, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        for i, vector in enumerate(distinct):
            rows = inverse == i
            self._chunks.setdefault(vector.tobytes(), []).append((indices[rows], metrics[rows]))
        both = np.unique(np.concatenate([self._distinct, distinct]), axis=0)
        alive = np.asarray(is_nondominated(both, keep_weakly=True), dtype=bool)
        for vector in both[~alive]:
            del self._chunks[vector.tobytes()]
        self._distinct = both[alive]

    def front(self) -> Front:
        if not self._chunks:
            return Front(self.objectives, self.columns, np.empty((0, 0), np.int64), np.empty((0, len(self.columns))))
        chunks = [chunk for vector in self._distinct for chunk in self._chunks[vector.tobytes()]]
        indices = np.concatenate([chunk[0] for chunk in chunks])
        metrics = np.concatenate([chunk[1] for chunk in chunks])
        values = metrics[:, self._select]
        keys = [indices[:, k] for k in reversed(range(indices.shape[1]))]
        keys += [values[:, k] for k in reversed(range(values.shape[1]))]
        order = np.lexsort(keys)
        return Front(self.objectives, self.columns, indices[order], metrics[order])


def extent(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best value of each objective over (n, objectives), n > 0, and the range from it to the worst.

    Where all values are equal the range is that value, or 1 where it is 0, so that one may divide by it.
    """
    best, worst = values.min(axis=0), values.max(axis=0)
    span = np.where(worst > best, worst - best, np.abs(worst))
    return best, np.where(span > 0, span, 1.0)


def reference_point(values: np.ndarray) -> np.ndarray:
    """The worst value of each objective over (n, objectives), n > 0, moved outwards by `MARGIN` of the range (of the
    value itself where the range is zero): dominated by every one of them."""
    return values.max(axis=0) + MARGIN * extent(values)[1]


def hypervolume(front: Front, reference: np.ndarray) -> float:
    """The volume dominated by the front up to the reference point, in the product of the objectives' units."""
    from moocore import hypervolume as volume

    return float(volume(front.distinct, ref=reference)) if len(front) else 0.0
