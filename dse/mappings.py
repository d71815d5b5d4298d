"""A network's front over mappings at one clock: which layers to map how, and what one metric for all layers misses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluators.mapper.energy import EnergyTable
from evaluators.mapper.mapping import Factors
from evaluators.memo import Memo
from evaluators.network_front import LayerFronts, NetworkFront, RunningFronts
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign
from search_spaces.space import cut_named
from search_spaces.types import Network

__all__ = ["NOMINAL_MHZ", "Choice", "NetworkMappings", "network_mappings"]

NOMINAL_MHZ = 200.0
"""The clock of the energy tables (cycles of 5 ns): what is assumed where no clock is asked for."""


@dataclass(frozen=True)
class Choice:
    """Every layer mapped for one metric: its sums, and the points of the front beside it.

    `point` is the number of the front's point with these sums, None where the front beats them. `saves_energy_j` is
    what the front's least energy at no more latency is below it, `saves_latency_s` the other way round.
    """

    metric: str
    latency_s: float
    energy_j: float
    point: int | None
    saves_energy_j: float
    saves_latency_s: float


@dataclass(frozen=True)
class NetworkMappings:
    """The front over mappings of the layers before a cut, for one frame, and how each point is made.

    Without a clock: the tables' figures at 5 ns and nominal supply, no leakage; with one, as in `evaluate`.
    """

    network: Network
    architecture: Architecture
    cut: str
    clock_mhz: float
    dvfs: str
    dram: str
    layers: LayerFronts
    front: NetworkFront
    choices: tuple[Choice, ...]
    texts: tuple[tuple[str, ...], ...]

    def name(self, layer: int) -> str:
        return self.network.layers[layer].name

    def changed(self, point: int) -> dict[str, int]:
        """The layers whose mapping at a point (from 0) is not their best in edp: its number among the layer's own."""
        choice = self.front.choice(point)
        return {self.name(i): at + 1 for i, at in choice.items() if at != self.layers.edp[i]}

    @property
    def several(self) -> list[int]:
        """The layers that have more than one mapping to choose from."""
        before = next(cut.layers for cut in self.network.cuts if cut.name == self.cut)
        return [i for i in sorted(before) if self.layers.sizes[i] > 1]

    def as_json(self) -> dict[str, Any]:
        """SI units; `mappings` of a point names each layer with a choice and the number of its mapping, from 1."""
        several = self.several
        points = []
        for i in range(len(self.front)):
            choice = self.front.choice(i)
            points.append(
                {
                    "point": i + 1,
                    "latency_s": float(self.front.latency_s[i]),
                    "energy_j": float(self.front.energy_j[i]),
                    "layers_changed": int(self.front.changed[i]),
                    "mappings": {self.name(layer): choice[layer] + 1 for layer in several},
                }
            )
        return {
            "network": self.network.name,
            "accelerator": self.architecture.name,
            "parameters": dict(self.architecture.parameters),
            "cut": self.cut,
            "clock_mhz": self.clock_mhz,
            "dvfs": self.dvfs,
            "dram": self.dram,
            "provenance": self.layers.provenance,
            "combinations": self.front.combinations,
            "front": points,
            "choices": {
                c.metric: {
                    "latency_s": c.latency_s,
                    "energy_j": c.energy_j,
                    "point": c.point,
                    "saves_energy_j": c.saves_energy_j,
                    "saves_latency_s": c.saves_latency_s,
                }
                for c in self.choices
            },
            "layers": {self.name(i): self._mappings(i) for i in several},
        }

    def _mappings(self, layer: int) -> list[Mapping[str, Any]]:
        return [
            {
                "mapping": k + 1,
                "latency_s": float(self.layers.latency_s[layer, k]),
                "energy_j": float(self.layers.energy_j[layer, k]),
                "edp": bool(k == self.layers.edp[layer]),
                "loops": self.texts[layer][self.layers.candidates[layer, k]],
            }
            for k in range(self.layers.sizes[layer])
        ]


def network_mappings(
    network: Network,
    architecture: Architecture,
    memo: Memo,
    *,
    cut: str | None = None,
    clock_mhz: float | None = None,
    dram: str = "lpddr4",
    table: EnergyTable = "default",
    factors: Factors = "perfect",
) -> NetworkMappings:
    """The front over mappings of the layers before `cut` (none: all). Raises IllegalDesign where one does not map."""
    name = network.cuts[-1].name if cut is None else cut_named(network, cut)
    before = next(c.layers for c in network.cuts if c.name == name)
    dvfs = "off" if clock_mhz is None else "on"
    clock_mhz = NOMINAL_MHZ if clock_mhz is None else clock_mhz
    sensor = SensorModel(SensorSettings(mapping="pareto", dvfs=dvfs, factors=factors, energy_table=table), memo)  # type: ignore[arg-type]  # one of its values
    layers = sensor.layer_fronts(network, architecture, clock_mhz * 1e6, dram)
    blocking = sorted(layers.unmapped.keys() & before)
    if blocking:
        raise IllegalDesign("layer does not map", layers.unmapped[blocking[0]])
    front = RunningFronts(layers).front(before)
    chosen = {"edp": layers.edp, "energy": np.maximum(layers.sizes - 1, 0), "delay": np.zeros_like(layers.sizes)}
    texts = tuple(
        tuple(candidate.mapping_text for candidate in candidates)
        for candidates in sensor.candidates(network, architecture)
    )
    return NetworkMappings(
        network, architecture, name, clock_mhz, dvfs, dram, layers, front,
        tuple(_choice(metric, layers, front, before, picks) for metric, picks in chosen.items()), texts,
    )  # fmt: skip


def _choice(metric: str, layers: LayerFronts, front: NetworkFront, before: frozenset[int], picks: np.ndarray) -> Choice:
    latency_s = energy_j = 0.0
    for layer in sorted(before):
        if layers.sizes[layer]:
            latency_s += float(layers.latency_s[layer, picks[layer]])
            energy_j += float(layers.energy_j[layer, picks[layer]])
    no_slower = int(np.searchsorted(front.latency_s, latency_s, side="right")) - 1
    no_dearer = len(front) - int(np.searchsorted(front.energy_j[::-1], energy_j, side="right"))
    same = front.latency_s[no_slower] == latency_s and front.energy_j[no_slower] == energy_j
    return Choice(
        metric,
        latency_s,
        energy_j,
        no_slower + 1 if same else None,
        energy_j - float(front.energy_j[no_slower]),
        latency_s - float(front.latency_s[no_dearer]),
    )
