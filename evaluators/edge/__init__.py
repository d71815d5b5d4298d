"""What the edge node costs: the layers after a cut, by a device's roofline or measured here and now."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evaluators.edge.profile import EdgeProfile, EdgeProvenance
from evaluators.edge.roofline import profile_roofline
from search_spaces import devices
from search_spaces.errors import UserError, unknown
from search_spaces.types import Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = ["MEASURED", "EdgeProfile", "EdgeProvenance", "check_name", "names", "profile"]

MEASURED = ("measured:cpu", "measured:cuda")
MEASUREMENT_VERSION = "1"
"""Raised by hand when measurements made before are no longer what would be measured now."""


def names() -> tuple[str, ...]:
    """Every name that `profile` takes as an edge node, the short forms left out."""
    return (*(f"roofline:{device}" for device in devices.names()), *MEASURED)


def check_name(edge: str) -> None:
    """Raise a `UserError` for an edge node that does not exist; says nothing about whether CUDA is there."""
    kind, _, device = edge.rpartition(":")
    if kind in ("", "roofline"):
        if device not in devices.names():
            raise unknown("edge node", edge, (*devices.names(), *MEASURED), add="search_spaces/devices/<name>.py")
    elif edge not in MEASURED:
        raise unknown("edge node", edge, names())


def profile(
    network: Network,
    edge: str,
    *,
    runs: int = 1000,
    threads: int | None = None,
    memo: Memo | None = None,
    progress: Any = None,
) -> EdgeProfile:
    """Latency of the rest of a network after each of its cuts.

    `edge` is "roofline:jetson-tx2" or shorter "jetson-tx2", "measured:cpu" or "measured:cuda" (median of
    `runs`). Measurements go through `memo`, so that one computer measures a network once. Raises UserError.
    """
    check_name(edge)
    kind, _, device = edge.rpartition(":")
    if kind != "measured":
        return profile_roofline(network, devices.get(device))
    if runs < 1:
        raise UserError(f"measuring an edge node needs at least 1 run, not {runs}")
    from evaluators.edge import measured

    key = _measurement_key(network, device, measured.device_name(device), runs, threads)
    found = memo.get("edge-profile", key) if memo is not None else None
    if found is not None:
        return _from_json(found)
    timed = measured.measure(network, device=device, runs=runs, threads=threads, progress=progress)
    if memo is not None:
        memo.put("edge-profile", key, asdict(timed))
    return timed


def _from_json(stored: Any) -> EdgeProfile:
    fields = dict(stored)
    return EdgeProfile(**{**fields, "latency_s": tuple(fields["latency_s"]), "notes": tuple(fields["notes"])})


def _measurement_key(network: Network, device: str, hardware: str, runs: int, threads: int | None) -> dict[str, Any]:
    """What a measurement depends on; torch is imported here, because its version is part of it."""
    import torch

    from evaluators.memo import digest

    return {
        "version": MEASUREMENT_VERSION,
        "network": network.name,
        "input": list(network.input.shape),
        "cut_mode": network.cut_mode,
        "layers": digest([asdict(layer) for layer in network.layers]),
        "cuts": [[cut.name, sorted(cut.layers)] for cut in network.cuts],
        "device": device,
        "hardware": hardware,
        "torch": torch.__version__,
        "threads": threads if threads is not None else torch.get_num_threads(),
        "runs": runs,
    }
