"""What moves when one mapping runs: accesses per level and tensor, cycles, and whether it fits.

The rules are those of Timeloop be27768, restated in COST_MODEL sections 3 to 6 of this project and checked against
the tool's own output. One thing is left out: neighbours passing inputs on. The tool lets the PEs of an eyeriss_like
column do so where P is 1 and no loop in time but one over Q runs above them, with a step that is the distance between
two of them; it charged up to 9 % less energy for such mappings. Here the rules are written for one mapping at a time,
in plain integers; `kernel` computes the same for millions and is tested against this module.

Where factors leave a remainder (`Mapping.ragged`), a position of a dimension is a number in the mixed base of its
factors and loops end at the bound: counted are the tiles that really exist, each with the words it really has. What
differs from perfect factors is this: instances that have less to do or nothing are charged so, stalls are those of the
busiest instance (the first), and where a loop is cut short the rules of section 4 see it at its full length: a
repetition counts although the loop inside it may have run but one step, and only neighbours along one ragged dimension
share words. So no count is below what moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Any

from evaluators.mapper.mapping import Mapping as LoopNest
from evaluators.mapper.mapping import concrete
from search_spaces.accelerators.architecture import Architecture
from search_spaces.types import ConvShape

__all__ = [
    "RELEVANT", "Counts", "LevelCounts", "TensorCounts", "count", "energies_pj", "last_bounds",
    "overflow", "strides_of", "tile_words",
]  # fmt: skip

RELEVANT = {"W": "MCRS", "I": "NCPQRS", "O": "NMPQ"}
"""The dimensions that a tensor's words depend on."""


@dataclass(frozen=True)
class TensorCounts:
    """Words per instance of a level over the whole run of one group, and the (largest) tile held at a time."""

    reads: int
    fills: int
    updates: int
    tile_words: int


@dataclass(frozen=True)
class LevelCounts:
    """Counts of the tensors a level keeps, in its busiest instance and in all together, and how many of them work."""

    name: str
    instances_used: int
    tensors: dict[str, TensorCounts]
    all_instances: dict[str, TensorCounts]


@dataclass(frozen=True)
class Counts:
    """A mapping's traffic and time for one group of a layer; `compute_cycles` would be its time without stalls.

    `mac_units_used` are those that ever have something to do.
    """

    levels: tuple[LevelCounts, ...]
    macs: int
    mac_units_used: int
    compute_cycles: int
    cycles: int


@dataclass(frozen=True)
class _Loop:
    """A loop of one dimension: its level, whether it runs in time, how often, and how far a step goes along it.

    `place` orders the loops in time of all dimensions from the inside out; loops in space have their level's first.
    """

    level: int
    in_time: bool
    bound: int
    step: int
    place: int


@dataclass(frozen=True)
class _Dimension:
    """The loops of one dimension, innermost first, and where its positions end."""

    loops: tuple[_Loop, ...]
    bound: int

    @property
    def ragged(self) -> bool:
        return prod(loop.bound for loop in self.loops) != self.bound

    def extent(self, level: int) -> int:
        """How many positions the largest tile at a level spans, the level's own loops included."""
        return min(self.bound, prod(loop.bound for loop in self.loops if loop.level <= level))

    def steps(self, runs: Callable[[_Loop], bool]) -> int:
        """How often these loops together step onto something, the others standing at 0."""
        result = inside = 1
        for loop in self.loops:
            last = (self.bound - 1) // loop.step % loop.bound  # where this loop stands at the very end
            if runs(loop):
                result += last * inside
                inside *= loop.bound
            elif last:
                result = inside
        return result

    def positions(self, fixed: Callable[[_Loop], bool]) -> int:
        """How many positions are reached while these loops stand at 0."""
        return self.steps(lambda loop: not fixed(loop))


def strides_of(shape: ConvShape) -> dict[str, int]:
    """How far one step of a dimension moves along its axis of the inputs: its stride, its dilation, or 1."""
    return {
        "N": 1, "C": 1, "M": 1,
        "P": shape.stride_w, "Q": shape.stride_h, "R": shape.dilation_w, "S": shape.dilation_h,
    }  # fmt: skip


def _dimensions(mapping: LoopNest) -> tuple[dict[str, _Dimension], int]:
    """The loops of every dimension, and the number of places of loops in time."""
    loops: dict[str, list[_Loop]] = {dim: [] for dim in "NMCPQRS"}
    inside = dict.fromkeys("NMCPQRS", 1)
    place = 0
    for k, level in enumerate(mapping.levels):
        for part, in_time in ((level.spatial, False), (level.temporal, True)):
            for dim, n in part:
                loops[dim].append(_Loop(k, in_time, n, inside[dim], place))
                inside[dim] *= n
                place += in_time
    return {dim: _Dimension(tuple(found), mapping.extent(dim)) for dim, found in loops.items()}, place


def _extents(dims: dict[str, _Dimension], level: int) -> dict[str, int]:
    """How many positions of each dimension a tile spans at most, the level's own spatial loops included."""
    return {dim: found.extent(level) for dim, found in dims.items()}


def _axes(extent: Mapping[str, Any], strides: Mapping[str, int]) -> tuple[Any, Any, Any, Any]:
    """Extents of an input tile along its axes N, C, width, height; stride gaps count, padding does not."""
    return (
        extent["N"],
        extent["C"],
        strides["R"] * (extent["R"] - 1) + strides["P"] * (extent["P"] - 1) + 1,
        strides["S"] * (extent["S"] - 1) + strides["Q"] * (extent["Q"] - 1) + 1,
    )


def tile_words(tensor: str, extent: Mapping[str, Any], strides: Mapping[str, int]) -> Any:
    """Words of a tensor's tile that spans these extents; arrays of extents give arrays of words."""
    if tensor == "I":
        return prod(_axes(extent, strides))
    return prod(extent[dim] for dim in RELEVANT[tensor])


@dataclass(frozen=True)
class _Traffic:
    """How the words of one tensor move: all mappings have the same loops, tensors different relevant ones."""

    tensor: str
    dims: dict[str, _Dimension]
    strides: dict[str, int]
    places: int

    def words(self, tile: int, at: int, busiest: bool) -> int:
        """Words that pass between the tiles of a level (-1: the multipliers) and level `at`, over the whole run.

        `at` is the tile's own level, for what is moved into it, or its parent, for what that serves: children with
        equal tiles share one access. Of all instances of `at` together, or of its busiest one.
        """

        def idle(loop: _Loop) -> bool:
            return busiest and not loop.in_time and loop.level > at

        def repeats(place: int) -> int:
            """How often loops of irrelevant dimensions from a place outwards, and instances, repeat it all."""
            return prod(
                self.dims[dim].steps(lambda lp: lp.place >= place if lp.in_time else lp.level > at and not busiest)
                for dim in "NMCPQRS"
                if dim not in RELEVANT[self.tensor]
            )

        relevant = RELEVANT[self.tensor]
        tensor_words = prod(self.dims[dim].positions(idle) for dim in relevant)
        if tile < 0:
            return tensor_words * repeats(0)
        outside = sorted(
            (loop.place, dim, loop)
            for dim, found in self.dims.items()
            for loop in found.loops
            if loop.in_time and loop.level > tile and loop.bound > 1
        )  # places differ, so nothing else is compared
        runs = [(dim, loop) for _, dim, loop in outside if dim in relevant]
        first = runs[0][1].place if runs else self.places
        if self.tensor != "I":
            return tensor_words * repeats(first)
        axes = [_Axis(dims, self.dims, self.strides, tile, idle) for dims in ("N", "C", "PR", "QS")]
        words = prod(axis.words for axis in axes) * repeats(first)
        if not runs or outside[0][0] < first:
            return words  # a loop over M inside makes the tile forgotten before its neighbour comes
        axis = next(axis for axis in axes if runs[0][0] in axis.names)
        across = prod(other.words for other in axes if other is not axis)
        return words - sum(shared * across * repeats(place) for place, shared in axis.shared_by_neighbours(runs))


class _Axis:
    """Tiles of inputs along one axis: of N or C alone, or of a position (P or Q) and a tap (R or S) together."""

    def __init__(
        self,
        names: str,
        dims: Mapping[str, _Dimension],
        strides: Mapping[str, int],
        tile: int,
        idle: Callable[[_Loop], bool],
    ) -> None:
        self.names = names
        self._dims = dims
        self._strides = strides
        self._outside = lambda loop: loop.level > tile and not idle(loop)
        self._sizes = [self._tile_sizes(dims[dim], tile, idle) for dim in names]

    def _tile_sizes(self, dim: _Dimension, tile: int, idle: Callable[[_Loop], bool]) -> tuple[tuple[int, int], ...]:
        """Positions of a dimension that its tiles span, each size with how many tiles have it; full ones first."""
        full, tiles, positions = dim.extent(tile), dim.steps(self._outside), dim.positions(idle)
        short = tiles * full - positions
        return ((full, tiles),) if not short else ((full, tiles - 1), (full - short, 1))

    def _extent(self, *spans: int) -> int:
        """Words along the axis of a tile that spans so many positions of each dimension."""
        return sum(self._strides[dim] * (span - 1) for dim, span in zip(self.names, spans, strict=True)) + 1

    @property
    def words(self) -> int:
        """Of all tiles together, each on its own."""
        return sum(
            prod(n for _, n in sizes) * self._extent(*(size for size, _ in sizes)) for sizes in product(*self._sizes)
        )

    def shared_by_neighbours(self, runs: Sequence[tuple[str, _Loop]]) -> Iterator[tuple[int, int]]:
        """Place of a loop, and words along this axis that tiles need not fetch because the one before held them.

        `runs` are the loops outside the tile that matter to inputs, the first along this axis.
        """
        first_shift = runs[0][1].step * self._strides[runs[0][0]]
        shifted = 0
        inside: set[str] = set()
        for dim, loop in runs:
            if dim not in self.names:
                return
            shift = loop.step * self._strides[dim]
            mixed = bool(inside - {dim})
            if shift - shifted == first_shift and not (mixed and any(self._dims[d].ragged for d in self.names)):
                along = self.names.index(dim)
                steps = self._steps(dim, loop.place) - self._steps(dim, loop.place + 1)
                spans = [sizes[0][0] for sizes in self._sizes]
                if len(spans) == 1:
                    others = [(1, 1)]
                elif mixed:
                    others = [(spans[1 - along], self._steps(self.names[1 - along], loop.place))]
                else:
                    others = list(self._sizes[1 - along])
                shared = 0
                for size, n in others:
                    spans[-1 - along] = size if len(spans) == 2 else spans[0]
                    shared += n * max(0, self._extent(*spans) - first_shift)
                yield loop.place, steps * shared
            shifted += shift
            inside.add(dim)

    def _steps(self, dim: str, place: int) -> int:
        """Tiles of a dimension, those alike that loops in time further inside than a place reach."""
        return self._dims[dim].steps(lambda loop: self._outside(loop) and (not loop.in_time or loop.place >= place))


def overflow(architecture: Architecture, shape: ConvShape, mapping: LoopNest) -> str | None:
    """Why a mapping cannot run: the first level whose tiles or mesh it overflows, or None if it fits."""
    architecture = concrete(architecture, mapping)
    strides = strides_of(shape)
    dims, _ = _dimensions(mapping)
    for k, (level, loops) in enumerate(zip(architecture.levels, mapping.levels, strict=True)):
        for axis, used, limit in (("X", loops.x, level.mesh_x), ("Y", loops.y, level.mesh_y)):
            if prod(n for _, n in used) > limit:
                return f"{level.name}: {prod(n for _, n in used)} children on {axis}, the mesh has {limit}"
        if level.words is not None:
            extent = _extents(dims, k)
            need = sum(tile_words(tensor, extent, strides) for tensor in level.keeps)
            if need > level.words:
                return f"{level.name}: tiles of {need} words, it holds {level.words}"
    return None


def last_bounds(mapping: LoopNest) -> dict[tuple[int, str, str], int]:
    """Loops that are cut short at the end of a ragged dimension: (level, "T", "X" or "Y", dimension) → last bound."""
    result = {}
    ends = dict(mapping.ragged)
    inside = dict.fromkeys(ends, 1)
    for k, level in enumerate(mapping.levels):
        for kind, part in (("X", level.x), ("Y", level.y), ("T", level.temporal)):
            for dim, n in part:
                if dim in ends:
                    last = (ends[dim] - 1) // inside[dim] % n + 1
                    if last != n:
                        result[k, kind, dim] = last
                    inside[dim] *= n
    return result


def count(architecture: Architecture, shape: ConvShape, mapping: LoopNest) -> Counts:
    """Exact traffic and cycles of one group of a layer under a mapping that fits (see `overflow`)."""
    architecture = concrete(architecture, mapping)
    strides = strides_of(shape)
    levels = architecture.levels
    last = len(levels) - 1
    dims, places = _dimensions(mapping)

    def instances(level: int, of: str = "NMCPQRS") -> int:
        """Instances of a level that work, as far as these dimensions unroll them."""
        return prod(dims[dim].steps(lambda loop: not loop.in_time and loop.level > level) for dim in of)

    def first_outputs(level: int, busiest: bool) -> int:
        """Outputs that the busiest instance of a level, or all instances, accumulate for the first time."""
        if not busiest:
            return prod(dims[dim].bound for dim in RELEVANT["O"]) * instances(level, "CRS")
        return prod(dims[dim].positions(lambda lp: not lp.in_time and lp.level > level) for dim in RELEVANT["O"])

    steps = prod(found.steps(lambda loop: loop.in_time) for found in dims.values())
    busiest_of: list[dict[str, TensorCounts]] = [{} for _ in levels]
    all_of: list[dict[str, TensorCounts]] = [{} for _ in levels]
    for tensor in "WIO":
        traffic = _Traffic(tensor, dims, strides, places)
        child = -1
        for k, level in enumerate(levels):
            if tensor not in level.keeps:
                continue
            tile = tile_words(tensor, _extents(dims, k), strides)
            for result, busiest in ((busiest_of, True), (all_of, False)):
                accesses = traffic.words(child, k, busiest)
                moved = 0 if k == last else traffic.words(k, k, busiest)
                if tensor != "O":
                    result[k][tensor] = TensorCounts(accesses, moved, 0, tile)
                    continue
                part = first_outputs(k, busiest)
                result[k][tensor] = TensorCounts(accesses - part, max(moved - part, 0), accesses, tile)
            child = k

    cycles = steps
    for level, tensors in zip(levels, busiest_of, strict=True):
        # the tool's own order of operations in doubles, so that the ceiling falls the same way
        reads = sum(t.reads / steps for t in tensors.values())
        writes = sum((t.fills + t.updates) / steps for t in tensors.values())
        for bandwidth, demand in (
            (level.read_words_per_cycle, reads),
            (level.write_words_per_cycle, writes),
            (level.shared_words_per_cycle, reads + writes),
        ):
            if bandwidth is not None and demand > bandwidth:
                cycles = max(cycles, ceil(steps / (bandwidth / demand)))
    return Counts(
        tuple(LevelCounts(level.name, instances(k), busiest_of[k], all_of[k]) for k, level in enumerate(levels)),
        prod(found.bound for found in dims.values()),
        instances(-1),
        steps,
        cycles,
    )


def energies_pj(
    counts: Counts, architecture: Architecture, read_pj: list[float], write_pj: list[float], clusters: list[int]
) -> list[float]:
    """Energy of every level for one group of a layer in pJ, from the energy per vector access of each level.

    Vector accesses are whole ones per instance that works, its share of what all of them move.
    """
    result = []
    for k, (level, found) in enumerate(zip(architecture.levels, counts.levels, strict=True)):
        charged = min(found.instances_used, architecture.instances(k) // clusters[k] or 1)
        per_access = found.instances_used * level.block
        pj = sum(
            -(-t.reads // per_access) * read_pj[k]
            + (-(-t.fills // per_access) + -(-t.updates // per_access)) * write_pj[k]
            for t in found.all_instances.values()
        )
        result.append(pj * charged)
    return result
