"""Layers mapped by `timeloop-mapper` for the sensor model: one mapping each, priced like those of our own mapper.

The search charges DRAM as LPDDR4, MACs and on-chip storage by the tables at 5 ns; clock, supply and another DRAM are
applied to the mapping found, as they are to ours. Operators without multiply-accumulates never reach the tool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evaluators.mapper.energy import EnergyTable
from evaluators.mapper.layer import Candidate, LayerMappings
from evaluators.timeloop.evaluate import MAPPER, VERSION, Searched, Timeloop
from evaluators.timeloop.render import SearchMetric, SearchSettings
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign
from search_spaces.types import ConvShape

__all__ = ["TimeloopLayers"]


class TimeloopLayers:
    """Maps layers with the tool on the PATH. Raises UserError where there is none."""

    def __init__(self, tool: Timeloop, metric: SearchMetric, table: EnergyTable = "default") -> None:
        self._tool = tool
        self._settings = SearchSettings(metric)
        self._table = table
        self._mapper = self._tool.tool(MAPPER)

    @property
    def version(self) -> str:
        """What answers depend on: this wrapper, how it searches, and the very executable."""
        front_end = self._tool.front_end()
        reads = "v0.3" if front_end is None else f"v0.4 by {front_end.package} sha256 {front_end.digest}"
        return f"timeloop wrapper {VERSION}, {self._settings}, sha256 {self._mapper.digest}, input {reads}"

    @property
    def simulator(self) -> str:
        return self._tool.says(MAPPER)

    def map_layers(
        self, pairs: Sequence[tuple[ConvShape, Architecture]]
    ) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]:
        """One mapping for one group of each layer, IllegalDesign where the tool finds none."""
        wanted = list(dict.fromkeys((shape.one_group, architecture) for shape, architecture in pairs))
        found = self._tool.search(wanted, self._settings, table=self._table)
        return {
            pair: searched if isinstance(searched, IllegalDesign) else _mappings(pair[0], searched)
            for pair, searched in zip(wanted, found, strict=True)
        }

    def prepare_layers(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Search what the memo does not know, `workers` layers at once."""
        wanted = list(dict.fromkeys((shape.one_group, architecture) for shape, architecture in pairs))
        self._tool.search(wanted, self._settings, table=self._table, workers=workers, progress=progress)


def _mappings(shape: ConvShape, searched: Searched) -> LayerMappings:
    """The tool's one mapping as our mapper would give it; how many of the mapspace fit is not known."""
    output = searched.output
    *on_chip, dram = output.levels
    candidate = Candidate(
        output.cycles,
        output.compute_cycles,
        sum(level.energy_pj for level in on_chip),
        dram.accesses,
        searched.mapping.to_text(),
    )
    return LayerMappings(searched.mapspace_size or 0, 0, output.macs, shape.macs, (candidate,), output.warnings)
