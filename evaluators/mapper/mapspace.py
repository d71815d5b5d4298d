"""The mapspace of a layer on an architecture as arrays: every factorization of every dimension over its slots.

A slot is a place where a dimension may have a factor: a level's temporal loops, or an axis of the mesh below it.
A mapping is one factorization per dimension and one loop order per level; `kernel` walks them all.

Perfect factors multiply to the bound, padded where a slot is fixed. Imperfect ones leave a remainder: from the inside
out, a slot with factor f turns what is left of a bound, B, into ⌈B/f⌉, so that tiles nest and only a dimension's last
tile is smaller, at every level. Remainders may arise at every place on a mesh and, of P and Q (feature maps are 55, 27
or 13 wide), in time as well; elsewhere in time f divides what is left. That is the Ruby-S of Horeni et al. (Ruby:
Improving Hardware Efficiency for Tensor Algebra Accelerators Through Imperfect Factorization, ISPASS 2022), widened by
P and Q. Of the factors with the same ⌈B/f⌉ the least is tried, the evenest tiling; all perfect ones are among these. A
fixed slot unrolls its factor or as much of it as there is, so nothing is padded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from math import prod

import numpy as np

from evaluators.mapper.mapping import FACTORS, Factors, LevelLoops, Mapping, bounds, padded
from search_spaces.accelerators.architecture import DIMS, Architecture
from search_spaces.errors import IllegalDesign, unknown
from search_spaces.types import ConvShape

__all__ = ["Mapspace", "Slot", "ceil_chains", "factorizations", "mapspace"]


@dataclass(frozen=True)
class Slot:
    """Where a factor may go: `kind` is "T" for time, "X" or "Y" for an axis of the mesh."""

    level: int
    kind: str
    fixed: int | None = None


@cache
def factorizations(n: int, parts: int) -> np.ndarray:
    """All ordered ways to write n as a product of `parts` factors, as an array of shape (ways, parts).

    >>> factorizations(4, 2).tolist()
    [[1, 4], [2, 2], [4, 1]]
    """
    if parts == 0:
        return np.ones((1 if n == 1 else 0, 0), dtype=np.int64)
    if parts == 1:
        return np.array([[n]], dtype=np.int64)
    blocks = []
    for first in (d for d in range(1, n + 1) if n % d == 0):
        rest = factorizations(n // first, parts - 1)
        blocks.append(np.hstack([np.full((len(rest), 1), first, dtype=np.int64), rest]))
    return np.vstack(blocks)


@cache
def ceil_chains(n: int, remainders: tuple[bool, ...]) -> np.ndarray:
    """All rows of factors, innermost slot first, that take n down to 1 by ⌈n/f⌉; f divides where no remainder may be.

    Of factors with the same quotient the least. Shape (ways, slots).

    >>> ceil_chains(5, (True, False)).tolist()
    [[1, 5], [2, 3], [3, 2], [5, 1]]
    >>> ceil_chains(5, (False, True)).tolist()
    [[1, 5], [5, 1]]
    """
    if len(remainders) <= 1:
        return factorizations(n, len(remainders))
    blocks = []
    for first in range(1, n + 1):
        left = -(-n // first)
        if n % first == 0 or (remainders[0] and (first == 1 or -(-n // (first - 1)) > left)):
            rest = ceil_chains(left, remainders[1:])
            blocks.append(np.hstack([np.full((len(rest), 1), first, dtype=np.int64), rest]))
    return np.vstack(blocks)


@dataclass(frozen=True)
class Mapspace:
    """Factorizations per dimension (rows × slots) and the loop orders, one per combination of the levels' orders."""

    architecture: Architecture
    bounds: dict[str, int]
    slots: dict[str, tuple[Slot, ...]]
    factors: dict[str, np.ndarray]
    orders: tuple[tuple[str, ...], ...]

    @property
    def size(self) -> int:
        """Factorizations × loop orders × choices of what to keep, before mesh and capacity are looked at."""
        kept = prod(len(level.keeps_choices) or 1 for level in self.architecture.levels)
        return prod(len(self.factors[dim]) for dim in DIMS) * self.loop_orders * kept

    @property
    def loop_orders(self) -> int:
        """Loop orders of the template, those included that another is known to do as well as."""
        return prod(level.orders_covered or len(level.orders) for level in self.architecture.levels)

    @property
    def variants(self) -> tuple[Mapspace, ...]:
        """One mapspace for every choice of what its levels keep; itself where there is none to make."""
        levels = self.architecture.levels
        if not any(level.keeps_choices for level in levels):
            return (self,)
        choices = product(*(level.keeps_choices or (level.keeps,) for level in levels))
        return tuple(
            replace(
                self,
                architecture=replace(
                    self.architecture,
                    levels=tuple(replace(lv, keeps=kept) for lv, kept in zip(levels, choice, strict=True)),
                ),
            )
            for choice in choices
        )

    def mapping(self, rows: dict[str, int], order: int) -> Mapping:
        """The mapping that takes these rows of `factors` and this combination of loop orders."""
        at: dict[tuple[int, str, str], int] = {}
        ragged = []
        for dim in DIMS:
            covered = 1
            for slot, factor in zip(self.slots[dim], self.factors[dim][rows[dim]].tolist(), strict=True):
                covered *= factor
                if factor > 1:
                    at[slot.level, slot.kind, dim] = factor
            if covered != self.bounds[dim]:
                ragged.append((dim, self.bounds[dim]))
        levels = []
        for k, (level, sequence) in enumerate(zip(self.architecture.levels, self.orders[order], strict=True)):
            x, y = (
                tuple((s.dim, at[k, axis, s.dim]) for s in level.spatial if s.axis == axis and (k, axis, s.dim) in at)
                for axis in "XY"
            )
            temporal = tuple((dim, at[k, "T", dim]) for dim in sequence if (k, "T", dim) in at)
            levels.append(LevelLoops(temporal, x, y, level.keeps if level.keeps_choices else None))
        return Mapping(tuple(levels), tuple(ragged))


def _slots(architecture: Architecture) -> dict[str, tuple[Slot, ...]]:
    slots: dict[str, list[Slot]] = {dim: [] for dim in DIMS}
    for k, level in enumerate(architecture.levels):
        for unroll in level.spatial:
            slots[unroll.dim].append(Slot(k, unroll.axis, unroll.fixed))
        for dim in level.orders[0]:
            slots[dim].append(Slot(k, "T"))
    return {dim: tuple(found) for dim, found in slots.items()}


def _rows(bound: int, slots: tuple[Slot, ...], remainders: tuple[bool, ...] | None) -> np.ndarray:
    """Factors of a bound over its slots; a fixed slot takes its factor first where the bound reaches it.

    `remainders` says at which slots they may arise, None for perfect factors.
    """
    fixed = [s.fixed if s.fixed is not None and bound >= s.fixed else None for s in slots]
    rest = -(-bound // prod(f for f in fixed if f is not None))
    places = [s for s, value in enumerate(fixed) if value is None]
    if remainders is None:
        free = factorizations(rest, len(places))
    else:
        free = ceil_chains(rest, tuple(remainders[s] for s in places))
    rows = np.ones((len(free), len(slots)), dtype=np.int64)
    rows[:, places] = free
    for s, value in enumerate(fixed):
        if value is not None:
            rows[:, s] = value
    if remainders is None or len(places) == len(slots):
        return rows
    inside = np.ones(len(rows), dtype=np.int64)
    for s in range(len(slots)):  # steps wholly behind the bound are none
        rows[:, s] = np.minimum(rows[:, s], -(-bound // inside))
        inside *= rows[:, s]
    return np.unique(rows, axis=0)


def mapspace(architecture: Architecture, shape: ConvShape, factors: Factors = "perfect") -> Mapspace:
    """Every factorization of a layer (one group of it) over an architecture's slots.

    Raises IllegalDesign where a dimension above 1 has no slot at all.
    """
    if factors not in FACTORS:
        raise unknown("kind of factors", factors, FACTORS)
    slots = _slots(architecture)
    extents = padded(shape, architecture) if factors == "perfect" else bounds(shape)
    for dim in DIMS:
        if extents[dim] > 1 and not slots[dim]:
            raise IllegalDesign(
                "layer does not map", f"{architecture.name} has no loop over {dim}, the layer has {dim}={extents[dim]}"
            )

    def remainders(dim: str) -> tuple[bool, ...] | None:
        return None if factors == "perfect" else tuple(dim in "PQ" or slot.kind != "T" for slot in slots[dim])

    return Mapspace(
        architecture,
        extents,
        slots,
        {dim: _rows(extents[dim], slots[dim], remainders(dim)) for dim in DIMS},
        tuple(product(*(level.orders for level in architecture.levels))),
    )
