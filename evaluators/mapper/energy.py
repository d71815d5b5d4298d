"""An architecture with the energies of its parts filled in: what the mapper minimises over, clock left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal

from evaluators.components import Figures, figures
from search_spaces.accelerators import Architecture, Component
from search_spaces.errors import IllegalDesign, unknown

__all__ = ["ENERGY_TABLES", "EnergyTable", "Priced", "price"]

EnergyTable = Literal["default", "timeloop-be27768"]
ENERGY_TABLES: tuple[EnergyTable, ...] = ("default", "timeloop-be27768")


@dataclass(frozen=True)
class Priced:
    """Figures of every level and of the MAC unit; `clusters` are the instances that are charged as one.

    The last level (DRAM) has no energy here: its type is chosen after the mapping; `dram` is the component charged.
    """

    architecture: Architecture
    levels: tuple[Figures, ...]
    clusters: tuple[int, ...]
    mac: Figures
    dram: Component

    @property
    def read_pj(self) -> list[float]:
        return [f.read_pj for f in self.levels]

    @property
    def write_pj(self) -> list[float]:
        return [f.write_pj for f in self.levels]

    @cached_property
    def parts(self) -> list[tuple[str, int, Figures]]:
        """Name, instances and figures of everything on the chip."""
        chip = self.architecture
        levels = [(level.name, chip.instances(k), self.levels[k]) for k, level in enumerate(chip.on_chip)]
        return [("MAC", chip.instances(-1), self.mac), *levels]

    @cached_property
    def area_mm2(self) -> float:
        """Sum of component area × instances, DRAM not included."""
        return sum(n * f.area_um2 for _, n, f in self.parts) * 1e-6

    @cached_property
    def leakage_w(self) -> float:
        return sum(n * f.leakage_w for _, n, f in self.parts)

    @cached_property
    def cycle_s(self) -> float | None:
        """The slowest memory's cycle time at the nominal supply; None where no memory of the chip has one."""
        return max((f.cycle_s for f in self.levels if f.cycle_s is not None), default=None)

    @property
    def provenance(self) -> str:
        """Where the figures come from: "table", or which parts are interpolated."""
        names = [name for name, _, f in self.parts if f.provenance == "interpolated"]
        return f"interpolated: {', '.join(names)}" if names else "table"


@lru_cache(maxsize=1024)
def price(architecture: Architecture, table: EnergyTable = "default") -> Priced:
    """Look up every component; table "timeloop-be27768" charges what that tool charges its template.

    Raises IllegalDesign for a component outside the tables.
    """
    if table not in ENERGY_TABLES:
        raise unknown("energy table", table, ENERGY_TABLES)
    as_the_tool = table == "timeloop-be27768"

    node = architecture.technology_nm

    def charged(name: str, real: Component, tool: Component | None) -> Figures:
        try:
            return charge(real, tool)
        except IllegalDesign as illegal:
            raise IllegalDesign(illegal.reason, f"{name} of {architecture.name}: {illegal}") from None

    def charge(real: Component, tool: Component | None) -> Figures:
        if not as_the_tool:
            return figures(real, node)
        found = figures(tool or real, node)
        if tool is not None and tool.kind == "figure":
            return found
        # the tool reads its tables with six decimals
        return replace(found, read_pj=round(found.read_pj, 6), write_pj=round(found.write_pj, 6))

    return Priced(
        architecture,
        tuple(charged(level.name, level.component, level.tool) for level in architecture.levels),
        tuple(level.tool_cluster if as_the_tool else 1 for level in architecture.levels),
        charged("MAC", architecture.mac, None),
        (architecture.levels[-1].tool if as_the_tool else None) or architecture.levels[-1].component,
    )
