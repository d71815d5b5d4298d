"""Layer costs from the mapper's candidates: the metric chooses after clock, supply, leakage and DRAM are known."""

from __future__ import annotations

import signal
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from evaluators.breakdown import component_items
from evaluators.components import dram_access_pj, mac
from evaluators.dvfs import NODES, supply_v
from evaluators.mapper.energy import price
from evaluators.mapper.layer import map_layer
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import INPUT, ConvShape, Cut, Layer, Network, Tensor

CONV = ConvShape(N=1, C=3, M=16, P=16, Q=16, R=3, S=3)
DEPTHWISE = ConvShape(N=1, C=16, M=16, P=16, Q=16, R=3, S=3, groups=16)


def _network(*shapes: ConvShape) -> Network:
    layers = []
    for i, shape in enumerate(shapes):
        words_in, words_out = shape.C * shape.P * shape.Q, shape.M * shape.P * shape.Q
        layers.append(Layer(f"conv{i}", "conv2d", "mac", (len(layers) - 1,), words_in, words_out, 1, shape))
        layers.append(Layer(f"relu{i}", "relu", "free", (len(layers) - 1,), words_out, words_out))
        layers.append(Layer(f"pool{i}", "max_pool2d", "move", (len(layers) - 1,), words_out, words_out // 4))
    everything = frozenset(range(len(layers)))
    image = Tensor("x", (1, 3, 16, 16))
    assert layers[0].inputs == (INPUT,)
    cuts = (Cut("x", frozenset(), (image,)), Cut("y", everything, (image,)))
    return Network("tiny", image, tuple(layers), cuts, "block")


@pytest.mark.parametrize("name", accelerators.names())
@pytest.mark.parametrize("metric", ["edp", "delay", "energy"])
@pytest.mark.parametrize("dvfs", ["on", "off", "sized"])
def test_costs_equal_the_formula_over_all_candidates(name: str, metric: str, dvfs: str) -> None:
    """COST_MODEL section 7, written out for one layer: the best of (V/Vn)² · on-chip + DRAM + leakage."""
    chip = accelerators.build(name)
    model = SensorModel(SensorSettings(mapping=metric, dvfs=dvfs), Memo())
    clock_hz, dram = 250e6, "ddr3"
    costs = model.layer_costs(_network(CONV), chip, clock_hz, dram)
    priced, found = price(chip), map_layer(CONV, chip)
    limit_hz = None if priced.cycle_s is None else 1 / priced.cycle_s
    nominal_v = NODES[chip.technology_nm].nominal_v
    volts = supply_v(clock_hz, limit_hz, chip.technology_nm) if dvfs == "on" else nominal_v
    options = []
    for c in found.candidates:
        unit = mac(chip.mac, clock_hz if dvfs == "sized" else None)
        on_chip = (c.on_chip_pj + found.macs * unit.read_pj) * (volts / nominal_v) ** 2
        off_chip = c.dram_accesses * dram_access_pj(priced.dram, dram)
        leakage_w = priced.leakage_w + chip.instances(-1) * (unit.leakage_w - priced.mac.leakage_w)
        leaks = 0.0 if dvfs == "off" else leakage_w * c.cycles / clock_hz
        options.append(((on_chip + off_chip) * 1e-12 + leaks, c.cycles / clock_hz))
    key = {"edp": lambda o: o[0] * o[1], "delay": lambda o: (o[1], o[0]), "energy": lambda o: o}[metric]
    energy_j, latency_s = min(options, key=key)
    assert costs.energy_j[0] == pytest.approx(energy_j, rel=1e-12)
    assert costs.latency_s[0] == pytest.approx(latency_s, rel=1e-12)
    assert costs.energy_j[1] == costs.latency_s[1] == 0.0


def test_pooling_by_hand() -> None:
    # eyeriss_like: 16·16·16 = 4096 words in, 1024 out; GLB block 4 words, 16 words per cycle and port, 74.1442 pJ a
    # read and 75.2148 pJ a write; DRAM block 4 words at 512 pJ
    chip = accelerators.build("eyeriss_like")
    costs = SensorModel(SensorSettings(dvfs="off"), Memo()).layer_costs(_network(CONV), chip, 200e6, "lpddr4")
    assert costs.cycles[2] == 4096 / 16
    assert costs.dynamic_j[2] == pytest.approx((1024 * 74.1442 + 256 * 75.2148) * 1e-12, rel=1e-9)
    assert costs.dram_j[2] == pytest.approx((1024 + 256) * 512e-12, rel=1e-12)


def test_conv_convention_costs_convolutions_only() -> None:
    costs = SensorModel(SensorSettings(operators="conv"), Memo()).layer_costs(
        _network(CONV), accelerators.build("simba_like"), 200e6, "lpddr4"
    )
    assert costs.energy_j[0] > 0
    assert costs.energy_j[2] == costs.latency_s[2] == 0.0


@pytest.mark.parametrize("name", accelerators.names())
def test_convolutions_over_one_dimension_map(name: str) -> None:
    """At least as long as all multipliers of the chip together need for the MACs."""
    shape, chip, clock_hz = ConvShape(N=1, C=16, M=32, P=40, Q=1, R=5, S=1, stride_w=2), accelerators.build(name), 200e6
    costs = SensorModel(SensorSettings(), Memo()).layer_costs(_network(shape), chip, clock_hz, "lpddr4")
    assert not costs.unmapped
    assert costs.latency_s[0] >= shape.macs / chip.instances(-1) / clock_hz and costs.energy_j[0] > 0


@pytest.mark.parametrize("name", accelerators.names())
def test_a_grouped_layer_is_its_group_times_the_groups(name: str) -> None:
    chip = accelerators.build(name)
    model = SensorModel(SensorSettings(), Memo())
    grouped = model.layer_costs(_network(DEPTHWISE), chip, 200e6, "lpddr4")
    single = model.layer_costs(_network(DEPTHWISE.one_group), chip, 200e6, "lpddr4")
    for figure in ("energy_j", "latency_s", "cycles"):
        assert getattr(grouped, figure)[0] == pytest.approx(16 * getattr(single, figure)[0], rel=1e-12)


def test_a_layer_that_does_not_map_is_named_not_hidden() -> None:
    tall = ConvShape(N=1, C=3, M=16, P=16, Q=16, R=1, S=13)
    costs = SensorModel(SensorSettings(), Memo()).layer_costs(
        _network(CONV, tall), accelerators.build("eyeriss_like"), 200e6, "lpddr4"
    )
    assert list(costs.unmapped) == [3] and "column" in costs.unmapped[3]
    assert np.isnan(costs.energy_j[3]) and not np.isnan(costs.energy_j[[0, 1, 2, 4, 5]]).any()


def test_the_clock_is_a_real_decision_under_dvfs_and_none_without() -> None:
    """With DVFS a faster clock costs energy above the floor voltage; without, it is free."""
    chip, network = accelerators.build("eyeriss_like"), _network(CONV)
    clocks = [5e8, 7e8, 9e8, 11e8]
    on = [SensorModel(SensorSettings(dvfs="on"), Memo()).layer_costs(network, chip, f, "lpddr4") for f in clocks]
    off = [SensorModel(SensorSettings(dvfs="off"), Memo()).layer_costs(network, chip, f, "lpddr4") for f in clocks]
    assert all(a.energy_j.sum() < b.energy_j.sum() for a, b in pairwise(on))
    assert len({c.energy_j.sum() for c in off}) == 1
    with pytest.raises(IllegalDesign, match="2000 MHz is above"):
        SensorModel(SensorSettings(), Memo()).layer_costs(network, chip, 2e9, "lpddr4")


def test_only_sized_macs_change_the_area_with_the_clock() -> None:
    """168 MACs of 16 bits: 1239.5 µm² each at 5 ns, 1374.5 at 2 ns, 1726.5 at 1 ns; nothing else has a `lat` row."""
    chip = accelerators.build("eyeriss_like")
    area = {
        dvfs: [SensorModel(SensorSettings(dvfs=dvfs), Memo()).area_mm2(chip, f) for f in (1e8, 2e8, 4e8, 8e8)]
        for dvfs in ("on", "off", "sized")
    }
    assert area["on"] == area["off"] == [price(chip).area_mm2] * 4
    grown = [168 * (um2 - 1239.5) * 1e-6 for um2 in (1239.5, 1239.5, 1374.5, 1726.5)]
    assert area["sized"] == pytest.approx([price(chip).area_mm2 + more for more in grown], rel=1e-12)


def test_a_layer_is_searched_once_for_all_clocks_and_processes(tmp_path: Path) -> None:
    network, chips = _network(CONV, CONV, DEPTHWISE), [accelerators.build(n) for n in ("eyeriss_like", "simba_like")]
    with Memo(tmp_path / "memo.db") as memo:
        told: list[tuple[int, int]] = []
        SensorModel(SensorSettings(), memo).prepare(network, chips, progress=lambda *at: told.append(at))
        assert memo.info().entries == {"mapping": 4}
        assert told[-1] == (4, 4)
    with Memo(tmp_path / "memo.db") as memo:
        model = SensorModel(SensorSettings(mapping="delay"), memo)
        for clock_hz in (1e8, 2e8):
            model.layer_costs(network, chips[0], clock_hz, "hbm2")
        assert (memo.hits, memo.misses) == (2, 0)


def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    shapes = [ConvShape(N=1, C=c, M=8, P=8, Q=8, R=1, S=1) for c in range(1, 81)]
    chip = accelerators.build("eyeriss_like")
    results = []
    for workers in (1, 2):
        with Memo(tmp_path / f"{workers}.db") as memo:
            model = SensorModel(SensorSettings(), memo)
            model.prepare(_network(*shapes), [chip], workers=workers)
            results.append(model.layer_costs(_network(*shapes), chip, 1e8, "lpddr4").energy_j)
            assert memo.misses == 80
    assert (results[0] == results[1]).all()


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(UserError, match="did you mean 'delay'"):
        SensorSettings(mapping="dela")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no dvfs 'maybe'; known: off, on, sized"):
        SensorSettings(dvfs="maybe")  # type: ignore[arg-type]


def test_an_interrupt_while_layers_are_searched_is_an_interrupt() -> None:
    """An interrupt can strike while arguments cross into compiled code, where it would become a SystemError."""
    chip, shape = accelerators.build("eyeriss_like"), ConvShape(N=1, C=4, M=4, P=2, Q=2, R=1, S=1)
    map_layer(shape, chip)  # compiled

    def strike(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for i in range(60):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + i * 0.0001)
                while True:
                    map_layer(shape, chip)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", accelerators.names())
@pytest.mark.parametrize("dvfs", ["on", "off", "sized"])
def test_components_add_up_to_the_layers_and_the_area(name: str, dvfs: str) -> None:
    chip, network = accelerators.build(name), _network(CONV, DEPTHWISE)
    model = SensorModel(SensorSettings(dvfs=dvfs), Memo())
    costs = model.layer_costs(network, chip, 400e6, "ddr3")
    for before in (range(6), range(2), ()):
        items = component_items(network, costs, list(before), "ddr3")
        *parts, dram = items
        assert component_items(network, replace(costs, simulator="a tool"), list(before), "ddr3") == tuple(
            replace(item, dynamic_j=None) for item in items
        )
        assert sum(part.dynamic_j for part in parts) == pytest.approx(costs.dynamic_j[list(before)].sum(), rel=1e-9)
        assert sum(part.leakage_j for part in parts) == pytest.approx(costs.leakage_j[list(before)].sum(), rel=1e-9)
        assert dram.dynamic_j == pytest.approx(costs.dram_j[list(before)].sum(), rel=1e-9)
        area = sum(part.area_mm2 for part in parts if part.area_mm2 is not None)
        assert area == pytest.approx(model.area_mm2(chip, 400e6), rel=1e-9)
    assert all(part.source for part in items) and dram.area_mm2 is None


def test_what_is_not_computed_passes_through_the_outermost_buffer() -> None:
    for name in accelerators.names():
        chip = accelerators.build(name)
        assert chip.levels[chip.outermost_buffer] is chip.on_chip[-1]


@pytest.mark.parametrize("mapping", ["edp", "delay", "energy", "pareto"])
@pytest.mark.parametrize("dvfs", ["on", "off", "sized"])
def test_many_clocks_at_once_are_one_after_the_other(mapping: str, dvfs: str) -> None:
    """Bit by bit, clocks above the limit and layers that do not map included."""
    network = _network(CONV, DEPTHWISE, ConvShape(N=1, C=16, M=8, P=16, Q=16, R=13, S=13))
    chip = accelerators.build("eyeriss_like")  # whose 12 rows cannot hold a filter of 13
    model = SensorModel(SensorSettings(mapping=mapping, dvfs=dvfs), Memo())  # type: ignore[arg-type]
    places = [(clock_hz, dram) for clock_hz in (25e6, 200e6, 4e8, 5e9) for dram in ("lpddr4", "hbm2")]
    grid = model.layer_grid(network, chip, places)
    refused = 0
    for k, (clock_hz, dram) in enumerate(places):
        try:
            if mapping == "pareto":
                fronts = model.layer_fronts(network, chip, clock_hz, dram)
                energy_j, latency_s, unmapped = fronts.least_energy_j, fronts.least_latency_s, fronts.unmapped
                assert grid.sizes[k].tolist() == fronts.sizes.tolist()
            else:
                costs = model.layer_costs(network, chip, clock_hz, dram)
                energy_j, latency_s, unmapped = costs.energy_j, costs.latency_s, costs.unmapped
        except IllegalDesign as error:
            assert str(grid.illegal[k]) == str(error) and np.isnan(grid.energy_j[k]).all()
            refused += 1
            continue
        assert grid.illegal[k] is None and grid.unmapped == unmapped and list(unmapped) == [6]
        mapped = [i for i in range(len(network.layers)) if i not in unmapped]
        assert grid.energy_j[k][mapped].tolist() == energy_j[mapped].tolist()
        assert grid.latency_s[k][mapped].tolist() == latency_s[mapped].tolist()
        assert grid.area_mm2[k] == model.area_mm2(chip, clock_hz)
    assert refused == (0 if dvfs == "off" else 2)
