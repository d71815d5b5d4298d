"""The edge node of a system: latency and energy of what every cut leaves to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluators import edge
from evaluators.edge import EdgeProfile
from evaluators.system.identity import short_digest
from evaluators.system.settings import SystemSettings
from search_spaces.types import Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = ["EdgeNode"]


class EdgeNode:
    """The edge node that the settings name, for one network; measured at the first use where it is measured."""

    def __init__(self, network: Network, settings: SystemSettings, memo: Memo, progress: Any) -> None:
        self._network = network
        self._settings = settings
        self._memo = memo
        self._progress = progress
        self._profile: EdgeProfile | None = None

    @property
    def profile(self) -> EdgeProfile:
        if self._profile is None:
            settings = self._settings
            self._profile = edge.profile(
                self._network,
                settings.edge,
                runs=settings.edge_runs,
                threads=settings.edge_threads,
                method=settings.edge_method,
                precision=settings.edge_precision,
                memo=self._memo,
                settings=settings.sensor,
                progress=self._progress,
            )
        return self._profile

    @property
    def power_w(self) -> float:
        """Constant power; 0 where neither the settings nor the device know it."""
        given = self._settings.edge_power_w
        return self.profile.power_w if given is None else given

    @property
    def power_provenance(self) -> str:
        return "given" if self._settings.edge_power_w is not None else self.profile.power_provenance

    @property
    def latency_s(self) -> np.ndarray:
        """For every cut of the network."""
        return np.array(self.profile.latency_s)

    @property
    def energy_j(self) -> np.ndarray:
        """For every cut: the model's own, else constant power for as long as it computes."""
        own = self.profile.energy_j
        if own is not None and self._settings.edge_power_w is None:
            return np.array(own)
        return self.power_w * self.latency_s

    def fingerprint(self, settings: dict[str, Any]) -> dict[str, Any]:
        """`settings` and what else the answers depend on; settings that have no say are left out."""
        found: dict[str, Any] = {"settings": dict(settings)}
        measured = self._settings.edge.startswith("measured:")
        if measured or self._settings.edge.startswith("profile:"):
            found["edge_latency"] = short_digest((self.profile.latency_s, self.profile.power_w))
        if not measured:
            found |= edge.fingerprint(self._settings.edge, self._settings.sensor, self._memo)
            found["settings"]["edge"] = found.pop("edge")
            for name in ("edge_runs", "edge_threads", "edge_method", "edge_precision"):
                del found["settings"][name]
        return found
