"""Partitioning points: equal to the published ones, closed, nested, and merged only where nothing is lost."""

from __future__ import annotations

import csv

import pytest

from search_spaces.networks import load
from search_spaces.networks._cuts import block_cuts, merge_cuts, tensor_cuts
from search_spaces.networks._operators import lower
from search_spaces.types import INPUT, Network
from tests.reference import recorded
from tests.search_spaces.networks.tiny import Residual, Tail, traced

PUBLISHED_POINTS = {"fcn_resnet50": 25, "googlenet": 19, "squeezenet1_1": 17}
TENSOR_POINTS = {"fcn_resnet50": 43, "googlenet": 27, "squeezenet1_1": 35}
PUBLISHED_MMAC = {"fcn_resnet50": 26_484.5, "googlenet": 1_497.35, "squeezenet1_1": 387.75}
PUBLISHED = sorted(PUBLISHED_POINTS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_block_cuts_are_the_published_points(name: str) -> None:
    with recorded(f"cnnparted_2022/{name}_all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    published = [
        (row["Layer"], tuple(int(size) for size in row["Output Size"].strip("()[]").split(","))) for row in rows
    ]
    assert [(cut.name, cut.shape) for cut in load(name).cuts] == published
    assert len(published) == PUBLISHED_POINTS[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_convolutions_before_the_last_block_have_the_published_macs(name: str) -> None:
    network = load(name)
    convolutions = [i for i in network.cuts[-1].layers if network.layers[i].operator == "conv2d"]
    assert sum(network.layers[i].macs for i in convolutions) / 1e6 == pytest.approx(PUBLISHED_MMAC[name], abs=0.05)


@pytest.mark.parametrize("name", PUBLISHED)
def test_single_tensor_cuts_before_merging(name: str) -> None:
    assert len(load(name, cut_mode="tensor", merge=False).cuts) == TENSOR_POINTS[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_merging_loses_no_choice(name: str) -> None:
    every = load(name, cut_mode="tensor", merge=False)
    merged = load(name, cut_mode="tensor")
    assert [n for cut in merged.cuts for n in (cut.name, *cut.aliases)] == [cut.name for cut in every.cuts]
    assert merged.merged == len(every.cuts) - len(merged.cuts) > 0
    by_name = {cut.name: cut for cut in every.cuts}
    for cut in merged.cuts:
        for alias in cut.aliases:
            assert by_name[alias].elements == cut.elements
            between = by_name[alias].layers ^ cut.layers
            assert all(every.layers[i].cost == "free" for i in between)


def test_the_finer_cut_that_the_paper_lacks() -> None:
    cut = next(c for c in load("squeezenet1_1", cut_mode="tensor").cuts if c.name == "features.3.squeeze")
    assert cut.shape == (1, 16, 56, 56)


@pytest.mark.parametrize("mode", ["block", "tensor"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_what_crosses_is_what_the_rest_needs(name: str, mode: str) -> None:
    """Oracle: a result crosses if a later layer reads it, or if it is the network's output."""
    network = load(name, cut_mode=mode)  # type: ignore[arg-type] # the two literals
    for cut in network.cuts:
        crossing = _crossing_slow(network, cut.layers)
        assert len(crossing) == 1, cut.name
        (i,) = crossing
        elements = network.input.elements if i == INPUT else network.layers[i].output_elements
        assert elements == cut.elements


def _crossing_slow(network: Network, before: frozenset[int]) -> set[int]:
    crossing = set()
    for i in (INPUT, *range(len(network.layers))):
        if i == INPUT or i in before:
            readers = [k for k, layer in enumerate(network.layers) if i in layer.inputs]
            if any(k not in before for k in readers) or not readers:
                crossing.add(i)
    return crossing


@pytest.mark.parametrize("name", PUBLISHED)
def test_first_cut_is_the_input_and_the_last_leaves_only_what_is_said(name: str) -> None:
    network = load(name)
    assert (network.cuts[0].name, network.cuts[0].layers) == ("Identity", frozenset())
    left = [layer for i, layer in enumerate(network.layers) if i not in network.cuts[-1].layers]
    costed = [layer.operator for layer in left if layer.cost != "free"]
    assert costed == (["interpolate"] if name == "fcn_resnet50" else [])
    assert any("stays on the edge" in note for note in network.notes) == bool(costed)


def test_network_that_is_no_chain_says_so() -> None:
    network = load("lraspp_mobilenet_v3_large", (1, 3, 64, 64))
    assert [cut.name for cut in network.cuts] == ["Identity", "LRASPP: 0-1"]
    assert any("only 2 partitioning points" in note for note in network.notes)


@pytest.mark.parametrize(
    ("name", "input_shape", "point", "shape"),
    [
        ("mobilenet_v2", (1, 3, 64, 64), "ReLU6: 3-23", (1, 1280, 1, 1)),  # functional pooling before the classifier
        ("densenet121", (1, 3, 64, 64), "BatchNorm2d: 2-12", (1, 1024, 1, 1)),  # functional ReLU and pooling
        ("vit_b_32", (1, 3, 224, 224), "Conv2d: 1-1", (1, 50, 768)),  # class token and position embedding
    ],
)
def test_functions_between_children_belong_to_the_module_before(
    name: str, input_shape: tuple[int, ...], point: str, shape: tuple[int, ...]
) -> None:
    network = load(name, input_shape)
    assert next(cut.shape for cut in network.cuts if cut.name == point) == shape
    assert not network.notes


def test_hand_built_network_is_cut_where_the_rule_says() -> None:
    graph = lower(traced(Tail(), (1, 4, 8, 8)))
    blocks, notes = block_cuts(graph)
    # body is a chain, Residual adds, the functional mean belongs to Residual, Dropout is counted but no point
    assert [cut.name for cut in blocks] == ["Identity", "Conv2d: 2-1", "ReLU: 2-2", "Residual: 1-2", "Linear: 1-4"]
    assert [cut.shape for cut in blocks] == [(1, 4, 8, 8)] * 3 + [(1, 4), (1, 2)]
    assert not notes
    tensors = tensor_cuts(graph)
    assert [cut.name for cut in tensors] == [
        "Identity", "body.0", "body.1", "add", "residual.relu", "mean", "dropout", "head",
    ]  # fmt: skip
    merged = merge_cuts(tensors, graph.layers)
    assert [(cut.name, cut.aliases) for cut in merged] == [
        ("Identity", ()), ("body.0", ("body.1",)), ("add", ("residual.relu",)), ("mean", ("dropout",)), ("head", ()),
    ]  # fmt: skip


def test_module_that_ends_in_a_function_stays_whole() -> None:
    blocks, notes = block_cuts(lower(traced(Residual(), (1, 4, 8, 8))))
    assert [cut.name for cut in blocks] == ["Identity", "Residual: 0-1"]
    assert len(notes) == 1
