"""What datasheets and benchmarks say of an edge device."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

__all__ = ["EdgeDevice"]


@dataclass(frozen=True)
class EdgeDevice:
    """A computer that runs the rest of the network: its roofline and its power.

    `peak_flops` counts a multiply-accumulate as two operations at the given `precision`, whose numbers take
    `bytes_per_element`; `memory_bandwidth_bytes_per_s` is that of the main memory. `compute_efficiency` and
    `bandwidth_efficiency` are the shares of both that a layer reaches in practice. Starting one operator
    costs `launch_overhead_s`. `power_w` is the constant power while computing, as in the founding paper.
    """

    name: str
    peak_flops: float
    precision: str
    bytes_per_element: int
    memory_bandwidth_bytes_per_s: float
    power_w: float
    launch_overhead_s: float
    compute_efficiency: float
    bandwidth_efficiency: float

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, str) and not (isfinite(value) and value >= 0):
                raise ValueError(f"{f.name} of device {self.name} is a number of at least 0, not {value!r}")
        for name in ("compute_efficiency", "bandwidth_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} of device {self.name} is a share above 0 and up to 1")
        if not (self.peak_flops and self.memory_bandwidth_bytes_per_s and self.bytes_per_element):
            raise ValueError(f"device {self.name} needs a peak, a bandwidth and a number width above 0")
