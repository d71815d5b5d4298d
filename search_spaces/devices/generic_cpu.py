"""A four-core desktop processor with AVX2, by arithmetic: no particular product.

Peak: 4 cores × 3 GHz × 32 (two 256-bit fused multiply-adds per cycle) = 384 GFLOP/s in 32-bit floating point.
Memory: two channels of DDR4-3200, 2 × 8 bytes × 3.2 GT/s = 51.2 GB/s. Power: 65 W, the class of such
processors. Efficiencies and launch overhead are estimates; `measured:cpu` times the processor at hand
instead.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="generic-cpu",
    peak_flops=4 * 3e9 * 32,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=51.2e9,
    power_w=65.0,
    launch_overhead_s=5e-6,
    compute_efficiency=0.5,
    bandwidth_efficiency=0.7,
)
