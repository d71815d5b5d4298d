"""How mappings and layers of a study are put to Timeloop, and where its answers are not ours; see `dse.verify`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dse.verification import EQUAL_ENERGY, ModelRow, SearchRow
from search_spaces.errors import IllegalDesign
from search_spaces.types import ConvShape

if TYPE_CHECKING:
    from evaluators.mapper.counts import Counts
    from evaluators.mapper.mapping import Mapping as LoopNest
    from evaluators.memo import Memo
    from evaluators.sensor import SensorSettings
    from evaluators.timeloop import Output, Timeloop
    from evaluators.timeloop.own import OwnSensor
    from search_spaces.accelerators import Architecture

__all__ = ["Asked", "model_rows", "own_rows", "search_rows"]

_ROUNDING_CYCLES = 1
"""The tool's doubles round a stalled layer's cycles to one more or less."""


@dataclass(frozen=True)
class Asked:
    """A mapping that a design of the front uses: one group of a layer on an accelerator with a DRAM.

    On own files the mapping is not known by now ("") and the DRAM is theirs.
    """

    shape: ConvShape
    architecture: Architecture
    dram: str
    mapping: str


def model_rows(
    chosen: Mapping[Asked, str],
    tool: Timeloop,
    settings: SensorSettings,
    dram: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[ModelRow]:
    """Our mappings by `timeloop-model`; those with remainders with full tiles too, by which they are judged."""
    from evaluators.mapper.counts import overflow
    from evaluators.mapper.mapping import Mapping as Nest

    nests = {asked: Nest.from_text(asked.mapping) for asked in chosen}
    full = {asked: replace(nest, ragged=()) for asked, nest in nests.items() if nest.ragged}
    too_large = {asked: why for asked, nest in full.items() if (why := overflow(asked.architecture, asked.shape, nest))}
    wanted = [(asked, nest) for asked, nest in (*nests.items(), *full.items()) if asked not in too_large]
    outputs = tool.model(
        [(asked.shape, asked.architecture, nest) for asked, nest in wanted],
        table=settings.energy_table, dram=dram, workers=workers, progress=progress,
    )  # fmt: skip
    said = {(asked, bool(nest.ragged)): output for (asked, nest), output in zip(wanted, outputs, strict=True)}
    rows = []
    for asked, name in chosen.items():
        nest = nests[asked]
        ours, pj = _counted(asked, nest, settings)
        row = ModelRow(
            name, asked.architecture.name, asked.architecture.parameters, asked.mapping, ours.cycles, None, pj * 1e-12,
            None, (), tuple(f"{dim}={bound}" for dim, bound in nest.ragged),
        )  # fmt: skip
        if asked in too_large:
            why = f"the tool has room for full tiles only, and they do not fit: {too_large[asked]}"
            rows.append(replace(row, unjudged=why))
            continue
        judged = _counted(asked, full[asked], settings) if asked in full else (ours, pj)
        differences = _differences(*judged, said[asked, False])
        output = said[asked, bool(nest.ragged)]
        if isinstance(output, IllegalDesign):
            rows.append(replace(row, differences=(str(output),)))
            continue
        energy_j = output.energy_pj * 1e-12
        rows.append(replace(row, tool_cycles=output.cycles, tool_energy_j=energy_j, differences=differences))
    return rows


def _counted(asked: Asked, nest: LoopNest, settings: SensorSettings) -> tuple[Counts, float]:
    """Our counts for a mapping, and its energy in pJ."""
    from evaluators.components import dram_access_pj
    from evaluators.mapper.counts import count, energies_pj
    from evaluators.mapper.energy import price

    architecture = asked.architecture
    ours = count(architecture, asked.shape, nest)
    priced = price(architecture, settings.energy_table)
    dram_pj = dram_access_pj(priced.dram, asked.dram)
    reads, writes = [*priced.read_pj[:-1], dram_pj], [*priced.write_pj[:-1], dram_pj]
    pj = sum(energies_pj(ours, architecture, reads, writes, list(priced.clusters))) + ours.macs * priced.mac.read_pj
    return ours, pj


def _differences(ours: Counts, pj: float, output: Output | IllegalDesign) -> tuple[str, ...]:
    """Where the tool's figures for a mapping are not ours."""
    if isinstance(output, IllegalDesign):
        return (str(output),)
    pairs = [
        ("MACs", ours.macs, output.macs),
        ("cycles without stalls", ours.compute_cycles, output.compute_cycles),
    ]
    for level, theirs in zip(ours.levels, output.levels, strict=True):
        pairs.append((f"{level.name} instances used", level.instances_used, theirs.instances_used))
        for what in ("reads", "fills", "updates"):
            for t, tensor in enumerate("WIO"):
                words = getattr(level.tensors[tensor], what) if tensor in level.tensors else 0
                pairs.append((f"{level.name} {what} of {tensor}", words, getattr(theirs, what)[t]))
    found = _unequal(pairs, "ours", "timeloop-model's")
    if abs(ours.cycles - output.cycles) > _ROUNDING_CYCLES:
        found.append(f"cycles: ours {ours.cycles:,}, timeloop-model's {output.cycles:,}")
    if abs(pj - output.energy_pj) > EQUAL_ENERGY * pj:
        found.append(f"energy: ours {pj:.9g} pJ, timeloop-model's {output.energy_pj:.9g} pJ")
    return tuple(found)


def _unequal(pairs: Sequence[tuple[str, int, int]], one: str, other: str) -> list[str]:
    return [f"{what}: {one} {a:,}, {other} {b:,}" for what, a, b in pairs if a != b]


def own_rows(
    chosen: Mapping[Asked, str], sensor: OwnSensor, workers: int, progress: Callable[[int, int], None] | None
) -> list[ModelRow]:
    """The mappings that the study has of `timeloop-mapper`, by `timeloop-model` on the same files."""
    from evaluators.timeloop import Output

    pairs = [(asked.shape, asked.architecture) for asked in chosen]
    found = sensor.found(pairs)
    again = sensor.model(pairs, [answer["mapping"] for answer in found], workers=workers, progress=progress)
    rows = []
    for (asked, name), first, second in zip(chosen.items(), found, again, strict=True):
        mapped = Output.from_json(first["output"])
        known = (name, "own files", asked.architecture.parameters, _one_line(first["mapping"]), mapped.cycles)
        energy_j = mapped.energy_pj * 1e-12
        if "illegal" in second:
            rows.append(ModelRow(*known, None, energy_j, None, (second["illegal"][1],)))
            continue
        output = Output.from_json(second["output"])
        differences = _own_differences(mapped, output)
        rows.append(ModelRow(*known, output.cycles, energy_j, output.energy_pj * 1e-12, differences))
    return rows


def _one_line(directives: Sequence[Mapping[str, Any]]) -> str:
    """A mapping of the tool's: every level's factors above 1."""
    loops = []
    for directive in directives:
        factors = re.findall(r"([A-Z])=?(\d+)", directive.get("factors", ""))
        if text := "".join(f"{dim}{n}" for dim, n in factors if n != "1"):
            loops.append(f"{directive['target']} {directive['type']} {text}")
    return "; ".join(loops)


def _own_differences(mapper: Output, model: Output) -> tuple[str, ...]:
    """Where the tool's mapper and its model give different figures for one mapping."""
    pairs = [(what, getattr(mapper, what), getattr(model, what)) for what in ("macs", "compute_cycles", "cycles")]
    for level, theirs in zip(mapper.levels, model.levels, strict=True):
        pairs.append((f"{level.name} instances used", level.instances_used, theirs.instances_used))
        for what in ("reads", "fills", "updates"):
            words = zip("WIO", getattr(level, what), getattr(theirs, what), strict=True)
            pairs += [(f"{level.name} {what} of {tensor}", a, b) for tensor, a, b in words]
    found = _unequal(pairs, "timeloop-mapper's", "timeloop-model's")
    if abs(mapper.energy_pj - model.energy_pj) > EQUAL_ENERGY * mapper.energy_pj:
        found.append(f"energy: timeloop-mapper's {mapper.energy_pj:.9g} pJ, timeloop-model's {model.energy_pj:.9g} pJ")
    return tuple(found)


def search_rows(
    layers: Mapping[tuple[ConvShape, Architecture], str],
    tool: Timeloop,
    memo: Memo,
    settings: SensorSettings,
    dram: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[SearchRow]:
    """The tool's mapper beside ours, by the metric of the study."""
    from evaluators.mapper.result import best_mappings
    from evaluators.timeloop import SearchSettings

    metric = settings.mapping
    assert metric != "pareto"
    pairs = list(layers)
    found = tool.search(
        pairs, SearchSettings(metric), table=settings.energy_table, dram=dram, workers=workers, progress=progress
    )
    rows = []
    for (shape, architecture), searched in zip(pairs, found, strict=True):
        (ours,) = best_mappings(
            shape, architecture, memo, metric=metric, table=settings.energy_table, dram=dram, factors=settings.factors
        )
        known = (layers[shape, architecture], architecture.name, architecture.parameters, metric)
        if isinstance(searched, IllegalDesign):
            rows.append(SearchRow(*known, ours.cycles, ours.energy_j, None, None, None, (str(searched),)))
            continue
        output = searched.output
        energy_j = output.energy_pj * 1e-12
        # a stalled layer's cycles may be rounded to one less by the tool's doubles
        cycles = ours.cycles if abs(output.cycles - ours.cycles) <= _ROUNDING_CYCLES else output.cycles
        ratio = {
            "edp": cycles * energy_j / (ours.cycles * ours.energy_j),
            "delay": cycles / ours.cycles,
            "energy": energy_j / ours.energy_j,
        }[metric]
        rows.append(SearchRow(*known, ours.cycles, ours.energy_j, output.cycles, energy_j, ratio, output.warnings))
    return rows
