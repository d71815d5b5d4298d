"""What an edge node costs for every cut of a network: the value that all edge models give back."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

__all__ = ["EdgeProfile", "PowerProvenance"]

PowerProvenance = Literal["measured", "given", "table", "unknown"]


@dataclass(frozen=True)
class EdgeProfile:
    """Seconds the edge node needs for all layers *not* in a cut, one entry per `Network.cuts`, in their order.

    `power_w` is the constant power of the device while it computes (0 where it is not known), `energy_j` the energy
    for those layers where the model knows it itself (else it is power × latency). `provenance` is "measured" or
    "simulated", and by which tool where it is not by our own models. `notes` say which device, library
    version, threads and number of runs are behind the figures.
    """

    device: str
    latency_s: tuple[float, ...]
    power_w: float
    provenance: str
    notes: tuple[str, ...] = ()
    power_provenance: PowerProvenance = "unknown"
    energy_j: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for value in (*self.latency_s, self.power_w, *(self.energy_j or ())):
            if not (isfinite(value) and value >= 0):
                raise ValueError(f"edge profile of {self.device}: {value!r} is no latency, power or energy")
