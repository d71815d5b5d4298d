"""The exhaustive search over a mapspace, compiled: every mapping that fits is counted, the best ones are kept.

Kept are the mappings that no other beats in cycles, on-chip energy and DRAM accesses together. Whatever the clock,
the supply voltage, leakage and the DRAM type, the optimum for delay, energy or their product is among them, because
each of those grows with each of the three.

All mappings that differ in the factors of M alone are counted side by side in arrays: M is irrelevant to inputs,
whose sliding windows make the only rule that looks at several loops at once. The other six dimensions are the
*prefix*. Where a level has several loop orders, a prefix and row of M is first bounded by what any order must move;
if something found already beats the bound, its orders need no counting.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from evaluators.mapper.tables import Tables

__all__ = ["search"]

N, M, C, P, Q, R, S = range(7)
_PREFIX = (N, C, P, Q, R, S)
_WEIGHTS, _INPUTS, _OUTPUTS = range(3)


class _Rows(NamedTuple):
    """What every row of M contributes, contiguous over the rows: (L, rows), (L + 1, rows) or with V or P in front."""

    extent: np.ndarray
    unrolled: np.ndarray
    whole: np.ndarray  # (L, rows) what one instance of a level handles of M
    steps: np.ndarray  # (rows,) its share of the compute steps
    served: np.ndarray  # (3, L, rows) distinct tiles that one read serves, between a level and the one kept inside it
    mesh_x: np.ndarray
    mesh_y: np.ndarray
    first: np.ndarray  # (V, L, rows)
    beyond: np.ndarray  # (V, P + 1, rows)
    widest_extent: np.ndarray  # (L,) the largest of `extent`
    widest_x: np.ndarray
    widest_y: np.ndarray


class _Prefix(NamedTuple):
    """One choice of rows for all dimensions but M, level by level; written in place for every prefix."""

    picked: np.ndarray  # (7,) rows
    extent: np.ndarray  # (7, L)
    unrolled: np.ndarray  # (3, L + 1) spatial factors above a level that matter to a tensor
    all_unrolled: np.ndarray  # (L + 1,)
    tile: np.ndarray  # (3, L) words per row of M's extent (inputs: words)
    axis: np.ndarray  # (2, L) width and height of the input tile
    total: np.ndarray  # (4,) products of bounds: relevant to weights, to inputs (M left out), to outputs, all
    room: np.ndarray  # (L,) the largest extent of M that still fits
    beyond_idle: np.ndarray  # (3, P + 1) product of irrelevant loops after a position (inputs: unused)


class _Work(NamedTuple):
    """Results for the rows of M that fit beside a prefix."""

    index: np.ndarray  # which rows
    group: np.ndarray  # rows that fit the mesh beside the unrolled dimensions, whatever the tiles
    group_steps: np.ndarray  # compute steps of every row
    is_open: np.ndarray  # rows of the group that may still hold something better than what is found
    left: np.ndarray  # places in `index` of those that nothing found so far beats
    steps: np.ndarray  # compute steps
    on_chip: np.ndarray
    dram: np.ndarray
    cycles: np.ndarray
    moved: np.ndarray
    on_chip_fixed: np.ndarray  # what weights and outputs move, where the next loop order does not change it
    dram_fixed: np.ndarray
    reads: np.ndarray  # (L, rows) words per cycle, summed over tensors
    writes: np.ndarray
    walk: np.ndarray  # (P + 1, 3) later relevant loops of an input tile: position, bound, whether it slides


@njit(cache=True)
def _rows_of_m(t):  # type: ignore[no-untyped-def]
    at, n = t.offset[M], t.rows[M]
    n_levels = t.extent.shape[1]
    n_variants, n_positions = t.position_dim.shape
    first = np.empty((n_variants, n_levels, n), dtype=np.int64)
    beyond = np.empty((n_variants, n_positions + 1, n))
    for v in range(n_variants):
        for i in range(n):
            for k in range(n_levels):
                first[v, k, i] = t.first[v, at + i, k]
            for p in range(n_positions + 1):
                beyond[v, p, i] = t.beyond[v, at + i, p]
    extent = np.ascontiguousarray(t.extent[at : at + n].T)
    mesh_x = np.ascontiguousarray(t.mesh_x[at : at + n].T)
    mesh_y = np.ascontiguousarray(t.mesh_y[at : at + n].T)
    widest = np.empty((3, n_levels))
    for k in range(n_levels):
        widest[0, k] = extent[k].max()
        widest[1, k] = mesh_x[k].max()
        widest[2, k] = mesh_y[k].max()
    unrolled = np.ascontiguousarray(t.unrolled[at : at + n].T)
    total = t.total[at : at + n].copy()
    served = np.ones((3, n_levels, n))
    for tensor in (_WEIGHTS, _OUTPUTS):
        child = -1
        for k in range(n_levels):
            if t.keeps[tensor, k]:
                served[tensor, k] = unrolled[child + 1] / unrolled[k + 1]
                child = k
    return _Rows(
        extent,
        unrolled,
        total / unrolled[1:],
        total / unrolled[0],
        served,
        mesh_x,
        mesh_y,
        first,
        beyond,
        widest[0],
        widest[1],
        widest[2],
    )


@njit(cache=True)
def _enter_group(t, rows, pre, work):  # type: ignore[no-untyped-def]
    """Fill in what the unrolled dimensions decide and list the rows of M whose mesh fits; returns how many.

    The tiled-only dimensions have no place on a mesh, so any of their rows will do here.
    """
    n_levels = t.extent.shape[1]
    picked = pre.picked
    n_fit = t.rows[M]
    for i in range(n_fit):
        work.group[i] = i
    for k in range(n_levels):
        x = 1.0
        y = 1.0
        for d in _PREFIX:
            x *= t.mesh_x[picked[d], k]
            y *= t.mesh_y[picked[d], k]
        left_x = np.floor(t.limit_x[k] / x)
        left_y = np.floor(t.limit_y[k] / y)
        if left_x < 1.0 or left_y < 1.0:
            return 0
        if rows.widest_x[k] > left_x:
            n_fit = _keep(work.group, work.group, n_fit, rows.mesh_x[k], left_x)
        if rows.widest_y[k] > left_y:
            n_fit = _keep(work.group, work.group, n_fit, rows.mesh_y[k], left_y)
        if n_fit == 0:
            return 0
    for k in range(n_levels + 1):
        w = t.unrolled[picked[C], k] * t.unrolled[picked[R], k] * t.unrolled[picked[S], k]
        o = t.unrolled[picked[N], k] * t.unrolled[picked[P], k] * t.unrolled[picked[Q], k]
        pre.unrolled[_WEIGHTS, k] = w
        pre.unrolled[_INPUTS, k] = w * o
        pre.unrolled[_OUTPUTS, k] = o
        pre.all_unrolled[k] = w * o
    pre.total[_WEIGHTS] = t.total[picked[C]] * t.total[picked[R]] * t.total[picked[S]]
    pre.total[_OUTPUTS] = t.total[picked[N]] * t.total[picked[P]] * t.total[picked[Q]]
    pre.total[_INPUTS] = pre.total[_WEIGHTS] * pre.total[_OUTPUTS]
    steps = pre.total[_INPUTS] / pre.all_unrolled[0]
    for i in range(t.rows[M]):
        work.group_steps[i] = steps * rows.steps[i]
    return n_fit


@njit(cache=True)
def _enter_tiles(t, rows, pre, work, n_group):  # type: ignore[no-untyped-def]
    """Fill in the tiles of a whole prefix and list the group's rows of M that fit the buffers; returns how many."""
    n_levels = t.extent.shape[1]
    picked = pre.picked
    for k in range(n_levels):
        for d in _PREFIX:
            pre.extent[d, k] = t.extent[picked[d], k]
        pre.axis[0, k] = t.stride[R] * (pre.extent[R, k] - 1) + t.stride[P] * (pre.extent[P, k] - 1) + 1
        pre.axis[1, k] = t.stride[S] * (pre.extent[S, k] - 1) + t.stride[Q] * (pre.extent[Q, k] - 1) + 1
        pre.tile[_WEIGHTS, k] = pre.extent[C, k] * pre.extent[R, k] * pre.extent[S, k]
        pre.tile[_INPUTS, k] = pre.extent[N, k] * pre.extent[C, k] * pre.axis[0, k] * pre.axis[1, k]
        pre.tile[_OUTPUTS, k] = pre.extent[N, k] * pre.extent[P, k] * pre.extent[Q, k]
        pre.room[k] = np.inf
        if t.words[k] == np.inf:
            continue
        free = t.words[k]
        per_m = 0.0
        if t.keeps[_INPUTS, k]:
            free -= pre.tile[_INPUTS, k]
        if t.keeps[_WEIGHTS, k]:
            per_m += pre.tile[_WEIGHTS, k]
        if t.keeps[_OUTPUTS, k]:
            per_m += pre.tile[_OUTPUTS, k]
        if free < per_m:
            return 0
        if per_m > 0.0:
            pre.room[k] = np.floor(free / per_m)
    n_fit = n_group
    narrowed = False
    for k in range(n_levels):
        if rows.widest_extent[k] > pre.room[k]:
            n_fit = _keep(work.index if narrowed else work.group, work.index, n_fit, rows.extent[k], pre.room[k])
            narrowed = True
            if n_fit == 0:
                return 0
    if not narrowed:
        work.index[:n_fit] = work.group[:n_fit]
    return n_fit


@njit(cache=True)
def _keep(listed, kept, n, values, limit):  # type: ignore[no-untyped-def]
    """Of the n listed rows, write those whose value is within the limit to `kept`, in order; returns how many."""
    n_kept = 0
    for j in range(n):
        i = listed[j]
        kept[n_kept] = i
        if values[i] <= limit:
            n_kept += 1
    return n_kept


@njit(cache=True)
def _input_walk(t, v, level, pre, walk):  # type: ignore[no-untyped-def]
    """The temporal loops outside an input tile (COST_MODEL section 4), those of M left out.

    Returns the first relevant position (P if none), its bound, fills where an irrelevant loop lies inside it and
    where none does, the new words per step of the first loop, and the number of later relevant loops if one of them
    follows the sliding rule (else 0); those are listed in `walk`.
    """
    tile = pre.tile[_INPUTS, level]
    n_positions = t.position_dim.shape[1]
    first = n_positions
    first_bound = 1.0
    first_axis = -1
    first_shift = 0.0
    shifted = 0.0
    elsewhere = False
    seen = tile
    unseen = tile
    fresh = tile
    slides = False
    later = 0
    for p in range(n_positions):
        if t.position_level[v, p] <= level:
            continue
        d = t.position_dim[v, p]
        if d == M:
            continue
        n = t.factor[v, pre.picked[d], p]
        if n == 1.0:
            continue
        shift = t.step[v, pre.picked[d], p] * t.stride[d]
        axis = 0 if d == N else 1 if d == C else 2 if d in (P, R) else 3
        if first_axis < 0:
            first, first_bound, first_axis, first_shift, shifted = p, n, axis, shift, shift
            if axis >= 2 and shift < pre.axis[axis - 2, level]:
                fresh = tile * shift / pre.axis[axis - 2, level]
            unseen = tile + (n - 1.0) * fresh
            seen = tile * n
        else:
            sliding = axis == first_axis and not elsewhere and shift - shifted == first_shift
            if axis == first_axis:
                shifted += shift
            else:
                elsewhere = True
            walk[later, 0] = p
            walk[later, 1] = n
            walk[later, 2] = 1.0 if sliding else 0.0
            later += 1
            if sliding:
                unseen += (n - 1.0) * (unseen - tile + fresh)
                slides = True
            else:
                unseen *= n
            seen *= n
    return first, first_bound, seen, unseen, fresh, later if slides and fresh != tile else 0


@njit(cache=True, inline="always")
def _accesses(words, block, per_word):  # type: ignore[no-untyped-def]
    """Vector accesses for a number of words; `per_word` is 1 / block where that is exact, else 0."""
    return np.ceil(words * per_word) if per_word > 0.0 else np.ceil(words / block)


@njit(cache=True)
def _count(t, rows, pre, work, n_fit, v, fixed):  # type: ignore[no-untyped-def]
    """On-chip energy, DRAM accesses and cycles of every listed row under loop order v.

    With `fixed`, weights and outputs move what they moved under the order counted before.
    """
    n_levels = t.extent.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    index, moved, on_chip, dram, steps = work.index, work.moved, work.on_chip, work.dram, work.steps
    if fixed:
        for j in range(n_fit):
            on_chip[j] = work.on_chip_fixed[j]
            dram[j] = work.dram_fixed[j]
    else:
        for p in range(n_positions + 1):
            w, o = 1.0, 1.0
            for d in (N, P, Q):
                w *= t.beyond[v, pre.picked[d], p]
            for d in (C, R, S):
                o *= t.beyond[v, pre.picked[d], p]
            pre.beyond_idle[_WEIGHTS, p] = w
            pre.beyond_idle[_OUTPUTS, p] = o
        for j in range(n_fit):
            on_chip[j] = 0.0
            dram[j] = 0.0
        for k in range(n_levels):
            if t.may_stall[k]:
                for j in range(n_fit):
                    work.reads[k, j] = 0.0
                    work.writes[k, j] = 0.0
    for j in range(n_fit):
        work.cycles[j] = steps[j]

    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        if fixed and tensor != _INPUTS:
            continue
        if tensor == _INPUTS and not fixed:
            for j in range(n_fit):
                work.on_chip_fixed[j] = on_chip[j]
                work.dram_fixed[j] = dram[j]
        child = -1
        for j in range(n_fit):
            moved[j] = steps[j]
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            block, read_pj, write_pj, charged = t.block[k], t.read_pj[k], t.write_pj[k], t.charged_instances[k]
            served = pre.unrolled[tensor, child + 1] / pre.unrolled[tensor, k + 1]
            used_prefix = pre.all_unrolled[k + 1]
            per_word = t.per_word[k]
            stalls = t.may_stall[k]
            m_here, m_served, m_whole = rows.unrolled[k + 1], rows.served[tensor, k], rows.whole[k]
            if tensor == _INPUTS:
                if k == last:
                    for j in range(n_fit):
                        access = moved[j] * served
                        dram[j] += _accesses(access, block, per_word)
                        if stalls:
                            work.reads[k, j] += access / steps[j]
                    continue
                tile = pre.tile[_INPUTS, k]
                first, n_first, seen, unseen, fresh, slides = _input_walk(t, v, k, pre, work.walk)
                m_first, m_beyond = rows.first[v, k], rows.beyond[v, first]
                for j in range(n_fit):
                    i = index[j]
                    access = moved[j] * served
                    if slides == 0 or m_first[i] < first:
                        fill = (seen if m_first[i] < first else unseen) * m_beyond[i]
                    else:
                        # a loop over M may stand between the sliding ones, where order matters
                        fill = tile + (n_first - 1.0) * fresh
                        at = first
                        for s in range(slides):
                            p = int(work.walk[s, 0])
                            fill *= rows.beyond[v, at, i] / rows.beyond[v, p, i]
                            at = p
                            if work.walk[s, 2] == 1.0:
                                fill += (work.walk[s, 1] - 1.0) * (fill - tile + fresh)
                            else:
                                fill *= work.walk[s, 1]
                        fill *= rows.beyond[v, at, i]
                    used = min(used_prefix * m_here[i], charged)
                    on_chip[j] += (
                        _accesses(access, block, per_word) * read_pj + _accesses(fill, block, per_word) * write_pj
                    ) * used
                    if stalls:
                        work.reads[k, j] += access / steps[j]
                        work.writes[k, j] += fill / steps[j]
                    moved[j] = fill
            else:
                words = pre.total[tensor] / pre.unrolled[tensor, k + 1]
                m_first, beyond = rows.first[v, k], pre.beyond_idle[tensor]
                first = n_positions
                if tensor == _WEIGHTS:
                    for d in (C, R, S):
                        first = min(first, t.first[v, pre.picked[d], k])
                    for j in range(n_fit):
                        i = index[j]
                        access = moved[j] * served * m_served[i]
                        if k == last:
                            dram[j] += _accesses(access, block, per_word)
                            fill = 0.0
                        else:
                            fill = words * m_whole[i] * beyond[min(first, m_first[i])]
                            used = min(used_prefix * m_here[i], charged)
                            on_chip[j] += (
                                _accesses(access, block, per_word) * read_pj
                                + _accesses(fill, block, per_word) * write_pj
                            ) * used
                        if stalls:
                            work.reads[k, j] += access / steps[j]
                            work.writes[k, j] += fill / steps[j]
                        moved[j] = fill
                else:
                    for d in (N, P, Q):
                        first = min(first, t.first[v, pre.picked[d], k])
                    for j in range(n_fit):
                        i = index[j]
                        update = moved[j] * served * m_served[i]
                        part = words * m_whole[i]
                        fill = part
                        if k == last:
                            dram[j] += _accesses(update - part, block, per_word) + _accesses(update, block, per_word)
                        else:
                            fill = part * beyond[min(first, m_first[i])]
                            used = min(used_prefix * m_here[i], charged)
                            on_chip[j] += (
                                _accesses(update - part, block, per_word) * read_pj
                                + (_accesses((fill - part), block, per_word) + _accesses(update, block, per_word))
                                * write_pj
                            ) * used
                        if stalls:
                            work.reads[k, j] += (update - part) / steps[j]
                            work.writes[k, j] += (fill - part + update) / steps[j]
                        moved[j] = fill
            child = k

    for k in range(n_levels):
        if t.may_stall[k]:
            for j in range(n_fit):
                reads, writes = work.reads[k, j], work.writes[k, j]
                if reads > t.read_bandwidth[k]:
                    work.cycles[j] = max(work.cycles[j], np.ceil(steps[j] / (t.read_bandwidth[k] / reads)))
                if writes > t.write_bandwidth[k]:
                    work.cycles[j] = max(work.cycles[j], np.ceil(steps[j] / (t.write_bandwidth[k] / writes)))
                if reads + writes > t.shared_bandwidth[k]:
                    slowed = np.ceil(steps[j] / (t.shared_bandwidth[k] / (reads + writes)))
                    work.cycles[j] = max(work.cycles[j], slowed)


@njit(cache=True)
def _bound(t, rows, pre, work, n_group):  # type: ignore[no-untyped-def]
    """What every listed row costs at least, whatever the tiling of the dimensions that are not unrolled.

    An irrelevant loop repeats a fill unless it lies inside the first relevant one. Where that first one is known, or
    known to come no later than some position, the loops beyond repeat for certain; of the free dimensions at least
    what their tightest tiling leaves beyond, given the outputs that must fit one buffer (`least_idle`).
    """
    n_levels = t.extent.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    held = t.held_level
    held_fixed = 1.0
    for d in (N, P, Q):
        if held >= 0 and not t.tiled_only[d]:
            held_fixed *= t.extent[pre.picked[d], held]
    for j in range(n_group):
        i = work.index[j]
        work.cycles[j] = work.steps[j]
        on_chip = 0.0
        dram = 0.0
        for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
            child = -1
            moved = work.steps[j]
            for k in range(n_levels):
                if not t.keeps[tensor, k]:
                    continue
                block, per_word = t.block[k], t.per_word[k]
                access = moved * pre.unrolled[tensor, child + 1] / pre.unrolled[tensor, k + 1]
                access *= rows.served[tensor, k, i]
                used = min(pre.all_unrolled[k + 1] * rows.unrolled[k + 1, i], t.charged_instances[k])
                first = n_positions if tensor == _INPUTS else rows.first[0, k, i]
                for d in _PREFIX:
                    relevant = (
                        (d in (C, R, S)) if tensor == _WEIGHTS else (d in (N, P, Q)) if tensor == _OUTPUTS else True
                    )
                    if relevant and not t.tiled_only[d]:
                        first = min(first, t.first[0, pre.picked[d], k])
                first = t.surely_after[first]
                if tensor == _WEIGHTS:
                    fill = pre.total[_WEIGHTS] / pre.unrolled[_WEIGHTS, k + 1] * rows.whole[k, i]
                    limit = t.least_idle.shape[1] - 1
                    if held >= 0:
                        limit = min(limit, int(t.words[held] / (rows.extent[held, i] * held_fixed)))
                    fill *= t.least_idle[first, limit]
                    for d in (N, P, Q):
                        if not t.tiled_only[d]:
                            fill *= t.beyond[0, pre.picked[d], first]
                    if k == last:
                        dram += _accesses(access, block, per_word)
                    else:
                        reading = _accesses(access, block, per_word) * t.read_pj[k]
                        on_chip += (reading + _accesses(fill, block, per_word) * t.write_pj[k]) * used
                elif tensor == _OUTPUTS:
                    part = pre.total[_OUTPUTS] / pre.unrolled[_OUTPUTS, k + 1] * rows.whole[k, i]
                    fill = part
                    for d in (C, R, S):
                        if not t.tiled_only[d]:
                            fill *= t.beyond[0, pre.picked[d], first]
                    if k == last:
                        dram += _accesses(access - part, block, per_word) + _accesses(access, block, per_word)
                    else:
                        written = _accesses(fill - part, block, per_word) + _accesses(access, block, per_word)
                        on_chip += (
                            _accesses(access - part, block, per_word) * t.read_pj[k] + written * t.write_pj[k]
                        ) * used
                else:
                    fill = t.least_input_words[k] * rows.beyond[0, first, i]
                    fill /= t.unrolled[pre.picked[N], k + 1] * t.unrolled[pre.picked[C], k + 1]
                    if k == last:
                        dram += _accesses(access, block, per_word)
                    else:
                        reading = _accesses(access, block, per_word) * t.read_pj[k]
                        on_chip += (reading + _accesses(fill, block, per_word) * t.write_pj[k]) * used
                moved = fill
                child = k
        # a hair below, so that no rounding lets a bound exceed what it bounds
        work.on_chip[j] = on_chip * (1.0 - 1e-12)
        work.dram[j] = dram


@njit(cache=True)
def _unbeaten(work, n_fit, archive, keys, count):  # type: ignore[no-untyped-def]
    """Move the rows that no entry of the archive equals or betters in all three to the front; returns how many.

    An entry that beats a row moves forward in the archive, to be tried sooner.
    """
    left = 0
    for j in range(n_fit):
        cycles, on_chip, dram = work.cycles[j], work.on_chip[j], work.dram[j]
        beaten = False
        for e in range(count):
            if archive[e, 0] <= cycles and archive[e, 1] <= on_chip and archive[e, 2] <= dram:
                beaten = True
                if e > 0:
                    to = e // 2
                    for c in range(3):
                        archive[e, c], archive[to, c] = archive[to, c], archive[e, c]
                    for c in range(keys.shape[1]):
                        keys[e, c], keys[to, c] = keys[to, c], keys[e, c]
                break
        if not beaten:
            work.left[left] = j
            left += 1
    return left


@njit(cache=True)
def _insert(cycles, on_chip, dram, archive, count, key, keys):  # type: ignore[no-untyped-def]
    """Put a point into the archive unless one there is as good in all three, and drop what it beats."""
    kept = 0
    for e in range(count):
        if archive[e, 0] <= cycles and archive[e, 1] <= on_chip and archive[e, 2] <= dram:
            return count, archive, keys
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
def _runs_first(t, pre, v):  # type: ignore[no-untyped-def]
    """Whether no earlier loop order runs the very same loops for this prefix (loops of bound 1 do not run)."""
    for k in t.levels_with_orders:
        mask = 1 << M
        for d in _PREFIX:
            if t.tiled[pre.picked[d]] >> k & 1:
                mask |= 1 << d
        if not t.canonical[v, k, mask]:
            return False
    return True


@njit(cache=True)
def search(t: Tables, archive, keys, count, tag):  # type: ignore[no-untyped-def]
    """Search one mapspace, going on from an archive of `count` points (see `layer.map_layer`).

    Returns (prefix × row of M combinations that fit, mappings counted, the archive of shape (≥ K, 3): cycles,
    on-chip pJ without MACs, DRAM vector accesses, all for one group; keys of shape (≥ K, 9): the row per dimension,
    the loop order, `tag`; K).
    """
    n_levels = t.extent.shape[1]
    n_variants, n_positions = t.position_dim.shape
    n_m = t.rows[M]
    rows = _rows_of_m(t)
    pre = _Prefix(
        np.zeros(7, dtype=np.int64),
        np.ones((7, n_levels)),
        np.ones((3, n_levels + 1)),
        np.ones(n_levels + 1),
        np.ones((3, n_levels)),
        np.ones((2, n_levels)),
        np.ones(4),
        np.ones(n_levels),
        np.ones((3, n_positions + 1)),
    )
    work = _Work(
        np.empty(n_m, dtype=np.int64),
        np.empty(n_m, dtype=np.int64),
        np.empty(n_m),
        np.empty(n_m, dtype=np.bool_),
        np.empty(n_m, dtype=np.int64),
        np.empty(n_m),
        np.empty(n_m),
        np.empty(n_m),
        np.empty(n_m),
        np.empty(n_m),
        np.empty(n_m),
        np.empty(n_m),
        np.zeros((n_levels, n_m)),
        np.zeros((n_levels, n_m)),
        np.empty((n_positions + 1, 3)),
    )
    key = np.zeros(9, dtype=np.int64)
    key[8] = tag
    fitting = 0
    counted = 0
    n_groups = 1
    n_tilings = 1
    for d in _PREFIX:
        if t.tiled_only[d]:
            n_tilings *= t.rows[d]
        else:
            n_groups *= t.rows[d]
    for group in range(n_groups):
        rest = group
        for d in _PREFIX:
            pre.picked[d] = t.offset[d]
            if not t.tiled_only[d]:
                pre.picked[d] += rest % t.rows[d]
                rest //= t.rows[d]
        n_group = _enter_group(t, rows, pre, work)
        if n_group == 0:
            continue
        bounded = n_tilings * n_variants > 1 and count > 0
        if bounded:
            for j in range(n_group):
                work.index[j] = work.group[j]
                work.steps[j] = work.group_steps[work.group[j]]
                work.is_open[work.group[j]] = False
            _bound(t, rows, pre, work, n_group)
            n_open = _unbeaten(work, n_group, archive, keys, count)
            for left in range(n_open):
                work.is_open[work.index[work.left[left]]] = True
        for tiling in range(n_tilings):
            rest = tiling
            for d in _PREFIX:
                if t.tiled_only[d]:
                    pre.picked[d] = t.offset[d] + rest % t.rows[d]
                    rest //= t.rows[d]
            n_fit = _enter_tiles(t, rows, pre, work, n_group)
            fitting += n_fit
            if bounded:
                n_kept = 0
                for j in range(n_fit):
                    work.index[n_kept] = work.index[j]
                    if work.is_open[work.index[j]]:
                        n_kept += 1
                n_fit = n_kept
            if n_fit == 0:
                continue
            for j in range(n_fit):
                work.steps[j] = work.group_steps[work.index[j]]
            counted_before = -1
            for v in range(n_variants):
                if n_variants > 1 and not _runs_first(t, pre, v):
                    continue
                counted += n_fit
                _count(t, rows, pre, work, n_fit, v, counted_before == t.like[v])
                counted_before = t.like[v]
                n_left = _unbeaten(work, n_fit, archive, keys, count)
                if n_left == 0:
                    continue
                key[7] = v
                for d in _PREFIX:
                    key[d] = t.original[pre.picked[d]]
                for left in range(n_left):
                    j = work.left[left]
                    key[M] = t.original[t.offset[M] + work.index[j]]
                    count, archive, keys = _insert(
                        work.cycles[j], work.on_chip[j], work.dram[j], archive, count, key, keys
                    )
    return fitting, counted, archive, keys, count
