"""Fronts over mappings against all combinations, one by one."""

from __future__ import annotations

from functools import reduce
from itertools import product
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.memo import Memo
from evaluators.network_front import LayerFronts, RunningFronts, layer_fronts
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators
from search_spaces.types import ConvShape, Cut, Layer, Network, Tensor

Mappings = list[tuple[float, float]]


def best(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The distinct points that no other beats, fastest first."""
    distinct = set(points)
    return sorted(p for p in distinct if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in distinct))


def all_sums(layers: list[Mappings]) -> list[tuple[float, float]]:
    """(latency, energy) of every combination, summed in the order of the layers."""
    return [
        (reduce(add, (latency for latency, _ in combination), 0.0), reduce(add, (e for _, e in combination), 0.0))
        for combination in product(*layers)
    ]


def as_arrays(layers: list[Mappings], unmapped: dict[int, str] | None = None) -> LayerFronts:
    width = max([1, *map(len, layers)])
    table = np.full((2, len(layers), width), np.nan)
    for i, mappings in enumerate(layers):
        for j, mapping in enumerate(mappings):
            table[:, i, j] = mapping
    return layer_fronts(table[0], table[1], "made up", unmapped or {})


coarse = st.integers(1, 4).map(float)  # many equal figures and equal sums
fine = st.floats(1e-9, 1e-2)  # sums that round
mapping = st.tuples(coarse, coarse) | st.tuples(fine, fine)
networks = st.lists(st.lists(mapping, max_size=4), min_size=1, max_size=5)


@settings(deadline=None, max_examples=150)
@given(networks, st.data())
def test_fronts_equal_the_best_of_all_combinations(layers: list[Mappings], data: st.DataObject) -> None:
    found = as_arrays(layers)
    running = RunningFronts(found)
    sets = data.draw(st.lists(st.sets(st.sampled_from(range(len(layers)))), min_size=1, max_size=4))
    for chosen in sets:
        costed = [i for i in sorted(chosen) if layers[i]]
        front = running.front(chosen)
        expected = best(all_sums([layers[i] for i in costed]))
        assert list(zip(front.latency_s.tolist(), front.energy_j.tolist(), strict=True)) == expected
        assert front.combinations == np.prod([len(best(layers[i])) for i in costed], dtype=object)
        for point in range(len(front)):
            choice = front.choice(point)
            assert list(choice) == costed
            latency_s = reduce(add, (float(found.latency_s[i, at]) for i, at in choice.items()), 0.0)
            energy_j = reduce(add, (float(found.energy_j[i, at]) for i, at in choice.items()), 0.0)
            assert (latency_s, energy_j) == expected[point]
            assert front.changed[point] == sum(at != found.edp[i] for i, at in choice.items())


@settings(deadline=None, max_examples=100)
@given(networks)
def test_a_layers_front_is_the_best_of_its_mappings(layers: list[Mappings]) -> None:
    found = as_arrays(layers)
    for i, mappings in enumerate(layers):
        size = found.sizes[i]
        front = list(zip(found.latency_s[i, :size].tolist(), found.energy_j[i, :size].tolist(), strict=True))
        assert front == best(mappings)
        assert [mappings[at] for at in found.candidates[i, :size]] == front
        assert np.isnan(found.latency_s[i, size:]).all() and np.isnan(found.energy_j[i, size:]).all()
        if mappings:
            assert found.least_latency_s[i] == min(latency for latency, _ in mappings)
            assert found.least_energy_j[i] == min(e for _, e in mappings)
            at_edp = front[found.edp[i]]
            assert at_edp[0] * at_edp[1] == min(s * j for s, j in mappings)
        else:
            assert found.least_latency_s[i] == found.least_energy_j[i] == 0.0


def test_a_set_with_a_layer_that_does_not_map_has_no_front() -> None:
    running = RunningFronts(as_arrays([[(1.0, 1.0)], [], [(1.0, 1.0)]], {1: "conv2: too wide"}))
    assert len(running.front([0])) == 1
    with pytest.raises(ValueError, match="conv2: too wide"):
        running.front([0, 1, 2])


def test_the_front_of_a_real_network_holds_what_each_metric_chooses() -> None:
    """On every template: the least latency and the least energy are its ends, and edp's choice is not beyond it."""
    shapes = [ConvShape(1, 3, 16, 32, 32, 3, 3), ConvShape(1, 16, 32, 16, 16, 1, 1), ConvShape(1, 32, 64, 8, 8, 3, 3)]
    layers = tuple(Layer(f"conv{i}", "conv2d", "mac", (i - 1,), 1024, 1024, 1, shape) for i, shape in enumerate(shapes))
    image = Tensor("x", (1, 3, 32, 32))
    cuts = (Cut("x", frozenset(), (image,)), Cut("y", frozenset(range(3)), (image,)))
    network = Network("tiny", image, layers, cuts, "block")
    memo = Memo()
    several = 0
    for name in accelerators.names():
        chip = accelerators.build(name)
        limit_hz = SensorModel(SensorSettings(), memo).clock_limit_hz(chip)
        clock_hz = min(limit_hz or 1e9, 2e8)
        fronts = SensorModel(SensorSettings(mapping="pareto"), memo).layer_fronts(network, chip, clock_hz, "lpddr4")
        front = RunningFronts(fronts).front(range(3))
        sums = {}
        for metric in ("edp", "delay", "energy"):
            costs = SensorModel(SensorSettings(mapping=metric), memo).layer_costs(network, chip, clock_hz, "lpddr4")
            sums[metric] = float(np.cumsum(costs.latency_s)[-1]), float(np.cumsum(costs.energy_j)[-1])
        points = list(zip(front.latency_s.tolist(), front.energy_j.tolist(), strict=True))
        assert sums["delay"] == points[0] and sums["energy"] == points[-1]
        assert any(s <= sums["edp"][0] and j <= sums["edp"][1] for s, j in points)
        several += len(front) > 1
    assert several
