"""What tests pass instead of the real thing: a small network and an accelerator model with made-up, exact costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluators.network_front import LayerFronts, layer_fronts
from evaluators.sensor import LayerCosts, LayerGrid
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign
from search_spaces.types import INPUT, ConvShape, Cut, Layer, Network, Tensor

__all__ = ["FakeSensor", "toy_network"]


def toy_network() -> Network:
    """conv1 → relu → pool → (left, right → add) → fc, on a 3×16×16 input; the cut inside the branch is left out."""
    layers = (
        Layer("conv1", "conv2d", "mac", (INPUT,), 768, 2048, 224, ConvShape(1, 3, 8, 16, 16, 3, 3)),
        Layer("relu", "relu", "free", (0,), 2048, 2048),
        Layer("pool", "max_pool2d", "move", (1,), 2048, 512),
        Layer("left", "conv2d", "mac", (2,), 512, 1024, 144, ConvShape(1, 8, 16, 8, 8, 1, 1)),
        Layer("right", "conv2d", "mac", (2,), 512, 1024, 1168, ConvShape(1, 8, 16, 8, 8, 3, 3)),
        Layer("add", "add", "move", (3, 4), 2048, 1024),
        Layer("fc", "linear", "mac", (5,), 1024, 10, 10250, ConvShape(1, 1024, 10, 1, 1, 1, 1)),
    )
    image = Tensor("image", (1, 3, 16, 16))
    cuts = (
        Cut("Identity", frozenset(), (image,)),
        Cut("conv1", frozenset({0, 1}), (Tensor("conv1", (1, 8, 16, 16)),), aliases=("relu",)),
        Cut("pool", frozenset({0, 1, 2}), (Tensor("pool", (1, 8, 8, 8)),)),
        Cut(
            "left+pool",
            frozenset({0, 1, 2, 3}),
            (Tensor("left", (1, 16, 8, 8)), Tensor("pool", (1, 8, 8, 8))),
        ),
        Cut("add", frozenset(range(6)), (Tensor("add", (1, 16, 8, 8)),)),
        Cut("fc", frozenset(range(7)), (Tensor("fc", (1, 10)),)),
    )
    return Network("toy", image, layers, cuts, "block")


class FakeSensor:
    """Costs from MACs and words by a plain formula: 1 pJ per MAC and 10 pJ per word at 100 MHz, more at faster clocks.

    One MAC per PE and cycle. `unmapped` names layers that do not map; clocks above `limit_hz` are illegal. Every layer
    has `MAPPINGS`, of which `layer_costs` takes the one that `picks` says (the first if it says nothing).
    """

    MAPPINGS = ((1.0, 1.0), (2.0, 0.9), (1.5, 0.8))
    """Cycles and energy of a layer's mappings, relative to the formula; the second is beaten by the third."""

    version = "fake-1"

    def __init__(
        self,
        unmapped: Sequence[str] = (),
        limit_hz: float = 1e9,
        picks: Mapping[int, int] | None = None,
        pareto: bool = False,
    ) -> None:
        self.pareto = pareto
        self.unmapped = tuple(unmapped)
        self.picks = dict(picks or {})
        self.limit_hz = limit_hz
        self.prepared: list[Architecture] = []
        self.calls = 0

    def prepare(
        self,
        network: Network,
        architectures: Sequence[Architecture],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.prepared += architectures
        if progress:
            progress(len(architectures), len(architectures))

    def layer_costs(
        self,
        network: Network,
        architecture: Architecture,
        clock_hz: float,
        dram: str,
        picks: Mapping[int, int] | None = None,
    ) -> LayerCosts:
        self.calls += 1
        energy_j, cycles, unmapped = self._layers(network, architecture, clock_hz)
        for i, pick in (self.picks if picks is None else picks).items():
            slower, cheaper = self.MAPPINGS[pick]
            cycles[i], energy_j[i] = cycles[i] * slower, energy_j[i] * cheaper
        return LayerCosts(
            energy_j=energy_j,
            latency_s=cycles / clock_hz,
            cycles=cycles,
            compute_cycles=cycles,
            dynamic_j=energy_j,
            dram_j=np.zeros_like(energy_j),
            leakage_j=np.zeros_like(energy_j),
            supply_v=1.0,
            provenance="made up",
            unmapped=unmapped,
        )

    def layer_fronts(self, network: Network, architecture: Architecture, clock_hz: float, dram: str) -> LayerFronts:
        energy_j, cycles, unmapped = self._layers(network, architecture, clock_hz)
        latency_s = np.stack([cycles * slower / clock_hz for slower, _ in self.MAPPINGS], axis=1)
        energies_j = np.stack([energy_j * cheaper for _, cheaper in self.MAPPINGS], axis=1)
        free = [i for i, layer in enumerate(network.layers) if layer.cost == "free"]
        latency_s[free] = energies_j[free] = np.nan
        return layer_fronts(latency_s, energies_j, "made up", unmapped)

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid:
        """One place after the other; with all mappings kept where `pareto` is asked for."""
        rows = np.full((3, len(places), len(network.layers)), np.nan)
        area_mm2, illegal = np.full(len(places), np.nan), []
        unmapped: dict[int, str] = {}
        for k, (clock_hz, dram) in enumerate(places):
            try:
                found = self.layer_fronts(network, architecture, clock_hz, dram)
                if self.pareto:
                    rows[:, k] = found.least_energy_j, found.least_latency_s, found.sizes
                else:
                    costs = self.layer_costs(network, architecture, clock_hz, dram)
                    rows[:2, k] = costs.energy_j, costs.latency_s
            except IllegalDesign as error:
                illegal.append(error)
            else:
                illegal.append(None)
                unmapped, area_mm2[k] = found.unmapped, self.area_mm2(architecture, clock_hz)
        sizes = np.nan_to_num(rows[2]).astype(np.int64)
        return LayerGrid(rows[0], rows[1], area_mm2, sizes, tuple(illegal), unmapped)

    def _layers(
        self, network: Network, architecture: Architecture, clock_hz: float
    ) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
        """Energy and cycles of every layer by the formula, and which do not map."""
        if clock_hz > self.limit_hz:
            raise IllegalDesign("clock above memory limit", f"{clock_hz:g} Hz is above {self.limit_hz:g} Hz")
        pes = _pes(architecture)
        unmapped = {
            i: f"{layer.name} fits nowhere" for i, layer in enumerate(network.layers) if layer.name in self.unmapped
        }
        energy_j, cycles = np.zeros(len(network.layers)), np.zeros(len(network.layers))
        for i, layer in enumerate(network.layers):
            if layer.cost != "free":
                words = layer.input_elements + layer.output_elements
                cycles[i] = layer.macs / pes if layer.macs else words / 4
                energy_j[i] = (layer.macs + 10 * words) * 1e-12 * (clock_hz / 1e8) ** 0.5
            if i in unmapped:
                energy_j[i] = cycles[i] = np.nan
        return energy_j, cycles, unmapped

    def area_mm2(self, architecture: Architecture, clock_hz: float) -> float:
        return 0.01 * _pes(architecture)


def _pes(architecture: Architecture) -> int:
    parameters = dict(architecture.parameters)
    return int(parameters["pe_cols"]) * int(parameters["pe_rows"])
