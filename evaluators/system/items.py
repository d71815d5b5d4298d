"""One design point itemised: every figure with its unit and source, per layer, link, node and component."""

from __future__ import annotations

from math import isfinite

from evaluators.breakdown import component_items
from evaluators.costs import METRICS, UNITS, Evaluation, Figure, LayerItem, LinkItem, NodeItem
from evaluators.sensor import LayerCosts
from evaluators.system.hardware import hardware
from evaluators.system.parts import Parts
from evaluators.system.sensor_node import SensorTable
from search_spaces.space import DesignPoint

__all__ = ["itemised", "provenance"]

NOTHING = "nothing to compute"


def provenance(parts: Parts, point: DesignPoint) -> dict[str, str]:
    """Where each metric of a design comes from: measured, table, interpolated, simulated. Raises IllegalDesign."""
    architecture, clock_hz, dram = hardware(point)
    cut, _ = parts.cut_and_link(point)
    before = parts.network.cuts[cut].layers
    costs = parts.sensor.table(architecture, clock_hz, dram).layers
    profile = parts.edge.profile
    energy_says, time_says = costs.provenance, "simulated"
    if isinstance(costs, LayerCosts):  # fronts over mappings are our own mapper's
        energy_says, time_says = costs.energy_provenance(before), costs.time_provenance(before)
    if not before:
        energy_says = time_says = NOTHING
    sensor_energy, latency = {energy_says, "table"}, {time_says, "table", profile.provenance}
    edge_energy: set[str] = {profile.provenance, parts.edge.power_provenance}
    sources: dict[str, set[str]] = {
        "sensor_energy_j": sensor_energy,
        "accelerator_energy_j": {energy_says},
        "phy_energy_j": {"table"},
        "latency_s": latency,
        "sensor_latency_s": {time_says},
        "link_latency_s": {"table"},
        "edge_latency_s": {profile.provenance},
        "throughput_fps": latency,
        "area_mm2": {costs.provenance},
        "sensor_power_w": sensor_energy,
        "link_utilisation": {"table"},
        "sensor_memory_bytes": {"counted"},
        "edge_energy_j": edge_energy,
        "total_energy_j": sensor_energy | edge_energy,
    }
    return {name: " + ".join(sorted(sources[name] - {NOTHING}) or [NOTHING]) for name in METRICS}


def itemised(parts: Parts, point: DesignPoint, table: SensorTable, metrics: dict[str, float]) -> Evaluation:
    """A design point from the sums of its layers, each with one mapping, and its metrics."""
    architecture, _, dram = hardware(point)
    cut, link = parts.cut_and_link(point)
    costs = table.layers
    assert isinstance(costs, LayerCosts)
    before = parts.sensor.layers_before(cut)
    layers = parts.network.layers
    bits = parts.link.tensor_bits(point)
    sent = parts.link.cost(cut, link, bits)
    profile = parts.edge.profile
    sources = provenance(parts, point)
    macs_before = parts.network.macs_before(parts.network.cuts[cut])
    return Evaluation(
        point=point,
        figures=tuple(Figure(name, metrics[name], UNITS[name], sources[name]) for name in METRICS),
        layers=tuple(
            LayerItem(
                node="sensor",
                index=i,
                name=layers[i].name,
                operator=layers[i].operator,
                macs=layers[i].macs,
                cycles=float(costs.cycles[i]),
                latency_s=float(costs.latency_s[i]),
                energy_j=float(costs.energy_j[i]),
                dynamic_j=float(costs.dynamic_j[i]),
                dram_j=float(costs.dram_j[i]),
                leakage_j=float(costs.leakage_j[i]),
                provenance=costs.energy_provenance((i,)),
            )
            for i in before
        ),
        links=(
            LinkItem(
                name=link,
                cut=parts.network.cuts[cut].name,
                payload_bytes=parts.link.payload_bytes(cut, bits),
                wire_bytes=sent.wire_bytes,
                latency_s=sent.latency_s,
                energy_j=sent.energy_j,
                utilisation=sent.utilisation,
                provenance="table",
            ),
        ),
        nodes=(
            NodeItem(
                role="sensor",
                name=architecture.name,
                layers=len(before),
                macs=macs_before,
                latency_s=metrics["sensor_latency_s"],
                energy_j=metrics["accelerator_energy_j"],
                area_mm2=metrics["area_mm2"],
                memory_bytes=metrics["sensor_memory_bytes"],
                provenance=costs.energy_provenance(before) if before else NOTHING,
            ),
            NodeItem(
                role="edge",
                name=profile.device,
                layers=len(layers) - len(before),
                macs=sum(layer.macs for layer in layers) - macs_before,
                latency_s=metrics["edge_latency_s"],
                energy_j=metrics["edge_energy_j"],
                area_mm2=None,
                memory_bytes=None,
                provenance=profile.provenance,
            ),
        ),
        components=component_items(parts.network, costs, before, dram),
        supply_v=costs.supply_v if isfinite(costs.supply_v) else None,
    )
