"""Which component of an accelerator takes how much area and energy: what a design point's sums are made of."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.components import dram_access_pj
from evaluators.costs import ComponentItem
from evaluators.dvfs import NODES
from evaluators.mapper.counts import count, energies_pj
from evaluators.sensor import LayerCosts
from search_spaces.types import Network

__all__ = ["component_items"]


def component_items(network: Network, costs: LayerCosts, before: Sequence[int], dram: str) -> tuple[ComponentItem, ...]:
    """Every component with the energy it takes for these layers of one frame, all its instances together.

    The energies are those of the layers' chosen mappings and sum up to the layers' own; DRAM comes last, without
    area. Empty where the costs do not say which chip they are of.
    """
    priced = costs.priced
    if priced is None:
        return ()
    chip, last = priced.architecture, len(priced.architecture.levels) - 1
    scale = (costs.supply_v / NODES[chip.technology_nm].nominal_v) ** 2
    access_pj = dram_access_pj(priced.dram, dram)
    reads, writes = [*priced.read_pj[:-1], access_pj], [*priced.write_pj[:-1], access_pj]
    levels_pj, macs_pj = [0.0] * (last + 1), 0.0
    for i in before if not costs.simulator else ():
        layer, candidate = network.layers[i], costs.chosen[i]
        if candidate is None:
            continue
        if layer.shape is None:
            levels_pj[chip.outermost_buffer] += candidate.on_chip_pj
            levels_pj[last] += candidate.dram_accesses * access_pj
            continue
        counts = count(chip, layer.shape, candidate.mapping)
        of_group = energies_pj(counts, chip, reads, writes, list(priced.clusters))
        levels_pj = [sum_pj + pj * layer.shape.groups for sum_pj, pj in zip(levels_pj, of_group, strict=True)]
        macs_pj += counts.macs * layer.shape.groups * priced.mac.read_pj

    leakage_j = float(sum(costs.leakage_j[i] for i in before))
    dynamic_pj = dict(zip((level.name for level in chip.on_chip), levels_pj[:-1], strict=True)) | {"MAC": macs_pj}
    made_of = {level.name: level.component for level in chip.on_chip} | {"MAC": chip.mac}

    def dynamic_j(pj: float) -> float | None:
        return None if costs.simulator else pj * 1e-12

    parts = [
        ComponentItem(
            node="sensor",
            name=name,
            made_of=str(made_of[name]),
            instances=instances,
            area_mm2=instances * figures.area_um2 * 1e-6,
            dynamic_j=dynamic_j(dynamic_pj[name] * scale),
            leakage_j=leakage_j * instances * figures.leakage_w / priced.leakage_w if leakage_j else 0.0,
            provenance=figures.provenance,
            source=figures.source,
        )
        for name, instances, figures in priced.parts
        if figures.area_um2 or figures.read_pj
    ]
    dram_j = dynamic_j(levels_pj[last])
    return (*parts, ComponentItem("sensor", "DRAM", dram, 1, None, dram_j, 0.0, "table", "Accelergy's energy per bit"))
