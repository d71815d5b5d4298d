"""The system on the real accelerator model and a real, small network."""

from math import fsum

import numpy as np
import pytest

from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from evaluators.system import System, SystemSettings
from search_spaces import accelerators, networks
from search_spaces.errors import IllegalDesign
from search_spaces.space import sensor_edge_space

LENET = networks.load("lenet5")
SPACE = sensor_edge_space(
    LENET,
    pe_cols=(2, 4),
    pe_rows=(4, 8),
    glb_kib=(64,),
    input_buffer_scale=(1.0,),
    weight_buffer_scale=(1.0,),
    clock_mhz=(100, 400, 2000),
    links=("100base-t", "1000base-t"),
)


@pytest.fixture(scope="module")
def memo():
    return Memo(None)


@pytest.mark.parametrize("dvfs", ["on", "sized"])
def test_blocks_equal_points_and_both_kinds_of_illegal_designs_occur(memo, dvfs):
    """Filters of 5 rows do not map on columns of 4 PEs, and no memory here is fast enough for 2 GHz."""
    whole = System(LENET, SystemSettings(SensorSettings(dvfs=dvfs)), memo)
    reasons = set()
    for arch in SPACE.architectures():
        block = whole.architecture_block(SPACE, arch)
        reasons |= set(block.illegal_counts)
        for at in np.ndindex(block.reason_codes.shape):
            point = SPACE.decode(block.indices(at))
            if not block.legal[at]:
                with pytest.raises(IllegalDesign) as error:
                    whole.metrics(point)
                assert error.value.reason == block.reasons[block.reason_codes[at]]
            else:
                assert {name: values[at] for name, values in block.metrics.items()} == whole.metrics(point)
    assert reasons == {"layer does not map", "clock above memory limit"}


def test_memories_are_knobs_of_the_space(memo):
    """An SRAM of 16 words is no design; one of 64 words costs another energy and area than registers."""
    space = sensor_edge_space(
        LENET, accelerators=("eyeriss_like", "gemmini_like"), pe_cols=(4,), pe_rows=(8,), glb_kib=(64,),
        input_buffer_scale=(1.0,), weight_buffer_scale=(1.0,), accum_buffer_scale=(1.0, 4.0), clock_mhz=(100,),
        accum_buffer=("template", "sram"), weight_buffer=("template", "regfile"), links=("1000base-t",),
    )  # fmt: skip
    whole = System(LENET, SystemSettings(), memo)
    cheapest, reasons = {}, {}
    for arch in space.architectures():
        block, knobs = whole.architecture_block(space, arch), space.architecture_values(arch)
        key = (knobs["accelerator"], knobs["accum_buffer_scale"], knobs["weight_buffer"], knobs["accum_buffer"])
        reasons[key] = list(block.illegal_counts)
        for at in np.argwhere(block.legal):
            point = space.decode(block.indices(at))
            assert {name: values[tuple(at)] for name, values in block.metrics.items()} == whole.metrics(point)
        cheapest[key] = (block.metrics["accelerator_energy_j"].max(), block.metrics["area_mm2"].max())
    for weights in ("template", "regfile"):
        assert reasons["eyeriss_like", 1.0, weights, "sram"] == ["SRAM size outside table"]
        assert reasons["eyeriss_like", 4.0, weights, "sram"] == []
        ours, srams = (cheapest["eyeriss_like", 4.0, weights, kind] for kind in ("template", "sram"))
        assert ours[0] < srams[0] and ours[1] < srams[1]
    assert reasons["gemmini_like", 1.0, "regfile", "sram"] == ["no such buffer"]
    assert cheapest["gemmini_like", 1.0, "template", "template"] == cheapest["gemmini_like", 1.0, "template", "sram"]


def test_a_sum_over_the_real_layers(memo):
    point = SPACE.decode(
        SPACE.encode({**dict(SPACE.decode((0,) * 11).knobs), "cut": LENET.cuts[-1].name, "pe_rows": 8})
    )
    metrics = System(LENET, SystemSettings(), memo).metrics(point)
    names = ("pe_cols", "pe_rows", "glb_kib", "input_buffer_scale", "weight_buffer_scale", "accum_buffer_scale")
    chip = accelerators.build(str(point["accelerator"]), {name: point[name] for name in names})
    model = SensorModel(SensorSettings(), memo)
    costs = model.layer_costs(LENET, chip, 100e6, "lpddr4")
    assert metrics["accelerator_energy_j"] == pytest.approx(fsum(costs.energy_j), rel=1e-12)
    assert metrics["sensor_latency_s"] == pytest.approx(fsum(costs.latency_s), rel=1e-12)
    assert metrics["area_mm2"] == model.area_mm2(chip, 100e6)
    weights = sum(layer.parameters for layer in LENET.layers)
    assert metrics["sensor_memory_bytes"] > weights * chip.weight_bits / 8


def test_a_second_system_on_the_same_memo_maps_nothing(memo):
    points = [SPACE.decode(SPACE.indices_of(i)) for i in range(SPACE.size)]
    System(LENET, SystemSettings(), memo).prepare(points)
    misses, seen = memo.misses, []
    System(LENET, SystemSettings(), memo).prepare(points, progress=lambda done, of: seen.append((done, of)))
    assert memo.misses == misses
