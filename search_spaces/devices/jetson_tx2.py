"""NVIDIA Jetson TX-2, the founding paper's edge node.

Peak: 256 Pascal cores × 2 × 1.3 GHz = 665.6 GFLOP/s in 32-bit floating point (cores, clock and 15 W of constant
power as stated by Kreß et al., DCOSS 2022). Memory: 128-bit LPDDR4, 59.7 GB/s (NVIDIA; hmc-tech.com, "Tegra X2 full
specs"), of which 0.7 is an estimate.

Compute efficiency 0.45 and 110 µs of overhead per costed layer (a convolution with its normalisation and activation
is two or three kernels in PyTorch) are estimates, chosen so that 1000 runs of every sub-network take as long as in
the paper's Table I, 3320 / 395 / 54 s: the model gives 0.99, 0.42 and 1.01 times that for FCN-ResNet50, GoogLeNet and
SqueezeNet V1.1. GoogLeNet's many small kernels cost more in reality.
"""

from search_spaces.devices._device import EdgeDevice

DEVICE = EdgeDevice(
    name="jetson-tx2",
    peak_flops=256 * 2 * 1.3e9,
    precision="fp32",
    bytes_per_element=4,
    memory_bandwidth_bytes_per_s=59.7e9,
    power_w=15.0,
    launch_overhead_s=110e-6,
    compute_efficiency=0.45,
    bandwidth_efficiency=0.7,
)
