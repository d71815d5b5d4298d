"""The exhaustive search over a mapspace, compiled: nothing that could be optimal is left out, little is counted.

Kept are the mappings that no other beats in cycles, on-chip energy and DRAM accesses together. Whatever the clock,
the supply voltage, leakage and the DRAM type, the optimum for delay, energy or their product is among them, because
each of those grows with each of the three.

A mapping is a *group* (rows of the dimensions with a place on a mesh, M left out), a row of M, a *tiling* (rows of
the dimensions that only have places in time) and a loop order. A group bounds what each row of M must cost whatever
the tiling; a row that is still open bounds every tiling; what is open then is counted exactly, order by order. A
bound that something already found equals or betters cannot hide an optimum. What fits is counted for all mappings.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from evaluators.mapper.tables import (
    BLOCK,
    CHARGED,
    EXTENT,
    IN_TIME,
    INSTANCES,
    LEAST_INPUTS,
    LIMIT_X,
    LIMIT_Y,
    MESH_X,
    MESH_Y,
    OUTER,
    READ_BANDWIDTH,
    READ_PJ,
    SHARED_BANDWIDTH,
    STEP,
    UNROLLED,
    WIDEST_EXTENT,
    WIDEST_X,
    WIDEST_Y,
    WORDS,
    WRITE_BANDWIDTH,
    WRITE_PJ,
    Rows,
    Tables,
)

__all__ = ["search"]

N, M, C, P, Q, R, S = range(7)
_PREFIX = (N, C, P, Q, R, S)
_WEIGHTS, _INPUTS, _OUTPUTS = range(3)
_BELOW = 1.0 - 1e-12
"""Bounds are put a hair lower, so that no rounding lets one exceed what it bounds."""
_EQUAL = 1.0 + 1e-12
"""Energies this close are equal: the same sum of counts, rounded in another order."""

_compiled = njit(  # type: ignore[call-overload]  # numba's stubs leave out the options on wrappers
    cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
_entry = njit(cache=True, error_model="numpy")
"""Only the entry is called from Python; wrappers for the rest would double the time to compile."""


class _Tilings(NamedTuple):
    """What every tiling contributes beside the group's rows of N, P, Q, R, S, contiguous over the tilings (T)."""

    weights: np.ndarray  # (L, T) tile of R and S
    inputs: np.ndarray  # (L, T) tile of N, width and height
    outputs: np.ndarray  # (L, T) tile of N, P and Q
    first_npq: np.ndarray  # (L, T) first temporal factor of N, P, Q outside a level
    first_rs: np.ndarray  # (L, T)
    beyond_npq: np.ndarray  # (P + 1, T) product of their factors beyond a position
    beyond_rs: np.ndarray  # (P + 1, T)
    slid: np.ndarray  # (L, T) input words moved at least, C and M left out, where tiles overlap
    fetched: np.ndarray  # (L, T) where an irrelevant loop inside destroys the overlap


@_compiled
def _pick_tiling(t, picked, tiling):  # type: ignore[no-untyped-def]
    """Take the rows of the tiled-only dimensions that a number stands for."""
    for d in _PREFIX:
        if t.tiled_only[d]:
            picked[d] = t.offset[d] + tiling % t.rows[d]
            tiling //= t.rows[d]


@_compiled
def _lay_tilings(t, picked, tilings):  # type: ignore[no-untyped-def]
    """Fill in every tiling beside the group's rows of N, P, Q, R and S."""
    n_levels = t.keeps.shape[1]
    n_positions = t.position_dim.shape[1]
    for tiling in range(tilings.weights.shape[1]):
        _pick_tiling(t, picked, tiling)
        n, p, q, r, s = picked[N], picked[P], picked[Q], picked[R], picked[S]
        for k in range(n_levels):
            width = t.stride[R] * (t.row[EXTENT, r, k] - 1) + t.stride[P] * (t.row[EXTENT, p, k] - 1) + 1
            height = t.stride[S] * (t.row[EXTENT, s, k] - 1) + t.stride[Q] * (t.row[EXTENT, q, k] - 1) + 1
            tilings.weights[k, tiling] = t.row[EXTENT, r, k] * t.row[EXTENT, s, k]
            tilings.inputs[k, tiling] = t.row[EXTENT, n, k] * width * height
            tilings.outputs[k, tiling] = t.row[EXTENT, n, k] * t.row[EXTENT, p, k] * t.row[EXTENT, q, k]
            tilings.first_npq[k, tiling] = min(t.first[n, k], t.first[p, k], t.first[q, k])
            tilings.first_rs[k, tiling] = min(t.first[r, k], t.first[s, k])
            images = t.total[n] / t.row[UNROLLED, n, k + 1]
            slid, steps = _axis(t, p, r, P, R, k, width)
            slid_h, steps_h = _axis(t, q, s, Q, S, k, height)
            tilings.slid[k, tiling] = images * slid * slid_h
            tilings.fetched[k, tiling] = images * width * steps * height * steps_h
        for at in range(n_positions + 1):
            tilings.beyond_npq[at, tiling] = t.beyond[n, at] * t.beyond[p, at] * t.beyond[q, at]
            tilings.beyond_rs[at, tiling] = t.beyond[r, at] * t.beyond[s, at]


@_compiled
def _axis(t, position, tap, dim, tap_dim, level, extent):  # type: ignore[no-untyped-def]
    """Words along one input axis at least moved into a tile over the run, and the steps of loops outside it.

    Every step brings at least the share that the least possible shift uncovers.
    """
    outside = t.total[position] / (t.row[UNROLLED, position, level + 1] * t.row[EXTENT, position, level])
    outside_tap = t.total[tap] / (t.row[UNROLLED, tap, level + 1] * t.row[EXTENT, tap, level])
    shift = extent
    if outside > 1.0:
        shift = min(shift, t.row[EXTENT, position, level] * t.stride[dim])
    if outside_tap > 1.0:
        shift = min(shift, t.row[EXTENT, tap, level] * t.stride[tap_dim])
    steps = outside * outside_tap
    return extent + (steps - 1.0) * shift, steps


@_compiled
def _fit_mesh(t, rows, picked, fits):  # type: ignore[no-untyped-def]
    """Mark (1 or 0) the rows of M whose mesh fits beside a group; False if there is no mesh left at all."""
    n_rows = t.rows[M]
    for i in range(n_rows):
        fits[i] = 1
    for k in range(t.keeps.shape[1]):
        x, y = 1.0, 1.0
        for d in _PREFIX:
            x *= t.row[MESH_X, picked[d], k]
            y *= t.row[MESH_Y, picked[d], k]
        left_x, left_y = np.floor(t.level[k, LIMIT_X] / x), np.floor(t.level[k, LIMIT_Y] / y)
        if left_x < 1.0 or left_y < 1.0:
            return False
        if t.level[k, WIDEST_X] > left_x:
            mesh = rows.mesh_x[k]
            for i in range(n_rows):
                fits[i] &= 1 if mesh[i] <= left_x else 0
        if t.level[k, WIDEST_Y] > left_y:
            mesh = rows.mesh_y[k]
            for i in range(n_rows):
                fits[i] &= 1 if mesh[i] <= left_y else 0
    return True


@_compiled
def _room_for_m(t, c, tilings, tiling, room):  # type: ignore[no-untyped-def]
    """The largest extent of M that each level has room for beside a row of C and a tiling; False if there is none."""
    for k in t.limited_levels:
        free = t.level[k, WORDS]
        per_m = 0.0
        if t.keeps[_INPUTS, k]:
            free -= t.row[EXTENT, c, k] * tilings.inputs[k, tiling]
        if t.keeps[_WEIGHTS, k]:
            per_m += t.row[EXTENT, c, k] * tilings.weights[k, tiling]
        if t.keeps[_OUTPUTS, k]:
            per_m += tilings.outputs[k, tiling]
        if free < per_m:
            return False
        room[k] = np.floor(free / per_m) if per_m > 0.0 else np.inf
    return True


@_compiled
def _how_many_fit(t, rows, on_mesh, room, fits):  # type: ignore[no-untyped-def]
    """Mark which rows of M fit mesh and room, and return how many do."""
    n_rows = t.rows[M]
    for i in range(n_rows):
        fits[i] = on_mesh[i]
    for k in t.limited_levels:
        if t.level[k, WIDEST_EXTENT] > room[k]:
            extent, limit = rows.extent[k], room[k]
            for i in range(n_rows):
                fits[i] &= 1 if extent[i] <= limit else 0
    found = 0
    for i in range(n_rows):
        found += fits[i]
    return found


@_compiled
def _bound_rows(t, rows, picked, share, total, tight, cycles, on_chip, dram):  # type: ignore[no-untyped-def]
    """What every row of M costs at least beside a group, whatever tiling and order.

    An irrelevant loop repeats a fill unless it lies inside the first relevant one; where that one comes no later than
    some position, loops beyond repeat for certain. Of the free dimensions at least what their tightest tiling leaves
    beyond counts; with `tight`, given the outputs that must fit one buffer (`least_idle`). Rounding up to whole
    accesses is left out, so that all instances together move (words in all) × (what repeats): the factors of a row
    cancel but for where its loops stand.
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    n_rows = t.rows[M]
    widest = t.least_idle.shape[1] - 1
    held = t.held_level
    held_words = t.level[held, WORDS]
    idle_w, idle_o = np.ones(n_positions + 1), np.ones(n_positions + 1)  # what repeats for certain after a position
    for p in range(n_positions + 1):
        at = t.surely_after[p]
        idle_w[p] = t.least_idle[at, widest]
        for d in _PREFIX:
            if not t.tiled_only[d]:
                if d in (N, P, Q):
                    idle_w[p] *= t.beyond[picked[d], at]
                else:
                    idle_o[p] *= t.beyond[picked[d], at]
    for d in (N, P, Q):
        if not t.tiled_only[d]:
            held_words /= t.row[EXTENT, picked[d], held]
    steps = total[_INPUTS] / share[_INPUTS, 0]
    whole_m = t.total[t.offset[M]]
    constant, constant_dram = 0.0, 0.0
    for i in range(n_rows):
        cycles[i] = steps * rows.steps[i]
        on_chip[i] = 0.0
        dram[i] = 0.0
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child = -1
        fill_pj = 0.0  # of the level below, waiting for what its fills cost the level that serves them
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            served = share[tensor, child + 1] / share[tensor, k + 1]
            used = share[_INPUTS, k + 1] * t.level[k, CHARGED] / t.level[k, INSTANCES]
            read_pj = t.level[k, READ_PJ] / t.level[k, BLOCK] * used
            write_pj = t.level[k, WRITE_PJ] / t.level[k, BLOCK] * used
            words = total[tensor] / share[tensor, k + 1] * whole_m
            access_pj, access_dram = read_pj * served, 0.0
            if tensor == _OUTPUTS:
                access_pj += write_pj * served
            if k == last:
                access_pj, access_dram = 0.0, served / t.level[k, BLOCK]
                if tensor == _OUTPUTS:  # the first accumulation reads nothing and fills nothing
                    access_dram *= 2.0
                    constant_dram -= words / t.level[k, BLOCK]
            elif tensor == _OUTPUTS:
                constant -= (read_pj + write_pj) * words
            if child >= 0:
                _add_fills(
                    t, rows, picked, tensor, child, k, share, total, idle_w, idle_o, tight, held_words,
                    fill_pj, access_pj, access_dram, on_chip, dram,
                )  # fmt: skip
            elif tensor == _INPUTS:
                here = rows.unrolled[k + 1]
                for i in range(n_rows):
                    on_chip[i] += access_pj * cycles[i] * here[i]
                    dram[i] += access_dram * cycles[i]
            else:
                constant += access_pj * steps * whole_m
                constant_dram += access_dram * steps * whole_m
            fill_pj = write_pj
            child = k
    for i in range(n_rows):
        on_chip[i] = (on_chip[i] + constant) * _BELOW
        dram[i] = (dram[i] + constant_dram) * _BELOW


@_compiled
def _add_fills(  # type: ignore[no-untyped-def]
    t, rows, picked, tensor, k, parent, share, total, idle_w, idle_o, tight, held_words,
    fill_pj, access_pj, access_dram, on_chip, dram,
):  # fmt: skip
    """Add what the fills of level k cost at least, there and at the level that serves them."""
    n_positions = t.position_dim.shape[1]
    n_rows = t.rows[M]
    first = n_positions
    for d in _PREFIX:
        if not t.tiled_only[d] and t.relevant[tensor, d]:
            first = min(first, t.first[picked[d], k])
    m_first = rows.first[k]
    both_pj = fill_pj + access_pj
    words = total[tensor] / share[tensor, k + 1] * t.total[t.offset[M]]
    if tensor == _WEIGHTS:
        if tight:
            widest = t.least_idle.shape[1] - 1
            extent = rows.extent[t.held_level]
            for i in range(n_rows):
                p = min(first, m_first[i])
                at = t.surely_after[p]
                room = min(widest, int(held_words / extent[i]))
                fill = words * idle_w[p] * (t.least_idle[at, room] / t.least_idle[at, widest])
                on_chip[i] += both_pj * fill
                dram[i] += access_dram * fill
        else:
            for i in range(n_rows):
                fill = words * idle_w[min(first, m_first[i])]
                on_chip[i] += both_pj * fill
                dram[i] += access_dram * fill
    elif tensor == _OUTPUTS:
        for i in range(n_rows):
            fill = words * idle_o[min(first, m_first[i])]
            on_chip[i] += both_pj * fill
            dram[i] += access_dram * fill
    else:
        words = t.level[k, LEAST_INPUTS] / (t.row[UNROLLED, picked[N], k + 1] * t.row[UNROLLED, picked[C], k + 1])
        beyond = rows.beyond[t.surely_after[first]]
        here, there = rows.unrolled[k + 1], rows.unrolled[parent + 1]
        for i in range(n_rows):
            fill = words * beyond[i]
            on_chip[i] += fill * (fill_pj * here[i] + access_pj * there[i])
            dram[i] += access_dram * fill


@_compiled
def _bound_tilings(t, rows, picked, i, share, total, tilings, cycles, on_chip, dram, moved):  # type: ignore[no-untyped-def]
    """What every tiling costs at least for one group and row of M, infinite where it does not fit."""
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_tilings = tilings.weights.shape[1]
    c = picked[C]
    steps = total[_INPUTS] / share[_INPUTS, 0] * rows.steps[i]
    for tiling in range(n_tilings):
        cycles[tiling] = steps
        on_chip[tiling] = 0.0
        dram[tiling] = 0.0
    for k in t.limited_levels:
        weights = t.row[EXTENT, c, k] * rows.extent[k, i] if t.keeps[_WEIGHTS, k] else 0.0
        inputs = t.row[EXTENT, c, k] if t.keeps[_INPUTS, k] else 0.0
        outputs = rows.extent[k, i] if t.keeps[_OUTPUTS, k] else 0.0
        words = t.level[k, WORDS]
        for tiling in range(n_tilings):
            need = (
                weights * tilings.weights[k, tiling]
                + inputs * tilings.inputs[k, tiling]
                + outputs * tilings.outputs[k, tiling]
            )
            if need > words:
                on_chip[tiling] = np.inf
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child = -1
        for tiling in range(n_tilings):
            moved[tiling] = steps
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            block, read_pj, write_pj = t.level[k, BLOCK], t.level[k, READ_PJ], t.level[k, WRITE_PJ]
            served = share[tensor, child + 1] / share[tensor, k + 1]
            words = total[tensor] / share[tensor, k + 1]
            if tensor != _INPUTS:
                served *= rows.unrolled[child + 1, i] / rows.unrolled[k + 1, i]
                words *= rows.whole[k, i]
            used = min(share[_INPUTS, k + 1] * rows.unrolled[k + 1, i], t.level[k, CHARGED])
            if tensor == _WEIGHTS:
                first = min(t.first[c, k], rows.first[k, i])
                for tiling in range(n_tilings):
                    access = moved[tiling] * served
                    at = t.surely_after[min(first, tilings.first_rs[k, tiling])]
                    fill = words * tilings.beyond_npq[at, tiling]
                    if k == last:
                        dram[tiling] += np.ceil(access / block)
                    else:
                        on_chip[tiling] += (np.ceil(access / block) * read_pj + np.ceil(fill / block) * write_pj) * used
                    moved[tiling] = fill
            elif tensor == _OUTPUTS:
                first = rows.first[k, i]
                for tiling in range(n_tilings):
                    access = moved[tiling] * served
                    at = t.surely_after[min(first, tilings.first_npq[k, tiling])]
                    fill = words * t.beyond[c, at] * tilings.beyond_rs[at, tiling]
                    if k == last:
                        dram[tiling] += np.ceil((access - words) / block) + np.ceil(access / block)
                    else:
                        written = np.ceil((fill - words) / block) + np.ceil(access / block)
                        on_chip[tiling] += (np.ceil((access - words) / block) * read_pj + written * write_pj) * used
                    moved[tiling] = fill
            else:
                channels = t.total[c] / t.row[UNROLLED, c, k + 1]
                first_c, first_m = t.first[c, k], rows.first[k, i]
                for tiling in range(n_tilings):
                    access = moved[tiling] * served
                    at = min(first_c, tilings.first_npq[k, tiling], tilings.first_rs[k, tiling])
                    after = t.surely_after[at]
                    # an order that may still change might put the loop over M elsewhere
                    seen = first_m < at and after == at
                    fill = tilings.fetched[k, tiling] if seen else tilings.slid[k, tiling]
                    fill *= channels * rows.beyond[after, i]
                    if k == last:
                        dram[tiling] += np.ceil(access / block)
                    else:
                        on_chip[tiling] += (np.ceil(access / block) * read_pj + np.ceil(fill / block) * write_pj) * used
                    moved[tiling] = fill
            child = k
    for tiling in range(n_tilings):
        on_chip[tiling] *= _BELOW


@_compiled
def _input_fill(t, v, level, picked):  # type: ignore[no-untyped-def]
    """Words moved into one instance's input tile over the run (COST_MODEL section 4)."""
    width = (
        t.stride[R] * (t.row[EXTENT, picked[R], level] - 1) + t.stride[P] * (t.row[EXTENT, picked[P], level] - 1) + 1
    )
    height = (
        t.stride[S] * (t.row[EXTENT, picked[S], level] - 1) + t.stride[Q] * (t.row[EXTENT, picked[Q], level] - 1) + 1
    )
    tile = t.row[EXTENT, picked[N], level] * t.row[EXTENT, picked[C], level] * width * height
    words = tile
    fresh = tile
    first_axis = -1
    first_shift = 0.0
    shifted = 0.0
    elsewhere = False
    irrelevant_inside = False
    for p in range(t.position_dim.shape[1]):
        if t.position_level[v, p] <= level:
            continue
        d = t.position_dim[v, p]
        level_of_loop = t.position_level[v, p]
        n = t.row[IN_TIME, picked[d], level_of_loop]
        if n == 1.0:
            continue
        if d == M:
            if first_axis < 0:
                irrelevant_inside = True
            else:
                words *= n
            continue
        shift = t.row[STEP, picked[d], level_of_loop] * t.stride[d]
        axis = 0 if d == N else 1 if d == C else 2 if d in (P, R) else 3
        if first_axis < 0:
            first_axis, first_shift, shifted = axis, shift, shift
            extent = width if axis == 2 else height
            if axis >= 2 and not irrelevant_inside and shift < extent:
                fresh = tile * shift / extent
            words = tile + (n - 1.0) * fresh
        else:
            if axis == first_axis and not elsewhere and shift - shifted == first_shift:
                words += (n - 1.0) * (words - tile + fresh)
            else:
                words *= n
            if axis == first_axis:
                shifted += shift
            else:
                elsewhere = True
    return words


@_compiled
def _count(t, v, picked, result):  # type: ignore[no-untyped-def]
    """One mapping exactly: cycles, on-chip energy and DRAM accesses into `result` (COST_MODEL sections 4 to 6)."""
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    steps = 1.0
    for d in range(7):
        steps *= t.total[picked[d]] / t.row[UNROLLED, picked[d], 0]
    on_chip = 0.0
    dram = 0.0
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child = -1
        moved = steps
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            block = t.level[k, BLOCK]
            access = moved
            used = 1.0
            words = 1.0
            first = t.position_dim.shape[1]
            for d in range(7):
                row = picked[d]
                used *= t.row[UNROLLED, row, k + 1]
                if t.relevant[tensor, d]:
                    access *= t.row[UNROLLED, row, child + 1] / t.row[UNROLLED, row, k + 1]
                    words *= t.total[row] / t.row[UNROLLED, row, k + 1]
                    first = min(first, t.position[v, d, t.first_level[row, k]])
            used = min(used, t.level[k, CHARGED])
            fill = words
            part = words if tensor == _OUTPUTS else 0.0
            if k == last:
                fill = part
            elif tensor == _INPUTS:
                fill = _input_fill(t, v, k, picked)
            elif first < t.position_dim.shape[1]:
                at_level = t.position_level[v, first]
                for d in range(7):
                    if not t.relevant[tensor, d]:
                        fill *= t.row[OUTER, picked[d], at_level + 1]
                        if t.position[v, d, at_level] > first:
                            fill *= t.row[IN_TIME, picked[d], at_level]
            reads = np.ceil((access - part) / block)
            writes = np.ceil((fill - part) / block)
            if tensor == _OUTPUTS:
                writes += np.ceil(access / block)
            if k == last:
                dram += reads + writes
            else:
                on_chip += (reads * t.level[k, READ_PJ] + writes * t.level[k, WRITE_PJ]) * used
            result[3 + tensor * n_levels + k] = (access - part) / steps
            written = fill - part + (access if tensor == _OUTPUTS else 0.0)
            result[3 + (3 + tensor) * n_levels + k] = written / steps
            moved = fill
            child = k
    cycles = steps
    for k in range(n_levels):
        if t.may_stall[k]:
            reads, writes = 0.0, 0.0
            for tensor in range(3):
                if t.keeps[tensor, k]:
                    reads += result[3 + tensor * n_levels + k]
                    writes += result[3 + (3 + tensor) * n_levels + k]
            if reads > t.level[k, READ_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, READ_BANDWIDTH] / reads)))
            if writes > t.level[k, WRITE_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, WRITE_BANDWIDTH] / writes)))
            if reads + writes > t.level[k, SHARED_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, SHARED_BANDWIDTH] / (reads + writes))))
    result[0], result[1], result[2] = cycles, on_chip, dram


@_compiled
def _open(cycles, on_chip, dram, n, archive, keys, count, found):  # type: ignore[no-untyped-def]
    """List which of n points no entry of the archive equals or betters in all three; returns how many.

    An entry that closes most of what is left moves forward in the archive, to be tried sooner.
    """
    for j in range(n):
        found[j] = j
    n_open = n
    for e in range(count):
        best_cycles, best_on_chip, best_dram = archive[e, 0], archive[e, 1], archive[e, 2]
        left = 0
        for a in range(n_open):
            j = found[a]
            found[left] = j
            closed = (best_cycles <= cycles[j]) & (best_on_chip <= on_chip[j]) & (best_dram <= dram[j])
            left += 0 if closed else 1
        if e > 0 and 2 * left < n_open:
            to = e // 2
            for c in range(3):
                archive[e, c], archive[to, c] = archive[to, c], archive[e, c]
            for c in range(keys.shape[1]):
                keys[e, c], keys[to, c] = keys[to, c], keys[e, c]
        n_open = left
        if n_open == 0:
            break
    return n_open


@_compiled
def _put(archive, keys, at, cycles, on_chip, dram, key):  # type: ignore[no-untyped-def]
    archive[at, 0], archive[at, 1], archive[at, 2] = cycles, on_chip, dram
    for c in range(len(key)):
        keys[at, c] = key[c]


@_compiled
def _insert(cycles, on_chip, dram, archive, count, key, keys):  # type: ignore[no-untyped-def]
    """Put a point that nothing beats into the archive and drop what it beats."""
    kept = 0
    for e in range(count):
        if not (cycles <= archive[e, 0] and on_chip <= archive[e, 1] * _EQUAL and dram <= archive[e, 2]):
            _put(archive, keys, kept, archive[e, 0], archive[e, 1], archive[e, 2], keys[e])
            kept += 1
    if kept == len(archive):
        bigger, more = np.empty((2 * kept, 3)), np.empty((2 * kept, keys.shape[1]), dtype=np.int64)
        for e in range(kept):
            _put(bigger, more, e, archive[e, 0], archive[e, 1], archive[e, 2], keys[e])
        archive, keys = bigger, more
    _put(archive, keys, kept, cycles, on_chip, dram, key)
    return kept + 1, archive, keys


@_compiled
def _runs_first(t, picked, v):  # type: ignore[no-untyped-def]
    """Whether no earlier loop order runs the very same loops (loops of bound 1 do not run)."""
    for k in t.levels_with_orders:
        mask = 0
        for d in range(7):
            if t.tiled[picked[d]] >> k & 1:
                mask |= 1 << d
        if not t.canonical[v, k, mask]:
            return False
    return True


@_entry
def search(t: Tables, rows: Rows, archive, keys, count, tag):  # type: ignore[no-untyped-def]
    """Search one mapspace, going on from an archive of `count` points (see `layer.map_layer`).

    Returns (factorizations that fit, mappings counted exactly, the archive of shape (≥ K, 3): cycles, on-chip pJ
    without MACs, DRAM vector accesses, all for one group; keys of shape (≥ K, 9): the row per dimension, the loop
    order, `tag`; K).
    """
    n_levels = t.keeps.shape[1]
    n_variants, n_positions = t.position_dim.shape
    n_m = t.rows[M]
    n_groups, n_tilings = 1, 1
    for d in _PREFIX:
        if t.tiled_only[d]:
            n_tilings *= t.rows[d]
        else:
            n_groups *= t.rows[d]
    tilings = _Tilings(
        np.empty((n_levels, n_tilings)),
        np.empty((n_levels, n_tilings)),
        np.empty((n_levels, n_tilings)),
        np.empty((n_levels, n_tilings), dtype=np.int64),
        np.empty((n_levels, n_tilings), dtype=np.int64),
        np.empty((n_positions + 1, n_tilings)),
        np.empty((n_positions + 1, n_tilings)),
        np.empty((n_levels, n_tilings)),
        np.empty((n_levels, n_tilings)),
    )
    picked = np.zeros(7, dtype=np.int64)
    picked[M] = t.offset[M]
    on_mesh, fits = np.empty(n_m, dtype=np.int64), np.empty(n_m, dtype=np.int64)
    row_cycles, row_on_chip, row_dram = np.empty(n_m), np.empty(n_m), np.empty(n_m)
    open_rows, open_tilings = np.empty(n_m, dtype=np.int64), np.empty(n_tilings, dtype=np.int64)
    one = np.empty(1, dtype=np.int64)
    cycles, on_chip = np.empty(n_tilings), np.empty(n_tilings)
    dram, moved = np.empty(n_tilings), np.empty(n_tilings)
    share = np.ones((3, n_levels + 1))  # spatial factors above a level that matter to a tensor, M left out
    total = np.ones(3)  # bounds that matter to a tensor, M left out
    room = np.full(n_levels, np.inf)
    result = np.zeros(3 + 6 * n_levels)
    key = np.zeros(9, dtype=np.int64)
    key[8] = tag
    fitting, counted = 0, 0
    laid = -1
    tight = t.held_level >= 0 and n_tilings > 1
    for group in range(n_groups):
        rest = group
        beside_c = 0
        for d in (C, N, P, Q, R, S):
            if not t.tiled_only[d]:
                picked[d] = t.offset[d] + rest % t.rows[d]
                rest //= t.rows[d]
            if d == C:
                beside_c = rest
        _pick_tiling(t, picked, 0)
        if not _fit_mesh(t, rows, picked, on_mesh):
            continue
        if laid != beside_c:
            _lay_tilings(t, picked, tilings)
            _pick_tiling(t, picked, 0)
            laid = beside_c
        fit_here = 0
        for tiling in range(n_tilings):
            if _room_for_m(t, picked[C], tilings, tiling, room):
                fit_here += _how_many_fit(t, rows, on_mesh, room, fits)
        if fit_here == 0:
            continue
        fitting += fit_here
        possible = fits if n_tilings == 1 else on_mesh

        for tensor in range(3):
            total[tensor] = 1.0
            for k in range(n_levels + 1):
                share[tensor, k] = 1.0
            for d in _PREFIX:
                if t.relevant[tensor, d]:
                    total[tensor] *= t.total[picked[d]]
                    for k in range(n_levels + 1):
                        share[tensor, k] *= t.row[UNROLLED, picked[d], k]
        _bound_rows(t, rows, picked, share, total, tight, row_cycles, row_on_chip, row_dram)
        for i in range(n_m):
            if possible[i] == 0:
                row_cycles[i] = np.inf
        n_open = _open(row_cycles, row_on_chip, row_dram, n_m, archive, keys, count, open_rows)
        for a in range(n_open):
            i = open_rows[a]
            if possible[i] == 0:
                continue
            if a > 0 and _open(row_cycles[i:], row_on_chip[i:], row_dram[i:], 1, archive, keys, count, one) == 0:
                continue  # closed by what this group's earlier rows found
            picked[M] = t.offset[M] + i
            _bound_tilings(t, rows, picked, i, share, total, tilings, cycles, on_chip, dram, moved)
            n_tried = _open(cycles, on_chip, dram, n_tilings, archive, keys, count, open_tilings)
            for b in range(n_tried):
                tiling = open_tilings[b]
                at = slice(tiling, tiling + 1)
                if on_chip[tiling] == np.inf:
                    continue
                if b > 0 and _open(cycles[at], on_chip[at], dram[at], 1, archive, keys, count, one) == 0:
                    continue
                _pick_tiling(t, picked, tiling)
                for v in range(n_variants):
                    if n_variants > 1 and not _runs_first(t, picked, v):
                        continue
                    counted += 1
                    _count(t, v, picked, result)
                    on_chip_pj = result[1]
                    result[1] *= _EQUAL
                    if _open(result[:1], result[1:2], result[2:3], 1, archive, keys, count, one) == 1:
                        for d in range(7):
                            key[d] = t.original[picked[d]]
                        key[7] = v
                        count, archive, keys = _insert(result[0], on_chip_pj, result[2], archive, count, key, keys)
    return fitting, counted, archive, keys, count
