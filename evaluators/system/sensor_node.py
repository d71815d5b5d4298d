"""The sensor node of a system: sums over the layers before every cut, for each accelerator, clock and DRAM.

Layers are summed one after the other in the order of the network, so one design point, a whole block of them and a
combination of mappings give the same floating-point numbers, on every machine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evaluators.network_front import LayerFronts, RunningFronts
from evaluators.sensor import MANY_COSTS, LayerCosts, LayerGrid
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.networks.liveness import peak_activation_elements
from search_spaces.types import Network

__all__ = ["UNMAPPED", "Sensor", "SensorNode", "SensorTable"]

UNMAPPED = "layer does not map"

TABLES_KEPT = 4096
"""Sums over the cuts are kept for this many architectures × clocks × DRAMs; some 10 MB for a large network."""


class Sensor(Protocol):
    """What the system needs of `evaluators.sensor.SensorModel`; the tests' fake has the same methods."""

    @property
    def version(self) -> str: ...

    def prepare(
        self,
        network: Network,
        architectures: Sequence[Architecture],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None: ...

    def layer_costs(
        self,
        network: Network,
        architecture: Architecture,
        clock_hz: float,
        dram: str,
        picks: Mapping[int, int] | None = None,
    ) -> LayerCosts: ...

    def layer_fronts(self, network: Network, architecture: Architecture, clock_hz: float, dram: str) -> LayerFronts: ...

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid: ...

    def area_mm2(self, architecture: Architecture, clock_hz: float) -> float: ...


@dataclass(frozen=True)
class SensorTable:
    """One architecture at one clock with one DRAM: sums over the layers before every cut of the network.

    With all mappings kept (`LayerFronts`) the sums are of each layer's least energy and of its least latency.
    """

    layers: LayerCosts | LayerFronts
    area_mm2: float
    energy_j: np.ndarray
    latency_s: np.ndarray
    blocked: tuple[str, ...]  # per cut: why its first unmapped layer does not map, "" if all map


class SensorNode:
    """The sensor node for one network; `keeps_all` where every mapping that can be best is kept, not one per layer."""

    def __init__(self, network: Network, model: Sensor, *, keeps_all: bool) -> None:
        self.model = model
        self.keeps_all = keeps_all
        self._network = network
        self._tables: dict[tuple[Architecture, float, str], SensorTable | IllegalDesign] = {}
        self._member = np.zeros((len(network.cuts), len(network.layers)))
        for i, cut in enumerate(network.cuts):
            self._member[i, sorted(cut.layers)] = 1.0
        self._parameters = np.array([network.parameters_before(cut) for cut in network.cuts], dtype=float)
        self._live = np.array([peak_activation_elements(network, cut) for cut in network.cuts], dtype=float)

    def table(self, architecture: Architecture, clock_hz: float, dram: str) -> SensorTable:
        """The sums of one accelerator. Raises IllegalDesign."""
        key = (architecture, clock_hz, dram)
        found = self._tables.get(key)
        if found is None:
            try:
                found = self._sum_up(architecture, clock_hz, dram)
            except IllegalDesign as error:
                found = error
            if len(self._tables) >= TABLES_KEPT:
                self._tables.clear()
            self._tables[key] = found
        if isinstance(found, IllegalDesign):
            raise found
        return found

    def chosen(
        self, architecture: Architecture, clock_hz: float, dram: str, cut: int, mapping_point: int | None
    ) -> SensorTable:
        """The sums of a design's layers, each with the one mapping that counts. Raises IllegalDesign, UserError."""
        if self.keeps_all and mapping_point is None:
            raise UserError(MANY_COSTS)
        if not self.keeps_all and mapping_point is not None:
            raise UserError('a mapping point is one of many mappings that mapping="pareto" keeps; leave it out')
        table = self.table(architecture, clock_hz, dram)
        if table.blocked[cut]:
            raise IllegalDesign(UNMAPPED, table.blocked[cut])
        if mapping_point is None:
            return table
        fronts = table.layers
        assert isinstance(fronts, LayerFronts)
        front = RunningFronts(fronts).front(self.layers_before(cut))
        if not 1 <= mapping_point <= len(front):
            raise UserError(f"this design has mapping points 1 to {len(front)}, not {mapping_point}")
        choice = front.choice(mapping_point - 1)
        picks = {layer: int(fronts.candidates[layer, at]) for layer, at in choice.items()}
        costs = self.model.layer_costs(self._network, architecture, clock_hz, dram, picks)
        return self._table_of(costs, costs.energy_j, costs.latency_s, table.area_mm2)

    def _sum_up(self, architecture: Architecture, clock_hz: float, dram: str) -> SensorTable:
        if self.keeps_all:
            fronts = self.model.layer_fronts(self._network, architecture, clock_hz, dram)
            area_mm2 = self.model.area_mm2(architecture, clock_hz)
            return self._table_of(fronts, fronts.least_energy_j, fronts.least_latency_s, area_mm2)
        costs = self.model.layer_costs(self._network, architecture, clock_hz, dram)
        area_mm2 = self.model.area_mm2(architecture, clock_hz)
        return self._table_of(costs, costs.energy_j, costs.latency_s, area_mm2)

    def _table_of(
        self, layers: LayerCosts | LayerFronts, energy_j: np.ndarray, latency_s: np.ndarray, area_mm2: float
    ) -> SensorTable:
        unmapped = layers.unmapped
        return SensorTable(
            layers,
            area_mm2,
            self.before_cuts(energy_j, unmapped),
            self.before_cuts(latency_s, unmapped),
            self.blocked(unmapped),
        )

    def before_cuts(self, of_layers: np.ndarray, unmapped: Collection[int]) -> np.ndarray:
        """Sums of (…, layers) over the layers before every cut; a layer that does not map counts as nothing."""
        maps = np.ones(len(self._network.layers), dtype=bool)
        maps[list(unmapped)] = False
        # One layer after the other: adding 0 for the layers behind the cut changes nothing.
        summands = self._member * np.where(maps, of_layers, 0.0)[..., None, :]
        sums: np.ndarray = np.cumsum(summands, axis=-1)[..., -1]
        return sums

    def blocked(self, unmapped: Mapping[int, str]) -> tuple[str, ...]:
        """Per cut why its first layer that does not map does not, "" where all map."""
        blocked = [""] * len(self._network.cuts)
        for layer in sorted(unmapped, reverse=True):
            for cut in np.flatnonzero(self._member[:, layer]):
                blocked[cut] = unmapped[layer]
        return tuple(blocked)

    def layers_before(self, cut: int) -> list[int]:
        return sorted(self._network.cuts[cut].layers)

    def memory_bytes(self, architecture: Architecture) -> np.ndarray:
        """Weights before each cut and the largest sum of live activations, in bytes of the accelerator's widths."""
        return np.ceil((self._parameters * architecture.weight_bits + self._live * architecture.word_bits) / 8)
