"""Short names for values, by which a study knows whether it is asked the same question again."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from search_spaces.types import Network

__all__ = ["network_identity", "short_digest"]


def network_identity(network: Network) -> dict[str, Any]:
    """What of a network a study's figures depend on, JSON-able."""
    cuts = [(cut.name, sorted(cut.layers), cut.tensors) for cut in network.cuts]
    return {
        "name": network.name,
        "input": list(network.input.shape),
        "cut_mode": network.cut_mode,
        "graph": short_digest((network.layers, cuts)),
    }


def short_digest(value: object) -> str:
    """A short name for a value by its repr; frozen dataclasses of plain values have a stable one."""
    return sha256(repr(value).encode()).hexdigest()[:16]
