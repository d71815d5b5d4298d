"""The three parts of a system, and the formulas that make metrics of what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluators.sensor import SensorModel, SensorSettings
from evaluators.system.edge_node import EdgeNode
from evaluators.system.link import Link
from evaluators.system.sensor_node import Sensor, SensorNode
from evaluators.system.settings import SystemSettings
from search_spaces.errors import unknown
from search_spaces.space import DesignPoint
from search_spaces.types import KnobValue, Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = ["Parts"]


class Parts:
    """Sensor node, link and edge node for one network under one set of settings."""

    def __init__(
        self, network: Network, settings: SystemSettings, memo: Memo, sensor_model: Sensor | None, edge_progress: Any
    ) -> None:
        self.network = network
        self.sensor = SensorNode(
            network,
            sensor_model or _sensor_model(settings.sensor, memo),
            keeps_all=settings.sensor.mapping == "pareto",
        )
        self.link = Link(network, settings)
        self.edge = EdgeNode(network, settings, memo, edge_progress)
        self._frame_rate_fps = settings.frame_rate_fps
        self._cut_index = {cut.name: i for i, cut in enumerate(network.cuts)}

    def cut(self, name: KnobValue) -> int:
        """The place of a cut in the network. Raises UserError."""
        try:
            return self._cut_index[str(name)]
        except KeyError:
            raise unknown(f"cut of {self.network.name}", name, self._cut_index) from None

    def cut_and_link(self, point: DesignPoint) -> tuple[int, str]:
        (cut,), (link,) = point.cuts, point.links
        return self.cut(cut), link

    def metrics(
        self,
        cuts: np.ndarray,
        *,
        accelerator_energy_j: np.ndarray,
        sensor_latency_s: np.ndarray,
        phy_energy_j: np.ndarray,
        link_latency_s: np.ndarray,
        link_utilisation: np.ndarray,
        area_mm2: np.ndarray,
        memory_bytes: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """The formulas of `evaluators.system`, on arrays that broadcast against `cuts`."""
        edge_latency_s = self.edge.latency_s[cuts]
        edge_energy_j = self.edge.energy_j[cuts]
        sensor_energy_j = accelerator_energy_j + phy_energy_j
        slowest_s = np.maximum(np.maximum(sensor_latency_s, link_latency_s), edge_latency_s)
        return {
            "sensor_energy_j": sensor_energy_j,
            "accelerator_energy_j": accelerator_energy_j,
            "phy_energy_j": phy_energy_j,
            "latency_s": sensor_latency_s + link_latency_s + edge_latency_s,
            "sensor_latency_s": sensor_latency_s,
            "link_latency_s": link_latency_s,
            "edge_latency_s": edge_latency_s,
            "throughput_fps": 1.0 / slowest_s,
            "area_mm2": area_mm2,
            "sensor_power_w": sensor_energy_j * self._frame_rate_fps,
            "link_utilisation": link_utilisation,
            "sensor_memory_bytes": memory_bytes,
            "edge_energy_j": edge_energy_j,
            "total_energy_j": sensor_energy_j + edge_energy_j,
        }


def _sensor_model(settings: SensorSettings, memo: Memo) -> Sensor:
    if settings.timeloop_files is None:
        return SensorModel(settings, memo)
    from evaluators.timeloop.own import OwnSensor

    return OwnSensor(settings, memo)
