"""Loop bounds of the operators that multiply and accumulate; no torch."""

from __future__ import annotations

from math import prod

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
