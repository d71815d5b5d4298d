"""NVIDIA Jetson TX-2, the founding paper's edge node.

Peak: 256 Pascal cores × 2 × 1.3 GHz = 665.6 GFLOP/s in 32-bit floating point (cores, clock and 15 W of
constant power as stated by Kreß et al., DCOSS 2022). Memory: 128-bit LPDDR4, 59.7 GB/s (NVIDIA; hmc-tech.com,
"Tegra X2 full specs"). Compute efficiency, bandwidth efficiency and launch overhead are estimates: see
`evaluators/edge/roofline.py`.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="jetson-tx2",
    peak_flops=256 * 2 * 1.3e9,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=59.7e9,
    power_w=15.0,
    launch_overhead_s=40e-6,
    compute_efficiency=0.5,
    bandwidth_efficiency=0.7,
)
