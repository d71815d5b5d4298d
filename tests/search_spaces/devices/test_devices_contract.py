"""What every file of search_spaces/devices must keep."""

import pytest

from search_spaces import devices
from search_spaces.errors import UserError


def test_the_named_devices_are_there():
    assert {"jetson-tx2", "jetson-orin-nano", "raspberry-pi-4", "generic-cpu", "generic-gpu"} <= set(devices.names())


@pytest.mark.parametrize("name", devices.names())
def test_every_device_is_plausible_and_says_where_its_figures_come_from(name):
    device = devices.get(name)
    assert device.name == name
    assert 1e9 < device.peak_flops < 1e15
    assert 1e9 < device.memory_bandwidth_bytes_per_s < 1e13
    assert 1 <= device.power_w <= 1000
    assert 0 <= device.launch_overhead_s < 1e-3
    assert device.bytes_per_element in (1, 2, 4)
    module = next(m for m in vars(devices).values() if getattr(m, "DEVICE", None) is device)
    for word in ("peak", "gb/s", "estimate"):
        assert word in module.__doc__.lower(), word


def test_the_tx2_is_the_papers():
    tx2 = devices.get("jetson-tx2")
    assert tx2.peak_flops == pytest.approx(665.6e9)
    assert tx2.power_w == 15.0


def test_an_unknown_device_lists_the_known_ones_and_the_closest():
    with pytest.raises(UserError, match=r"no device 'jetson-tx1'; did you mean 'jetson-tx2'\? known: .*generic-cpu"):
        devices.get("jetson-tx1")
