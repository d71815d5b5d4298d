"""Every template in the folder builds, maps real layers, and refuses what it does not know; one layer by hand."""

from __future__ import annotations

import pytest

from evaluators.mapper.result import best_mappings
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators, networks
from search_spaces.accelerators import DIMS
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape

FAMILIES = ("mobilenet_v2", "efficientnet_b0", "resnet18", "resnet50", "vgg16", "fcn_resnet50")


@pytest.mark.parametrize("name", accelerators.names())
def test_every_template_is_whole(name: str) -> None:
    chip = accelerators.build(name)
    assert chip.name == name
    assert dict(chip.parameters) == accelerators.defaults(name)
    assert accelerators.describe(name)
    kept = "".join("WIO" if level.keeps_choices else level.keeps for level in chip.on_chip)
    assert set(kept) == set("WIO"), "every tensor is kept somewhere on the chip"
    placed = {d for level in chip.levels for d in level.orders[0]} | {s.dim for lv in chip.levels for s in lv.spatial}
    assert placed == set(DIMS), "every dimension has a place"


@pytest.mark.parametrize("name", accelerators.names())
@pytest.mark.parametrize(
    "knob", ["pe_cols", "pe_rows", "glb_kib", "input_buffer_scale", "weight_buffer_scale", "accum_buffer_scale"]
)
def test_every_template_takes_every_knob(name: str, knob: str) -> None:
    value = accelerators.defaults(name)[knob]
    assert not isinstance(value, str)
    doubled = accelerators.build(name, {knob: value * 2})
    assert dict(doubled.parameters)[knob] == value * 2


ROLES = {
    "eyeriss_like": {"input_buffer": 2, "weight_buffer": 1, "accum_buffer": 0, "glb": 4},
    "simba_like": {"input_buffer": 3, "weight_buffer": 2, "accum_buffer": 1, "glb": 4},
    "simple_output_stationary": {"input_buffer": 1, "weight_buffer": 2, "accum_buffer": 3, "glb": 4},
}
"""Which level each buffer is; in systolic arrays inputs and weights have no buffer of their own."""
SYSTOLIC = {"accum_buffer": 1, "glb": 2}


@pytest.mark.parametrize("name", accelerators.names())
def test_every_buffer_of_every_template_is_a_register_file_or_an_sram(name: str) -> None:
    roles = ROLES.get(name, SYSTOLIC)
    own = accelerators.build(name)
    assert {lv.name for lv in own.on_chip if lv.words and lv.words > 1} <= {own.levels[k].name for k in roles.values()}
    for role in accelerators.MEMORIES:
        if role not in roles:
            assert accelerators.build(name, {role: "template"}) == own
            with pytest.raises(IllegalDesign, match=f"{name} has no {role} of its own"):
                accelerators.build(name, {role: "sram"})
            continue
        for kind in ("regfile", "sram"):
            chip = accelerators.build(name, {role: kind})
            assert dict(chip.parameters)[role] == kind
            kinds = [level.component.kind for level in own.levels]
            kinds[roles[role]] = kind
            assert [level.component.kind for level in chip.levels] == kinds
            assert chip.levels[roles[role]].words == own.levels[roles[role]].words


@pytest.mark.parametrize("name", accelerators.names())
def test_buffers_is_short_for_the_buffers_of_the_processing_elements(name: str) -> None:
    own = accelerators.defaults(name)
    for kind in ("regfile", "sram"):
        short = accelerators.build(name, {"buffers": kind, "accum_buffer": "regfile"})
        spelled_out = {role: kind for role in ("input_buffer", "weight_buffer") if role in own}
        assert short == accelerators.build(name, {**spelled_out, "accum_buffer": "regfile", "glb": own["glb"]})
    assert accelerators.build(name, {"buffers": "template"}) == accelerators.build(name)
    with pytest.raises(UserError, match=r"no kind of memory for buffers of .* 'sramm'; did you mean 'sram'"):
        accelerators.build(name, {"buffers": "sramm"})


def test_an_unknown_template_names_the_closest() -> None:
    with pytest.raises(UserError, match=r"did you mean 'simba_like'\?"):
        accelerators.build("simba")


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize("name", accelerators.names())
def test_real_networks_go_through_every_template(name: str, network: str, slow: bool) -> None:
    """Depthwise, grouped, dilated, strided, linear, at full size: nothing needs a special case.

    simple_output_stationary has by far the largest mapspaces: small inputs, and one network, unless slow.
    """
    largest = name == "simple_output_stationary"
    if largest and network != "mobilenet_v2" and not slow:
        pytest.skip("longer version; run with --slow")
    side = 32 if largest and not slow else 224
    traced = networks.load(network, (1, 3, side, side))
    chip = accelerators.build(name)
    costs = SensorModel(SensorSettings(), Memo()).layer_costs(traced, chip, 200e6, "lpddr4")
    assert not costs.unmapped
    for layer, energy_j, latency_s in zip(traced.layers, costs.energy_j, costs.latency_s, strict=True):
        assert (energy_j > 0) == (latency_s > 0) == (layer.cost != "free"), layer.name
    utilised = sum(layer.macs for layer in traced.layers) / (chip.instances(-1) * costs.cycles.sum())
    assert 0 < utilised <= 1


def test_a_layer_of_edge_tpu_like_by_hand() -> None:
    """64 input and output channels on 16 × 16 positions: every MAC unit holds one weight and runs 256 steps.

    Registers: 256 reads and 1 fill in each of 4096. Accumulators: 256 updates in each of 64, one per output that a
    column owns, so nothing is read back or filled. Unified buffer, 16 words a row: weights 4096 words in and out,
    inputs 64 · 256 words in and out, 256 + 1024 rows each way. Host memory, 8 words an access: 4096 weights, 16384
    inputs, 16384 outputs, one word per cycle.
    """
    chip = accelerators.build("edge_tpu_like")
    shape = ConvShape(N=1, C=64, M=64, P=16, Q=16, R=1, S=1)
    (found,) = best_mappings(shape, chip, Memo(), metric="delay")
    assert (found.macs, found.useful_macs) == (64 * 64 * 256,) * 2
    assert found.compute_cycles == 256
    assert found.cycles == 4096 + 16384 + 16384
    assert found.utilisation == 256 / found.cycles
    registers, accumulators, buffer, host = found.levels
    assert [(lv.name, lv.instances_used, lv.instances) for lv in found.levels] == [
        ("Registers", 4096, 4096), ("Accumulator", 64, 64), ("UnifiedBuffer", 1, 1), ("DRAM", 1, 1),
    ]  # fmt: skip
    assert (registers.reads, registers.fills, registers.updates) == ({"W": 256}, {"W": 1}, {"W": 0})
    assert (accumulators.reads, accumulators.fills, accumulators.updates) == ({"O": 0}, {"O": 0}, {"O": 256})
    assert buffer.reads == buffer.fills == {"W": 4096, "I": 16384} and buffer.updates == {"W": 0, "I": 0}
    assert host.reads == {"W": 4096, "I": 16384, "O": 0} and set(host.fills.values()) == {0}
    assert host.updates == {"W": 0, "I": 0, "O": 16384}
    registers_pj = 4096 * (256 + 1) * 0.009 * 8
    accumulators_pj = 64 * 256 * 5.008109999999999
    buffer_pj = (256 + 1024) * (245.067 + 254.25900000000001)
    host_pj = (4096 + 16384 + 16384) / 8 * 8 * 64
    macs_pj = 64 * 64 * 256 * (0.0857 * 8 / 32 + 8.63 * (8 / 32) ** 2)
    by_level = [level.energy_j for level in found.levels]
    by_hand = [pj * 1e-12 for pj in (registers_pj, accumulators_pj, buffer_pj, host_pj)]
    assert by_level == pytest.approx(by_hand, rel=1e-12)
    assert found.mac_energy_j == pytest.approx(macs_pj * 1e-12, rel=1e-12)
    assert found.energy_j == pytest.approx(sum(by_level) + macs_pj * 1e-12, rel=1e-12)
