"""What the edge node costs: the layers after a cut, by roofline, measured, from a profile, or on an accelerator."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evaluators.edge import accelerator, files
from evaluators.edge.profile import EdgeProfile, PowerProvenance
from evaluators.edge.roofline import profile_roofline
from evaluators.sensor import SensorSettings
from search_spaces import accelerators, devices
from search_spaces.errors import UserError, unknown
from search_spaces.types import Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = [
    "MEASURED", "EdgeProfile", "PowerProvenance", "check_name", "fingerprint", "measure", "names",
    "profile",
]  # fmt: skip

MEASURED = ("measured:cpu", "measured:cuda")
MEASUREMENT_VERSION = "3"
"""Raised by hand when measurements made before are no longer what would be measured now."""


def names() -> tuple[str, ...]:
    """Every name that `profile` takes as an edge node, the short forms and the user's own files left out."""
    return (
        *(f"roofline:{device}" for device in devices.names()),
        *MEASURED,
        *(f"profile:{name}" for name in files.shipped()),
        *(f"accelerator:{name}" for name in accelerators.names()),
    )


def check_name(edge: str) -> None:
    """Raise a `UserError` for an edge node that does not exist; says nothing about whether CUDA is there."""
    kind, rest = _kind(edge)
    if kind == "profile":
        files.read(rest)
    elif kind == "accelerator":
        accelerator.parse(rest)
    elif kind == "roofline":
        if rest.endswith(".json"):
            devices.get(rest)
        elif rest not in devices.names():
            known = names() if ":" in edge else (*devices.names(), *names())
            raise unknown(
                "edge node", edge, known, add="search_spaces/devices/<name>.py, roofline:FILE.json or profile:FILE"
            )
    elif edge not in MEASURED:
        raise unknown("edge node", edge, names())


def _kind(edge: str) -> tuple[str, str]:
    """("roofline", "jetson-tx2") for "roofline:jetson-tx2" and for "jetson-tx2"."""
    kind, colon, rest = edge.partition(":")
    return (kind, rest) if colon else ("roofline", edge)


def profile(
    network: Network,
    edge: str,
    *,
    runs: int = 1000,
    threads: int | None = None,
    method: str = "segments",
    precision: float | None = None,
    memo: Memo | None = None,
    settings: SensorSettings | None = None,
    progress: Any = None,
) -> EdgeProfile:
    """Latency of the rest of a network after each of its cuts.

    `edge` is "roofline:jetson-tx2" or shorter "jetson-tx2", "measured:cpu" or "measured:cuda" (see `measure`),
    "profile:orin.json" (what `measure` wrote elsewhere) or "accelerator:simba_like,pe_cols=8" (mapped under the
    sensor's `settings`). What takes long goes through `memo`. Raises UserError.
    """
    check_name(edge)
    kind, rest = _kind(edge)
    if kind == "roofline":
        return profile_roofline(network, devices.get(rest))
    if kind == "profile":
        return files.edge_profile(files.read(rest), network, rest)
    if kind == "accelerator":
        return accelerator.profile_accelerator(network, rest, settings or SensorSettings(), memo or _memory())
    found = measure(
        network, rest, runs=runs, threads=threads, method=method, precision=precision, memo=memo, progress=progress
    )
    return files.edge_profile(found, network, edge)


def measure(
    network: Network,
    device: str,
    *,
    runs: int = 1000,
    threads: int | None = None,
    method: str = "segments",
    precision: float | None = None,
    memo: Memo | None = None,
    progress: Any = None,
) -> dict[str, Any]:
    """The measured profile of a network on this computer, as `evaluators.edge.files` reads it.

    Measurements go through `memo`, so that one computer measures a network once. Raises UserError.
    """
    from evaluators.edge import measured

    if runs < 1:
        raise UserError(f"measuring an edge node needs at least 1 run, not {runs}")
    key = {
        **_measurement_key(network, device),
        "hardware": measured.device_name(network, device),
        **measured.runtime(network, device, threads),
        "runs": runs, "method": method, "precision": precision,
    }  # fmt: skip
    found: dict[str, Any] | None = memo.get("edge-profile", key) if memo is not None else None
    if found is None:
        found = measured.measure(
            network, device=device, method=method, runs=runs, threads=threads, precision=precision, progress=progress
        )
        if memo is not None:
            memo.put("edge-profile", key, found)
    return found


def fingerprint(edge: str, settings: SensorSettings, memo: Memo) -> dict[str, Any]:
    """What the figures of an edge node that is not measured here depend on: part of a study's identity."""
    kind, rest = _kind(edge)
    if kind == "roofline":
        device = devices.get(rest)
        return {"edge": f"roofline:{device.name}", "edge_device": asdict(device)}
    if kind == "accelerator":
        name, parameters, clock_mhz, dram = accelerator.parse(rest)
        node = {**accelerators.defaults(name), **parameters, "clock_mhz": clock_mhz, "dram": dram}
        model = accelerator.version(settings, memo)
        return {"edge": f"accelerator:{name}", "edge_accelerator": node, "edge_model": model}
    return {"edge": "profile"}


def _memory() -> Memo:
    from evaluators.memo import Memo

    return Memo(None)


def _measurement_key(network: Network, device: str) -> dict[str, Any]:
    """What a measurement depends on, but for the computer."""
    from evaluators.memo import digest
    from search_spaces.networks import source_version

    return {
        "version": MEASUREMENT_VERSION,
        "network": network.name,
        "source": source_version(network.name),
        "input": list(network.input.shape),
        "cut_mode": network.cut_mode,
        "layers": digest([asdict(layer) for layer in network.layers]),
        "cuts": digest([[cut.name, sorted(cut.layers)] for cut in network.cuts]),
        "device": device,
    }
