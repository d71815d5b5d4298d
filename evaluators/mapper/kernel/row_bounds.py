"""What a row of M costs at least beside a group, whatever the tiling and the loop order."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.archive import BELOW
from evaluators.mapper.kernel.compiled import compiled
from evaluators.mapper.kernel.dims import INPUTS, OUTPUTS, PREFIX, WEIGHTS, C, M, N, P, Q
from evaluators.mapper.tables import (
    BLOCK,
    CHARGED,
    EXTENT,
    INSTANCES,
    READ_PJ,
    SHARED_BANDWIDTH,
    UNROLLED,
    WORDS,
    WRITE_PJ,
)

__all__ = ["bound_rows", "fill_repeats", "fill_totals"]


@compiled
def fill_totals(t, picked, total):
    """How much there is of the dimensions that matter to each tensor, M left out."""
    for tensor in range(3):
        total[tensor] = 1.0
        for d in PREFIX:
            if t.relevant[tensor, d]:
                total[tensor] *= t.total[picked[d]]


@compiled
def fill_repeats(t, picked, repeats, used):
    """How often the group's irrelevant loops repeat a tensor's words (weights, outputs), and its instances; M left out.

    For loops in time beyond a position and instances above a level: (2, L + 1, P + 1); instances: (L + 1,).
    """
    for a in range(len(used)):
        used[a] = 1.0
        for d in PREFIX:
            used[a] *= t.row[UNROLLED, picked[d], a]
    for a in range(repeats.shape[1]):
        for p in range(repeats.shape[2]):
            repeats[0, a, p] = 1.0
            repeats[1, a, p] = 1.0
            for d in PREFIX:
                if not t.tiled_only[d]:
                    if d in (N, P, Q):
                        repeats[0, a, p] *= t.visits[picked[d], a, t.from_level[d, p]]
                    else:
                        repeats[1, a, p] *= t.visits[picked[d], a, t.from_level[d, p]]


@compiled
def bound_rows(t, rows, fitting, n_rows, picked, total, repeats, least_slid, tight, cycles, on_chip, dram):
    """What each of the first rows of M listed costs at least beside a group, whatever tiling and order.

    An irrelevant loop repeats a fill unless it lies inside the first relevant one; where that one comes no later than
    some position, loops beyond repeat for certain. Of the free dimensions at least what their tightest tiling leaves
    beyond counts; with `tight`, given the outputs that must fit one buffer (`least_idle`). Rounding up to whole
    accesses is left out.
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    widest = t.least_idle.shape[1] - 1
    held = t.held_level
    held_words = t.level[held, WORDS]
    for d in (N, P, Q):
        if not t.tiled_only[d]:
            held_words /= t.row[EXTENT, picked[d], held]
    steps = 1.0
    for d in PREFIX:
        steps *= t.visits[picked[d], n_levels, 0]
    whole_m = t.total[t.offset[M]]
    constant, constant_dram = 0.0, 0.0
    in_time = rows.visits[n_levels, 0]
    for a in range(n_rows):
        cycles[a] = steps * in_time[fitting[a]]
        on_chip[a] = 0.0
        dram[a] = 0.0
    pj, accesses = np.empty(n_positions + 1), np.empty(n_positions + 1)
    for tensor in (WEIGHTS, OUTPUTS, INPUTS):
        child = -1
        fill_pj = 0.0  # of the level below, waiting for what its fills cost the level that serves them
        words = total[tensor] * (1.0 if tensor == INPUTS else whole_m)
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            charged = t.level[k, CHARGED] / t.level[k, INSTANCES]
            read_pj = t.level[k, READ_PJ] / t.level[k, BLOCK] * charged
            write_pj = t.level[k, WRITE_PJ] / t.level[k, BLOCK] * charged
            access_pj, access_dram = read_pj, 0.0
            if tensor == OUTPUTS:
                access_pj += write_pj
            if k == last:
                access_pj, access_dram = 0.0, 1.0 / t.level[k, BLOCK]
                if tensor == OUTPUTS:  # the first accumulation reads nothing and fills nothing
                    access_dram *= 2.0
                    constant_dram -= words / t.level[k, BLOCK]
            elif tensor == OUTPUTS:
                constant -= (read_pj + write_pj) * words * repeats[1, k + 1, n_positions]
            if child < 0:
                every = words
                for d in PREFIX:
                    if not t.relevant[tensor, d]:
                        every *= t.visits[picked[d], k + 1, 0]
                if tensor == INPUTS:
                    of_m = rows.visits[k + 1, 0]
                    for a in range(n_rows):
                        on_chip[a] += access_pj * every * of_m[fitting[a]]
                        dram[a] += access_dram * every * of_m[fitting[a]]
                else:
                    constant += access_pj * every
                    constant_dram += access_dram * every
            else:
                first = n_positions
                for d in PREFIX:
                    if not t.tiled_only[d] and t.relevant[tensor, d]:
                        first = min(first, t.first[picked[d], child])
                if tensor == INPUTS:
                    least = least_slid[child] * t.total[picked[C]]
                    from_m = t.from_level[M, t.surely_after[first]]
                    here, there = rows.visits[child + 1, from_m], rows.visits[k + 1, from_m]
                    for a in range(n_rows):
                        i = fitting[a]
                        on_chip[a] += least * (fill_pj * here[i] + access_pj * there[i])
                        dram[a] += access_dram * least * there[i]
                else:
                    which = 0 if tensor == WEIGHTS else 1
                    for p in range(first + 1):
                        at = t.surely_after[p]
                        least = words
                        if tensor == WEIGHTS:
                            least *= t.least_idle[at, widest]
                        pj[p] = least * (
                            fill_pj * repeats[which, child + 1, at] + access_pj * repeats[which, k + 1, at]
                        )
                        accesses[p] = least * access_dram * repeats[which, k + 1, at]
                    m_first = rows.first[child]
                    if tight and tensor == WEIGHTS:
                        extent = rows.extent[held]
                        for a in range(n_rows):
                            i = fitting[a]
                            p = min(first, m_first[i])
                            at = t.surely_after[p]
                            room = min(widest, int(held_words / extent[i]))
                            crowded = t.least_idle[at, room] / t.least_idle[at, widest]
                            on_chip[a] += pj[p] * crowded
                            dram[a] += accesses[p] * crowded
                    else:
                        for a in range(n_rows):
                            p = min(first, m_first[fitting[a]])
                            on_chip[a] += pj[p]
                            dram[a] += accesses[p]
            fill_pj = write_pj
            child = k
    words_per_cycle = t.level[last, SHARED_BANDWIDTH] / t.level[last, BLOCK]
    for a in range(n_rows):
        on_chip[a] = (on_chip[a] + constant) * BELOW
        dram[a] = (dram[a] + constant_dram) * BELOW
        cycles[a] = max(cycles[a], np.ceil(dram[a] / words_per_cycle * BELOW))
