"""Ten torchvision families go the whole way: trace, cuts in three modes, every template, edge, split and re-join."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from evaluators import edge
from evaluators.memo import Memo
from evaluators.system import System, SystemSettings
from search_spaces import accelerators
from search_spaces.networks import build_module, load
from search_spaces.networks.split import Splitter
from search_spaces.space import ARCHITECTURE_KNOBS, sensor_edge_space
from search_spaces.types import CutMode

FAMILIES = {
    "alexnet": (1, 3, 64, 64),
    "efficientnet_b0": (1, 3, 32, 32),
    "fcn_resnet50": (1, 3, 32, 32),
    "googlenet": (1, 3, 32, 32),
    "mobilenet_v2": (1, 3, 32, 32),
    "mobilenet_v3_large": (1, 3, 32, 32),
    "resnet18": (1, 3, 32, 32),
    "resnet50": (1, 3, 32, 32),
    "squeezenet1_1": (1, 3, 35, 35),
    "vgg16": (1, 3, 32, 32),
}
QUICK = ("squeezenet1_1",)
MODES: tuple[CutMode, ...] = ("block", "tensor", "frontier")


def families() -> list[object]:
    """All ten; the default set runs one of them."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def memo() -> Iterator[Memo]:
    with Memo() as shared:
        yield shared


@pytest.mark.parametrize("name", families())
def test_head_then_tail_is_the_network_at_every_cut_of_every_mode(name: str) -> None:
    shape = FAMILIES[name]
    module = build_module(name)
    source = torch.rand(shape, generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        whole = module(source.clone())
        whole = whole["out"] if isinstance(whole, dict) else whole
        seen: set[frozenset[int]] = set()
        for mode in MODES:
            network = load(name, shape, mode, max_cuts=200)
            splitter = Splitter(network, module)
            for cut in network.cuts:
                if cut.layers in seen:
                    continue
                seen.add(cut.layers)
                halves = splitter.split(cut)
                crossing = halves.head(source.clone())
                assert [tuple(t.shape) for t in crossing] == [t.shape for t in cut.tensors], cut.name
                (result,) = crossing if halves.tail is None else halves.tail(*crossing)
                assert torch.equal(result, whole), (mode, cut.name)


@pytest.mark.parametrize("name", families())
def test_every_block_and_tensor_point_is_a_frontier_cut(name: str) -> None:
    """Where points are merged, a block is known by its name beside that of the cut that stands for it."""
    block, tensor, frontier, every = (
        load(name, FAMILIES[name], mode, merge)
        for mode, merge in (("block", True), ("tensor", True), ("frontier", True), ("frontier", False))
    )
    merged, unmerged = ({cut.layers: cut for cut in network.cuts} for network in (frontier, every))
    for cut in tensor.cuts:
        assert (merged[cut.layers].name, merged[cut.layers].tensors) == (cut.name, cut.tensors)
    for cut in load(name, FAMILIES[name], "tensor", merge=False).cuts:
        assert unmerged[cut.layers].tensors == cut.tensors
    known_as = {alias: cut for cut in frontier.cuts for alias in cut.aliases}
    for cut in block.cuts[1:]:
        assert unmerged[cut.layers].elements == cut.elements == known_as[cut.name].elements
        assert cut.name in unmerged[cut.layers].aliases


@pytest.mark.parametrize("name", families())
def test_every_template_and_a_roofline_cost_it_in_three_modes(name: str, memo: Memo) -> None:
    """In its own sizes no template has a layer of these networks that it cannot map, so every cut has a cost."""
    found = {mode: load(name, FAMILIES[name], mode, max_cuts=60) for mode in MODES}
    for network in found.values():
        seconds = edge.profile(network, "jetson-tx2").latency_s
        assert seconds[0] == max(seconds) > 0
    network = found["tensor"]
    for template in accelerators.names():
        own = accelerators.defaults(template) | dict.fromkeys(accelerators.MEMORIES, accelerators.TEMPLATE)
        knobs: dict[str, Any] = {knob: (own[knob],) for knob in ARCHITECTURE_KNOBS[1:] if knob in own}
        space = sensor_edge_space(
            network, accelerators=(template,), clock_mhz=(50,), links=("1000base-t",), drams=("lpddr4",), **knobs
        )
        system = System(network, SystemSettings(), memo)
        nothing = system.metrics(space.decode((0,) * len(space.knobs)))
        assert nothing["accelerator_energy_j"] == 0 < nothing["edge_latency_s"] < nothing["latency_s"]
        whole = system.metrics(space.decode((len(network.cuts) - 1,) + (0,) * (len(space.knobs) - 1)))
        assert whole["accelerator_energy_j"] > 0 and whole["sensor_latency_s"] > whole["edge_latency_s"] == 0
