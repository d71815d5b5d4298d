"""Live activations: a hand-counted network, and a slow oracle on real and random ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.networks import load
from search_spaces.networks.liveness import peak_activation_elements
from search_spaces.types import INPUT, Cut, Layer, Network, Tensor


def peak_slow(network: Network, cut: Cut) -> int:
    """At every step look at every tensor: is it there already, and does anybody still want its memory?"""
    order = sorted(cut.layers)

    @cache
    def readers(i: int) -> list[int]:
        return [k for k, layer in enumerate(network.layers) if i in layer.inputs]

    @cache
    def memory(i: int) -> set[int]:
        """Whose memory the result of i lies in, by following what moves nothing back to what wrote it."""
        if i == INPUT or network.layers[i].cost != "free":
            return {i}
        layer = network.layers[i]
        if layer.operator in ("relu", "batch_norm2d", "hardswish", "hardsigmoid", "sigmoid", "silu") and any(
            len(readers(j)) > 1 for j in layer.inputs
        ):
            return {i}
        return {m for j in layer.inputs for m in memory(j)}

    def wanted_after(buffer: int, step: int) -> bool:
        results = [i for i in (INPUT, *cut.layers) if buffer in memory(i)]
        later = set(order[step:])
        for i in results:
            if any(k in later or k not in cut.layers for k in readers(i)) or (i in later):
                return True
            if i != INPUT and not readers(i):  # the network's output
                return True
        return False

    if not order:
        return network.input.elements
    peak = network.input.elements if wanted_after(INPUT, 0) else 0
    for step, running in enumerate(order):
        there = {INPUT} | {m for i in order[: step + 1] for m in memory(i)}
        alive = {m for m in there if wanted_after(m, step) or (running in memory(running) and m == running)}
        sizes = [network.input.elements if m == INPUT else network.layers[m].output_elements for m in alive]
        peak = max(peak, sum(sizes))
    return peak


@dataclass
class Built:
    layers: list[Layer]

    def network(self, elements: int, cut: frozenset[int]) -> tuple[Network, Cut]:
        source = Tensor("Identity", (elements,))
        point = Cut("here", cut, (source,))  # the crossing tensors do not matter to liveness: they are derived
        cuts = (Cut("Identity", frozenset(), (source,)), *([point] if cut else []))
        return Network("tiny", source, tuple(self.layers), cuts, "tensor"), cuts[-1]


def move(name: str, inputs: tuple[int, ...], out: int, cost: str = "move", operator: str = "pool") -> Layer:
    return Layer(name, operator, cost, inputs, 1, out)  # type: ignore[arg-type] # the two literals


def test_counted_by_hand() -> None:
    """in 10 -> a 20 -> relu (in place) -> b 5; a + b needs both: 20 + 5 + 20 out; then out alone."""
    layers = [
        move("a", (INPUT,), 20),
        move("relu", (0,), 20, "free", "relu"),
        move("b", (1,), 5),
        move("add", (1, 2), 20, operator="add"),
        move("end", (3,), 1),
    ]
    peaks = [peak_activation_elements(*Built(layers).network(10, frozenset(range(n)))) for n in range(6)]
    assert peaks == [10, 30, 30, 30, 45, 45]


def test_fused_operator_does_not_overwrite_what_others_read() -> None:
    layers = [
        move("a", (INPUT,), 20),
        move("relu", (0,), 20, "free", "relu"),
        move("add", (0, 1), 20, operator="add"),
    ]
    assert peak_activation_elements(*Built(layers).network(10, frozenset(range(3)))) == 60


def test_concatenation_in_place_needs_no_second_copy() -> None:
    layers = [
        move("a", (INPUT,), 7),
        move("b", (INPUT,), 8),
        move("cat", (0, 1), 15, "free", "cat"),
        move("end", (2,), 1),
    ]
    assert peak_activation_elements(*Built(layers).network(10, frozenset(range(4)))) == 25


@pytest.mark.parametrize(
    ("name", "mode"), [("squeezenet1_1", "block"), ("resnet18", "tensor"), ("mobilenet_v3_small", "tensor")]
)
def test_agrees_with_the_oracle_on_real_networks(name: str, mode: str) -> None:
    network = load(name, (1, 3, 64, 64), mode)  # type: ignore[arg-type] # the two literals
    for cut in network.cuts[:: max(1, len(network.cuts) // 4)]:
        assert peak_activation_elements(network, cut) == peak_slow(network, cut), cut.name


@st.composite
def built(draw: st.DrawFn) -> tuple[Network, Cut]:
    count = draw(st.integers(1, 9))
    layers: list[Layer] = []
    for i in range(count):
        inputs = draw(st.lists(st.integers(INPUT, i - 1), min_size=1, max_size=3, unique=True))
        operator = draw(st.sampled_from(["pool", "relu", "reshape", "cat"]))
        cost = "move" if operator == "pool" else draw(st.sampled_from(["free", "move"]))
        layers.append(move(f"l{i}", tuple(inputs), draw(st.integers(1, 50)), cost, operator))
    before = frozenset(range(draw(st.integers(0, count))))
    return Built(layers).network(draw(st.integers(1, 50)), before)


@settings(max_examples=150, deadline=None)
@given(built())
def test_agrees_with_the_oracle_on_random_graphs(case: tuple[Network, Cut]) -> None:
    network, cut = case
    assert peak_activation_elements(network, cut) == peak_slow(network, cut)
