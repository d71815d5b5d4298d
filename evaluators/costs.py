"""What a design point costs, itemised: per layer, per link and per node, each figure with unit and provenance."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from search_spaces.space import DesignPoint

__all__ = ["METRICS", "UNITS", "ComponentItem", "Evaluation", "Figure", "LayerItem", "LinkItem", "NodeItem"]

UNITS = {
    "sensor_energy_j": "J",
    "accelerator_energy_j": "J",
    "phy_energy_j": "J",
    "latency_s": "s",
    "sensor_latency_s": "s",
    "link_latency_s": "s",
    "edge_latency_s": "s",
    "throughput_fps": "1/s",
    "area_mm2": "mm²",
    "sensor_power_w": "W",
    "link_utilisation": "",
    "sensor_memory_bytes": "bytes",
    "edge_energy_j": "J",
    "total_energy_j": "J",
}
"""Every metric of a design point with its unit; how each is computed is written in `evaluators.system`."""

METRICS = tuple(UNITS)
"""Names of all metrics, any of which may be an objective or a constraint."""


@dataclass(frozen=True)
class Figure:
    """One metric of a design point: its value, its unit ("" for a share) and where it comes from."""

    name: str
    value: float
    unit: str
    provenance: str


@dataclass(frozen=True)
class LayerItem:
    """One layer that runs on the sensor node, for one frame; energy = on-chip dynamic + DRAM + leakage."""

    node: str
    index: int
    name: str
    operator: str
    macs: int
    cycles: float
    latency_s: float
    energy_j: float
    dynamic_j: float
    dram_j: float
    leakage_j: float
    provenance: str


@dataclass(frozen=True)
class ComponentItem:
    """All instances of one circuit of the accelerator, with the energy they take for one frame.

    `area_mm2` is None for DRAM, which is not on the chip, `dynamic_j` where another tool counted, which does not say;
    `source` says in words where the figures come from.
    """

    node: str
    name: str
    made_of: str
    instances: int
    area_mm2: float | None
    dynamic_j: float | None
    leakage_j: float
    provenance: str
    source: str


@dataclass(frozen=True)
class LinkItem:
    """One link of the chain: what crosses it for one frame, and the sensor-side PHY's energy per frame period."""

    name: str
    cut: str
    payload_bytes: int
    wire_bytes: int
    latency_s: float
    energy_j: float
    utilisation: float
    provenance: str


@dataclass(frozen=True)
class NodeItem:
    """One computer of the chain for one frame; area and memory are None where the model does not know them."""

    role: str
    name: str
    layers: int
    macs: int
    latency_s: float
    energy_j: float
    area_mm2: float | None
    memory_bytes: float | None
    provenance: str


@dataclass(frozen=True)
class Evaluation:
    """A design point with everything it costs.

    `supply_v` is the accelerator's supply at this clock, None where the figures are a tool's and say none.
    """

    point: DesignPoint
    figures: tuple[Figure, ...]
    layers: tuple[LayerItem, ...]
    links: tuple[LinkItem, ...]
    nodes: tuple[NodeItem, ...]
    components: tuple[ComponentItem, ...] = ()
    supply_v: float | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Metric names and values, in the order of `METRICS`."""
        return {figure.name: figure.value for figure in self.figures}

    @property
    def provenance(self) -> dict[str, str]:
        """Where each metric comes from."""
        return {figure.name: figure.provenance for figure in self.figures}

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists; keys are the names of the fields. A metric that nobody knows is None."""
        return {
            "knobs": dict(self.point.knobs),
            "indices": list(self.point.indices),
            "supply_v": self.supply_v,
            "metrics": {f.name: None if "unknown" in f.provenance else f.value for f in self.figures},
            "units": {figure.name: figure.unit for figure in self.figures},
            "provenance": self.provenance,
            "nodes": [asdict(node) for node in self.nodes],
            "links": [asdict(link) for link in self.links],
            "layers": [asdict(layer) for layer in self.layers],
            "components": [asdict(component) for component in self.components],
        }
