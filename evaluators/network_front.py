"""A network's front over mappings: the non-dominated (latency, energy) sums of its layers' non-dominated mappings.

Every layer chooses its mapping for itself, so the front of a set of layers is the pruned Minkowski sum of the layers'
fronts: layer after layer, each sum so far plus each mapping of the next layer, without what another beats. What is
beaten so far stays beaten, whatever is added (also in floating point: rounded addition is monotone), so the front is
exact. Sums are taken in the order of the network's layers; the front before every cut is one of the running fronts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import numpy as np

__all__ = ["LayerFronts", "NetworkFront", "RunningFronts", "layer_fronts"]


@dataclass(frozen=True)
class LayerFronts:
    """Every layer's mappings that no other beats in latency and energy, fastest first; one row per layer.

    `latency_s` and `energy_j` (layers, most mappings) end in NaN where a layer has fewer; `sizes` are 0 for layers
    that cost nothing and for those that do not map, which `unmapped` names. `candidates` are places among the
    layer's candidates, `edp` the place on the layer's front of its least energy × latency. At several places at once
    the arrays have one more axis, the first.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    sizes: np.ndarray
    candidates: np.ndarray
    edp: np.ndarray
    provenance: str
    unmapped: dict[int, str]

    @property
    def least_latency_s(self) -> np.ndarray:
        """Latency of each layer's fastest mapping, 0 for layers without any."""
        return np.where(self.sizes > 0, self.latency_s[..., 0], 0.0)

    @property
    def least_energy_j(self) -> np.ndarray:
        """Energy of each layer's mapping of least energy, 0 for layers without any."""
        last = np.maximum(self.sizes - 1, 0)[..., None]
        return np.where(self.sizes > 0, np.take_along_axis(self.energy_j, last, -1)[..., 0], 0.0)

    def combinations(self, layers: Iterable[int]) -> int:
        """How many combinations of non-dominated mappings a set of layers has."""
        return prod(int(self.sizes[i]) for i in layers if self.sizes[i])


def layer_fronts(latency_s: np.ndarray, energy_j: np.ndarray, provenance: str, unmapped: dict[int, str]) -> LayerFronts:
    """The fronts of layers from all their mappings: arrays (…, layers, mappings), NaN where a layer has fewer.

    Of mappings with equal latency and energy the first is kept.
    """
    order = np.lexsort((energy_j, latency_s), axis=-1)
    latency_s, energy_j = np.take_along_axis(latency_s, order, -1), np.take_along_axis(energy_j, order, -1)
    least = np.minimum.accumulate(np.where(np.isnan(energy_j), np.inf, energy_j), axis=-1)
    kept = ~np.isnan(energy_j)
    kept[..., 1:] &= energy_j[..., 1:] < least[..., :-1]
    sizes = kept.sum(axis=-1)
    width = max(1, int(sizes.max(initial=0)))
    front_first = np.argsort(~kept, axis=-1, kind="stable")[..., :width]
    absent = np.arange(width) >= sizes[..., None]

    def shown(values: np.ndarray) -> np.ndarray:
        return np.where(absent, np.nan, np.take_along_axis(values, front_first, -1))

    latency_s, energy_j = shown(latency_s), shown(energy_j)
    edp = np.where(absent, np.inf, latency_s * energy_j).argmin(axis=-1)
    candidates = np.where(absent, -1, np.take_along_axis(order, front_first, -1))
    return LayerFronts(latency_s, energy_j, sizes, candidates, edp, provenance, unmapped)


@dataclass(frozen=True)
class _Sum:
    """The front of the layers added so far, and where each of its points comes from."""

    layer: int
    before: _Sum | None
    latency_s: np.ndarray
    energy_j: np.ndarray
    changed: np.ndarray
    origin: np.ndarray  # places on the front before
    pick: np.ndarray  # places on the layer's front


@dataclass(frozen=True)
class NetworkFront:
    """The non-dominated sums over a set of layers, fastest first: `latency_s` rises, `energy_j` falls.

    `changed` counts the layers whose mapping is not their own best in energy × latency. Of combinations with equal
    sums one is kept. The front stands for `combinations` combinations of the layers' non-dominated mappings.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    changed: np.ndarray
    combinations: int
    _last: _Sum | None

    def __len__(self) -> int:
        return len(self.latency_s)

    def choice(self, point: int) -> dict[int, int]:
        """The mapping of every costed layer at one point of the front, as its place on the layer's own front."""
        chosen: dict[int, int] = {}
        step = self._last
        while step is not None:
            chosen[step.layer] = int(step.pick[point])
            point, step = int(step.origin[point]), step.before
        return dict(sorted(chosen.items()))


class RunningFronts:
    """The fronts of sets of layers, where what two sets have in common at their beginning is summed once."""

    def __init__(self, layers: LayerFronts) -> None:
        self._layers = layers
        self._sums: list[_Sum] = []

    def front(self, layers: Iterable[int]) -> NetworkFront:
        """The front of these layers. Raises ValueError if one of them does not map."""
        costed = [i for i in sorted(layers) if self._layers.sizes[i]]
        unmapped = self._layers.unmapped.keys() & set(layers)
        if unmapped:
            raise ValueError(self._layers.unmapped[min(unmapped)])
        shared = 0
        while shared < min(len(costed), len(self._sums)) and self._sums[shared].layer == costed[shared]:
            shared += 1
        del self._sums[shared:]
        for layer in costed[shared:]:
            self._sums.append(self._plus(self._sums[-1] if self._sums else None, layer))
        combinations = self._layers.combinations(costed)
        if not costed:
            return NetworkFront(np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64), combinations, None)
        last = self._sums[-1]
        return NetworkFront(last.latency_s, last.energy_j, last.changed, combinations, last)

    def _plus(self, before: _Sum | None, layer: int) -> _Sum:
        size = int(self._layers.sizes[layer])
        latency_s, energy_j = self._layers.latency_s[layer, :size], self._layers.energy_j[layer, :size]
        changed = (np.arange(size) != self._layers.edp[layer]).astype(np.int64)
        if before is None:
            return _Sum(layer, None, latency_s, energy_j, changed, np.zeros(size, dtype=np.int64), np.arange(size))
        latency_s = (before.latency_s[:, None] + latency_s).ravel()
        energy_j = (before.energy_j[:, None] + energy_j).ravel()
        kept = _non_dominated(latency_s, energy_j)
        origin, pick = kept // size, kept % size
        return _Sum(
            layer, before, latency_s[kept], energy_j[kept], before.changed[origin] + changed[pick], origin, pick
        )


def _non_dominated(latency_s: np.ndarray, energy_j: np.ndarray) -> np.ndarray:
    """Places of the points that no other beats, fastest first; of equal points the first."""
    order = np.lexsort((energy_j, latency_s))
    energy_j = energy_j[order]
    kept = np.ones(len(order), dtype=bool)
    kept[1:] = energy_j[1:] < np.minimum.accumulate(energy_j)[:-1]
    return order[kept]
