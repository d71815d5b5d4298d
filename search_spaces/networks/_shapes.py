"""Loop bounds of the operators that multiply and accumulate."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import fx, nn

from search_spaces.types import ConvShape

__all__ = ["conv_shape", "conv_shape_of", "linear_shape", "matmul_shape"]


def linear_shape(source: tuple[int, ...], features: int) -> ConvShape:
    """A linear layer on (N, [[Q,] P,] C): a 1 × 1 convolution whose pixels are the rows.

    >>> linear_shape((1, 197, 768), 3072).macs == 197 * 768 * 3072
    True
    """
    *rows, width = source
    batch, height, length = (
        (rows[0], 1, 1) if len(rows) == 1
        else (rows[0], 1, rows[1]) if len(rows) == 2
        else (prod(rows[:-2]), rows[-2], rows[-1]) if rows
        else (1, 1, 1)
    )  # fmt: skip
    return ConvShape(N=batch, C=width, M=features, P=length, Q=height, R=1, S=1)


def matmul_shape(first: tuple[int, ...], second: tuple[int, ...]) -> ConvShape:
    """(…, m, k) × (…, k, n): one group per product of the batch, the second operand in the place of the weights.

    >>> matmul_shape((12, 197, 64), (12, 64, 197)).macs == 12 * 197 * 64 * 197
    True
    """
    first = (1, *first) if len(first) == 1 else first
    second = (*second, 1) if len(second) == 1 else second
    rows, inner, columns = first[-2], first[-1], second[-1]
    groups = max(prod(first[:-2]), prod(second[:-2]))
    if prod(second[:-2]) == 1:  # the same right operand for all: rows of one product
        return ConvShape(N=1, C=inner, M=columns, P=rows * groups, Q=1, R=1, S=1)
    return ConvShape(N=1, C=groups * inner, M=groups * columns, P=rows, Q=1, R=1, S=1, groups=groups)


def conv_shape_of(
    source: tuple[int, ...],
    result: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> ConvShape:
    """A convolution from its tensors' shapes (N, C, height, width) and (height, width) pairs."""
    return ConvShape(
        N=source[0], C=source[1], M=result[1], P=result[3], Q=result[2], R=kernel[1], S=kernel[0],
        stride_w=stride[1], stride_h=stride[0], dilation_w=dilation[1], dilation_h=dilation[0], groups=groups,
    )  # fmt: skip


def conv_shape(node: fx.Node, module: nn.Module) -> ConvShape:
    """The shape of a Conv2d module's or F.conv2d's node."""
    source = node.all_input_nodes[0].meta["val"]
    result = node.meta["val"]
    source_shape = tuple(source.shape) if source.dim() == 4 else (1, *source.shape)
    result_shape = tuple(result.shape) if result.dim() == 4 else (1, *result.shape)
    if node.op == "call_module":
        conv = module.get_submodule(str(node.target))
        assert isinstance(conv, nn.Conv2d)
        return conv_shape_of(source_shape, result_shape, conv.kernel_size, conv.stride, conv.dilation, conv.groups)
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given: dict[str, Any] = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    weight = given["weight"].meta["val"]
    return conv_shape_of(
        source_shape, result_shape, tuple(weight.shape[2:]), _pair(given.get("stride", 1)),
        _pair(given.get("dilation", 1)), int(given.get("groups", 1)),
    )  # fmt: skip


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))
