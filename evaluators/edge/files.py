"""Profiles as JSON files: written on an edge board, read, compared and joined on a workstation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from math import isfinite
from pathlib import Path
from typing import Any

from evaluators.edge.board import FORMAT, VERSION
from evaluators.edge.profile import EdgeProfile
from search_spaces.errors import UserError, reason, unknown
from search_spaces.types import Network

__all__ = ["STEADY", "differences", "edge_profile", "merge", "ran_by", "read", "shipped", "unsteady"]

STEADY = 0.25
"""Up to this interquartile range, as a share of the median, single runs are called steady."""


_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "network": str, "input": list, "cut_modes": list, "device": str, "method": str, "environment": dict, "cuts": list,
}  # fmt: skip
_CUT_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "name": str, "elements": int, "latency_s": (int, float), "iqr_s": (int, float), "runs": int, "outliers": int,
}  # fmt: skip


_RUN_BY = (
    "torch", "torchvision", "cuda", "cudnn", "tf32", "onnxruntime", "graph_optimisation", "threads", "power_mode",
)  # fmt: skip
"""What of a profile's environment its times depend on, beside the computer."""


def shipped() -> tuple[str, ...]:
    """Names of the profiles that come with paretocut."""
    folder = resources("evaluators.edge") / "profiles"
    return tuple(sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json")))


def read(name: str | Path) -> dict[str, Any]:
    """The profile of a file, or of a name of `shipped`; raises UserError for anything that is none."""
    path: Any = Path(name)
    if not path.exists() and str(name) in shipped():
        path = resources("evaluators.edge") / "profiles" / f"{name}.json"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise unknown("profile", str(name), shipped(), add="any file that paretocut profile --out wrote") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the profile {name}: {reason(error)}") from None
    try:
        profile = json.loads(text)
    except (ValueError, RecursionError):
        state = "empty" if not text.strip() else "cut short or no JSON"
        raise UserError(f"the profile {name} is {state}; measure again: paretocut profile NETWORK --out FILE") from None
    try:
        problem = _problem(profile)
    except OverflowError as error:
        problem = str(error)
    if problem:
        raise UserError(f"{name} is no profile of an edge node: {problem}")
    return dict(profile)


def unsteady(profile: Mapping[str, Any]) -> tuple[str, ...]:
    """The cuts whose single runs are spread too far for their median to say much."""
    return tuple(cut["name"] for cut in profile["cuts"] if cut["iqr_s"] > STEADY * cut["latency_s"])


def _problem(profile: Any) -> str:
    """Why a value read from JSON is no profile; empty if it is one."""
    if not isinstance(profile, dict) or profile.get("format") != FORMAT:
        return f"it does not say {FORMAT!r} in its field format"
    if profile.get("version") != VERSION:
        return f"its version is {profile.get('version')!r}, and {VERSION} can be read"
    for field, kind in _FIELDS.items():
        if not isinstance(profile.get(field), kind):
            return f"its field {field} is missing or wrong"
    if not profile["cut_modes"] or any(not isinstance(mode, str) for mode in profile["cut_modes"]):
        return "its field cut_modes is no list of modes"
    if any(not isinstance(size, int) or size < 1 for size in profile["input"]):
        return "its field input is no list of sizes"
    names: list[str] = []
    for cut in profile["cuts"]:
        if not isinstance(cut, dict) or any(
            not isinstance(cut.get(field), kind) for field, kind in _CUT_FIELDS.items()
        ):
            return f"cut {len(names) + 1} lacks one of {', '.join(_CUT_FIELDS)}"
        if not all(isfinite(cut[field]) and cut[field] >= 0 for field in ("latency_s", "iqr_s")):
            return f"the latency of cut {cut['name']!r} is no number of seconds"
        names.append(cut["name"])
    if not names or len(set(names)) < len(names):
        return "it has no cuts, or two of one name"
    power = profile.get("power_w")
    if power is not None and not (isinstance(power, int | float) and isfinite(power) and power >= 0):
        return f"its power is {power!r}, no number of watts"
    return ""


def differences(profile: Mapping[str, Any], network: Network) -> list[str]:
    """Why a profile is not of this network: one phrase each; empty if it fits."""
    found = []
    if profile["network"] != network.name:
        found.append(f"it is of {profile['network']}, not {network.name}")
    if profile["input"] != list(network.input.shape):
        found.append(f"its input is {_shape(profile['input'])}, not {_shape(network.input.shape)}")
    if found:
        return found
    measured = {cut["name"]: cut for cut in profile["cuts"]}
    missing = [cut.name for cut in network.cuts if cut.name not in measured]
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        modes = ", ".join(profile["cut_modes"])
        found.append(f"it lacks the cuts {shown} (it has mode {modes}, the network is cut in mode {network.cut_mode})")
    for cut in network.cuts:
        elements = measured.get(cut.name, {}).get("elements", cut.elements)
        if elements != cut.elements:
            found.append(f"its cut {cut.name!r} sends {elements} elements, not {cut.elements}")
            break
    return found


def edge_profile(profile: Mapping[str, Any], network: Network, name: str) -> EdgeProfile:
    """The seconds for the cuts of a network; `name` is the file's. Raises UserError with what differs."""
    reasons = differences(profile, network)
    if reasons:
        raise UserError(f"the profile {name} does not fit: {'; '.join(reasons)}")
    measured = {cut["name"]: cut for cut in profile["cuts"]}
    cuts = [measured[cut.name] for cut in network.cuts]
    environment = profile["environment"]
    power_w, power_from = profile.get("power_w"), profile.get("power_from")
    first = max(cuts, key=lambda cut: cut["latency_s"])
    spread = first["iqr_s"] / first["latency_s"] if first["latency_s"] else 0.0
    outliers = sum(cut["outliers"] for cut in cuts)
    return EdgeProfile(
        device=profile["device"],
        latency_s=tuple(float(cut["latency_s"]) for cut in cuts),
        power_w=float(power_w or 0.0),
        provenance="measured",
        notes=(
            f"median of {_range([cut['runs'] for cut in cuts if cut['latency_s']])} runs on {profile['device']}, "
            f"{ran_by(profile)}, {environment.get('threads', '?')} threads, method {profile['method']}",
            f"power measured by {power_from}" if power_w and power_from != "given" else
            f"power {power_w:g} W as given" if power_w else "power of the device not measured",
            f"interquartile range {100 * spread:.0f} % of the median for the largest remainder; {outliers} outliers",
        ),
        power_provenance="unknown" if not power_w else "given" if power_from == "given" else "measured",
    )  # fmt: skip


def ran_by(profile: Mapping[str, Any]) -> str:
    """What ran a network, and what it was run with."""
    environment, network = profile["environment"], profile["network"]
    if "onnxruntime" in environment:
        how = f"graph optimisation {environment.get('graph_optimisation', '?')}"
        return f"onnxruntime {environment['onnxruntime']}, {how}, the file's own weights and types"
    rounded = " (convolutions in TensorFloat-32)" if environment.get("tf32") else ""
    own = ":" in network or network.endswith(".pt2")
    weights = "its own weights and types" if own else "random weights, 32-bit floats"
    return f"torch {environment.get('torch', '?')}, {weights}{rounded}"


def merge(profiles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One profile with the cuts of all: of one network on one computer, measured in one way.

    A cut that several have is taken from the one with most runs. Raises UserError with what differs.
    """
    first = profiles[0]
    for other in profiles[1:]:
        fields = [field for field in ("network", "input", "device", "method") if first[field] != other[field]]
        ours, theirs = first["environment"], other["environment"]
        settings = [name for name in _RUN_BY if ours.get(name) != theirs.get(name)]
        told = [f"{field} ({first[field]} and {other[field]})" for field in fields]
        told += [f"{name} ({ours.get(name)} and {theirs.get(name)})" for name in settings]
        if told:
            raise UserError(f"profiles of one computer and network can be merged; these differ in {', '.join(told)}")
    cuts: dict[str, Any] = {}
    for profile in profiles:
        for cut in profile["cuts"]:
            if cut["name"] not in cuts or cut["runs"] > cuts[cut["name"]]["runs"]:
                cuts[cut["name"]] = cut
    powers = [profile["power_w"] for profile in profiles if profile.get("power_w") is not None]
    return {
        **first,
        "cut_modes": list(dict.fromkeys(mode for profile in profiles for mode in profile["cut_modes"])),
        "power_w": sum(powers) / len(powers) if powers else None,
        "power_from": next((p["power_from"] for p in profiles if p.get("power_w") is not None), None),
        "cuts": sorted(cuts.values(), key=lambda cut: -cut["latency_s"]),
    }


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _range(runs: Sequence[int]) -> str:
    low, high = (min(runs), max(runs)) if runs else (0, 0)
    return str(low) if low == high else f"{low} to {high}"
