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


Counted = tuple[int, int, int]
"""Reads, fills and updates of one tensor at one level, per instance."""


def walk(architecture: Architecture, shape: ConvShape, mapping: Mapping) -> dict[tuple[str, str], Counted]:
    """Run a loop nest step by step, with the words of every tile in sets: (level, tensor) → what moved.

    A tile only fetches words that the tile before it did not hold. Children of one parent that hold the same tile are
    served by one read. An output written to a level for the first time needs no read there, and no fill.
    """
    levels = architecture.levels
    nest: list[tuple[int, str, str, int, int]] = []  # level, kind, dimension, bound, distance; innermost first
    inside = dict.fromkeys(DIMS, 1)
    for k, loops in enumerate(mapping.levels):
        for kind, part in (("space", loops.x + loops.y), ("time", loops.temporal)):
            for dim, n in part:
                nest.append((k, kind, dim, n, inside[dim]))
                inside[dim] *= n
    keeps = [
        loops.keeps if loops.keeps is not None else level.keeps
        for level, loops in zip(levels, mapping.levels, strict=True)
    ]
    result: dict[tuple[str, str], list[int]] = {}
    for tensor in "WIO":
        kept = [k for k in range(len(levels)) if tensor in keeps[k]]
        for k in kept:
            result[levels[k].name, tensor] = [0, 0, 0]
        for child, parent in zip([-1, *kept[:-1]], kept, strict=True):
            _serve(levels[parent].name, tensor, child, parent, nest, shape, result)
            if child >= 0:
                _fill(levels[child].name, tensor, child, nest, shape, result)
    return {key: (reads, fills, updates) for key, (reads, fills, updates) in result.items()}


def _tile_at(tensor: str, level: int, nest: list, shape: ConvShape, base: dict[str, int]) -> frozenset[tuple[int, ...]]:
    """The words of one instance's tile: everything its own and inner loops reach from where the outer ones stand."""
    inner = [(dim, n, distance) for k, _, dim, n, distance in nest if k <= level]
    words = set()
    for step in product(*(range(n) for _, n, _ in inner)):
        at = dict(base)
        for (dim, _, distance), i in zip(inner, step, strict=True):
            at[dim] += i * distance
        words.add(_word(tensor, at, shape))
    if tensor != "I":
        return frozenset(words)
    # a tile of inputs is a box: gaps of stride and dilation count
    box = [range(min(w[a] for w in words), max(w[a] for w in words) + 1) for a in range(4)]
    return frozenset(product(*box))


def _word(tensor: str, at: dict[str, int], shape: ConvShape) -> tuple[int, ...]:
    if tensor == "W":
        return (at["M"], at["C"], at["R"], at["S"])
    if tensor == "O":
        return (at["N"], at["M"], at["P"], at["Q"])
    width = at["P"] * shape.stride_w + at["R"] * shape.dilation_w
    height = at["Q"] * shape.stride_h + at["S"] * shape.dilation_h
    return (at["N"], at["C"], width, height)


def _steps(nest: list, level: int) -> Iterator[dict[str, int]]:
    """Where the temporal loops outside a level stand, in the order they run."""
    outer = [(dim, n, distance) for k, kind, dim, n, distance in reversed(nest) if k > level and kind == "time"]
    for step in product(*(range(n) for _, n, _ in outer)):
        at = dict.fromkeys(DIMS, 0)
        for (dim, _, distance), i in zip(outer, step, strict=True):
            at[dim] += i * distance
        yield at


def _serve(name: str, tensor: str, child: int, parent: int, nest: list, shape: ConvShape, result: dict) -> None:
    """What one parent instance reads for, or takes from, all the children below it."""
    between = [(dim, n, distance) for k, kind, dim, n, distance in nest if child < k <= parent and kind == "space"]
    before: dict[tuple[int, ...], frozenset[tuple[int, ...]]] = {}
    written: set[tuple[int, ...]] = set()
    for at in _steps(nest, child):
        distinct = {}
        for place in product(*(range(n) for _, n, _ in between)):
            here = dict(at)
            for (dim, _, distance), i in zip(between, place, strict=True):
                here[dim] += i * distance
            tile = _tile_at(tensor, child, nest, shape, here)
            new = tile - before.get(place, frozenset()) if child >= 0 else tile
            distinct[tile] = new
            before[place] = tile
        for new in distinct.values():
            if tensor == "O":
                result[name, tensor][2] += len(new)
                result[name, tensor][0] += len(new & written)
                written |= new
            else:
                result[name, tensor][0] += len(new)


def _fill(name: str, tensor: str, level: int, nest: list, shape: ConvShape, result: dict) -> None:
    """What one instance of a level fetches; of outputs only what it has held before."""
    before: frozenset[tuple[int, ...]] = frozenset()
    held: set[tuple[int, ...]] = set()
    for at in _steps(nest, level):
        tile = _tile_at(tensor, level, nest, shape, at)
        new = tile - before
        result[name, tensor][1] += len(new & held) if tensor == "O" else len(new)
        held |= new
        before = tile
