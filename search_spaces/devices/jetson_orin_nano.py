"""NVIDIA Jetson Orin Nano 8GB in its 15 W mode.

Peak: 1024 Ampere cores × 2 × 625 MHz = 1.28 TFLOP/s in 32-bit floating point, tensor cores unused; memory 68 GB/s
LPDDR5; 15 W (NVIDIA, Jetson Orin Nano series data sheet: 1024 CUDA cores, maximum operating frequency 625 MHz).
Efficiencies are assumed to be those fitted for the Jetson TX-2 (same software), launches to be twice as fast for its
newer CPU: estimates, no measurement.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="jetson-orin-nano",
    peak_flops=1024 * 2 * 625e6,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=68e9,
    power_w=15.0,
    launch_overhead_s=55e-6,
    compute_efficiency=0.45,
    bandwidth_efficiency=0.7,
)
