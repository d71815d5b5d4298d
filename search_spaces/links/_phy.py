"""What a datasheet says of an Ethernet PHY."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite

__all__ = ["EthernetPhy"]


@dataclass(frozen=True)
class EthernetPhy:
    """One end of a twisted-pair Ethernet link with Energy-Efficient Ethernet (IEEE 802.3az).

    `active_power_w` is the power of one PHY while it sends, wakes or goes to sleep; in low-power idle it
    draws `lpi_power_fraction` of that. `wake_s` passes between the decision to send and the first bit of a
    sleeping link (T_w), `sleep_s` between the last bit and low-power idle (T_s). Signals travel at
    `propagation_s_per_m`.
    """

    name: str
    rate_bps: float
    active_power_w: float
    wake_s: float
    sleep_s: float
    lpi_power_fraction: float = 0.1
    propagation_s_per_m: float = 6e-9

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "name" and not (isfinite(value) and value >= 0):
                raise ValueError(f"{f.name} of PHY {self.name} is a number of at least 0, not {value!r}")
        if self.rate_bps == 0:
            raise ValueError(f"PHY {self.name} needs a rate above 0 bit/s")
        if self.lpi_power_fraction > 1:
            raise ValueError(f"PHY {self.name} cannot draw more in low-power idle than active")

    @property
    def lpi_power_w(self) -> float:
        """Power in low-power idle, in watts."""
        return self.active_power_w * self.lpi_power_fraction
