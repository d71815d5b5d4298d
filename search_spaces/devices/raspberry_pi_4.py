"""Raspberry Pi 4 Model B on its CPU.

Peak: 4 Cortex-A72 × 8 × 1.5 GHz = 48 GFLOP/s in 32-bit floating point (one 128-bit multiply-add per cycle;
cores and clock: magpi.raspberrypi.com, "Raspberry Pi 4 specs and benchmarks"). Compute efficiency 1/3: High
Performance Linpack reaches 8 of 24 GFLOP/s in 64 bits (feiereisen.net, "Benchmarking the Raspberry Pi 4",
2022). Memory: 32-bit LPDDR4-3200, 12.8 GB/s, of which STREAM reaches 5.56 GB/s
(sci-pi.org.uk/bench/stream.html): 0.43. Power: 1280 mA at 5 V = 6.4 W with all four cores busy
(linuxhint.com, "Power consumption Raspberry Pi"; a measurement on chipwired.com reads 6.3 W at the wall).
Launch overhead: an estimate for an interpreter on this core.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="raspberry-pi-4",
    peak_flops=4 * 8 * 1.5e9,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=12.8e9,
    power_w=6.4,
    launch_overhead_s=10e-6,
    compute_efficiency=1 / 3,
    bandwidth_efficiency=0.43,
)
