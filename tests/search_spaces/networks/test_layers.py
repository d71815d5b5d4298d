"""Layers: shapes, MACs, parameters and cost classes, against torch's own counter and against paper and pencil."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.errors import UserError
from search_spaces.networks import _models, build_module, default_input, load, names
from search_spaces.networks._operators import lower
from search_spaces.networks._shapes import conv_shape_of, matmul_shape
from search_spaces.types import ConvShape, Layer
from tests.search_spaces.networks.tiny import Attention, Branches, Residual, traced

FAMILIES = {
    "alexnet": (1, 3, 64, 64),
    "convnext_tiny": (1, 3, 64, 64),
    "deeplabv3_resnet50": (1, 3, 64, 64),
    "densenet121": (1, 3, 64, 64),
    "efficientnet_b0": (1, 3, 64, 64),
    "fcn_resnet50": (1, 3, 64, 64),
    "googlenet": (1, 3, 64, 64),
    "inception_v3": (1, 3, 96, 96),
    "lenet5": (1, 1, 32, 32),
    "maxvit_t": (1, 3, 224, 224),
    "mnasnet0_5": (1, 3, 64, 64),
    "mobilenet_v2": (2, 3, 64, 64),
    "mobilenet_v3_large": (1, 3, 64, 64),
    "resnet18": (2, 3, 96, 64),
    "resnext50_32x4d": (1, 3, 64, 64),
    "shufflenet_v2_x0_5": (1, 3, 64, 64),
    "squeezenet1_1": (1, 3, 67, 67),
    "swin_t": (1, 3, 64, 64),
    "vgg16": (1, 3, 64, 64),
    "vit_b_16": (1, 3, 224, 224),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_macs_and_parameters_equal_torchs_own_count(name: str) -> None:
    network = load(name, FAMILIES[name], "tensor")
    module = _models.build(name, device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module(torch.empty(FAMILIES[name], device="meta"))
    assert sum(layer.macs for layer in network.layers) == counter.get_total_flops() // 2
    assert sum(layer.parameters for layer in network.layers) == sum(p.numel() for p in module.parameters())
    assert len({layer.name for layer in network.layers}) == len(network.layers)
    assert len(network.cuts[-1].layers) == len(network.layers)
    assert not network.notes


def test_every_name_is_known_and_has_an_input() -> None:
    assert {"squeezenet1_1", "googlenet", "fcn_resnet50", "lenet5", "vit_b_16"} <= set(names())
    assert len(names()) > 80
    assert default_input("squeezenet1_1") == (1, 3, 227, 227)
    assert default_input("fcn_resnet50") == (1, 3, 224, 224)


@pytest.mark.parametrize("name", _models.own_names())
def test_every_network_of_our_own_loads_and_runs(name: str) -> None:
    network = load(name)
    with torch.inference_mode():
        result = build_module(name)(torch.rand(network.input.shape))
    assert result.numel() == network.layers[-1].output_elements
    assert len(network.cuts) >= 5


def layers_of(module: nn.Module, shape: tuple[int, ...] = (1, 4, 8, 8)) -> list[Layer]:
    return list(lower(traced(module, shape)).layers)


def costs(module: nn.Module, shape: tuple[int, ...] = (1, 4, 8, 8)) -> dict[str, str]:
    return {layer.operator: layer.cost for layer in layers_of(module, shape)}


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_convolution_in_plain_integers() -> None:
    (layer,) = layers_of(
        nn.Conv2d(4, 8, (3, 5), stride=(1, 2), padding=(1, 4), dilation=(1, 2), groups=2), (2, 4, 8, 9)
    )
    assert layer.shape == ConvShape(
        N=2, C=4, M=8, P=5, Q=8, R=5, S=3, stride_w=2, stride_h=1, dilation_w=2, dilation_h=1, groups=2
    )
    assert layer.parameters == 8 * 2 * 3 * 5 + 8
    assert (layer.input_elements, layer.output_elements) == (2 * 4 * 8 * 9, 2 * 8 * 8 * 5)
    assert layer.inputs == (-1,)


def torchs_macs(module: nn.Module, shape: tuple[int, ...]) -> int:
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        module.to("meta")(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def test_convolution_over_one_dimension_is_one_row_high() -> None:
    module = nn.Sequential(nn.Conv1d(4, 6, 5, stride=2, padding=4, dilation=2, groups=2), nn.BatchNorm1d(6), nn.ReLU())
    conv, *fused = layers_of(module, (3, 4, 40))
    assert conv.shape == ConvShape(N=3, C=4, M=6, P=20, Q=1, R=5, S=1, stride_w=2, dilation_w=2, groups=2)
    assert (conv.operator, conv.cost, conv.macs) == ("conv1d", "mac", torchs_macs(module, (3, 4, 40)))
    assert [layer.cost for layer in fused] == ["free", "free"]
    function = Function(lambda x: F.conv1d(x, torch.empty(6, 4, 3, device="meta"), stride=2))
    assert layers_of(function, (4, 40))[-1].shape == ConvShape(N=1, C=4, M=6, P=19, Q=1, R=3, S=1, stride_w=2)


def test_transposed_convolution_has_torchs_macs_where_the_stride_divides_the_filter() -> None:
    for module, shape in (
        (nn.ConvTranspose2d(8, 4, (4, 6), (2, 3), padding=(1, 2), groups=2, output_padding=(0, 1)), (2, 8, 7, 5)),
        (nn.ConvTranspose2d(8, 4, 3, padding=1), (1, 8, 7, 5)),
        (nn.ConvTranspose1d(8, 4, 8, 4, padding=2), (2, 8, 9)),
    ):
        up, relu = layers_of(nn.Sequential(module, nn.ReLU()), shape)
        assert (up.cost, relu.cost) == ("mac", "free")
        assert up.macs == torchs_macs(module, shape)
        assert up.shape is not None
        assert up.output_elements == up.shape.N * up.shape.M * up.shape.P * up.shape.Q


def test_transposed_convolution_counts_the_zeros_of_short_phases() -> None:
    """3 × 3 by 2: phases of 2 × 2, 2 × 1, 1 × 2 and 1 × 1 taps, all run as 2 × 2."""
    functional = Function(lambda x: F.conv_transpose2d(x, torch.empty(4, 5, 3, 3, device="meta"), None, 2, 1, 1))
    for module in (nn.ConvTranspose2d(4, 5, 3, 2, padding=1, output_padding=1), functional):
        assert layers_of(nn.Sequential(module))[-1].shape == ConvShape(N=1, C=4, M=20, P=8, Q=8, R=2, S=2)


def test_phases_of_a_transposed_convolution_tap_by_tap() -> None:
    """The pixel at 0 reaches the outputs dilation · tap; those at one position modulo the stride are one phase."""
    for taps, stride, dilation in product(range(1, 8), range(1, 7), range(1, 5)):
        result = (9 - 1) * stride + dilation * (taps - 1) + 1
        shape = conv_shape_of("up", (1, 1, 9), (1, 1, result), (taps,), (stride,), (dilation,), 1, True)
        reached = [dilation * tap for tap in range(taps)]
        phases = Counter(place % stride for place in reached)
        assert (len(phases), max(phases.values())) == (min(shape.M, taps), shape.R)
        for phase in phases:
            gaps = {b - a for a, b in pairwise(place for place in reached if place % stride == phase)}
            assert gaps <= {shape.dilation_w * stride}
        assert max(len(range(phase, result, stride)) for phase in range(stride)) == shape.P


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Conv3d(4, 4, 3), "Sequential: 0 convolves over 3 dimensions"),
        (nn.ConvTranspose3d(4, 4, 3), "Sequential: 0 convolves over 3 dimensions"),
    ],
)
def test_convolutions_over_three_dimensions_are_refused(module: nn.Module, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        layers_of(nn.Sequential(module), (1, 4, 8, 8, 8))
    assert "\n" not in str(caught.value)


def test_convolutions_inside_an_unknown_operator_count_too() -> None:
    for transposed, weight, length in ((False, (5, 4, 3), 8), (True, (4, 5, 3), 10)):
        kernel, stride = torch.empty(weight, device="meta"), [3] if transposed else [1]
        function = Function(lambda x: torch.convolution(x, kernel, None, stride, [0], [1], transposed, [0], 1))  # noqa: B023
        assert sum(layer.macs for layer in layers_of(function, (1, 4, 10))) == length * 5 * 4 * 3


@pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6), (3, 4, 5, 6)])
def test_linear_counts_every_row(shape: tuple[int, ...]) -> None:
    (layer,) = layers_of(nn.Linear(6, 7), shape)
    assert layer.macs == torch.Size(shape).numel() * 7
    assert layer.shape is not None and layer.shape.N == 3


def test_activation_and_norm_are_fused_only_behind_convolution_linear_and_addition() -> None:
    chain = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Identity(), nn.SiLU(), nn.MaxPool2d(2), nn.ReLU())
    assert [layer.cost for layer in layers_of(chain)] == ["mac", "free", "free", "free", "move", "move"]
    assert costs(nn.Sequential(nn.BatchNorm2d(4), nn.GELU())) == {"batch_norm2d": "move", "gelu": "move"}
    assert costs(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))) == {"linear": "mac", "layer_norm": "move"}
    assert costs(Residual()) == {"conv2d": "mac", "add": "move", "relu": "free"}


def test_concatenation_is_free_only_where_it_copies_nothing() -> None:
    assert costs(Branches())["cat"] == "free"
    assert costs(Branches(), (2, 4, 8, 8))["cat"] == "move"  # a batch of two interleaves
    assert costs(Branches(dim=2))["cat"] == "move"  # rows of one channel after the other: interleaves
    assert costs(Branches(shared=True))["cat"] == "move"  # one operand belongs to two concatenations
    assert costs(Function(lambda x: torch.cat([x, x], 1)))["cat"] == "move"


@pytest.mark.parametrize(
    ("function", "cost"),
    [
        (lambda x: torch.flatten(x, 1), "free"),
        (lambda x: x.reshape(1, 16, 16), "free"),
        (lambda x: F.dropout(x, 0.5, False), "free"),
        (lambda x: x[:, 1:3], "free"),
        (lambda x: x[:, :, 1:3], "move"),
        (lambda x: x[:, ::2], "move"),
        (lambda x: x.permute(0, 2, 3, 1), "move"),
        (lambda x: x.expand(2, 4, 8, 8), "move"),
        (lambda x: F.interpolate(x, scale_factor=2.0), "move"),
        (lambda x: x.mean((2, 3)), "move"),
        (lambda x: F.softmax(x, 1), "move"),
        (lambda x: x * 2, "move"),
        (lambda x: F.relu(x), "move"),
        (lambda x: F.pad(x, (1, 1)), "move"),
    ],
)
def test_cost_class_of_single_operators(function: Callable[[Tensor], Tensor], cost: str) -> None:
    (layer,) = layers_of(Function(function))
    assert layer.cost == cost
    assert layer.input_elements == 256


def test_chunks_along_channels_are_free() -> None:
    found = layers_of(Function(lambda x: (lambda parts: parts[0] * parts[1])(x.chunk(2, 1))))
    assert [(layer.operator, layer.cost) for layer in found][:1] == [("chunk", "free")]
    assert found[-1].operator == "mul" and found[-1].input_elements == 256


def test_unknown_operator_is_a_move_and_reported() -> None:
    lowered = lower(traced(Function(lambda x: torch.cumsum(torch.cumsum(x, 1), 2)), (1, 4, 8, 8)))
    assert [layer.cost for layer in lowered.layers] == ["move", "move"]
    assert lowered.notes == ("operator cumsum (×2) is not known: costed as one read and write",)


def test_unknown_operator_with_products_is_costed_by_them() -> None:
    lowered = lower(traced(Function(lambda x: torch.tensordot(x, x, dims=([3], [2]))), (1, 4, 8, 8)))
    assert sum(layer.macs for layer in lowered.layers) == 32 * 8 * 32
    assert "tensordot (×1)" in lowered.notes[0]


def test_what_depends_on_parameters_only_is_no_layer() -> None:
    network = load("swin_v2_t", (1, 3, 64, 64))
    assert not [layer for layer in network.layers if "cpb_mlp" in layer.name]
    assert sum(layer.parameters for layer in network.layers) == sum(
        p.numel() for p in _models.build("swin_v2_t", device="meta").parameters()
    )


def test_attention_is_its_projections_and_two_products_per_head() -> None:
    found = layers_of(Attention(), (3, 5, 8))
    macs = {layer.name.rsplit(".", 1)[-1]: layer.macs for layer in found if layer.cost == "mac"}
    assert macs == {
        "in_proj": 3 * 5 * 8 * 24,
        "query_key": 3 * 2 * 5 * 4 * 5,
        "weights_value": 3 * 2 * 5 * 5 * 4,
        "out_proj": 3 * 5 * 8 * 8,
    }
    assert sum(layer.parameters for layer in found) == 8 * 24 + 24 + 8 * 8 + 8
    scores = next(layer for layer in found if layer.name.endswith("query_key"))
    assert scores.shape is not None and scores.shape.groups == 6


def test_batched_product_of_two_activations() -> None:
    found = layers_of(Function(lambda x: torch.matmul(x, x.transpose(2, 3))))
    assert found[-1].shape == ConvShape(N=1, C=32, M=32, P=8, Q=1, R=1, S=1, groups=4)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((6, 1, 7, 8), (1, 4, 8, 5)),
        ((4, 7, 8), (6, 1, 8, 5)),
        ((3, 7, 8), (8, 5)),
        ((7, 8), (3, 8, 5)),
        ((8,), (3, 8, 5)),
    ],
)
def test_batches_of_a_product_are_broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    result = torch.empty(first, device="meta") @ torch.empty(second, device="meta")
    assert matmul_shape(first, second).macs == result.numel() * 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("squeezenet",), ["no network 'squeezenet'", "squeezenet1_1", "own/<name>.py"]),
        (("alexnet", (1, 3, 8, 8)), ["alexnet does not take an input of 1x3x8x8"]),
        (("alexnet", (1, 3, 0, 8)), ["at least 1"]),
        (("alexnet", None, "blocks"), ["no cut mode 'blocks'", "block, frontier, tensor"]),
    ],
)
def test_bad_questions_get_one_line(arguments: tuple[object, ...], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load(*arguments)  # type: ignore[arg-type] # wrong on purpose
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
