"""An accelerator as the mapper sees it: storage levels, a mesh below each, and what a mapping may choose.

Sizes are in words of the tensor kept, meshes in child instances, bandwidths in words per cycle and instance. No
joules here: a level names its `Component`, and `evaluators.components` knows what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal

from search_spaces.errors import IllegalDesign
from search_spaces.types import KnobValue

__all__ = ["DIMS", "DRAMS", "Architecture", "Axis", "Component", "ComponentKind", "Level", "Spatial"]

DIMS = "NMCPQRS"
"""The seven loop dimensions in the order every array of the mapper uses."""

DRAMS = ("lpddr4", "lpddr", "ddr3", "gddr5", "hbm2")
"""DRAM types a sensor node can have; their energy per bit is in `evaluators.components`."""

Axis = Literal["X", "Y"]
ComponentKind = Literal["regfile", "sram", "dram", "intmac", "figure", "none"]


@dataclass(frozen=True)
class Component:
    """A circuit by its datasheet parameters: width and depth of one access row, banks, and whether it is "smart".

    A smart buffer carries its address generators; `copies` are equal arrays side by side, one of which is accessed.
    Kind "figure" is a component whose energy is simply stated (`access_pj`, `write_pj` where writing differs,
    `area_um2`), for comparison with a tool that charges it so.
    """

    kind: ComponentKind
    width_bits: int = 0
    depth: int = 0
    banks: int = 1
    smart: bool = False
    access_pj: float = 0.0
    write_pj: float | None = None
    copies: int = 1
    area_um2: float = 0.0

    @property
    def kib(self) -> float:
        return self.width_bits * self.depth / 8192

    def __str__(self) -> str:
        """What it is in a few words.

        >>> str(Component("sram", width_bits=64, depth=16384, banks=32))
        'sram 16384 × 64 bits, 32 banks'
        """
        if self.kind == "intmac":
            return f"{self.width_bits}-bit MAC"
        if self.kind not in ("regfile", "sram"):
            return self.kind
        one = f"{self.kind} {self.depth} × {self.width_bits} bits" + (f", {self.banks} banks" if self.banks > 1 else "")
        return one if self.copies == 1 else f"{self.copies} × {one}"


@dataclass(frozen=True)
class Spatial:
    """One dimension that may be unrolled on an axis of the mesh below a level.

    With `fixed`, a bound of at least that many is always unrolled by exactly that factor (padded to a multiple of
    it); a smaller bound may use any of its divisors.
    """

    dim: str
    axis: Axis
    fixed: int | None = None


@dataclass(frozen=True)
class Level:
    """One storage level of every instance: what it keeps, how much of it, and which loops a mapping may put there.

    `orders` are the loop orders of its temporal loops that are searched, innermost first, over the dimensions it may
    tile; `orders_covered` is how many legal orders those stand for, where no other moves less than one of them.
    `keeps_choices` lists what a mapping may choose to keep there instead of `keeps`. `words` None means unlimited.
    `tool` is the component that Timeloop's template costs in place of the real one, `tool_cluster` the number of
    instances that it charges as one.
    """

    name: str
    keeps: str
    component: Component
    words: int | None = None
    block: int = 1
    orders: tuple[str, ...] = ("",)
    spatial: tuple[Spatial, ...] = ()
    mesh_x: int = 1
    mesh_y: int = 1
    read_words_per_cycle: float | None = None
    write_words_per_cycle: float | None = None
    shared_words_per_cycle: float | None = None
    tool: Component | None = None
    tool_cluster: int = 1
    orders_covered: int | None = None
    keeps_choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.words is not None and self.words < 1:
            raise IllegalDesign("buffer too small", f"{self.name} needs room for at least one word, not {self.words}")
        if self.mesh_x < 1 or self.mesh_y < 1:
            raise IllegalDesign("empty PE array", f"the mesh below {self.name} is {self.mesh_x} × {self.mesh_y}")
        if len({frozenset(order) for order in self.orders}) != 1:
            raise ValueError(f"the loop orders of {self.name} must hold the same dimensions")


@dataclass(frozen=True)
class Architecture:
    """An accelerator with every parameter chosen: levels from the innermost to DRAM, and its MAC unit."""

    name: str
    parameters: tuple[tuple[str, KnobValue], ...]
    levels: tuple[Level, ...]
    mac: Component
    word_bits: int
    weight_bits: int
    technology_nm: int = 45
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.levels[-1].keeps != "WIO" or self.levels[-1].words is not None:
            raise ValueError(f"{self.name}: the last level must be DRAM, keeping everything")

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))  # levels follow from these; comparing still looks at all of it

    @property
    def on_chip(self) -> tuple[Level, ...]:
        return self.levels[:-1]

    @property
    def outermost_buffer(self) -> int:
        """The level of the last memory before DRAM, through which everything passes that is not computed."""
        return max(k for k, level in enumerate(self.on_chip) if level.words is not None)

    def instances(self, level: int) -> int:
        """Instances of a level on the chip: the product of all meshes above it; level -1 counts the MAC units."""
        return prod(above.mesh_x * above.mesh_y for above in self.levels[level + 1 :])
