"""Supply voltage from the clock: the alpha-power law, between the memories' limit and the edge of strong inversion.

Delay is proportional to V / (V − Vth)^α (Sakurai and Newton, "Alpha-power law MOSFET model and its applications to
CMOS inverter delay", IEEE JSSC 25(2), 1990). At the nominal supply the chip runs as fast as its slowest memory cycles;
a slower clock allows a lower supply, and dynamic energy falls with its square.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from search_spaces.errors import IllegalDesign

__all__ = ["NODES", "Node", "supply_v"]


@dataclass(frozen=True)
class Node:
    """Transistor parameters of a technology: nominal supply and threshold in V, velocity-saturation index α.

    `floor_v` is the lowest supply used: 0.2 V above threshold, where strong inversion and with it the law ends.
    """

    nominal_v: float
    threshold_v: float
    alpha: float

    @property
    def floor_v(self) -> float:
        return self.threshold_v + 0.2

    def speed(self, supply_v: float) -> float:
        """Clock at a supply voltage, relative to the clock at the nominal one."""

        def drive(v: float) -> float:
            return float((v - self.threshold_v) ** self.alpha / v)

        return drive(supply_v) / drive(self.nominal_v)


NODES = {
    45: Node(nominal_v=1.1, threshold_v=0.50245, alpha=1.3),
    40: Node(nominal_v=1.06154, threshold_v=0.50651, alpha=1.3),
}
"""Low-standby-power devices, the ones the SRAM table was made with: Vdd and Vth of CACTI 7 (`tech_params/45nm.dat`,
ITRS LSTP); 40 nm lies linearly between 45 nm and 32 nm (1.0 V, 0.513 V), as CACTI itself takes nodes in between.
α = 1.3 as Sakurai and Newton find for short channels."""


@lru_cache(maxsize=4096)
def supply_v(clock_hz: float, limit_hz: float | None, technology_nm: int) -> float:
    """The lowest supply voltage that reaches a clock on a chip that runs at `limit_hz` at the nominal supply.

    A chip without a limit (no memory in the table) stays at the nominal supply. Raises IllegalDesign above the limit.
    """
    node = NODES.get(technology_nm)
    if node is None:
        raise IllegalDesign(
            "technology not in tables", f"no transistor parameters for {technology_nm} nm; known: {sorted(NODES)}"
        )
    if limit_hz is None:
        return node.nominal_v
    if clock_hz > limit_hz * (1 + 1e-9):
        raise IllegalDesign(
            "clock above memory limit",
            f"a clock of {clock_hz / 1e6:g} MHz is above the {limit_hz / 1e6:.4g} MHz that the slowest memory allows; "
            "lower clock_mhz or take smaller or more banked buffers",
        )
    target = clock_hz / limit_hz
    low, high = node.floor_v, node.nominal_v
    if node.speed(low) >= target:
        return low
    for _ in range(60):  # bisection to the last bit of a double: the law rises strictly between floor and nominal
        middle = (low + high) / 2
        if node.speed(middle) < target:
            low = middle
        else:
            high = middle
    return high
