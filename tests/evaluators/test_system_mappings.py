"""The system with all mappings kept, against one evaluation per combination of mappings."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from evaluators.costs import METRICS
from evaluators.memo import Memo
from evaluators.sensor import SensorSettings
from evaluators.system import System, SystemSettings
from search_spaces.errors import UserError
from search_spaces.space import sensor_edge_space
from tests.fakes import FakeSensor, toy_network

NETWORK = toy_network()
COSTED = [i for i, layer in enumerate(NETWORK.layers) if layer.cost != "free"]
SPACE = sensor_edge_space(
    NETWORK,
    accelerators=("eyeriss_like",),
    pe_cols=(14,),
    pe_rows=(4,),
    glb_kib=(64,),
    input_buffer_scale=(1.0,),
    weight_buffer_scale=(1.0,),
    clock_mhz=(100, 600),
    links=("100base-t", "1000base-t"),
    tensor_bits=(16, 4),
)
WHOLE = SPACE.decode((len(NETWORK.cuts) - 1, *(0 for _ in SPACE.knobs[1:])))
PARETO = SystemSettings(sensor=SensorSettings(mapping="pareto"))


def system(settings: SystemSettings, **sensor: object) -> System:
    model = FakeSensor(limit_hz=5e8, pareto=settings == PARETO, **sensor)  # type: ignore[arg-type]
    return System(NETWORK, settings, Memo(None), sensor_model=model)


def test_combinations_equal_one_evaluation_for_each() -> None:
    architecture = next(SPACE.architectures())
    kept = system(PARETO)
    block = kept.architecture_block(SPACE, architecture)
    cells = np.argwhere(block.legal)
    rng = np.random.default_rng(1)
    found = kept.combinations(SPACE, architecture, cells[rng.permutation(len(cells))])
    cells = cells[np.random.default_rng(1).permutation(len(cells))]
    expected: dict[tuple[int, ...], list[dict[str, float]]] = {tuple(cell): [] for cell in cells.tolist()}
    for picks in product(range(len(FakeSensor.MAPPINGS)), repeat=len(COSTED)):
        one = system(SystemSettings(), picks=dict(zip(COSTED, picks, strict=True)))
        for cell in expected:
            expected[cell].append(one.metrics(SPACE.decode(block.indices(cell))))
    assert block.combinations == sum(2 ** sum(i in NETWORK.cuts[cut].layers for i in COSTED) for cut, *_ in expected)
    for place, (cell, costs) in enumerate(expected.items()):
        values = sorted({(c["sensor_energy_j"], c["latency_s"]) for c in costs}, key=lambda v: (v[1], v[0]))
        front = [v for v in values if not any(w != v and w[0] <= v[0] and w[1] <= v[1] for w in values)]
        rows = np.flatnonzero(found.cell == place)
        ours = [(found.metrics["sensor_energy_j"][r], found.metrics["latency_s"][r]) for r in rows]
        assert ours == front
        assert found.point[rows].tolist() == list(range(1, len(front) + 1))
        for row in rows:
            metrics = {name: float(found.metrics[name][row]) for name in METRICS}
            assert metrics in costs
            assert kept.metrics(SPACE.decode(block.indices(cell)), int(found.point[row])) == metrics
        for name in METRICS:
            bound = block.metrics[name][cell]
            worst = max if name == "throughput_fps" else min
            assert bound == worst(c[name] for c in costs), name


def test_a_design_with_many_costs_has_no_single_one() -> None:
    kept, point = system(PARETO), WHOLE
    with pytest.raises(UserError, match='ask for "edp", "delay" or "energy"'):
        kept.metrics(point)
    with pytest.raises(UserError, match="many costs"):
        kept.evaluate(point)
    with pytest.raises(UserError, match=r"mapping points 1 to \d+, not 65"):
        kept.metrics(point, 65)
    with pytest.raises(UserError, match="leave it out"):
        system(SystemSettings()).metrics(point, 1)


def test_a_combination_is_itemised_layer_by_layer() -> None:
    for number in (1, 5):
        found = system(PARETO).evaluate(WHOLE, number)
        assert found.metrics == system(PARETO).metrics(WHOLE, number)
        assert sum(layer.energy_j for layer in found.layers) == pytest.approx(found.metrics["accelerator_energy_j"])
        assert sum(layer.latency_s for layer in found.layers) == pytest.approx(found.metrics["sensor_latency_s"])


def test_provenance_does_not_depend_on_the_mapping() -> None:
    for cut in (0, 3):
        point = SPACE.decode((cut, *(0 for _ in SPACE.knobs[1:])))
        assert system(PARETO).provenance(point) == system(SystemSettings()).provenance(point)
