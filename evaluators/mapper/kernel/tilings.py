"""Tilings: rows of the dimensions that have places in time only, laid out beside a group's rows of the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evaluators.mapper.kernel.compiled import compiled, inlined
from evaluators.mapper.kernel.dims import PREFIX, N, P, Q, R, S
from evaluators.mapper.kernel.windows import axis_words_moved
from evaluators.mapper.tables import EXTENT

__all__ = ["Tilings", "empty_tilings", "lay_tilings", "pick_tiling"]


class Tilings(NamedTuple):
    """What every tiling of a block contributes beside the group's rows of N, P, Q, R, S, contiguous over them (T)."""

    weights: np.ndarray  # (L, T) tile of R and S
    inputs: np.ndarray  # (L, T) tile of N, width and height
    outputs: np.ndarray  # (L, T) tile of N, P and Q
    first_npq: np.ndarray  # (L, T) first temporal factor of N, P, Q outside a level
    first_rs: np.ndarray  # (L, T)
    beyond_npq: np.ndarray  # (P + 1, T) steps of theirs beyond a position, where no mesh unrolls them
    beyond_rs: np.ndarray  # (P + 1, T)
    slid: np.ndarray  # (L, T) input words of all tiles moved at least, C and M left out, where tiles overlap
    fetched: np.ndarray  # (L, T) where an irrelevant loop inside destroys the overlap


@compiled
def empty_tilings(n_levels, n_positions, n):
    """Room for n tilings."""
    return Tilings(
        weights=np.empty((n_levels, n)),
        inputs=np.empty((n_levels, n)),
        outputs=np.empty((n_levels, n)),
        first_npq=np.empty((n_levels, n), dtype=np.int64),
        first_rs=np.empty((n_levels, n), dtype=np.int64),
        beyond_npq=np.empty((n_positions + 1, n)),
        beyond_rs=np.empty((n_positions + 1, n)),
        slid=np.empty((n_levels, n)),
        fetched=np.empty((n_levels, n)),
    )


@inlined
def pick_tiling(t, picked, tiling):
    """Take the rows of the tiled-only dimensions that a number stands for."""
    for d in PREFIX:
        if t.tiled_only[d]:
            picked[d] = t.offset[d] + tiling % t.rows[d]
            tiling //= t.rows[d]


@compiled
def lay_tilings(t, picked, start, tilings):
    """Fill in a block of tilings beside the group's rows of N, P, Q, R and S."""
    n_levels = t.keeps.shape[1]
    n_positions = t.position_dim.shape[1]
    for tiling in range(tilings.weights.shape[1]):
        pick_tiling(t, picked, start + tiling)
        n, p, q, r, s = picked[N], picked[P], picked[Q], picked[R], picked[S]
        for k in range(n_levels):
            width = t.stride[R] * (t.row[EXTENT, r, k] - 1) + t.stride[P] * (t.row[EXTENT, p, k] - 1) + 1
            height = t.stride[S] * (t.row[EXTENT, s, k] - 1) + t.stride[Q] * (t.row[EXTENT, q, k] - 1) + 1
            tilings.weights[k, tiling] = t.row[EXTENT, r, k] * t.row[EXTENT, s, k]
            tilings.inputs[k, tiling] = t.row[EXTENT, n, k] * width * height
            tilings.outputs[k, tiling] = t.row[EXTENT, n, k] * t.row[EXTENT, p, k] * t.row[EXTENT, q, k]
            tilings.first_npq[k, tiling] = min(t.first[n, k], t.first[p, k], t.first[q, k])
            tilings.first_rs[k, tiling] = min(t.first[r, k], t.first[s, k])
            slid, fetched = axis_words_moved(t, p, r, P, R, k, width)
            slid_h, fetched_h = axis_words_moved(t, q, s, Q, S, k, height)
            tilings.slid[k, tiling] = t.total[n] * slid * slid_h
            tilings.fetched[k, tiling] = t.total[n] * fetched * fetched_h
        for at in range(n_positions + 1):
            tilings.beyond_npq[at, tiling] = 1.0
            tilings.beyond_rs[at, tiling] = 1.0
            for d in (N, P, Q):
                if t.tiled_only[d]:
                    tilings.beyond_npq[at, tiling] *= t.beyond[picked[d], at]
            for d in (R, S):
                if t.tiled_only[d]:
                    tilings.beyond_rs[at, tiling] *= t.beyond[picked[d], at]
