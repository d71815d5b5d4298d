"""Loop orders of one tiling: which run the same loops, and what each costs at least."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.archive import BELOW
from evaluators.mapper.kernel.compiled import compiled
from evaluators.mapper.kernel.dims import HOW_MANY, INPUTS, OUTPUTS, RELEVANT, WEIGHTS, C, M, N, P, Q, R, S
from evaluators.mapper.tables import BLOCK, CHARGED, EXTENT, IN_TIME, READ_PJ, STEP, UNROLLED, WRITE_PJ

__all__ = ["bound_orders", "fill_rates", "fill_variants", "runs_first"]

PER_WORD, PART, READ, WRITE = range(4)
"""What `fill_rates` knows of a tensor at a level: accesses per word (a hair less) of all instances together, words that
are first accumulations, and pJ of all instances' reads and writes (DRAM: accesses)."""


@compiled
def fill_rates(t, picked, rates):
    """Fill in (3, L, 4) rates for one group and row of M: no row of a dimension without a place on a mesh matters."""
    last = t.keeps.shape[1] - 1
    for k in range(last + 1):
        instances, part = 1.0, 1.0
        for d in range(7):
            instances *= t.row[UNROLLED, picked[d], k + 1]
            part *= t.total[picked[d]] if t.relevant[OUTPUTS, d] else t.row[UNROLLED, picked[d], k + 1]
        charged = min(instances, t.level[k, CHARGED])
        for tensor in range(3):
            rates[tensor, k, PER_WORD] = BELOW / (instances * t.level[k, BLOCK])
            rates[tensor, k, READ] = 1.0 if k == last else t.level[k, READ_PJ] * charged
            rates[tensor, k, WRITE] = 1.0 if k == last else t.level[k, WRITE_PJ] * charged
            rates[tensor, k, PART] = part if tensor == OUTPUTS else 0.0


@compiled
def bound_orders(t, picked, whole, rates, slid, per_order, least):
    """What one tiling costs at least for each order of each level: (L, orders, 2), on-chip pJ and DRAM accesses.

    What moves into a tile depends on the order at the level of the first relevant loop outside it, and on no other,
    so that the costs of the levels' orders add up to those of a combination, and their least ones, with what no order
    changes, to `least` of all; but for inputs whose tiles may go on sharing words along one axis with loops further
    out: they move at least `slid` words per level (C and M left out).
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    per_order[:] = 0.0
    for tensor in (WEIGHTS, OUTPUTS, INPUTS):
        child = -1
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            at_level = n_levels if child >= 0 else 0
            if child >= 0:
                for j in range(HOW_MANY[tensor]):
                    at_level = min(at_level, t.first_level[picked[RELEVANT[tensor, j]], child])
            matters = child >= 0 and at_level < n_levels
            on_chip, dram = 0.0, 0.0
            before = -1.0
            images, width, height = t.total[picked[N]] * t.total[picked[C]], 1.0, 1.0
            if tensor == INPUTS and child >= 0:
                for axis in (2, 3):
                    d, e = (P, R) if axis == 2 else (Q, S)
                    tiles = np.ceil(t.total[picked[d]] / t.row[EXTENT, picked[d], child])
                    taps = np.ceil(t.total[picked[e]] / t.row[EXTENT, picked[e], child])
                    along = t.stride[d] * taps * (t.total[picked[d]] - tiles) + tiles * taps
                    along += t.stride[e] * tiles * (t.total[picked[e]] - taps)
                    width, height = (along, height) if axis == 2 else (width, along)
            for order in range(per_order.shape[1] if matters else 1):
                v = t.variant_with[at_level, order] if matters else 0
                if v < 0:
                    break
                first = -1
                if matters:
                    first = n_positions
                    for j in range(HOW_MANY[tensor]):
                        d = RELEVANT[tensor, j]
                        if t.first_level[picked[d], child] == at_level:
                            first = min(first, t.position[v, d, at_level])
                words = whole[tensor]
                if tensor == INPUTS and child >= 0:
                    words = images * width * height
                    d = t.position_dim[v, first] if matters else C
                    m_level = t.first_level[picked[M], child]
                    seen = m_level < at_level or (m_level == at_level and t.position[v, M, at_level] < first)
                    if d != C and d != N and not seen:  # neighbours share words along this loop
                        e = R if d == P else P if d == R else S if d == Q else Q
                        goes_on = True  # perhaps along others, too
                        for p in range(first + 1, n_positions):
                            if t.position_level[v, p] > at_level:
                                break
                            o = t.position_dim[v, p]
                            if o != M and t.row[IN_TIME, picked[o], at_level] > 1.0:
                                goes_on = o == e
                                break
                        if goes_on:
                            goes_on = False
                            for out in range(at_level, n_levels):
                                here = t.row[IN_TIME, picked[d], out] > 1.0 and out > at_level
                                goes_on |= here or t.row[IN_TIME, picked[e], out] > 1.0
                        if goes_on:
                            words = slid[child] * t.total[picked[C]]
                        else:
                            reach = t.stride[d] * (t.row[EXTENT, picked[d], child] - 1)
                            reach += t.stride[e] * (t.row[EXTENT, picked[e], child] - 1) + 1
                            shared = max(0.0, reach - t.row[STEP, picked[d], at_level] * t.stride[d])
                            tiles = np.ceil(t.total[picked[e]] / t.row[EXTENT, picked[e], child])
                            steps = t.visits[picked[d], child + 1, at_level]
                            steps -= t.visits[picked[d], child + 1, at_level + 1]
                            words -= images * steps * shared * tiles * (height if d in (P, R) else width)
                access, fill = words, words
                for j in range(HOW_MANY[tensor], 7):
                    d = RELEVANT[tensor, j]
                    at = at_level + 1 if matters and t.position[v, d, at_level] <= first else at_level
                    access *= t.visits[picked[d], k + 1, at]
                    fill *= t.visits[picked[d], child + 1, at]
                if access != before:
                    before = access
                    on_chip, dram = 0.0, 0.0
                    cost = np.ceil((access - rates[tensor, k, PART]) * rates[tensor, k, PER_WORD])
                    cost *= rates[tensor, k, READ]
                    if tensor == OUTPUTS:
                        cost += np.ceil(access * rates[tensor, k, PER_WORD]) * rates[tensor, k, WRITE]
                    if k == last:
                        dram = cost
                    else:
                        on_chip = cost
                    if child >= 0:
                        fill = np.ceil((fill - rates[tensor, child, PART]) * rates[tensor, child, PER_WORD])
                        on_chip += fill * rates[tensor, child, WRITE]
                at = at_level if matters else 0
                for o in range(order, order + 1 if matters else per_order.shape[1]):
                    per_order[at, o, 0] += on_chip
                    per_order[at, o, 1] += dram
            child = k
    least[:] = 0.0
    for k in range(n_levels):
        on_chip, dram = per_order[k, 0, 0], per_order[k, 0, 1]
        for order in range(1, per_order.shape[1]):
            if t.variant_with[k, order] < 0:
                break
            on_chip, dram = min(on_chip, per_order[k, order, 0]), min(dram, per_order[k, order, 1])
        least[0] += on_chip
        least[1] += dram
    least[0] *= BELOW


@compiled
def fill_variants(t, per_order, on_chip, dram):
    """What each combination of the levels' orders costs at least, from `bound_orders`."""
    for v in range(len(on_chip)):
        on_chip[v], dram[v] = 0.0, 0.0
        for k in range(t.order_of.shape[1]):
            on_chip[v] += per_order[k, t.order_of[v, k], 0] * BELOW
            dram[v] += per_order[k, t.order_of[v, k], 1]


@compiled
def runs_first(t, picked, v):
    """Whether no earlier loop order runs the very same loops (loops of bound 1 do not run)."""
    for k in t.levels_with_orders:
        mask = 0
        for d in range(7):
            if t.tiled[picked[d]] >> k & 1:
                mask |= 1 << d
        if not t.canonical[v, k, mask]:
            return False
    return True
