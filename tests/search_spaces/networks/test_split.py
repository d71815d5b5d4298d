"""Head, then tail, is the whole network: for every cut, bit for bit."""

from __future__ import annotations

import pytest
import torch

from search_spaces.errors import UserError
from search_spaces.networks import build_module, load
from search_spaces.networks.split import Splitter

CASES = [
    ("fcn_resnet50", "block", (1, 3, 32, 32)),
    ("fcn_resnet50", "tensor", (1, 3, 32, 32)),
    ("googlenet", "block", (1, 3, 32, 32)),
    ("googlenet", "tensor", (1, 3, 32, 32)),
    ("squeezenet1_1", "block", (1, 3, 35, 35)),
    ("squeezenet1_1", "tensor", (1, 3, 35, 35)),
    ("mnasnet0_5", "tensor", (2, 3, 32, 32)),
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("name", "mode", "shape"), CASES)
def test_head_then_tail_is_the_whole(name: str, mode: str, shape: tuple[int, ...]) -> None:
    network = load(name, shape, mode)  # type: ignore[arg-type] # the two literals
    generator = torch.Generator().manual_seed(7)
    source = torch.rand(shape, generator=generator)
    module = build_module(name)
    with torch.inference_mode():
        whole = module(source.clone())
        whole = whole["out"] if isinstance(whole, dict) else whole
        assert whole.abs().max() > 0
        splitter = Splitter(network, module)
        for cut in network.cuts:
            halves = splitter.split(cut)
            crossing = halves.head(source.clone())
            assert [tuple(t.shape) for t in crossing] == [t.shape for t in cut.tensors], cut.name
            if halves.tail is None:
                assert torch.equal(crossing[0], whole), cut.name
                continue
            assert torch.equal(halves.tail(*crossing)[0], whole), cut.name
            assert torch.equal(halves.tail(*crossing)[0], whole), f"{cut.name}: the first run changed its input"


def test_constants_of_either_half_come_along() -> None:
    """Swin's position biases are made of parameters by functions: no layers, but the tail needs them."""
    network = load("swin_v2_t", (1, 3, 32, 32))
    module, source = build_module("swin_v2_t"), torch.rand(1, 3, 32, 32)
    splitter = Splitter(network, module)
    with torch.inference_mode():
        whole = module(source)
        for cut in network.cuts[:: len(network.cuts) // 3]:
            halves = splitter.split(cut)
            assert halves.tail is not None
            assert torch.equal(halves.tail(*halves.head(source))[0], whole), cut.name


def test_network_of_another_version_is_refused() -> None:
    other = load("lenet5", (2, 1, 32, 32))
    network = load("lenet5", (1, 1, 32, 32))
    mixed = type(network)(network.name, network.input, other.layers, other.cuts, "block")
    with pytest.raises(UserError, match="not those traced now"):
        Splitter(mixed, build_module("lenet5"))
