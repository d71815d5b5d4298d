"""What an edge node costs for every cut of a network: the value that all edge models give back."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

__all__ = ["EdgeProfile", "EdgeProvenance"]

EdgeProvenance = Literal["measured", "simulated"]


@dataclass(frozen=True)
class EdgeProfile:
    """Seconds the edge node needs for all layers *not* in a cut, one entry per `Network.cuts`, in their order.

    `power_w` is the constant power of the device while it computes (0 where it is not known); `notes` say which
    device, library version, threads and number of runs are behind the figures.
    """

    device: str
    latency_s: tuple[float, ...]
    power_w: float
    provenance: EdgeProvenance
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for value in (*self.latency_s, self.power_w):
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"edge profile of {self.device}: {value!r} is no latency or power; want 0 or more")
