"""Everything about the system that is no knob."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from evaluators import edge
from evaluators.ethernet import Framing, PhyEnergy
from evaluators.sensor import SensorSettings
from search_spaces.errors import UserError, unknown

__all__ = ["SystemSettings"]

EdgeMethod = Literal["segments", "suffix"]


@dataclass(frozen=True)
class SystemSettings:
    """SI units; checked when made, bad values raise UserError."""

    sensor: SensorSettings = field(default_factory=SensorSettings)
    framing: Framing = "802.3"
    cable_m: float = 5.0
    phy_energy: PhyEnergy = "frame"
    frame_rate_fps: float = 25.0
    tensor_bits: int = 16
    edge: str = "roofline:jetson-tx2"
    edge_runs: int = 1000
    edge_threads: int | None = None
    edge_method: EdgeMethod = "segments"
    edge_precision: float | None = None  # None: all runs
    edge_power_w: float | None = None  # None: the device's own

    def __post_init__(self) -> None:
        if self.framing not in get_args(Framing):
            raise unknown("framing", self.framing, get_args(Framing))
        if self.phy_energy not in get_args(PhyEnergy):
            raise unknown("PHY energy accounting", self.phy_energy, get_args(PhyEnergy))
        if not (isfinite(self.cable_m) and 0 <= self.cable_m <= 100):
            raise UserError(f"twisted-pair Ethernet takes cables of 0 to 100 m, not {self.cable_m:g} m")
        if not (isfinite(self.frame_rate_fps) and self.frame_rate_fps > 0):
            raise UserError(f"the frame rate must be above 0 frames per second, not {self.frame_rate_fps:g}")
        if not 1 <= self.tensor_bits <= 64:
            raise UserError(f"a tensor's elements take 1 to 64 bits on the link, not {self.tensor_bits}")
        if self.edge_runs < 1:
            raise UserError(f"measuring an edge node needs at least 1 run, not {self.edge_runs}")
        if self.edge_threads is not None and self.edge_threads < 1:
            raise UserError(f"an edge node runs on at least 1 thread, not {self.edge_threads}")
        if self.edge_method not in get_args(EdgeMethod):
            raise unknown("method of measuring", self.edge_method, get_args(EdgeMethod))
        if self.edge_precision is not None and not 0 < self.edge_precision < 1:
            raise UserError(f"an edge precision is a share between 0 and 1, such as 0.02, not {self.edge_precision:g}")
        if self.edge_power_w is not None and not (isfinite(self.edge_power_w) and self.edge_power_w >= 0):
            raise UserError(f"the edge node's power must be at least 0 W, not {self.edge_power_w:g}")
        edge.check_name(self.edge)
