"""Frontier cuts: all closed sets with few crossing tensors, judged by trying every set of operators."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.errors import UserError
from search_spaces.networks import load
from search_spaces.networks._frontier import frontier_cuts
from search_spaces.networks._graph import Graph, Op, assemble
from search_spaces.networks._operators import lower
from search_spaces.networks.liveness import peak_activation_elements
from search_spaces.types import INPUT, Cut, Tensor
from tests.search_spaces.networks.tiny import Branches, Residual, Tail, traced

NETWORKS = {"googlenet": (1, 3, 64, 64), "resnet18": (1, 3, 64, 64)}


def every_set(graph: Graph, most: int) -> set[tuple[frozenset[int], int]]:
    """Oracle: (operators, elements that cross) of every set closed under predecessors with up to `most` tensors."""
    n = len(graph.ops)
    found = set()
    for size in range(n + 1):
        for chosen in map(set, combinations(range(n), size)):
            if any(j != INPUT and j not in chosen for i in chosen for j in graph.ops[i].inputs):
                continue
            read = {j for i in range(n) if i not in chosen for j in graph.ops[i].inputs} | {graph.output}
            crossing = [j for j in (INPUT, *sorted(chosen)) if j in read]
            tensors = [graph.tensor(j) for j in crossing]
            if len(crossing) <= most and all(tensors):
                layers = frozenset(k for i in chosen for k in graph.layers_of[i])
                found.add((layers, sum(tensor.elements for tensor in tensors if tensor)))
    return found


def as_set(cuts: tuple[Cut, ...]) -> set[tuple[frozenset[int], int]]:
    return {(cut.layers, cut.elements) for cut in cuts}


@pytest.mark.parametrize("module", [Branches(), Branches(shared=True), Residual(), Tail()])
@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_the_cuts_of_small_networks_are_all_there_are(module: object, most: int) -> None:
    graph = lower(traced(module, (1, 4, 8, 8)))  # type: ignore[arg-type]  # all are modules
    cuts, merged, (note,) = frontier_cuts(graph, most, 1000, merge=False)
    assert as_set(cuts) == every_set(graph, most)
    assert note == f"{len(cuts)} cuts with up to {most} crossing tensors"
    assert merged == 0


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Random operators, each reading one or two of those before; everything is needed for the last."""
    n = draw(st.integers(1, 7))
    inputs = [draw(st.sets(st.integers(INPUT, i - 1), min_size=1, max_size=2)) for i in range(n)]
    unread = set(range(n - 1)) - {j for read in inputs for j in read}
    inputs[-1] |= unread
    ops = [
        Op(f"op{i}", "conv2d", draw(st.sampled_from(["pool", "activation", "view"])), tuple(sorted(read)), 8,
           elements, (1, elements))
        for i, read in enumerate(inputs)
        for elements in [draw(st.sampled_from([4, 8]))]
    ]  # fmt: skip
    return assemble(Tensor("Identity", (1, 8)), ops, n - 1)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_the_cuts_of_random_networks_are_all_there_are(graph: Graph, most: int) -> None:
    cuts, _, _ = frontier_cuts(graph, most, 1000, merge=False)
    assert as_set(cuts) == every_set(graph, most)
    assert len({cut.layers for cut in cuts}) == len(cuts) == len({cut.name for cut in cuts})


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_merging_only_drops_cuts_that_another_stands_for(graph: Graph, most: int) -> None:
    """What is dropped sends as much as a kept one that differs from it in free layers only."""
    kept, _, _ = frontier_cuts(graph, most, 1000, merge=True)
    every = every_set(graph, most)
    assert as_set(kept) <= every
    for layers, elements in every:
        assert any(
            cut.elements == elements and all(graph.layers[i].cost == "free" for i in cut.layers ^ layers)
            for cut in kept
        )


@pytest.mark.parametrize("name", NETWORKS)
def test_every_block_and_tensor_cut_is_a_frontier_cut(name: str) -> None:
    shape = NETWORKS[name]
    for merge in (True, False):
        frontier = load(name, shape, "frontier", merge)
        by_layers = {cut.layers: cut for cut in frontier.cuts}
        for cut in load(name, shape, "tensor", merge).cuts:
            same = by_layers[cut.layers]
            assert (same.name, same.tensors) == (cut.name, cut.tensors)
            assert set(cut.aliases) <= set(same.aliases)
    for block in load(name, shape).cuts[1:]:
        same = by_layers[block.layers]  # of the unmerged
        assert same.elements == block.elements
        assert block.name in same.aliases


def test_inception_has_477_cuts_inside_its_blocks() -> None:
    """By hand: 9 blocks whose four branches have 1, 2, 2 and 2 paid operators (2 × 3 × 3 × 3 = 54 states each).

    All of a block's states but "nothing done" and "all done, concatenated" are cuts of two or more tensors: 53 with
    the untouched input alone taken away, so 9 × 53 = 477, and 19 cuts with a single tensor.
    """
    network = load("googlenet", (1, 3, 64, 64), "frontier")
    assert len(network.cuts) == 19 + 9 * 53
    assert network.notes == ("496 cuts with up to 4 crossing tensors",)


def test_the_cap_keeps_what_sends_least_and_says_so() -> None:
    all_, few = (load("googlenet", (1, 3, 64, 64), "frontier", max_cuts=n) for n in (1000, 60))
    assert len(few.cuts) == 60
    several = sorted(cut.elements for cut in all_.cuts if len(cut.tensors) > 1)
    assert sorted(cut.elements for cut in few.cuts if len(cut.tensors) > 1) == several[:41]
    assert "the 19 with one tensor and, of the others, the 41 that send least are kept" in few.notes[0]
    assert {cut.layers for cut in load("googlenet", (1, 3, 64, 64), "tensor").cuts} <= {c.layers for c in few.cuts}


def test_where_counting_stops_it_says_at_least() -> None:
    network = load("densenet121", (1, 3, 64, 64), "frontier")
    assert network.notes[0].startswith("at least ")
    assert peak_activation_elements(network, network.cuts[-1]) > 0


@pytest.mark.parametrize(("most", "cap"), [(0, 10), (2, 1)])
def test_no_tensor_or_no_cut_is_refused(most: int, cap: int) -> None:
    with pytest.raises(UserError, match="at least 1 tensor and 2 cuts"):
        load("lenet5", None, "frontier", max_tensors=most, max_cuts=cap)
