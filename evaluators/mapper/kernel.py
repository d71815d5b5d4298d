"""The exhaustive search over a mapspace, compiled: every mapping that fits is counted, the best ones are kept.

Kept are the mappings that no other beats in cycles, on-chip energy and DRAM accesses together. Whatever the clock,
the supply voltage, leakage and the DRAM type, the optimum for delay, energy or their product is among them, because
each of those grows with each of the three.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numba import njit

from evaluators.mapper.tables import Tables

__all__ = ["search"]

N, M, C, P, Q, R, S = range(7)


@njit(cache=True)
def _input_walk(  # type: ignore[no-untyped-def]
    variant, level, tile, axis_w, axis_h, picked, factor, step, position_dim, position_level, stride, steps
):
    """The temporal loops outside an input tile (COST_MODEL section 4), those of M left out.

    Returns the first relevant position, fills where an irrelevant loop lies inside it and where none does, the new
    words per step of the first loop, and the number of later relevant loops if one of them follows the sliding rule
    (else 0); those are listed in `steps` as (position, bound, whether it slides).
    """
    n_positions = position_dim.shape[1]
    first = n_positions
    first_axis = -1
    first_shift = 0.0
    shifted_first = 0.0
    shifted_elsewhere = False
    seen = tile
    unseen = tile
    fresh = tile
    slides = False
    later = 0
    for p in range(n_positions):
        if position_level[variant, p] <= level:
            continue
        d = position_dim[variant, p]
        if d == M:
            continue
        n = factor[variant, picked[d], p]
        if n == 1.0:
            continue
        shift = step[variant, picked[d], p] * stride[d]
        axis = 0 if d == N else 1 if d == C else 2 if d in (P, R) else 3
        if first_axis < 0:
            first, first_axis, first_shift = p, axis, shift
            if axis >= 2:
                extent = axis_w if axis == 2 else axis_h
                if shift < extent:
                    fresh = tile * shift / extent
            unseen = tile + (n - 1.0) * fresh
            seen = tile * n
            shifted_first = shift
        else:
            sliding = axis == first_axis and not shifted_elsewhere and shift - shifted_first == first_shift
            if axis == first_axis:
                shifted_first += shift
            else:
                shifted_elsewhere = True
            steps[later, 0] = p
            steps[later, 1] = n
            steps[later, 2] = 1.0 if sliding else 0.0
            later += 1
            if sliding:
                unseen += (n - 1.0) * (unseen - tile + fresh)
                slides = True
            else:
                unseen *= n
            seen *= n
    return first, seen, unseen, fresh, later if slides and fresh != tile else 0


@njit(cache=True)
def _offer(cycles, on_chip, dram, archive, count, key, keys):  # type: ignore[no-untyped-def]
    """Put a point into the archive of non-dominated points unless one there is as good in all three."""
    for e in range(count):
        if archive[e, 0] <= cycles and archive[e, 1] <= on_chip and archive[e, 2] <= dram:
            if e > 0:  # the entry that just dominated is likely to dominate again: try it earlier next time
                for c in range(3):
                    archive[e, c], archive[e // 2, c] = archive[e // 2, c], archive[e, c]
                for c in range(keys.shape[1]):
                    keys[e, c], keys[e // 2, c] = keys[e // 2, c], keys[e, c]
            return count, archive, keys
    kept = 0
    for e in range(count):
        if not (cycles <= archive[e, 0] and on_chip <= archive[e, 1] and dram <= archive[e, 2]):
            if kept != e:
                archive[kept] = archive[e]
                keys[kept] = keys[e]
            kept += 1
    if kept == len(archive):
        bigger = np.empty((2 * kept, archive.shape[1]))
        bigger[:kept] = archive
        archive = bigger
        more = np.empty((2 * kept, keys.shape[1]), dtype=np.int64)
        more[:kept] = keys
        keys = more
    archive[kept, 0], archive[kept, 1], archive[kept, 2] = cycles, on_chip, dram
    keys[kept] = key
    return kept + 1, archive, keys


@njit(cache=True)
def search(t: Tables):  # type: ignore[no-untyped-def]
    """Search one mapspace.

    Returns (mappings that fit, mappings evaluated, points of shape (K, 3): cycles, on-chip pJ without MACs, DRAM
    vector accesses, all for one group of the layer; keys of shape (K, 8): the row per dimension and the order).
    """
    n_levels = t.extent.shape[1]
    last = n_levels - 1
    n_variants, n_positions = t.position_dim.shape
    n_m = t.rows[M]
    m0 = t.offset[M]

    # what a row of M contributes, level by level, contiguous over rows
    m_extent = np.ascontiguousarray(t.extent[m0 : m0 + n_m].T)
    m_unrolled = np.ascontiguousarray(t.unrolled[m0 : m0 + n_m].T)
    m_total = t.total[m0 : m0 + n_m].copy()
    m_x = np.ascontiguousarray(t.mesh_x[m0 : m0 + n_m].T)
    m_y = np.ascontiguousarray(t.mesh_y[m0 : m0 + n_m].T)
    m_x_max = np.array([m_x[k].max() for k in range(n_levels)])
    m_y_max = np.array([m_y[k].max() for k in range(n_levels)])
    m_extent_max = np.array([m_extent[k].max() for k in range(n_levels)])

    fitting = 0
    evaluated = 0
    count = 0
    archive = np.empty((64, 3))
    keys = np.empty((64, 8), dtype=np.int64)
    key = np.zeros(8, dtype=np.int64)
    picked = np.zeros(7, dtype=np.int64)
    steps = np.empty((n_positions + 1, 3))

    extent = np.ones((7, n_levels))
    unrolled = np.ones(n_levels + 1)  # all dimensions but M
    for_w = np.ones(n_levels + 1)  # the part of it that matters to each tensor
    for_i = np.ones(n_levels + 1)
    for_o = np.ones(n_levels + 1)
    tile_w = np.ones(n_levels)
    tile_i = np.ones(n_levels)
    tile_o = np.ones(n_levels)
    axis_w = np.ones(n_levels)
    axis_h = np.ones(n_levels)
    outside_i = np.ones(n_levels)
    room = np.empty(n_levels)

    index = np.empty(n_m, dtype=np.int64)
    on_chip = np.empty(n_m)
    dram = np.empty(n_m)
    steps_cc = np.empty(n_m)
    slowest = np.empty(n_m)
    moved = np.empty(n_m)
    reads = np.zeros((n_levels, n_m))
    writes = np.zeros((n_levels, n_m))
    idle_w = np.empty(n_positions + 1)  # product of irrelevant loops beyond a position
    idle_o = np.empty(n_positions + 1)
    stalls = False
    for k in range(n_levels):
        if t.read_bandwidth[k] < np.inf or t.write_bandwidth[k] < np.inf or t.shared_bandwidth[k] < np.inf:
            stalls = True

    for flat in range(t.rows[N] * t.rows[R] * t.rows[S] * t.rows[C] * t.rows[P] * t.rows[Q]):
        rest = flat
        for d in (Q, P, C, S, R, N):
            picked[d] = t.offset[d] + rest % t.rows[d]
            rest //= t.rows[d]

        # mesh first: it turns most prefixes away
        legal = True
        for k in range(n_levels):
            x = 1.0
            y = 1.0
            for d in (N, C, P, Q, R, S):
                x *= t.mesh_x[picked[d], k]
                y *= t.mesh_y[picked[d], k]
            if x > t.limit_x[k] or y > t.limit_y[k]:
                legal = False
                break
        if not legal:
            continue
        for k in range(n_levels):
            for d in (N, C, P, Q, R, S):
                extent[d, k] = t.extent[picked[d], k]
            axis_w[k] = t.stride[R] * (extent[R, k] - 1) + t.stride[P] * (extent[P, k] - 1) + 1
            axis_h[k] = t.stride[S] * (extent[S, k] - 1) + t.stride[Q] * (extent[Q, k] - 1) + 1
            tile_w[k] = extent[C, k] * extent[R, k] * extent[S, k]
            tile_o[k] = extent[N, k] * extent[P, k] * extent[Q, k]
            tile_i[k] = extent[N, k] * extent[C, k] * axis_w[k] * axis_h[k]
            room[k] = np.inf
            if t.words[k] < np.inf:
                free = t.words[k]
                per_m = 0.0
                if t.keeps[1, k]:
                    free -= tile_i[k]
                if t.keeps[0, k]:
                    per_m += tile_w[k]
                if t.keeps[2, k]:
                    per_m += tile_o[k]
                if free < per_m:
                    legal = False
                    break
                if per_m > 0:
                    room[k] = floor(free / per_m)
        if not legal:
            continue

        # rows of M that fit beside this prefix
        n_fit = n_m
        for i in range(n_m):
            index[i] = i
        for k in range(n_levels):
            x = 1.0
            y = 1.0
            for d in (N, C, P, Q, R, S):
                x *= t.mesh_x[picked[d], k]
                y *= t.mesh_y[picked[d], k]
            left_x = floor(t.limit_x[k] / x)
            left_y = floor(t.limit_y[k] / y)
            if m_x_max[k] > left_x:
                n = 0
                for j in range(n_fit):
                    i = index[j]
                    index[n] = i
                    n += 1 if m_x[k, i] <= left_x else 0
                n_fit = n
            if m_y_max[k] > left_y:
                n = 0
                for j in range(n_fit):
                    i = index[j]
                    index[n] = i
                    n += 1 if m_y[k, i] <= left_y else 0
                n_fit = n
            if m_extent_max[k] > room[k]:
                n = 0
                for j in range(n_fit):
                    i = index[j]
                    index[n] = i
                    n += 1 if m_extent[k, i] <= room[k] else 0
                n_fit = n
        if n_fit == 0:
            continue
        fitting += n_fit * n_variants

        total_w = 1.0
        total_o = 1.0
        total = 1.0
        for d in (N, C, P, Q, R, S):
            total *= t.total[picked[d]]
            if d in (C, R, S):
                total_w *= t.total[picked[d]]
            if d in (N, P, Q):
                total_o *= t.total[picked[d]]
        for k in range(n_levels + 1):
            for_w[k] = t.unrolled[picked[C], k] * t.unrolled[picked[R], k] * t.unrolled[picked[S], k]
            for_o[k] = t.unrolled[picked[N], k] * t.unrolled[picked[P], k] * t.unrolled[picked[Q], k]
            unrolled[k] = for_w[k] * for_o[k]
            for_i[k] = unrolled[k]
        for k in range(n_levels):
            inside = 1.0
            for d in (N, C, P, Q, R, S):
                inside *= extent[d, k]
            outside_i[k] = total / (unrolled[k + 1] * inside)
        for j in range(n_fit):
            i = index[j]
            steps_cc[j] = (total / unrolled[0]) * (m_total[i] / m_unrolled[0, i])

        for v in range(n_variants):
            repeat = False
            for k in t.levels_with_orders:
                mask = 1 << M
                for d in (N, C, P, Q, R, S):
                    if t.tiled[picked[d]] >> k & 1:
                        mask |= 1 << d
                if not t.canonical[v, k, mask]:
                    repeat = True
            if repeat:
                continue
            evaluated += n_fit
            for p in range(n_positions + 1):
                idle_w[p] = t.beyond[v, picked[N], p] * t.beyond[v, picked[P], p] * t.beyond[v, picked[Q], p]
                idle_o[p] = t.beyond[v, picked[C], p] * t.beyond[v, picked[R], p] * t.beyond[v, picked[S], p]
            for j in range(n_fit):
                on_chip[j] = 0.0
                dram[j] = 0.0
                moved[j] = steps_cc[j]
            if stalls:
                for k in range(n_levels):
                    for j in range(n_fit):
                        reads[k, j] = 0.0
                        writes[k, j] = 0.0

            # weights
            child = -1
            for k in range(n_levels):
                if not t.keeps[0, k]:
                    continue
                served = for_w[child + 1] / for_w[k + 1]
                prefix_first = min(t.first[v, picked[C], k], t.first[v, picked[R], k], t.first[v, picked[S], k])
                words = total_w / for_w[k + 1]
                block = t.block[k]
                if k == last:
                    for j in range(n_fit):
                        i = index[j]
                        access = moved[j] * served * (m_unrolled[child + 1, i] / m_unrolled[k + 1, i])
                        dram[j] += ceil(access / block)
                        if stalls:
                            reads[k, j] += access / steps_cc[j]
                else:
                    for j in range(n_fit):
                        i = index[j]
                        access = moved[j] * served * (m_unrolled[child + 1, i] / m_unrolled[k + 1, i])
                        p = min(prefix_first, t.first[v, m0 + i, k])
                        fill = words * (m_total[i] / m_unrolled[k + 1, i]) * idle_w[p]
                        used = min(unrolled[k + 1] * m_unrolled[k + 1, i], t.charged_instances[k])
                        on_chip[j] += (
                            ceil(access / block) * t.read_pj[k] + ceil(fill / block) * t.write_pj[k]
                        ) * used
                        if stalls:
                            reads[k, j] += access / steps_cc[j]
                            writes[k, j] += fill / steps_cc[j]
                        moved[j] = fill
                child = k

            # inputs: M only repeats what the prefix moves
            child = -1
            for j in range(n_fit):
                moved[j] = steps_cc[j]
            for k in range(n_levels):
                if not t.keeps[1, k]:
                    continue
                served = for_i[child + 1] / for_i[k + 1]
                block = t.block[k]
                if k == last:
                    for j in range(n_fit):
                        access = moved[j] * served
                        dram[j] += ceil(access / block)
                        if stalls:
                            reads[k, j] += access / steps_cc[j]
                else:
                    prefix_first, seen, unseen, fresh, slides = _input_walk(
                        v, k, tile_i[k], axis_w[k], axis_h[k], picked,
                        t.factor, t.step, t.position_dim, t.position_level, t.stride, steps,
                    )  # fmt: skip
                    for j in range(n_fit):
                        i = index[j]
                        access = moved[j] * served
                        if t.first[v, m0 + i, k] < prefix_first:
                            fill = seen * t.beyond[v, m0 + i, prefix_first]
                        elif slides == 0:
                            fill = unseen * t.beyond[v, m0 + i, prefix_first]
                        else:
                            fill = tile_i[k]
                            # the loop over M may stand between the relevant ones, where order matters
                            d = t.position_dim[v, prefix_first]
                            n_first = t.factor[v, picked[d], prefix_first]
                            fill += (n_first - 1.0) * fresh
                            at = prefix_first
                            for s in range(slides):
                                p = int(steps[s, 0])
                                fill *= t.beyond[v, m0 + i, at] / t.beyond[v, m0 + i, p]
                                at = p
                                if steps[s, 2] == 1.0:
                                    fill += (steps[s, 1] - 1.0) * (fill - tile_i[k] + fresh)
                                else:
                                    fill *= steps[s, 1]
                            fill *= t.beyond[v, m0 + i, at]
                        used = min(unrolled[k + 1] * m_unrolled[k + 1, i], t.charged_instances[k])
                        on_chip[j] += (
                            ceil(access / block) * t.read_pj[k] + ceil(fill / block) * t.write_pj[k]
                        ) * used
                        if stalls:
                            reads[k, j] += access / steps_cc[j]
                            writes[k, j] += fill / steps_cc[j]
                        moved[j] = fill
                child = k

            # outputs
            child = -1
            for j in range(n_fit):
                moved[j] = steps_cc[j]
            for k in range(n_levels):
                if not t.keeps[2, k]:
                    continue
                served = for_o[child + 1] / for_o[k + 1]
                prefix_first = min(t.first[v, picked[N], k], t.first[v, picked[P], k], t.first[v, picked[Q], k])
                words = total_o / for_o[k + 1]
                block = t.block[k]
                for j in range(n_fit):
                    i = index[j]
                    update = moved[j] * served * (m_unrolled[child + 1, i] / m_unrolled[k + 1, i])
                    part = words * (m_total[i] / m_unrolled[k + 1, i])
                    if k == last:
                        dram[j] += ceil((update - part) / block) + ceil(update / block)
                        if stalls:
                            reads[k, j] += (update - part) / steps_cc[j]
                            writes[k, j] += update / steps_cc[j]
                    else:
                        p = min(prefix_first, t.first[v, m0 + i, k])
                        fill = part * idle_o[p]
                        used = min(unrolled[k + 1] * m_unrolled[k + 1, i], t.charged_instances[k])
                        on_chip[j] += (
                            ceil((update - part) / block) * t.read_pj[k]
                            + (ceil((fill - part) / block) + ceil(update / block)) * t.write_pj[k]
                        ) * used
                        if stalls:
                            reads[k, j] += (update - part) / steps_cc[j]
                            writes[k, j] += (fill - part + update) / steps_cc[j]
                        moved[j] = fill
                child = k

            for j in range(n_fit):
                slowest[j] = steps_cc[j]
            if stalls:
                for k in range(n_levels):
                    for j in range(n_fit):
                        if reads[k, j] > t.read_bandwidth[k]:
                            slowest[j] = max(slowest[j], ceil(steps_cc[j] / (t.read_bandwidth[k] / reads[k, j])))
                        if writes[k, j] > t.write_bandwidth[k]:
                            slowest[j] = max(slowest[j], ceil(steps_cc[j] / (t.write_bandwidth[k] / writes[k, j])))
                        both = reads[k, j] + writes[k, j]
                        if both > t.shared_bandwidth[k]:
                            slowest[j] = max(slowest[j], ceil(steps_cc[j] / (t.shared_bandwidth[k] / both)))

            for d in (N, C, P, Q, R, S):
                key[d] = picked[d] - t.offset[d]
            key[7] = v
            for j in range(n_fit):
                key[M] = index[j]
                count, archive, keys = _offer(slowest[j], on_chip[j], dram[j], archive, count, key, keys)
    return fitting, evaluated, archive[:count].copy(), keys[:count].copy()
