"""The best mapping of a layer, itemised: per level what is read, filled and updated, and what that costs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from evaluators.components import dram_access_pj
from evaluators.mapper.counts import count, energies_pj, last_bounds
from evaluators.mapper.energy import EnergyTable, price
from evaluators.mapper.layer import Candidate, LayerMappings, map_layers
from evaluators.mapper.mapping import Factors, Mapping
from evaluators.memo import Memo
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, unknown
from search_spaces.types import ConvShape

__all__ = ["LevelResult", "MapMetric", "MappedLayer", "best_mappings", "loop_nest"]

MapMetric = Literal["edp", "delay", "energy", "pareto"]


@dataclass(frozen=True)
class LevelResult:
    """One storage level: words per instance per tensor (W weights, I inputs, O outputs), all groups together.

    `area_mm2` is that of all instances, 0 for DRAM. Where a remainder leaves some instances less to do, words are
    those of the one that has the most.
    """

    name: str
    instances_used: int
    instances: int
    reads: dict[str, int]
    fills: dict[str, int]
    updates: dict[str, int]
    tile_words: dict[str, int]
    capacity_words: int | None
    energy_j: float
    made_of: str
    area_mm2: float


@dataclass(frozen=True)
class MappedLayer:
    """A layer under one mapping, all groups together; energies at the tables' supply, without leakage.

    `cycles` include `stall_cycles`; `mac_units_used` are the MAC units that ever have
    something to do, `utilisation` is useful MACs over MAC units × cycles.
    """

    accelerator: str
    shape: ConvShape
    metric: MapMetric
    energy_table: EnergyTable
    factors: Factors
    provenance: str
    cycles: int
    compute_cycles: int
    stall_cycles: int
    energy_j: float
    mac_energy_j: float
    mac_area_mm2: float
    area_mm2: float
    macs: int
    useful_macs: int
    mac_units_used: int
    mac_units: int
    utilisation: float
    mapspace_size: int
    mapspace_valid: int
    levels: tuple[LevelResult, ...]
    mapping: Mapping

    def to_json(self) -> dict[str, Any]:
        """Fields by name, SI units; the mapping as text, levels separated by "/" innermost first.

        `remainders` are the loops cut short at the end of a dimension that its factors do not divide.
        """
        cut = [
            {"level": self.levels[k].name, "kind": _KINDS[kind], "dimension": dim, "last_bound": last}
            for (k, kind, dim), last in last_bounds(self.mapping).items()
        ]
        return asdict(self) | {"mapping": self.mapping.to_text(), "remainders": cut}


_KINDS = {"T": "temporal", "X": "spatial X", "Y": "spatial Y"}


def best_mappings(
    shape: ConvShape,
    architecture: Architecture,
    memo: Memo,
    *,
    metric: MapMetric = "edp",
    table: EnergyTable = "default",
    dram: str = "lpddr4",
    factors: Factors = "perfect",
) -> tuple[MappedLayer, ...]:
    """The optimum for a metric; for "pareto" every mapping that no other beats in cycles and energy, fastest first.

    Ties go to the other objective. Raises IllegalDesign where no mapping fits.
    """
    found = map_layers([(shape, architecture)], table, memo, factors=factors)[shape.one_group, architecture]
    if isinstance(found, IllegalDesign):
        raise found
    itemised = [_itemise(shape, architecture, found, c, metric, table, dram, factors) for c in found.candidates]
    if metric == "pareto":
        front: list[MappedLayer] = []
        for mapped in sorted(itemised, key=lambda m: (m.cycles, m.energy_j)):
            if not front or mapped.energy_j < front[-1].energy_j:
                front.append(mapped)
        return tuple(front)
    order = {
        "edp": lambda m: (m.cycles * m.energy_j, m.cycles),
        "delay": lambda m: (m.cycles, m.energy_j),
        "energy": lambda m: (m.energy_j, m.cycles),
    }
    if metric not in order:
        raise unknown("metric", metric, [*order, "pareto"])
    return (min(itemised, key=order[metric]),)


def _itemise(
    shape: ConvShape,
    architecture: Architecture,
    found: LayerMappings,
    candidate: Candidate,
    metric: MapMetric,
    table: EnergyTable,
    dram: str,
    factors: Factors,
) -> MappedLayer:
    priced = price(architecture, table)
    counts = count(architecture, shape, candidate.mapping)
    access_pj = dram_access_pj(priced.dram, dram)
    reads, writes = [*priced.read_pj[:-1], access_pj], [*priced.write_pj[:-1], access_pj]
    per_level_pj = energies_pj(counts, architecture, reads, writes, list(priced.clusters))
    groups = shape.groups
    mac_j = counts.macs * priced.mac.read_pj * groups * 1e-12
    levels = tuple(
        LevelResult(
            level.name,
            level.instances_used,
            architecture.instances(k),
            {t: c.reads * groups for t, c in level.tensors.items()},
            {t: c.fills * groups for t, c in level.tensors.items()},
            {t: c.updates * groups for t, c in level.tensors.items()},
            {t: c.tile_words for t, c in level.tensors.items()},
            architecture.levels[k].words,
            per_level_pj[k] * groups * 1e-12,
            str(architecture.levels[k].component),
            architecture.instances(k) * priced.levels[k].area_um2 * 1e-6,
        )
        for k, level in enumerate(counts.levels)
    )
    return MappedLayer(
        accelerator=architecture.name,
        shape=shape,
        metric=metric,
        energy_table=table,
        factors=factors,
        provenance=priced.provenance,
        cycles=counts.cycles * groups,
        compute_cycles=counts.compute_cycles * groups,
        stall_cycles=(counts.cycles - counts.compute_cycles) * groups,
        energy_j=mac_j + sum(level.energy_j for level in levels),
        mac_energy_j=mac_j,
        mac_area_mm2=architecture.instances(-1) * priced.mac.area_um2 * 1e-6,
        area_mm2=priced.area_mm2,
        macs=counts.macs * groups,
        useful_macs=found.useful_macs * groups,
        mac_units_used=counts.mac_units_used,
        mac_units=architecture.instances(-1),
        utilisation=found.useful_macs / (architecture.instances(-1) * counts.cycles),
        mapspace_size=found.mapspace_size,
        mapspace_valid=found.mapspace_valid,
        levels=levels,
        mapping=candidate.mapping,
    )


def loop_nest(architecture: Architecture, mapping: Mapping, levels: tuple[LevelResult, ...]) -> list[str]:
    """The mapping as a readable loop nest, outermost loop first, each level with the tiles it keeps."""
    lines = []
    depth = 0
    cut = last_bounds(mapping)
    for k in reversed(range(len(architecture.levels))):
        level, loops = architecture.levels[k], mapping.levels[k]
        tiles = ", ".join(f"{t} {words:,}" for t, words in levels[k].tile_words.items()) or "nothing"
        room = f" of {level.words:,} words" if level.words is not None else " words"
        lines.append(f"{level.name} keeps {tiles}{room if level.keeps else ''}")
        for kind, part in (("T", tuple(reversed(loops.temporal))), ("X", loops.x), ("Y", loops.y)):
            for dim, n in part:
                if n > 1:
                    depth += 1
                    how, where = ("for", "") if kind == "T" else ("parallel for", f" on {kind}")
                    last = cut.get((k, kind, dim))
                    remainder = "" if last is None else f" (last time 0..{last - 1})"
                    lines.append(f"{'  ' * depth}{how} {dim.lower()} in 0..{n - 1}{where}{remainder}")
    lines.append(f"{'  ' * (depth + 1)}multiply-accumulate")
    return lines
