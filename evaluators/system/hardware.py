"""What a design point names: its accelerator, clock and DRAM."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.space import DesignPoint
from search_spaces.types import KnobValue

__all__ = ["architecture_items", "build", "clock_hz", "hardware"]


def hardware(point: DesignPoint) -> tuple[Architecture, float, str]:
    """The sensor node of a design point: its accelerator, clock in Hz and DRAM. Raises IllegalDesign."""
    sensor = point.nodes[0]
    return build(dict(architecture_items(point))), clock_hz(sensor["clock_mhz"]), str(sensor["dram"])


def architecture_items(point: DesignPoint) -> tuple[tuple[str, KnobValue], ...]:
    """The accelerator's name and parameters; a point may carry any parameter of the template as a knob of its own."""
    return tuple((name, value) for name, value in point.nodes[0].knobs if name not in ("clock_mhz", "dram"))


def build(values: Mapping[str, KnobValue]) -> Architecture:
    """The accelerator that the architecture's knobs name. Raises IllegalDesign."""
    parameters = {name: value for name, value in values.items() if name != "accelerator"}
    return accelerators.build(str(values["accelerator"]), parameters)


def clock_hz(clock_mhz: KnobValue) -> float:
    return float(clock_mhz) * 1e6
