"""An edge node by its roofline: every layer takes the longer of computing and moving, plus a launch.

For a layer with M multiply-accumulates and E elements read and written (inputs, output, parameters):
  seconds = max(2·M / (peak × compute efficiency), E × bytes / (bandwidth × bandwidth efficiency))
            + launch overhead
Layers that a runtime fuses or that move nothing ("free") take nothing. Layers run one after the other.

By hand, a 3×3 convolution of 64 to 64 channels on 56 × 56 on a device of 1 TFLOP/s, 10 GB/s, 10 µs, full
efficiency, 4 bytes: M = 115,605,504 → 231.211 µs; E = 200,704 + 200,704 + 36,864 = 438,272 → 175.3088 µs;
241.211 µs in all.

The result is "simulated": it ranks cuts, it does not replace a measurement.
"""

from __future__ import annotations

import numpy as np

from evaluators.edge.profile import EdgeProfile
from search_spaces.devices import EdgeDevice
from search_spaces.types import Layer, Network

__all__ = ["VERSION", "layer_latency_s", "profile_roofline"]

VERSION = "1"
"""Raised by hand when an answer of this module changes."""


def layer_latency_s(layer: Layer, device: EdgeDevice) -> float:
    """Seconds one layer takes on a device; formula: see the module."""
    if layer.cost == "free":
        return 0.0
    elements = layer.input_elements + layer.output_elements + layer.parameters
    computing_s = 2 * layer.macs / (device.peak_flops * device.compute_efficiency)
    moving_s = elements * device.bytes_per_element / (device.memory_bandwidth_bytes_per_s * device.bandwidth_efficiency)
    return max(computing_s, moving_s) + device.launch_overhead_s


def profile_roofline(network: Network, device: EdgeDevice) -> EdgeProfile:
    """Latency of what remains of a network after each of its cuts, by the roofline of a device."""
    per_layer = np.array([layer_latency_s(layer, device) for layer in network.layers])
    remaining = []
    for cut in network.cuts:
        rest = [i for i in range(len(network.layers)) if i not in cut.layers]
        remaining.append(float(per_layer[rest].sum()))
    notes = (f"roofline of {device.name}, {device.precision}",)
    return EdgeProfile(device.name, tuple(remaining), device.power_w, "simulated", notes, "table")
