"""The system's metrics: by hand, against a slow sum, and a block against its points."""

from dataclasses import replace
from itertools import product
from math import ceil, fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.costs import METRICS, UNITS
from evaluators.edge import profile
from evaluators.ethernet import transfer
from evaluators.memo import Memo
from evaluators.system import Block, System, SystemSettings
from search_spaces import accelerators, links
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.networks.liveness import peak_activation_elements
from search_spaces.space import SearchSpace, sensor_edge_space
from tests.fakes import FakeSensor, toy_network

NETWORK = toy_network()
SMALL = {
    "pe_cols": (4, 14),
    "pe_rows": (4,),
    "glb_kib": (64,),
    "input_buffer_scale": (1.0,),
    "weight_buffer_scale": (1.0,),
    "clock_mhz": (100, 200, 400),
    "drams": ("lpddr4", "hbm2"),
    "links": ("100base-t", "1000base-t"),
}


def system(sensor=None, **changes):
    return System(NETWORK, SystemSettings(**changes), Memo(None), sensor_model=sensor or FakeSensor())


def points(space: SearchSpace):
    return (space.decode(space.indices_of(i)) for i in range(space.size))


def slow_metrics(point, sensor, given):
    """Every metric from the design document's words, layer by layer."""
    values = dict(point.knobs)
    names = ("pe_cols", "pe_rows", "glb_kib", "input_buffer_scale", "weight_buffer_scale", "accum_buffer_scale")
    chip = accelerators.build(values["accelerator"], {name: values[name] for name in names})
    clock_hz = values["clock_mhz"] * 1e6
    costs = sensor.layer_costs(NETWORK, chip, clock_hz, values["dram"])
    cut = next(cut for cut in NETWORK.cuts if cut.name == values["cut"])
    before = sorted(cut.layers)
    accelerator_j = fsum(costs.energy_j[i] for i in before)
    sensor_s = fsum(costs.latency_s[i] for i in before)
    sent = transfer(
        links.get(values["link"]),
        ceil(sum(tensor.elements for tensor in cut.tensors) * given.tensor_bits / 8),
        framing=given.framing,
        cable_m=given.cable_m,
        phy_energy=given.phy_energy,
        frame_rate_fps=given.frame_rate_fps,
    )
    node = profile(NETWORK, given.edge)
    edge_s = node.latency_s[NETWORK.cuts.index(cut)]
    sensor_j = accelerator_j + sent.energy_j
    weights = sum(NETWORK.layers[i].parameters for i in before) * chip.weight_bits
    return {
        "sensor_energy_j": sensor_j,
        "accelerator_energy_j": accelerator_j,
        "phy_energy_j": sent.energy_j,
        "latency_s": sensor_s + sent.latency_s + edge_s,
        "sensor_latency_s": sensor_s,
        "link_latency_s": sent.latency_s,
        "edge_latency_s": edge_s,
        "throughput_fps": 1 / max(sensor_s, sent.latency_s, edge_s),
        "area_mm2": sensor.area_mm2(chip, 1e8),
        "sensor_power_w": sensor_j * given.frame_rate_fps,
        "link_utilisation": sent.utilisation,
        "sensor_memory_bytes": ceil((weights + peak_activation_elements(NETWORK, cut) * chip.word_bits) / 8),
        "edge_energy_j": node.power_w * edge_s,
        "total_energy_j": sensor_j + node.power_w * edge_s,
    }


def test_one_design_point_by_hand():
    """Cut after conv1 on 14 × 4 PEs at 100 MHz: 55,296 MACs and 2,816 words are 83.456 nJ in 9.874286 µs;
    2,048 elements of 16 bits are 4,096 bytes in three frames, 4,210 bytes or 33.68 µs on the wire at 1 Gb/s."""
    point = next(
        p
        for p in points(sensor_edge_space(NETWORK, **SMALL))
        if (p["cut"], p["pe_cols"], p["clock_mhz"], p["link"]) == ("conv1", 14, 100, "1000base-t")
    )
    metrics = system().metrics(point)
    assert metrics["accelerator_energy_j"] == pytest.approx(83.456e-9, rel=1e-12)
    assert metrics["sensor_latency_s"] == pytest.approx(55_296 / 56 / 1e8, rel=1e-12)
    busy_s = 16.5e-6 + 33.68e-6 + 182e-6
    assert metrics["phy_energy_j"] == pytest.approx(0.6 * busy_s + 0.06 * (0.04 - busy_s), rel=1e-12)
    assert metrics["link_latency_s"] == pytest.approx(16.5e-6 + 33.68e-6 + 30e-9, rel=1e-12)
    assert metrics["area_mm2"] == pytest.approx(0.56)


def test_every_metric_of_a_small_space_equals_the_slow_sum():
    sensor, given = FakeSensor(), SystemSettings(tensor_bits=12, frame_rate_fps=40.0)
    whole = System(NETWORK, given, Memo(None), sensor_model=sensor)
    space = sensor_edge_space(NETWORK, **SMALL)
    for point in points(space):
        metrics = whole.metrics(point)
        assert tuple(metrics) == METRICS == tuple(UNITS)
        assert metrics == pytest.approx(slow_metrics(point, sensor, given), rel=1e-12)


def block_equals_points(whole: System, space: SearchSpace) -> list[Block]:
    blocks = [whole.architecture_block(space, arch) for arch in space.architectures()]
    seen = set()
    for block in blocks:
        for at in np.ndindex(block.reason_codes.shape):
            point = space.decode(block.indices(at))
            seen.add(point.indices)
            try:
                metrics = whole.metrics(point)
            except IllegalDesign as error:
                assert not block.legal[at]
                assert block.reasons[block.reason_codes[at]] == error.reason
                assert all(np.isnan(block.metrics[name][at]) for name in METRICS)
            else:
                assert block.legal[at]
                assert {name: block.metrics[name][at] for name in METRICS} == metrics
    assert len(seen) == space.size
    return blocks


def test_blocks_hold_exactly_what_their_points_have():
    blocks = block_equals_points(system(), sensor_edge_space(NETWORK, **SMALL))
    assert all(block.legal.all() and not block.illegal_counts for block in blocks)


def test_blocks_and_points_agree_on_what_is_illegal_and_why():
    """Clocks above 300 MHz, and everything after the right branch: 1 of 3 clocks, then 2 of 6 cuts of the rest."""
    sensor = FakeSensor(unmapped=("right",), limit_hz=300e6)
    blocks = block_equals_points(system(sensor), sensor_edge_space(NETWORK, **SMALL))
    per_clock = 6 * 2 * 2
    for block in blocks:
        assert block.illegal_counts == {
            "clock above memory limit": per_clock,
            "layer does not map": 2 * per_clock // 3,
        }


def test_an_accelerator_that_cannot_be_built_makes_its_whole_block_illegal():
    space = sensor_edge_space(NETWORK, **{**SMALL, "input_buffer_scale": (1.0, 0.01)})
    blocks = block_equals_points(system(), space)
    assert {"buffer too small": 6 * 3 * 2 * 2} in [block.illegal_counts for block in blocks]
    assert any(block.legal.all() for block in blocks)


def test_a_block_follows_the_spaces_own_choice_and_order_of_cuts():
    block_equals_points(system(), sensor_edge_space(NETWORK, **{**SMALL, "cuts": ("add", "Identity")}))


def test_a_layer_that_does_not_map_matters_only_before_the_cut():
    whole = system(FakeSensor(unmapped=("conv1", "fc")))
    space = sensor_edge_space(NETWORK, **SMALL)
    everything_on_the_edge, after_conv1 = space.decode((0,) * 11), space.decode((1, *(0,) * 10))
    assert whole.metrics(everything_on_the_edge)["accelerator_energy_j"] == 0
    for point in (after_conv1, space.decode((len(NETWORK.cuts) - 1, *(0,) * 10))):
        with pytest.raises(IllegalDesign, match="conv1 fits nowhere") as error:  # the first of two before the last cut
            whole.evaluate(point)
        assert error.value.reason == "layer does not map"


def test_everything_on_the_edge_still_sends_the_input():
    metrics = system().metrics(sensor_edge_space(NETWORK, **SMALL).decode((0,) * 11))
    assert metrics["accelerator_energy_j"] == metrics["sensor_latency_s"] == 0
    assert metrics["phy_energy_j"] > 0 and metrics["link_latency_s"] > 768 * 2 * 8 / 100e6
    assert metrics["sensor_energy_j"] == metrics["phy_energy_j"]


def test_several_tensors_cross_in_one_burst():
    """left (1,024) and pool (512) elements of 16 bits: 3,072 bytes in three frames, not 2,048 + 1,024 in four."""
    evaluation = system().evaluate(sensor_edge_space(NETWORK, cuts=("left+pool",), **SMALL).decode((0,) * 11))
    assert evaluation.links[0].payload_bytes == 3072
    assert evaluation.links[0].wire_bytes == 3072 + 3 * 38


def test_the_last_byte_that_crosses_need_not_be_full():
    """10 elements of 5 bits."""
    evaluation = system(tensor_bits=5).evaluate(sensor_edge_space(NETWORK, cuts=("fc",), **SMALL).decode((0,) * 11))
    assert evaluation.links[0].payload_bytes == 7


@pytest.mark.parametrize("cut", range(len(NETWORK.cuts)))
def test_items_add_up_to_the_metrics(cut):
    evaluation = system().evaluate(sensor_edge_space(NETWORK, **SMALL).decode((cut, *(1,) * 1, *(0,) * 9)))
    metrics = evaluation.metrics
    assert len(evaluation.layers) == len(NETWORK.cuts[cut].layers)
    assert fsum(x.energy_j for x in evaluation.layers) == pytest.approx(metrics["accelerator_energy_j"], rel=1e-12)
    assert fsum(x.latency_s for x in evaluation.layers) == pytest.approx(metrics["sensor_latency_s"], rel=1e-12)
    items = (*evaluation.nodes, *evaluation.links)
    assert fsum(x.latency_s for x in items) == pytest.approx(metrics["latency_s"], rel=1e-12)
    assert fsum(x.energy_j for x in items) == pytest.approx(metrics["total_energy_j"], rel=1e-12)
    assert sum(node.layers for node in evaluation.nodes) == len(NETWORK.layers)
    assert sum(node.macs for node in evaluation.nodes) == sum(layer.macs for layer in NETWORK.layers)


def test_every_figure_says_its_unit_and_where_it_comes_from():
    space = sensor_edge_space(NETWORK, **SMALL)
    evaluation = system().evaluate(space.decode((2, *(0,) * 10)))
    assert {figure.name: figure.unit for figure in evaluation.figures} == UNITS
    assert evaluation.provenance["accelerator_energy_j"] == "made up"
    assert evaluation.provenance["latency_s"] == "simulated + table"
    on_edge = system().evaluate(space.decode((0,) * 11))
    assert on_edge.provenance["accelerator_energy_j"] == "nothing to compute"
    assert on_edge.provenance["sensor_energy_j"] == "table"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["802.3", "paper", "cnnparted"]), st.integers(1, 32), st.integers(1, 32), st.integers(0, 5))
def test_wider_tensors_never_cost_less(framing, a, b, cut):
    point = sensor_edge_space(NETWORK, **SMALL).decode((cut, *(0,) * 10))
    narrow, wide = (system(framing=framing, tensor_bits=bits).metrics(point) for bits in sorted((a, b)))
    assert narrow["sensor_energy_j"] <= wide["sensor_energy_j"]
    assert narrow["latency_s"] <= wide["latency_s"]
    assert narrow["accelerator_energy_j"] == wide["accelerator_energy_j"]


def test_preparing_maps_every_architecture_once_and_passes_over_illegal_ones():
    sensor, seen = FakeSensor(), []
    space = sensor_edge_space(NETWORK, **{**SMALL, "input_buffer_scale": (1.0, 0.01)})
    system(sensor).prepare(list(points(space)), workers=2, progress=lambda done, of: seen.append((done, of)))
    assert len(sensor.prepared) == len(set(sensor.prepared))
    buildable = set()
    for arch in space.architectures():
        values = space.architecture_values(arch)
        try:
            buildable.add(accelerators.build(values.pop("accelerator"), values))
        except IllegalDesign:
            continue
    assert set(sensor.prepared) == buildable
    assert seen == [(len(buildable), len(buildable))]


def test_layer_costs_are_asked_once_per_architecture_clock_and_dram():
    sensor = FakeSensor()
    whole = system(sensor)
    for point in points(sensor_edge_space(NETWORK, **SMALL)):
        whole.metrics(point)
    assert sensor.calls == 2 * 2 * 3 * 2  # accelerators, PE columns, clocks, DRAMs


@pytest.mark.parametrize(
    "changes",
    [
        {"framing": "paper"},
        {"cable_m": 6.0},
        {"phy_energy": "active"},
        {"frame_rate_fps": 30.0},
        {"tensor_bits": 8},
        {"edge": "raspberry-pi-4"},
        {"edge_power_w": 1.0},
    ],
)
def test_the_fingerprint_tells_apart_what_gives_other_answers(changes):
    assert system().fingerprint() != system(**changes).fingerprint()


def test_the_fingerprint_knows_the_network_and_the_models_version():
    sensor = FakeSensor()
    sensor.version = "fake-2"
    assert system().fingerprint() != system(sensor).fingerprint()
    shorter = replace(NETWORK, cuts=NETWORK.cuts[:-1])
    other = System(shorter, SystemSettings(), Memo(None), sensor_model=FakeSensor())
    assert system().fingerprint() != other.fingerprint()


def test_the_fingerprint_ignores_how_the_same_edge_node_is_named_and_timed():
    timed = {"edge_runs": 7, "edge_threads": 2, "edge_method": "suffix", "edge_precision": 0.02}
    assert system().fingerprint() == system(edge="jetson-tx2", **timed).fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"framing": "802"}, "no framing '802'"),
        ({"phy_energy": "sleep"}, "no PHY energy accounting 'sleep'"),
        ({"cable_m": -1}, "cables of 0 to 100 m, not -1 m"),
        ({"frame_rate_fps": 0}, "frame rate must be above 0 frames per second, not 0"),
        ({"tensor_bits": 0}, "1 to 64 bits on the link, not 0"),
        ({"edge": "jetson-tx3"}, "no edge node 'jetson-tx3'; did you mean 'jetson-tx2'"),
        ({"edge_runs": 0}, "at least 1 run, not 0"),
        ({"edge_power_w": -1}, "at least 0 W, not -1"),
    ],
)
def test_bad_settings_are_one_line(changes, message):
    with pytest.raises(UserError) as error:
        SystemSettings(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_the_width_of_what_crosses_the_link_is_a_knob():
    """2,048 elements cross at "conv1", in the width of the knob whatever the settings say."""
    space = sensor_edge_space(NETWORK, **SMALL, tensor_bits=(32, 16, 4))
    plain = sensor_edge_space(NETWORK, **SMALL)
    assert space.size == 3 * plain.size and space.knobs[:-1] == plain.knobs
    whole = system(tensor_bits=8)
    block_equals_points(whole, space)
    choice = {knob.name: knob.values[0] for knob in space.knobs} | {"cut": "conv1"}
    for bits in (32, 16, 4):
        evaluation = whole.evaluate(space.decode(space.encode({**choice, "tensor_bits": bits})))
        assert evaluation.links[0].payload_bytes == 2048 * bits // 8
        same = system(tensor_bits=bits).evaluate(plain.decode(space.encode({**choice, "tensor_bits": bits})[:-1]))
        assert evaluation.metrics == same.metrics


@pytest.mark.parametrize("bits", [0, 65, 8.5, "8"])
def test_a_width_is_whole_bits(bits):
    with pytest.raises(UserError, match="takes 1 to 64 bits"):
        sensor_edge_space(NETWORK, tensor_bits=(bits,))


def test_a_sizeable_space_has_the_same_order_in_blocks_and_positions():
    space = sensor_edge_space(NETWORK, **SMALL)
    blocks = [system().architecture_block(space, arch) for arch in space.architectures()]
    positions = [
        space.index_of(block.indices(at)) for block in blocks for at in product(*map(range, block.legal.shape))
    ]
    assert sorted(positions) == list(range(space.size))
