"""Slow and obvious versions of what the mapper does, sharing no code with its fast path.

`mappings` lists a mapspace by trying every factor everywhere; `walk` runs a loop nest step by step and keeps the
words of every tile in sets, without any formula for what moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from math import prod

from evaluators.mapper.mapping import LevelLoops, Mapping
from search_spaces.accelerators import Architecture, Level
from search_spaces.types import ConvShape

DIMS = "NMCPQRS"


def _ways(n: int, places: list[int | None]) -> list[tuple[int, ...]]:
    """All ways to put n over places; a place with a number takes that factor when n reaches it."""
    result = []
    for factors in product(range(1, n + 1), repeat=len(places)):
        value = 1
        for f in factors:
            value *= f
        if value == n and all(p is None or n < p or f == p for f, p in zip(factors, places, strict=True)):
            result.append(factors)
    return result


_FREE_ORDERS = {
    "input_activation_reg": ("", "RSM"),
    "weight_reg": ("", "NPQ"),
    "pe_spad": ("RSPQ", "CMN"),
    "shared_glb": ("", "CMNPQ"),
    "DRAM": ("", "CMNPQ"),
}
"""simple_output_stationary: dimensions fixed innermost and those in any order behind them, as the template allows."""


def _orders(level: Level) -> list[str]:
    """Every loop order the template allows at a level, not only those that are searched."""
    if level.orders_covered is None or level.name not in _FREE_ORDERS:
        return list(level.orders)
    inner, free = _FREE_ORDERS[level.name]
    orders = [inner + "".join(rest) for rest in permutations(free)]
    assert len(orders) == level.orders_covered
    return orders


def order_count(architecture: Architecture) -> int:
    """Loop orders of a template, all levels together."""
    return prod(len(_orders(level)) for level in architecture.levels)


def mappings(architecture: Architecture, shape: ConvShape) -> Iterator[list[Mapping]]:
    """Every factorization with every choice of what to keep, those that do not fit included.

    Each comes as the list of its mappings under all loop orders; orders that run the same loops come once.
    """
    places: dict[str, list[tuple[int, str, int | None]]] = {d: [] for d in DIMS}
    bound = {d: getattr(shape, d) for d in DIMS}
    for k, level in enumerate(architecture.levels):
        for s in level.spatial:
            places[s.dim].append((k, s.axis, s.fixed))
            if s.fixed and bound[s.dim] >= s.fixed:
                while bound[s.dim] % s.fixed:
                    bound[s.dim] += 1
        for d in level.orders[0]:
            places[d].append((k, "T", None))
    choices = [_ways(bound[d], [fixed for _, _, fixed in places[d]]) for d in DIMS]
    for picked in product(*choices):
        factor = {
            (k, kind, d): f
            for d, factors in zip(DIMS, picked, strict=True)
            for (k, kind, _), f in zip(places[d], factors, strict=True)
        }
        runs = [
            sorted({tuple((d, factor[k, "T", d]) for d in order if factor[k, "T", d] > 1) for order in _orders(level)})
            for k, level in enumerate(architecture.levels)
        ]
        spatial = [
            tuple(
                tuple(
                    (s.dim, factor[k, axis, s.dim])
                    for s in level.spatial
                    if s.axis == axis and factor[k, axis, s.dim] > 1
                )
                for axis in "XY"
            )
            for k, level in enumerate(architecture.levels)
        ]
        for kept in product(*(level.keeps_choices or (None,) for level in architecture.levels)):
            yield [
                Mapping(
                    tuple(LevelLoops(t, x, y, keeps) for t, (x, y), keeps in zip(temporal, spatial, kept, strict=True))
                )
                for temporal in product(*runs)
            ]
