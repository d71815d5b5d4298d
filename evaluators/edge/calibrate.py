"""The efficiencies and the launch overhead with which a device's roofline comes closest to a measured profile.

For given efficiencies the time after a cut is a sum of maxima plus (number of costed operators) × overhead, so the
overhead follows by linear least squares; the two efficiencies are searched on a grid in their logarithms that closes in
round by round. Errors are relative, those of remainders under a fiftieth of the whole network count less.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from evaluators.edge.profile import EdgeProfile
from evaluators.edge.roofline import profile_roofline
from search_spaces.devices import EdgeDevice
from search_spaces.errors import UserError
from search_spaces.types import Network

__all__ = ["Calibration", "CutError", "calibrate"]

LEAST_EFFICIENCY = 1e-3
POINTS, ROUNDS = 25, 6
"""The grid has 25 × 25 points; each round spans two steps of the one before, so 6 rounds leave 0.0001 %."""

SHORT = 0.02

FITTED = " fitted to "
"""In a fitted device's name, before what it was fitted to."""


@dataclass(frozen=True)
class CutError:
    """One cut: seconds measured and by the roofline before and after; errors are shares, None where nothing is left."""

    cut: str
    measured_s: float
    before_s: float
    after_s: float

    @property
    def error_before(self) -> float | None:
        return self.before_s / self.measured_s - 1 if self.measured_s else None

    @property
    def error_after(self) -> float | None:
        return self.after_s / self.measured_s - 1 if self.measured_s else None


@dataclass(frozen=True)
class Calibration:
    """The device with its fitted factors, named after what they were fitted to, and the error at every cut."""

    device: EdgeDevice
    rows: tuple[CutError, ...]

    @property
    def median_error_before(self) -> float:
        """Median of the sizes of all errors."""
        return median(abs(row.error_before) for row in self.rows if row.error_before is not None)

    @property
    def median_error_after(self) -> float:
        """Median of the sizes of all errors."""
        return median(abs(row.error_after) for row in self.rows if row.error_after is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain values; keys are the names of the fields."""
        rows = [{**asdict(row), "error_before": row.error_before, "error_after": row.error_after} for row in self.rows]
        errors = {"median_error_before": self.median_error_before, "median_error_after": self.median_error_after}
        return {"device": asdict(self.device), **errors, "cuts": rows}


def calibrate(network: Network, device: EdgeDevice, measured: EdgeProfile) -> Calibration:
    """Fit compute and bandwidth efficiency and launch overhead; raises UserError for too few cuts."""
    seconds = np.array(measured.latency_s)
    if np.count_nonzero(seconds) < 3:
        raise UserError(
            f"three factors need at least three cuts that leave something to the edge, and the profile has "
            f"{np.count_nonzero(seconds)}"
        )
    costed = [i for i, layer in enumerate(network.layers) if layer.cost != "free"]
    layers = [network.layers[i] for i in costed]
    computing = np.array([2 * layer.macs / device.peak_flops for layer in layers])
    elements = np.array([layer.input_elements + layer.output_elements + layer.parameters for layer in layers])
    moving = elements * device.bytes_per_element / device.memory_bandwidth_bytes_per_s
    rest = np.array([[float(i not in cut.layers) for i in costed] for cut in network.cuts])
    weights = 1 / (seconds + SHORT * seconds.max())
    launches = rest.sum(axis=1)

    def overhead_and_error(compute: float, bandwidth: float) -> tuple[float, float]:
        left = seconds - rest @ np.maximum(computing / compute, moving / bandwidth)
        a, b = launches * weights, left * weights
        overhead = max(0.0, float(a @ b / (a @ a)))
        return overhead, float(((b - overhead * a) ** 2).sum())

    low, high = np.log(LEAST_EFFICIENCY), 0.0
    best = (np.inf, 0.0, 0.0, 0.0)
    spans = [(low, high), (low, high)]
    for _ in range(ROUNDS):
        grids = [np.linspace(*span, POINTS) for span in spans]
        for x in grids[0]:
            for y in grids[1]:
                overhead, error = overhead_and_error(float(np.exp(x)), float(np.exp(y)))
                best = min(best, (error, float(x), float(y), overhead))
        steps = [(span[1] - span[0]) / (POINTS - 1) for span in spans]
        spans = [(max(low, at - step), min(high, at + step)) for at, step in zip(best[1:3], steps, strict=True)]
    fitted = replace(
        device,
        name=f"{device.name.partition(FITTED)[0]}{FITTED}{network.name} on {measured.device}",
        compute_efficiency=min(1.0, float(np.exp(best[1]))),
        bandwidth_efficiency=min(1.0, float(np.exp(best[2]))),
        launch_overhead_s=best[3],
    )
    before, after = (profile_roofline(network, d).latency_s for d in (device, fitted))
    return Calibration(
        fitted,
        tuple(
            CutError(cut.name, float(s), b, a)
            for cut, s, b, a in zip(network.cuts, seconds, before, after, strict=True)
        ),
    )
