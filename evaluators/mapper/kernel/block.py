"""One block of a mapspace: all groups and rows of M with some of the tilings."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.archive import EQUAL, insert, is_open, list_open
from evaluators.mapper.kernel.compiled import compiled, inlined
from evaluators.mapper.kernel.dims import INPUTS, PREFIX, C, M, N, P, Q, R, S
from evaluators.mapper.kernel.exact import count_exactly
from evaluators.mapper.kernel.fit import fit_mesh, how_many_fit, room_for_m
from evaluators.mapper.kernel.orders import bound_orders, fill_rates, fill_variants, runs_first
from evaluators.mapper.kernel.row_bounds import bound_rows, fill_repeats, fill_totals
from evaluators.mapper.kernel.tiling_bounds import bound_tilings
from evaluators.mapper.kernel.tilings import empty_tilings, lay_tilings, pick_tiling

__all__ = ["search_block"]


@compiled
def search_block(t, rows, archive, keys, count, tag, start, n_tilings, only):
    """Search all groups and rows of M with some of the tilings; `only` where there is but one.

    Returns what `search` does. All scratch is laid out here, once for all groups.
    """
    n_levels = t.keeps.shape[1]
    n_variants, n_positions = t.position_dim.shape
    n_m = t.rows[M]
    n_groups = 1
    for d in PREFIX:
        if not t.tiled_only[d]:
            n_groups *= t.rows[d]
    tilings = empty_tilings(n_levels, n_positions, n_tilings)
    least_slid = np.zeros(n_levels)
    picked = np.zeros(7, dtype=np.int64)
    on_mesh, fits, room = np.empty(n_m, dtype=np.int64), np.empty(n_m, dtype=np.int64), np.full(n_levels, np.inf)
    total, used = np.ones(3), np.ones(n_levels + 1)
    repeats = np.ones((2, n_levels + 1, n_positions + 1))
    fitting_rows, open_rows = np.empty(n_m, dtype=np.int64), np.empty(n_m, dtype=np.int64)
    row_cycles, row_on_chip, row_dram = np.empty(n_m), np.empty(n_m), np.empty(n_m)
    open_tilings, busy = np.empty(n_tilings, dtype=np.int64), np.zeros((2, n_levels, n_tilings))
    cycles, on_chip, dram = np.empty(n_tilings), np.empty(n_tilings), np.empty(n_tilings)
    rates, whole = np.zeros((3, n_levels, 4)), np.ones(3)
    per_order, least = np.zeros((n_levels, t.variant_with.shape[1], 2)), np.zeros(2)
    orders = np.zeros(n_variants, dtype=np.int64)
    order_cycles, order_on_chip, order_dram = np.empty(n_variants), np.empty(n_variants), np.empty(n_variants)
    result = np.zeros(4 + 6 * n_levels)
    key = np.zeros(10, dtype=np.int64)
    key[8] = tag
    fitting, counted = 0, 0
    laid = -1
    tight = t.held_level >= 0 and not only
    for group in range(n_groups):
        beside_c = _pick_group(t, picked, group)
        pick_tiling(t, picked, 0)
        if not fit_mesh(t, rows, picked, on_mesh):
            continue
        if laid != beside_c:
            lay_tilings(t, picked, start, tilings)
            for k in range(n_levels):
                least_slid[k] = tilings.slid[k].min()
            pick_tiling(t, picked, 0)
            laid = beside_c
        fit_here = 0
        for tiling in range(n_tilings):
            if room_for_m(t, picked[C], tilings, tiling, room):
                fit_here += how_many_fit(t, rows, on_mesh, room, fits)
        if fit_here == 0:
            continue
        fitting += fit_here
        possible = fits if only else on_mesh
        n_fit = 0
        for i in range(n_m):
            if possible[i] == 1:
                fitting_rows[n_fit] = i
                n_fit += 1

        fill_totals(t, picked, total)
        fill_repeats(t, picked, repeats, used)
        bound_rows(
            t, rows, fitting_rows, n_fit, picked, total, repeats, least_slid, tight, row_cycles, row_on_chip, row_dram
        )
        for a in range(list_open(row_cycles, row_on_chip, row_dram, n_fit, archive, keys, count, open_rows)):
            b = open_rows[a]
            if a > 0 and not is_open(row_cycles[b], row_on_chip[b], row_dram[b], archive, keys, count):
                continue  # closed by what this group's earlier rows found
            i = fitting_rows[b]
            picked[M] = t.offset[M] + i
            bound_tilings(t, rows, picked, i, total, repeats, used, tilings, busy, cycles, on_chip, dram)
            if n_variants > 1:
                fill_rates(t, picked, rates)
                for tensor in range(3):
                    whole[tensor] = total[tensor] * (1.0 if tensor == INPUTS else t.total[picked[M]])
            for c in range(list_open(cycles, on_chip, dram, n_tilings, archive, keys, count, open_tilings)):
                tiling = open_tilings[c]
                if on_chip[tiling] == np.inf:
                    continue
                if c > 0 and not is_open(cycles[tiling], on_chip[tiling], dram[tiling], archive, keys, count):
                    continue
                pick_tiling(t, picked, start + tiling)
                n_orders = 1
                if n_variants > 1:
                    bound_orders(t, picked, whole, rates, tilings.slid[:, tiling], per_order, least)
                    if not is_open(cycles[tiling], least[0], least[1], archive, keys, count):
                        continue
                    order_cycles[:] = cycles[tiling]
                    fill_variants(t, per_order, order_on_chip, order_dram)
                    n_orders = list_open(
                        order_cycles, order_on_chip, order_dram, n_variants, archive, keys, count, orders
                    )
                for o in range(n_orders):
                    v = orders[o]
                    if n_variants > 1 and not runs_first(t, picked, v):
                        continue
                    if o > 0 and not is_open(order_cycles[v], order_on_chip[v], order_dram[v], archive, keys, count):
                        continue
                    counted += 1
                    count_exactly(t, v, picked, result)
                    if is_open(result[0], result[1] * EQUAL, result[2], archive, keys, count):
                        for d in range(7):
                            key[d] = t.original[picked[d]]
                        key[7], key[9] = v, result[3]
                        count, archive, keys = insert(result[0], result[1], result[2], archive, count, key, keys)
    return fitting, counted, archive, keys, count


@inlined
def _pick_group(t, picked, group):
    """Take the rows that a group's number stands for, and return the number of those beside C."""
    beside_c = 0
    for d in (C, N, P, Q, R, S):
        if not t.tiled_only[d]:
            picked[d] = t.offset[d] + group % t.rows[d]
            group //= t.rows[d]
        if d == C:
            beside_c = group
    return beside_c
