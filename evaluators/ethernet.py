"""What one frame's tensors cost on an Ethernet link: latency of the transfer, energy of the sensor-side PHY.

Three framings (bytes on the wire for N bytes of payload):

- ``802.3``: what really goes over the wire. Every 1500 bytes of payload go into a frame with 8 bytes of
  preamble and start delimiter, 14 of header, 4 of check sequence and 12 of inter-frame gap (38 in all); a
  payload under 46 bytes is padded to 46.
- ``paper``: equation (1) of Kreß et al. 2022, one frame of any length: 20 + 18 + max(N, 46).
- ``cnnparted``: CNNParted's first release: max(N, 46) + 26·⌈N/1500⌉.

By hand, 301,056 bytes (a 3×224×224 input of 16 bits) at 1 Gb/s over 5 m = 30 ns of cable:
  paper      301,094 bytes       = 2.408752 ms + 30 ns = 2.408782 ms
  cnnparted  + 26·201            = 306,282 bytes       = 2.450286 ms
  802.3      + 38·201            = 308,694 bytes       = 2.469582 ms

Three accountings of the PHY's energy over one frame period of the camera (1 / frame rate):

- ``frame``: Energy-Efficient Ethernet. The PHY wakes, sends and goes to sleep at active power and stays in
  low-power idle for the rest of the period. The frame finds the link asleep, so its latency includes the wake
  time. Where wake + send + sleep do not fit into the period the link never sleeps: full power throughout,
  nobody waits.
- ``active``: power × latency, as the paper: nothing is paid between two frames, nobody waits for a wake.
- ``always_on``: a PHY without Energy-Efficient Ethernet, full power for the whole period.

By hand, the same input in framing 802.3 at 1 Gb/s, 25 frames per second (600 mW, wake 16.5 µs, sleep 182 µs):
  frame      busy = 16.5 + 2469.552 + 182 µs = 2668.052 µs; the rest of 40 ms is 37,331.948 µs at 60 mW
             energy = 1.6008312 + 2.23991688 mJ = 3.84074808 mJ; latency = 2.469582 ms + 16.5 µs = 2.486082 ms
  active     600 mW × 2.469582 ms = 1.4817492 mJ
  always_on  600 mW × 40 ms = 24 mJ

A link that cannot carry the frame rate (`utilisation` above 1) is no error here: latency and energy of one
transfer are still what they are, and a study excludes such designs with a constraint on `link_utilisation`.
Its energy is that of the transfer, which then takes longer than the period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from search_spaces.errors import unknown
from search_spaces.links import EthernetPhy

__all__ = ["VERSION", "Framing", "LinkCost", "PhyEnergy", "transfer", "wire_bytes"]

VERSION = "1"
"""Raised by hand when an answer of this module changes."""

Framing = Literal["802.3", "paper", "cnnparted"]
PhyEnergy = Literal["frame", "active", "always_on"]

MAX_PAYLOAD_BYTES = 1500
MIN_PAYLOAD_BYTES = 46


@dataclass(frozen=True)
class LinkCost:
    """One transfer: seconds until the last bit arrives, joules of the sensor-side PHY for one frame period,
    bytes on the wire, and the share of the frame period in which the link is sending."""

    latency_s: float
    energy_j: float
    wire_bytes: int
    utilisation: float


def wire_bytes(payload_bytes: int, framing: Framing = "802.3") -> int:
    """Bytes that occupy the wire for a payload of at least one byte, in the given framing.

    >>> wire_bytes(301_056), wire_bytes(301_056, "paper"), wire_bytes(301_056, "cnnparted")
    (308694, 301094, 306282)
    """
    if payload_bytes < 1:
        raise ValueError(f"a transfer has a payload of at least one byte, not {payload_bytes}")
    full, rest = divmod(payload_bytes, MAX_PAYLOAD_BYTES)
    frames = full + (rest > 0)
    if framing == "802.3":
        padding = MIN_PAYLOAD_BYTES - rest if 0 < rest < MIN_PAYLOAD_BYTES else 0
        return payload_bytes + padding + 38 * frames
    if framing == "paper":
        return 20 + 18 + max(payload_bytes, MIN_PAYLOAD_BYTES)
    if framing == "cnnparted":
        return max(payload_bytes, MIN_PAYLOAD_BYTES) + 26 * frames
    raise unknown("framing", framing, get_args(Framing))


def transfer(
    phy: EthernetPhy,
    payload_bytes: int,
    *,
    framing: Framing = "802.3",
    cable_m: float = 5.0,
    phy_energy: PhyEnergy = "frame",
    frame_rate_fps: float = 25.0,
) -> LinkCost:
    """Cost of sending `payload_bytes` in one burst, once per camera frame. Formulas: see the module."""
    on_wire = wire_bytes(payload_bytes, framing)
    period_s = 1.0 / frame_rate_fps
    send_s = on_wire * 8 / phy.rate_bps
    latency_s = send_s + cable_m * phy.propagation_s_per_m
    if phy_energy == "frame":
        busy_s = phy.wake_s + send_s + phy.sleep_s
        if busy_s < period_s:
            latency_s += phy.wake_s
            energy_j = phy.active_power_w * busy_s + phy.lpi_power_w * (period_s - busy_s)
        else:
            energy_j = phy.active_power_w * max(period_s, send_s)
    elif phy_energy == "active":
        energy_j = phy.active_power_w * latency_s
    elif phy_energy == "always_on":
        energy_j = phy.active_power_w * max(period_s, send_s)
    else:
        raise unknown("PHY energy accounting", phy_energy, get_args(PhyEnergy))
    return LinkCost(latency_s, energy_j, on_wire, send_s / period_s)
