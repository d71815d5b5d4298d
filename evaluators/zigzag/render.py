"""An architecture and a layer as ZigZag reads them: memories with their ports, the array's dimensions, the loops."""

from __future__ import annotations

from typing import Any

from evaluators.components import dram_access_pj
from evaluators.mapper.energy import Priced
from evaluators.mapper.mapping import padded
from search_spaces.accelerators import Architecture
from search_spaces.errors import UserError
from search_spaces.types import ConvShape

__all__ = ["OFFERED", "hardware", "spatial_hints", "workload"]

OFFERED = ("eyeriss_like", "simba_like")
"""Templates whose levels each keep what they keep; the others leave a choice that ZigZag's memories do not have."""

_OPERANDS = {"W": "I2", "I": "I1", "O": "O"}
_DIMS = {"N": "B", "M": "K", "C": "C", "P": "OX", "Q": "OY", "R": "FX", "S": "FY"}
_UNLIMITED_BITS = 10**12


def hardware(priced: Priced, dram: str) -> dict[str, Any]:
    """The accelerator: a memory per level that keeps something, innermost first; an access is one row of a block.

    The package (3.9.1, `CostModelEvaluation._calc_memory_access`) counts rows moved × row / port width, so costs are
    for the width of the port.
    """
    architecture = priced.architecture
    if architecture.name not in OFFERED:
        raise UserError(f"zigzag is offered for {' and '.join(OFFERED)}, not for {architecture.name}")
    dram_pj = dram_access_pj(priced.dram, dram)
    memories: dict[str, Any] = {}
    served: list[str] = []
    for k, level in enumerate(architecture.levels):
        served += [name for name, at, _, _ in _axes(architecture) if at == k]
        if not level.keeps:
            continue
        row = level.block * architecture.word_bits
        outermost = k == len(architecture.levels) - 1
        read_pj, write_pj = priced.levels[k].read_pj, priced.levels[k].write_pj
        operands = [_OPERANDS[tensor] for tensor in level.keeps]
        psums = "O" in level.keeps
        read_bits, write_bits = (
            row if words is None else max(row, int(words * architecture.word_bits))
            for words in (level.read_words_per_cycle, level.write_words_per_cycle)
        )

        def port(way: str, bits: int, moves: list[str], row: int = row) -> dict[str, Any]:
            return {
                "name": f"{way[0]}_port_1",
                "type": way,
                "bandwidth_min": row,
                "bandwidth_max": bits,
                "allocation": moves,
            }

        reads = [f"{operand}, tl" for operand in operands] + (["O, th"] if psums else [])
        writes = [f"{operand}, fh" for operand in operands] + (["O, fl"] if psums else [])
        memories[level.name] = {
            "size": _UNLIMITED_BITS if level.words is None else level.words * architecture.word_bits,
            "r_cost": float(dram_pj if outermost else read_pj) * read_bits / row,
            "w_cost": float(dram_pj if outermost else write_pj) * write_bits / row,
            "area": float(priced.levels[k].area_um2),
            "latency": 1,
            "operands": operands,
            "ports": [
                port("read", read_bits, reads),
                port("write", write_bits, writes),
            ],
            "served_dimensions": list(served),
        }
    axes = _axes(architecture)
    return {
        "name": architecture.name,
        "memories": memories,
        "operational_array": {
            "unit_energy": float(priced.mac.read_pj),
            "unit_area": float(priced.mac.area_um2),
            "dimensions": [name for name, _, _, _ in axes],
            "sizes": [size for _, _, size, _ in axes],
        },
    }


def spatial_hints(architecture: Architecture) -> list[dict[str, Any]]:
    """Which dimensions may be unrolled on which axis of the array."""
    hints = {name: dims for name, _, _, dims in _axes(architecture)}
    links = {"O": "O", "W": "I2", "I": "I1"}
    return [{"name": "default", "spatial_mapping_hint": hints, "memory_operand_links": links}]


def workload(shape: ConvShape, architecture: Architecture) -> list[dict[str, Any]]:
    """One group of a layer, padded as our own mapper pads it."""
    bounds = padded(shape, architecture)
    bits = architecture.word_bits
    return [
        {
            "id": 0,
            "name": "layer",
            "operator_type": "Conv",
            "equation": "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]",
            "dimension_relations": [
                f"ix={shape.stride_w}*ox+{shape.dilation_w}*fx",
                f"iy={shape.stride_h}*oy+{shape.dilation_h}*fy",
            ],
            "loop_dims": list(_DIMS.values()),
            "loop_sizes": [bounds[dim] for dim in _DIMS],
            "operand_precision": {"W": bits, "I": bits, "O": bits, "O_final": bits},
            "operand_source": {"I": 0, "W": 0},
        }
    ]


def _axes(architecture: Architecture) -> list[tuple[str, int, int, list[str]]]:
    """The array's dimensions from the innermost mesh out: name, level above, size, and what may be unrolled there."""
    found: list[tuple[str, int, int, list[str]]] = []
    for k, level in enumerate(architecture.levels):
        for axis, size in (("X", level.mesh_x), ("Y", level.mesh_y)):
            if size > 1:
                dims = [_DIMS[spatial.dim] for spatial in level.spatial if spatial.axis == axis]
                found.append((f"D{len(found) + 1}", k, size, dims))
    return found
