"""What moves when one mapping runs: accesses per level and tensor, cycles, and whether it fits.

The rules are those of Timeloop be27768, restated in COST_MODEL sections 3 to 6 of this project and checked against
the tool's own output. Here they are written for one mapping at a time, in plain integers; `kernel` computes the same
for millions and is tested against this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from evaluators.mapper.mapping import Mapping as LoopNest
from evaluators.mapper.mapping import concrete
from search_spaces.accelerators.architecture import Architecture
from search_spaces.types import ConvShape

__all__ = [
    "RELEVANT", "Counts", "LevelCounts", "TensorCounts", "count", "energies_pj", "overflow", "strides_of", "tile_words",
]  # fmt: skip

RELEVANT = {"W": "MCRS", "I": "NCPQRS", "O": "NMPQ"}
"""The dimensions that a tensor's words depend on."""
_AXIS = {"N": 0, "C": 1, "P": 2, "R": 2, "Q": 3, "S": 3}
"""The axis of the input tensor that each dimension moves along."""


@dataclass(frozen=True)
class TensorCounts:
    """Words per instance of a level over the whole run of one group, and the tile held at a time."""

    reads: int
    fills: int
    updates: int
    tile_words: int


@dataclass(frozen=True)
class LevelCounts:
    """Counts of the tensors a level keeps and how many of its instances work."""

    name: str
    instances_used: int
    tensors: dict[str, TensorCounts]


@dataclass(frozen=True)
class Counts:
    """A mapping's traffic and time for one group of a layer; `compute_cycles` would be its time without stalls."""

    levels: tuple[LevelCounts, ...]
    macs: int
    compute_cycles: int
    cycles: int


@dataclass(frozen=True)
class _Loop:
    """A temporal loop: its level, dimension, bound, and how far one iteration shifts along that dimension."""

    level: int
    dim: str
    bound: int
    step: int


def strides_of(shape: ConvShape) -> dict[str, int]:
    """How far one step of a dimension moves along its axis of the inputs: its stride, its dilation, or 1."""
    return {
        "N": 1, "C": 1, "M": 1,
        "P": shape.stride_w, "Q": shape.stride_h, "R": shape.dilation_w, "S": shape.dilation_h,
    }  # fmt: skip


def _extents(mapping: LoopNest, level: int) -> dict[str, int]:
    """Product of the factors of each dimension at levels up to this one, its own spatial loops included."""
    extent = dict.fromkeys("NMCPQRS", 1)
    for loops in mapping.levels[: level + 1]:
        for dim, n in loops.temporal + loops.spatial:
            extent[dim] *= n
    return extent


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


def _temporal_loops(mapping: LoopNest) -> list[_Loop]:
    """All temporal loops of bound above 1, innermost first, each with the extent of its dimension inside it."""
    inside = dict.fromkeys("NMCPQRS", 1)
    loops = []
    for k, level in enumerate(mapping.levels):
        for dim, n in level.spatial:
            inside[dim] *= n
        for dim, n in level.temporal:
            if n > 1:
                loops.append(_Loop(k, dim, n, inside[dim]))
                inside[dim] *= n
    return loops


def _fills(tensor: str, level: int, mapping: LoopNest, strides: dict[str, int]) -> int:
    """Words moved into one instance of a level over the whole run (COST_MODEL section 4)."""
    extent = _extents(mapping, level)
    tile = words = tile_words(tensor, extent, strides)
    axes = _axes(extent, strides)
    irrelevant_inside = False
    first_axis = -1
    first_shift = 0
    shifted = [0, 0, 0, 0]
    new_words = tile
    for loop in (lp for lp in _temporal_loops(mapping) if lp.level > level):
        if loop.dim not in RELEVANT[tensor]:
            if first_axis < 0:
                irrelevant_inside = True
            else:
                words *= loop.bound
            continue
        if tensor != "I":
            words *= loop.bound
            first_axis = 0
            continue
        axis, shift = _AXIS[loop.dim], loop.step * strides[loop.dim]
        if first_axis < 0:
            first_axis, first_shift = axis, shift
            if not irrelevant_inside:
                new_words = tile * min(shift, axes[axis]) // axes[axis]
            words = tile + (loop.bound - 1) * new_words
        else:
            elsewhere = any(shifted[a] for a in range(4) if a != axis)
            if axis == first_axis and not elsewhere and shift - shifted[axis] == first_shift:
                words += (loop.bound - 1) * (words - tile + new_words)
            else:
                words *= loop.bound
        shifted[axis] += shift
    return words


def overflow(architecture: Architecture, shape: ConvShape, mapping: LoopNest) -> str | None:
    """Why a mapping cannot run: the first level whose tiles or mesh it overflows, or None if it fits."""
    architecture = concrete(architecture, mapping)
    strides = strides_of(shape)
    for k, (level, loops) in enumerate(zip(architecture.levels, mapping.levels, strict=True)):
        for axis, used, limit in (("X", loops.x, level.mesh_x), ("Y", loops.y, level.mesh_y)):
            if prod(n for _, n in used) > limit:
                return f"{level.name}: {prod(n for _, n in used)} children on {axis}, the mesh has {limit}"
        if level.words is not None:
            extent = _extents(mapping, k)
            need = sum(tile_words(tensor, extent, strides) for tensor in level.keeps)
            if need > level.words:
                return f"{level.name}: tiles of {need} words, it holds {level.words}"
    return None


def count(architecture: Architecture, shape: ConvShape, mapping: LoopNest) -> Counts:
    """Exact traffic and cycles of one group of a layer under a mapping that fits (see `overflow`)."""
    architecture = concrete(architecture, mapping)
    strides = strides_of(shape)
    levels = architecture.levels
    last = len(levels) - 1
    full = {dim: mapping.extent(dim) for dim in "NMCPQRS"}
    spatial_above = [
        {dim: prod(n for up in mapping.levels[k + 1 :] for d, n in up.spatial if d == dim) for dim in "NMCPQRS"}
        for k in range(-1, last + 1)
    ]  # index k + 1: unrolling of each dimension at levels above k

    def distinct_between(tensor: str, child: int, parent: int) -> int:
        """Distinct child tiles that one instance of the parent serves."""
        dims = RELEVANT[tensor]
        return prod(spatial_above[child + 1][d] for d in dims) // prod(spatial_above[parent + 1][d] for d in dims)

    macs = prod(full.values())
    compute_cycles = macs // prod(spatial_above[0].values())
    per_level: list[dict[str, TensorCounts]] = [{} for _ in levels]
    for tensor in "WIO":
        moved, child = compute_cycles, -1
        for k, level in enumerate(levels):
            if tensor not in level.keeps:
                continue
            accesses = moved * distinct_between(tensor, child, k)
            moved = _fills(tensor, k, mapping, strides)
            child = k
            tile = tile_words(tensor, _extents(mapping, k), strides)
            if tensor == "O":
                part = prod(full[d] // spatial_above[k + 1][d] for d in "NMPQ")
                fills = 0 if k == last else moved - part
                per_level[k][tensor] = TensorCounts(accesses - part, fills, accesses, tile)
            else:
                per_level[k][tensor] = TensorCounts(accesses, 0 if k == last else moved, 0, tile)

    cycles = compute_cycles
    for level, tensors in zip(levels, per_level, strict=True):
        # the tool's own order of operations in doubles, so that the ceiling falls the same way
        reads = sum(t.reads / compute_cycles for t in tensors.values())
        writes = sum((t.fills + t.updates) / compute_cycles for t in tensors.values())
        for bandwidth, demand in (
            (level.read_words_per_cycle, reads),
            (level.write_words_per_cycle, writes),
            (level.shared_words_per_cycle, reads + writes),
        ):
            if bandwidth is not None and demand > bandwidth:
                cycles = max(cycles, ceil(compute_cycles / (bandwidth / demand)))
    return Counts(
        tuple(
            LevelCounts(level.name, prod(spatial_above[k + 1].values()), per_level[k]) for k, level in enumerate(levels)
        ),
        macs,
        compute_cycles,
        cycles,
    )


def energies_pj(
    counts: Counts, architecture: Architecture, read_pj: list[float], write_pj: list[float], clusters: list[int]
) -> list[float]:
    """Energy of every level for one group of a layer in pJ, from the energy per vector access of each level."""
    result = []
    for k, (level, level_counts) in enumerate(zip(architecture.levels, counts.levels, strict=True)):
        charged = min(level_counts.instances_used, architecture.instances(k) // clusters[k] or 1)
        pj = sum(
            ceil(t.reads / level.block) * read_pj[k]
            + (ceil(t.fills / level.block) + ceil(t.updates / level.block)) * write_pj[k]
            for t in level_counts.tensors.values()
        )
        result.append(pj * charged)
    return result
