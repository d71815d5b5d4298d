"""The link of a system: what it costs to send the tensors that cross a cut, in one burst per frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

import numpy as np

from evaluators.ethernet import LinkCost, transfer
from evaluators.system.settings import SystemSettings
from search_spaces import links
from search_spaces.space import DesignPoint, SearchSpace
from search_spaces.types import Network

__all__ = ["Link"]


class Link:
    """Transfers of one network's cuts under one set of settings, each computed once."""

    def __init__(self, network: Network, settings: SystemSettings) -> None:
        self._network = network
        self._settings = settings
        self._costs: dict[tuple[int, str, int], LinkCost] = {}

    def ways(self, space: SearchSpace) -> list[tuple[str, int]]:
        """The choices of link and width of an element on it, the width last: (link, bits)."""
        knobs = {knob.name: knob.values for knob in space.knobs}
        widths = knobs.get("tensor_bits", (self._settings.tensor_bits,))
        return [(str(link), int(bits)) for link in knobs["link"] for bits in widths]

    def tensor_bits(self, point: DesignPoint) -> int:
        """The width of an element on the link: the knob's, or where there is none the settings'."""
        return int(dict(point.knobs).get("tensor_bits", self._settings.tensor_bits))

    def payload_bytes(self, cut: int, bits: int) -> int:
        return ceil(self._network.cuts[cut].elements * bits / 8)

    def cost(self, cut: int, link: str, bits: int) -> LinkCost:
        """What the transfer at a cut costs over a link, by its name, with elements of so many bits."""
        key = cut, link, bits
        if key not in self._costs:
            self._costs[key] = transfer(
                links.get(link),
                self.payload_bytes(cut, bits),
                framing=self._settings.framing,
                cable_m=self._settings.cable_m,
                phy_energy=self._settings.phy_energy,
                frame_rate_fps=self._settings.frame_rate_fps,
            )
        return self._costs[key]

    def costs(self, cuts: Iterable[int], ways: Sequence[tuple[str, int]]) -> dict[str, np.ndarray]:
        """The metrics of the transfer for every cut (rows) in every way (columns)."""
        sent = [[self.cost(cut, link, bits) for link, bits in ways] for cut in map(int, cuts)]
        return {
            name: np.array([[getattr(cost, figure) for cost in row] for row in sent])
            for name, figure in (
                ("phy_energy_j", "energy_j"),
                ("link_latency_s", "latency_s"),
                ("link_utilisation", "utilisation"),
            )
        }
