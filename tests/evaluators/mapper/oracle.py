"""Slow and obvious versions of what the mapper does, sharing no code with its fast path.

`mappings` lists a mapspace by trying every factor everywhere; `walk` runs a loop nest step by step and keeps the
words of every tile in sets, without any formula for what moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from evaluators.mapper.mapping import LevelLoops, Mapping
from search_spaces.accelerators import Architecture
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


def mappings(architecture: Architecture, shape: ConvShape) -> Iterator[Mapping]:
    """Every mapping of the template's mapspace, those that do not fit included, all loop orders."""
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
        for orders in product(*(level.orders for level in architecture.levels)):
            yield Mapping(
                tuple(
                    LevelLoops(
                        tuple((d, factor[k, "T", d]) for d in order),
                        tuple((s.dim, factor[k, "X", s.dim]) for s in level.spatial if s.axis == "X"),
                        tuple((s.dim, factor[k, "Y", s.dim]) for s in level.spatial if s.axis == "Y"),
                    )
                    for k, (level, order) in enumerate(zip(architecture.levels, orders, strict=True))
                )
            )
