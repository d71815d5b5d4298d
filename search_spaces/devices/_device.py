"""What datasheets and benchmarks say of an edge device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError, reason

__all__ = ["FORMAT", "EdgeDevice", "from_file", "to_json"]

FORMAT = "paretocut edge device"
"""What a file of a user's own device says in its field `format`."""


@dataclass(frozen=True)
class EdgeDevice:
    """A computer that runs the rest of the network: its roofline and its power.

    `peak_flops` counts a multiply-accumulate as two operations at the given `precision`, whose numbers take
    `bytes_per_element`; `memory_bandwidth_bytes_per_s` is that of the main memory. `compute_efficiency` and
    `bandwidth_efficiency` are the shares of both that a layer reaches in practice. Starting one operator
    costs `launch_overhead_s`. `power_w` is the constant power while computing, as in the founding paper.
    """

    name: str
    peak_flops: float
    precision: str
    bytes_per_element: int
    memory_bandwidth_bytes_per_s: float
    power_w: float
    launch_overhead_s: float
    compute_efficiency: float
    bandwidth_efficiency: float

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, str) and not (isfinite(value) and value >= 0):
                raise ValueError(f"{f.name} of device {self.name} is a number of at least 0, not {value!r}")
        for name in ("compute_efficiency", "bandwidth_efficiency"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} of device {self.name} is a share above 0 and up to 1")
        if not (self.peak_flops and self.memory_bandwidth_bytes_per_s and self.bytes_per_element):
            raise ValueError(f"device {self.name} needs a peak, a bandwidth and a number width above 0")


def to_json(device: EdgeDevice) -> dict[str, Any]:
    """What `from_file` reads."""
    return {"format": FORMAT, **asdict(device)}


def from_file(path: Path) -> EdgeDevice:
    """A user's own device: a JSON file with the fields of `EdgeDevice`. Raises UserError for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the device {path}: {reason(error)}") from None
    except (ValueError, RecursionError):
        raise UserError(f"the device {path} is empty, cut short or no JSON; see: paretocut calibrate --help") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(f"{path} is no edge device: it does not say {FORMAT!r} in its field format")
    try:
        return EdgeDevice(**_fields(found))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path} is no edge device: {error}") from None


def _fields(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a device, each of its kind; raises ValueError."""
    values: dict[str, Any] = {}
    for f in fields(EdgeDevice):
        value = found.get(f.name)
        kind = {"str": str, "int": int}.get(str(f.type), (int, float))
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"its field {f.name} is missing or wrong")
        values[f.name] = value
    return values
