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


Place = tuple[int, str, int | None]
"""A level, "T" for time or an axis of the mesh, and the factor that is fixed there."""


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


def _ways_with_remainders(dim: str, n: int, places: list[Place]) -> set[tuple[int, ...]]:
    """All ways to tile n from the inside out so that ⌈what is left / factor⌉ ends at 1, each factor the least for it.

    Outside the mesh, dimensions other than P and Q are divided. A fixed factor is taken off first; steps of a loop that
    lie wholly behind the end are left out.
    """
    taken = [f if f is not None and n >= f else None for _, _, f in places]
    rest = n
    for f in taken:
        rest = rest if f is None else -(-rest // f)
    result = set()

    def tile(left: int, factors: tuple[int, ...]) -> None:
        if len(factors) == len(places):
            if left == 1:
                inside, used = 1, []
                for f in factors:
                    used.append(min(f, -(-n // inside)))
                    inside *= used[-1]
                result.add(tuple(used))
            return
        fixed = taken[len(factors)]
        if fixed is not None:
            tile(left, (*factors, fixed))
            return
        ragged = dim in "PQ" or places[len(factors)][1] != "T"
        for f in range(1, left + 1):
            if left % f == 0 or (ragged and all(-(-left // g) != -(-left // f) for g in range(1, f))):
                tile(-(-left // f), (*factors, f))

    tile(rest, ())
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


def mappings(architecture: Architecture, shape: ConvShape, factors: str = "perfect") -> Iterator[list[Mapping]]:
    """Every factorization with every choice of what to keep, those that do not fit included.

    Each comes as the list of its mappings under all loop orders; orders that run the same loops come once.
    """
    places: dict[str, list[Place]] = {d: [] for d in DIMS}
    imperfect = factors == "imperfect"
    bound = {d: getattr(shape, d) for d in DIMS}
    for k, level in enumerate(architecture.levels):
        for s in level.spatial:
            places[s.dim].append((k, s.axis, s.fixed))
            if s.fixed and bound[s.dim] >= s.fixed and not imperfect:
                while bound[s.dim] % s.fixed:
                    bound[s.dim] += 1
        for d in level.orders[0]:
            places[d].append((k, "T", None))
    choices = [
        sorted(_ways_with_remainders(d, bound[d], places[d]))
        if imperfect
        else _ways(bound[d], [fixed for _, _, fixed in places[d]])
        for d in DIMS
    ]
    for picked in product(*choices):
        factor = {
            (k, kind, d): f
            for d, row in zip(DIMS, picked, strict=True)
            for (k, kind, _), f in zip(places[d], row, strict=True)
        }
        ragged = tuple((d, bound[d]) for d, row in zip(DIMS, picked, strict=True) if prod(row) != bound[d])
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
                    tuple(LevelLoops(t, x, y, keeps) for t, (x, y), keeps in zip(temporal, spatial, kept, strict=True)),
                    ragged,
                )
                for temporal in product(*runs)
            ]


Counted = tuple[int, int, int]
"""Reads, fills and updates of one tensor at one level, per instance."""


def walk(architecture: Architecture, shape: ConvShape, mapping: Mapping) -> dict[tuple[str, str], list[Counted]]:
    """Run a loop nest step by step, with the words of every tile in sets: (level, tensor) → what each instance moved.

    A tile only fetches words that the tile before it did not hold. Children of one parent that hold the same tile are
    served by one read. An output written to a level for the first time needs no read there, and no fill. Positions
    behind a dimension's end do not exist, and who has none to work on does nothing.
    """
    levels = architecture.levels
    nest, ends = _nest(mapping)
    keeps = [
        loops.keeps if loops.keeps is not None else level.keeps
        for level, loops in zip(levels, mapping.levels, strict=True)
    ]
    result: dict[tuple[str, str], list[Counted]] = {}
    for tensor in "WIO":
        kept = [k for k in range(len(levels)) if tensor in keeps[k]]
        for child, level, parent in zip([-1, *kept[:-1]], kept, [*kept[1:], None], strict=True):
            counted = []
            for place in _places(nest, level, len(levels)):
                if not _tile_at(tensor, -1, nest, shape, place, ends):
                    continue  # this instance never works
                reads, updates = _serve(tensor, child, level, nest, shape, place, ends)
                fills = 0 if parent is None else _fill(tensor, level, nest, shape, place, ends)
                counted.append((reads, fills, updates))
            result[levels[level].name, tensor] = counted
    return result


def steps(mapping: Mapping) -> int:
    """How many steps of the loops in time have anything to compute."""
    nest, ends = _nest(mapping)
    return sum(all(at[d] < ends[d] for d in DIMS) for at in _steps(nest, -1, dict.fromkeys(DIMS, 0)))


def _nest(mapping: Mapping) -> tuple[list, dict[str, int]]:
    """Level, kind, dimension, bound and distance of every loop, innermost first; and where each dimension ends."""
    nest: list[tuple[int, str, str, int, int]] = []
    ends = dict.fromkeys(DIMS, 1)
    for k, loops in enumerate(mapping.levels):
        for kind, part in (("space", loops.x + loops.y), ("time", loops.temporal)):
            for dim, n in part:
                nest.append((k, kind, dim, n, ends[dim]))
                ends[dim] *= n
    return nest, ends | dict(mapping.ragged)


def _places(nest: list, above: int, upto: int, base: dict[str, int] | None = None) -> Iterator[dict[str, int]]:
    """Where every instance of a level stands, as the spatial loops above it, up to a level, spread them."""
    spread = [(dim, n, distance) for k, kind, dim, n, distance in nest if above < k <= upto and kind == "space"]
    for place in product(*(range(n) for _, n, _ in spread)):
        at = dict(base or dict.fromkeys(DIMS, 0))
        for (dim, _, distance), i in zip(spread, place, strict=True):
            at[dim] += i * distance
        yield at


def _tile_at(
    tensor: str, level: int, nest: list, shape: ConvShape, base: dict[str, int], ends: dict[str, int]
) -> frozenset[tuple[int, ...]]:
    """The words of one instance's tile: everything its own and inner loops reach from where the outer ones stand."""
    inner = [(dim, n, distance) for k, _, dim, n, distance in nest if k <= level]
    words = set()
    for step in product(*(range(n) for _, n, _ in inner)):
        at = dict(base)
        for (dim, _, distance), i in zip(inner, step, strict=True):
            at[dim] += i * distance
        if all(at[dim] < ends[dim] for dim in DIMS):
            words.add(_word(tensor, at, shape))
    if tensor != "I" or not words:
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


def _steps(nest: list, level: int, base: dict[str, int]) -> Iterator[dict[str, int]]:
    """Where the temporal loops outside a level stand, in the order they run, seen from an instance."""
    outer = [(dim, n, distance) for k, kind, dim, n, distance in reversed(nest) if k > level and kind == "time"]
    for step in product(*(range(n) for _, n, _ in outer)):
        at = dict(base)
        for (dim, _, distance), i in zip(outer, step, strict=True):
            at[dim] += i * distance
        yield at


def _serve(
    tensor: str, child: int, parent: int, nest: list, shape: ConvShape, place: dict[str, int], ends: dict[str, int]
) -> tuple[int, int]:
    """What one parent instance reads for, or takes from, all the children below it: reads and updates."""
    before: dict[int, frozenset[tuple[int, ...]]] = {}
    written: set[tuple[int, ...]] = set()
    reads = updates = 0
    for at in _steps(nest, child, place):
        distinct: dict[frozenset[tuple[int, ...]], frozenset[tuple[int, ...]]] = {}
        for c, here in enumerate(_places(nest, child, parent, at)):
            tile = _tile_at(tensor, child, nest, shape, here, ends)
            if not tile:
                continue
            new = tile - before.get(c, frozenset()) if child >= 0 else tile
            distinct[tile] = distinct.get(tile, frozenset()) | new
            before[c] = tile
        for new in distinct.values():
            if tensor == "O":
                updates += len(new)
                reads += len(new & written)
                written |= new
            else:
                reads += len(new)
    return reads, updates


def _fill(tensor: str, level: int, nest: list, shape: ConvShape, place: dict[str, int], ends: dict[str, int]) -> int:
    """What one instance of a level fetches; of outputs only what it has held before."""
    before: frozenset[tuple[int, ...]] = frozenset()
    held: set[tuple[int, ...]] = set()
    fills = 0
    for at in _steps(nest, level, place):
        tile = _tile_at(tensor, level, nest, shape, at, ends)
        if not tile:
            continue
        new = tile - before
        fills += len(new & held) if tensor == "O" else len(new)
        held |= new
        before = tile
    return fills
