"""Loop bounds of the operators that multiply and accumulate; no torch."""

from __future__ import annotations

from math import ceil, gcd, prod

import numpy as np

from search_spaces.errors import UserError
from search_spaces.types import ConvShape

__all__ = ["conv_shape_of", "linear_shape", "matmul_shape"]


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

    The batch is what the operands' own are broadcast to.

    >>> matmul_shape((12, 197, 64), (12, 64, 197)).macs == 12 * 197 * 64 * 197
    True
    """
    first = (1, *first) if len(first) == 1 else first
    second = (*second, 1) if len(second) == 1 else second
    rows, inner, columns = first[-2], first[-1], second[-1]
    groups = prod(np.broadcast_shapes(first[:-2], second[:-2]))
    if prod(second[:-2]) == 1:  # the same right operand for all: rows of one product
        return ConvShape(N=1, C=inner, M=columns, P=rows * groups, Q=1, R=1, S=1)
    return ConvShape(N=1, C=groups * inner, M=groups * columns, P=rows, Q=1, R=1, S=1, groups=groups)


def conv_shape_of(
    name: str,
    source: tuple[int, ...],
    result: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    transposed: bool = False,
) -> ConvShape:
    """A convolution from its tensors' shapes ([N,] C, [height,] width) and ([height,] width) settings.

    Over one dimension it is one row high. A transposed one is the stride-1 convolution that hardware without zero
    skipping runs in its place: outputs at one position modulo the stride meet only every stride-th tap of the filter,
    so each such phase has a filter of ⌈kernel / stride⌉ taps, and the phases are further output channels (Shi et al.
    2016, arXiv:1609.07009). Its MACs are the useful ones where the stride divides the kernel; elsewhere the zeros that
    fill the shorter filters count too. Raises UserError, with `name`, for convolutions over more than two dimensions.

    >>> conv_shape_of("up", (1, 8, 7, 7), (1, 4, 14, 14), (4, 4), (2, 2), (1, 1), 1, True).macs == 7**2 * 8 * 4 * 4**2
    True
    """
    spatial = len(kernel)
    if spatial > 2:
        raise UserError(f"{name} convolves over {spatial} dimensions; only convolutions over one or two can be costed")
    batch, channels = source[0] if len(source) > spatial + 1 else 1, source[-spatial - 1]
    features = result[-spatial - 1]
    flat = (1,) * (2 - spatial)
    height, width = (*flat, *result[-spatial:])
    kernel, stride, dilation = ((*flat, *values) for values in (kernel, stride, dilation))
    if transposed:
        height, width = (ceil(size / step) for size, step in zip((height, width), stride, strict=True))
        shared = [gcd(step, gap) for step, gap in zip(stride, dilation, strict=True)]
        phases = [step // common for step, common in zip(stride, shared, strict=True)]
        features *= prod(phases)
        kernel = tuple(ceil(taps / count) for taps, count in zip(kernel, phases, strict=True))
        stride, dilation = (1, 1), tuple(gap // common for gap, common in zip(dilation, shared, strict=True))
    return ConvShape(
        N=batch, C=channels, M=features, P=width, Q=height, R=kernel[1], S=kernel[0],
        stride_w=stride[1], stride_h=stride[0], dilation_w=dilation[1], dilation_h=dilation[0], groups=groups,
    )  # fmt: skip
