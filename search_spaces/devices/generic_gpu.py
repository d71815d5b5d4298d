"""A graphics processor of the class of an edge server's, with the figures of NVIDIA's T4.

Peak 8.1 TFLOP/s in 32-bit floating point, 300 GB/s GDDR6, 70 W (NVIDIA, T4 data sheet). Launch overhead: a
few microseconds per kernel is usual, 10 µs with the framework's own. Efficiencies are estimates: batch 1
fills so wide a machine badly. `measured:cuda` times the GPU at hand instead.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="generic-gpu",
    peak_flops=8.1e12,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=300e9,
    power_w=70.0,
    launch_overhead_s=10e-6,
    compute_efficiency=0.3,
    bandwidth_efficiency=0.7,
)
