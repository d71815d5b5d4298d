"""The edge node by its roofline, and how an edge node is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import edge
from evaluators.edge.roofline import layer_latency_s, profile_roofline
from evaluators.memo import Memo
from search_spaces import devices, networks
from search_spaces.devices import EdgeDevice
from search_spaces.errors import UserError
from search_spaces.types import INPUT, ConvShape, Layer
from tests.fakes import toy_network

BY_HAND = EdgeDevice("by hand", 1e12, "fp32", 4, 10e9, 1.0, 10e-6, 1.0, 1.0)


def conv(channels: int) -> Layer:
    shape = ConvShape(1, channels, channels, 56, 56, 3, 3)
    pixels = channels * 56 * 56
    return Layer("conv", "conv2d", "mac", (INPUT,), pixels, pixels, channels * channels * 9, shape)


def test_a_convolution_by_hand():
    """115,605,504 MACs at 1 TFLOP/s take 231.211008 µs, 438,272 numbers of 4 bytes at 10 GB/s 175.3088 µs."""
    assert layer_latency_s(conv(64), BY_HAND) == pytest.approx(231.211008e-6 + 10e-6, rel=1e-12)


def test_a_pooling_layer_moves_and_a_free_layer_takes_nothing():
    pool = Layer("pool", "max_pool2d", "move", (INPUT,), 4000, 1000)
    assert layer_latency_s(pool, BY_HAND) == pytest.approx(5000 * 4 / 10e9 + 10e-6, rel=1e-12)
    assert layer_latency_s(Layer("relu", "relu", "free", (INPUT,), 4000, 4000), BY_HAND) == 0


@pytest.mark.parametrize("name", devices.names())
def test_every_device_has_less_to_do_the_later_the_cut(name):
    network = toy_network()
    profile = profile_roofline(network, devices.get(name))
    assert len(profile.latency_s) == len(network.cuts)
    assert list(profile.latency_s) == sorted(profile.latency_s, reverse=True)
    assert profile.latency_s[0] == pytest.approx(
        sum(layer_latency_s(layer, devices.get(name)) for layer in network.layers), rel=1e-12
    )
    assert profile.latency_s[-1] == 0
    assert profile.provenance == "simulated"
    assert profile.power_w == devices.get(name).power_w


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 256), st.integers(1, 256))
def test_more_channels_never_take_less_time(a, b):
    less, more = sorted((a, b))
    assert layer_latency_s(conv(less), BY_HAND) <= layer_latency_s(conv(more), BY_HAND)


def test_an_edge_node_goes_by_its_long_and_its_short_name():
    network = toy_network()
    assert edge.profile(network, "jetson-tx2") == edge.profile(network, "roofline:jetson-tx2")


@pytest.mark.parametrize("name", ["jetson-tx1", "roofline:jetson-tx1", "measured:tpu", "simulated:jetson-tx2", ""])
def test_an_unknown_edge_node_lists_the_known_ones(name):
    with pytest.raises(UserError, match=r"no edge node .*known: .*jetson-tx2"):
        edge.profile(toy_network(), name)


def test_a_measurement_is_made_once_and_then_remembered(tmp_path):
    network, seen = networks.load("lenet5"), []
    with Memo(tmp_path / "memo.db") as memo:
        first = edge.profile(
            network, "measured:cpu", runs=2, threads=1, memo=memo, progress=lambda *at: seen.append(at)
        )
        steps = len(seen)
        again = edge.profile(
            network, "measured:cpu", runs=2, threads=1, memo=memo, progress=lambda *at: seen.append(at)
        )
        assert again == first
        assert len(seen) == steps > 0
        other = edge.profile(network, "measured:cpu", runs=3, threads=1, memo=memo)
    assert first.provenance == other.provenance == "measured"
    assert len(first.latency_s) == len(network.cuts)
    assert first.latency_s[0] > 0
    assert first.latency_s != other.latency_s


def test_a_measurement_needs_a_run():
    with pytest.raises(UserError, match="at least 1 run, not 0"):
        edge.profile(toy_network(), "measured:cpu", runs=0)
