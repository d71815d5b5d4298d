"""Sensor node, link and edge node of a design point together: the only definition of the objectives.

For one frame, with the layers before the cut on the sensor node and the others on the edge node, no overlap:

- ``accelerator_energy_j``, ``sensor_latency_s``: the sums over the layers before the cut;
- ``phy_energy_j``, ``link_latency_s``, ``link_utilisation``: `evaluators.ethernet` for all tensors that cross the cut,
  sent as one burst of ⌈elements × tensor_bits / 8⌉ bytes (the input itself where the cut is the input);
- ``edge_latency_s``: `evaluators.edge`; ``edge_energy_j`` = edge power × edge latency, or an edge accelerator's own;
- ``sensor_energy_j`` = accelerator + PHY; ``latency_s`` = sensor + link + edge;
- ``total_energy_j`` = sensor + edge energy (the edge node's own PHY is part of its constant power);
- ``throughput_fps`` = 1 / the longest of sensor, link and edge latency;
- ``sensor_power_w`` = sensor energy × frame rate;
- ``area_mm2``: the accelerator without DRAM, made for the clock, also where the cut leaves it nothing to do;
- ``sensor_memory_bytes`` = weights before the cut + the largest sum of live activations, in the accelerator's widths.

With no layer before the cut the accelerator costs nothing. A layer that the accelerator cannot map makes a design
illegal only where it is before the cut. A link that cannot carry the frame rate is a constraint's business
(``link_utilisation`` <= 1), like a sensor or an edge node that is too slow for it.

The layers before a cut are summed one after the other in the order of the network, so one design point, a whole block
of them and a combination of mappings give the same floating-point numbers, on every machine.

With `mapping="pareto"` a design point is a front of its own, one cost for each combination of its layers' mappings
that no other beats (`evaluators.network_front`). A block's metrics are then what no combination can be below: every
layer at its least energy and at its least latency, both at once; `System.combinations` has the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluators import ethernet
from evaluators.costs import METRICS, UNITS, Evaluation
from evaluators.edge import EdgeProfile, roofline
from evaluators.system.block import Block, architecture_block
from evaluators.system.combinations import Combinations, combinations
from evaluators.system.hardware import architecture_items, build, hardware
from evaluators.system.identity import network_identity
from evaluators.system.items import itemised, provenance
from evaluators.system.parts import Parts
from evaluators.system.sensor_node import Sensor, SensorTable
from evaluators.system.settings import SystemSettings
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign
from search_spaces.space import DesignPoint, SearchSpace
from search_spaces.types import Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = [
    "METRICS", "UNITS", "VERSION", "Block", "Combinations", "Sensor", "System", "SystemSettings", "hardware",
    "network_identity",
]  # fmt: skip

VERSION = "2"
"""Raised by hand when an answer of this package changes."""


class System:
    """Evaluates the design points of one network under one set of settings.

    `sensor_model` replaces the accelerator model (tests ship a fake). Nothing is mapped or measured before
    the first evaluation.
    """

    def __init__(
        self,
        network: Network,
        settings: SystemSettings,
        memo: Memo,
        *,
        sensor_model: Sensor | None = None,
        edge_progress: Any = None,
    ) -> None:
        self.network = network
        self.settings = settings
        self._parts = Parts(network, settings, memo, sensor_model, edge_progress)

    def metrics(self, point: DesignPoint, mapping_point: int | None = None) -> dict[str, float]:
        """Every metric of one design point, in the order of `METRICS`. Raises IllegalDesign.

        With all mappings kept they are those of the combination with the number `mapping_point`, from 1, on the
        front over mappings of the layers before its cut; without one, raises UserError.
        """
        return self._metrics(point, self._chosen(point, mapping_point))

    def _chosen(self, point: DesignPoint, mapping_point: int | None) -> SensorTable:
        """The sums of a design's layers, each with the one mapping that counts. Raises IllegalDesign."""
        architecture, clock_hz, dram = hardware(point)
        cut, _ = self._parts.cut_and_link(point)
        return self._parts.sensor.chosen(architecture, clock_hz, dram, cut, mapping_point)

    def _metrics(self, point: DesignPoint, table: SensorTable) -> dict[str, float]:
        architecture, _, _ = hardware(point)
        cut, link = self._parts.cut_and_link(point)
        sent = self._parts.link.costs([cut], [(link, self._parts.link.tensor_bits(point))])
        found = self._parts.metrics(
            np.array([cut]),
            accelerator_energy_j=table.energy_j[[cut]],
            sensor_latency_s=table.latency_s[[cut]],
            **{name: figures[0] for name, figures in sent.items()},
            area_mm2=np.array([table.area_mm2]),
            memory_bytes=self._parts.sensor.memory_bytes(architecture)[[cut]],
        )
        return {name: float(found[name][0]) for name in METRICS}

    def provenance(self, point: DesignPoint) -> dict[str, str]:
        """Where each metric of a design comes from: measured, table, interpolated, simulated. Raises IllegalDesign."""
        return provenance(self._parts, point)

    def evaluate(self, point: DesignPoint, mapping_point: int | None = None) -> Evaluation:
        """One design point, itemised per layer, link and node. `mapping_point` and errors as in `metrics`."""
        table = self._chosen(point, mapping_point)
        return itemised(self._parts, point, table, self._metrics(point, table))

    def architecture_block(self, space: SearchSpace, arch_indices: Sequence[int]) -> Block:
        """Every design point of one choice of the architecture's knobs, as arrays; equal to `metrics` of each."""
        return architecture_block(self._parts, space, arch_indices)

    def combinations(self, space: SearchSpace, arch_indices: Sequence[int], cells: np.ndarray) -> Combinations:
        """The non-dominated combinations of mappings of some legal designs of one architecture.

        `cells` (n, axes) are positions on the axes (cut, clock, dram, link …) of its block. The combinations of a
        design that no other combination beats in energy and latency are there, and of equal ones one.
        """
        return combinations(self._parts, space, arch_indices, cells)

    def prepare(
        self,
        points: Sequence[DesignPoint],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Map every layer that these design points will ask for, in parallel; illegal ones are passed over."""
        found: dict[Architecture, None] = {}
        for values in dict.fromkeys(architecture_items(point) for point in points):
            try:
                found[build(dict(values))] = None
            except IllegalDesign:
                continue
        if found:
            self._parts.sensor.model.prepare(self.network, list(found), workers=workers, progress=progress)

    @property
    def edge_profile(self) -> EdgeProfile:
        """The edge node's latency for every cut of the network; measured at the first use where it is measured."""
        return self._parts.edge.profile

    @property
    def edge_power_w(self) -> float:
        """Constant power of the edge node; 0 where neither the settings nor the device know it."""
        return self._parts.edge.power_w

    def fingerprint(self) -> dict[str, Any]:
        """All that the metrics depend on, JSON-able: settings, the network's identity, versions, the edge node."""
        return {
            "network": network_identity(self.network),
            **self._parts.edge.fingerprint(asdict(self.settings)),
            "versions": {
                "system": VERSION,
                "ethernet": ethernet.VERSION,
                "roofline": roofline.VERSION,
                "sensor": self._parts.sensor.model.version,
            },
        }
