"""The exhaustive search over a mapspace, compiled: nothing that could be optimal is left out, little is counted.

Kept are the mappings that no other beats in cycles, on-chip energy and DRAM accesses together. Whatever the clock,
the supply voltage, leakage and the DRAM type, the optimum for delay, energy or their product is among them, because
each of those grows with each of the three.

A mapping is a *group* (rows of the dimensions with a place on a mesh, M left out), a row of M, a *tiling* (rows of
the dimensions that only have places in time) and a loop order. A group bounds what each row of M must cost whatever
the tiling; a row that is still open bounds every tiling; what is open then is counted exactly, order by order. A
bound that something already found equals or betters cannot hide an optimum. What fits is counted for all mappings.

Words are counted for all instances together: (what there is of the relevant dimensions) × (how often loops and
instances of the others repeat it), `Tables.visits`. That holds with remainders, too.
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
    LIMIT_X,
    LIMIT_Y,
    MESH_X,
    MESH_Y,
    READ_BANDWIDTH,
    READ_PJ,
    SHARED_BANDWIDTH,
    SPACE_END,
    STEP,
    TIME_END,
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

__all__ = ["AT_ONCE", "search"]

N, M, C, P, Q, R, S = range(7)
_PREFIX = (N, C, P, Q, R, S)
_WEIGHTS, _INPUTS, _OUTPUTS = range(3)
_RELEVANT = np.array([[M, C, R, S, N, P, Q], [N, C, P, Q, R, S, M], [N, M, P, Q, C, R, S]])
_HOW_MANY = np.array([4, 6, 4])
"""The dimensions that matter to a tensor and how many those are; behind them the others."""
AT_ONCE = 1 << 15
"""Tilings that are looked at together: some 1 kB each."""
_BELOW = 1.0 - 1e-12
"""Bounds are put a hair lower, so that no rounding lets one exceed what it bounds."""
_EQUAL = 1.0 + 1e-12
"""Energies this close are equal: the same sum of counts, rounded in another order."""

_compiled = njit(  # type: ignore[call-overload]  # numba's stubs leave out the options on wrappers
    cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
_inlined = njit(  # type: ignore[call-overload]  # see above
    cache=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)
"""For small helpers: a call copies all of `Tables`' arrays' descriptors, which takes longer than what they do."""
_entry = njit(cache=True, error_model="numpy")
"""Only the entry is called from Python; wrappers for the rest would double the time to compile."""


class _Tilings(NamedTuple):
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


@_inlined
def _pick_tiling(t, picked, tiling):  # type: ignore[no-untyped-def]
    """Take the rows of the tiled-only dimensions that a number stands for."""
    for d in _PREFIX:
        if t.tiled_only[d]:
            picked[d] = t.offset[d] + tiling % t.rows[d]
            tiling //= t.rows[d]


@_compiled
def _lay_tilings(t, picked, start, tilings):  # type: ignore[no-untyped-def]
    """Fill in a block of tilings beside the group's rows of N, P, Q, R and S."""
    n_levels = t.keeps.shape[1]
    n_positions = t.position_dim.shape[1]
    for tiling in range(tilings.weights.shape[1]):
        _pick_tiling(t, picked, start + tiling)
        n, p, q, r, s = picked[N], picked[P], picked[Q], picked[R], picked[S]
        for k in range(n_levels):
            width = t.stride[R] * (t.row[EXTENT, r, k] - 1) + t.stride[P] * (t.row[EXTENT, p, k] - 1) + 1
            height = t.stride[S] * (t.row[EXTENT, s, k] - 1) + t.stride[Q] * (t.row[EXTENT, q, k] - 1) + 1
            tilings.weights[k, tiling] = t.row[EXTENT, r, k] * t.row[EXTENT, s, k]
            tilings.inputs[k, tiling] = t.row[EXTENT, n, k] * width * height
            tilings.outputs[k, tiling] = t.row[EXTENT, n, k] * t.row[EXTENT, p, k] * t.row[EXTENT, q, k]
            tilings.first_npq[k, tiling] = min(t.first[n, k], t.first[p, k], t.first[q, k])
            tilings.first_rs[k, tiling] = min(t.first[r, k], t.first[s, k])
            slid, fetched = _axis(t, p, r, P, R, k, width)
            slid_h, fetched_h = _axis(t, q, s, Q, S, k, height)
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


@_inlined
def _axis(t, position, tap, dim, tap_dim, level, extent):  # type: ignore[no-untyped-def]
    """Words along one input axis of all tiles: moved at least, each sharing what it can with the last, and in all."""
    tiles = np.ceil(t.total[position] / t.row[EXTENT, position, level])
    tap_tiles = np.ceil(t.total[tap] / t.row[EXTENT, tap, level])
    used, tap_used = t.row[UNROLLED, position, level + 1], t.row[UNROLLED, tap, level + 1]
    shift = extent
    if tiles > used:
        shift = min(shift, t.row[EXTENT, position, level] * t.stride[dim])
    if tap_tiles > tap_used:
        shift = min(shift, t.row[EXTENT, tap, level] * t.stride[tap_dim])
    words = _axis_words(t.stride[dim], t.stride[tap_dim], tiles, t.total[position], tap_tiles, t.total[tap])
    return words - (tiles * tap_tiles - used * tap_used) * (extent - shift), words


@_inlined
def _axis_words(stride, dilation, tiles, positions, tap_tiles, taps):  # type: ignore[no-untyped-def]
    """Words along an input axis of tiles that hold so many positions and taps in all, each tile on its own."""
    return tap_tiles * stride * (positions - tiles) + tiles * dilation * (taps - tap_tiles) + tiles * tap_tiles


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
def _repeat(t, picked, repeats, used):  # type: ignore[no-untyped-def]
    """How often the group's irrelevant loops repeat a tensor's words (weights, outputs), and its instances; M left out.

    For loops in time beyond a position and instances above a level: (2, L + 1, P + 1); instances: (L + 1,).
    """
    for a in range(len(used)):
        used[a] = 1.0
        for d in _PREFIX:
            used[a] *= t.row[UNROLLED, picked[d], a]
    for a in range(repeats.shape[1]):
        for p in range(repeats.shape[2]):
            repeats[0, a, p] = 1.0
            repeats[1, a, p] = 1.0
            for d in _PREFIX:
                if not t.tiled_only[d]:
                    if d in (N, P, Q):
                        repeats[0, a, p] *= t.visits[picked[d], a, t.from_level[d, p]]
                    else:
                        repeats[1, a, p] *= t.visits[picked[d], a, t.from_level[d, p]]


@_compiled
def _bound_rows(  # type: ignore[no-untyped-def]
    t, rows, fitting, n_rows, picked, total, repeats, least_slid, tight, cycles, on_chip, dram
):
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
    for d in _PREFIX:
        steps *= t.visits[picked[d], n_levels, 0]
    whole_m = t.total[t.offset[M]]
    constant, constant_dram = 0.0, 0.0
    in_time = rows.visits[n_levels, 0]
    for a in range(n_rows):
        cycles[a] = steps * in_time[fitting[a]]
        on_chip[a] = 0.0
        dram[a] = 0.0
    pj, accesses = np.empty(n_positions + 1), np.empty(n_positions + 1)
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child = -1
        fill_pj = 0.0  # of the level below, waiting for what its fills cost the level that serves them
        words = total[tensor] * (1.0 if tensor == _INPUTS else whole_m)
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            charged = t.level[k, CHARGED] / t.level[k, INSTANCES]
            read_pj = t.level[k, READ_PJ] / t.level[k, BLOCK] * charged
            write_pj = t.level[k, WRITE_PJ] / t.level[k, BLOCK] * charged
            access_pj, access_dram = read_pj, 0.0
            if tensor == _OUTPUTS:
                access_pj += write_pj
            if k == last:
                access_pj, access_dram = 0.0, 1.0 / t.level[k, BLOCK]
                if tensor == _OUTPUTS:  # the first accumulation reads nothing and fills nothing
                    access_dram *= 2.0
                    constant_dram -= words / t.level[k, BLOCK]
            elif tensor == _OUTPUTS:
                constant -= (read_pj + write_pj) * words * repeats[1, k + 1, n_positions]
            if child < 0:
                every = words
                for d in _PREFIX:
                    if not t.relevant[tensor, d]:
                        every *= t.visits[picked[d], k + 1, 0]
                if tensor == _INPUTS:
                    of_m = rows.visits[k + 1, 0]
                    for a in range(n_rows):
                        on_chip[a] += access_pj * every * of_m[fitting[a]]
                        dram[a] += access_dram * every * of_m[fitting[a]]
                else:
                    constant += access_pj * every
                    constant_dram += access_dram * every
            else:
                first = n_positions
                for d in _PREFIX:
                    if not t.tiled_only[d] and t.relevant[tensor, d]:
                        first = min(first, t.first[picked[d], child])
                if tensor == _INPUTS:
                    least = least_slid[child] * t.total[picked[C]]
                    from_m = t.from_level[M, t.surely_after[first]]
                    here, there = rows.visits[child + 1, from_m], rows.visits[k + 1, from_m]
                    for a in range(n_rows):
                        i = fitting[a]
                        on_chip[a] += least * (fill_pj * here[i] + access_pj * there[i])
                        dram[a] += access_dram * least * there[i]
                else:
                    which = 0 if tensor == _WEIGHTS else 1
                    for p in range(first + 1):
                        at = t.surely_after[p]
                        least = words
                        if tensor == _WEIGHTS:
                            least *= t.least_idle[at, widest]
                        pj[p] = least * (
                            fill_pj * repeats[which, child + 1, at] + access_pj * repeats[which, k + 1, at]
                        )
                        accesses[p] = least * access_dram * repeats[which, k + 1, at]
                    m_first = rows.first[child]
                    if tight and tensor == _WEIGHTS:
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
        on_chip[a] = (on_chip[a] + constant) * _BELOW
        dram[a] = (dram[a] + constant_dram) * _BELOW
        cycles[a] = max(cycles[a], np.ceil(dram[a] / words_per_cycle * _BELOW))


@_compiled
def _bound_tilings(  # type: ignore[no-untyped-def]
    t, rows, picked, i, total, repeats, group_used, tilings, busy, cycles, on_chip, dram
):
    """What every tiling costs at least for one group and row of M, infinite where it does not fit.

    `busy` is room for the words that an instance reads and writes on average: (2, L, T).
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    n_tilings = tilings.weights.shape[1]
    c = picked[C]
    steps = rows.visits[n_levels, 0, i]
    for d in _PREFIX:
        steps *= t.visits[picked[d], n_levels, 0]
    for tiling in range(n_tilings):
        cycles[tiling] = steps
        on_chip[tiling] = 0.0
        dram[tiling] = 0.0
    for k in range(n_levels):
        if t.may_stall[k]:
            for tiling in range(n_tilings):
                busy[0, k, tiling] = 0.0
                busy[1, k, tiling] = 0.0
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
    every_pj, every_dram = 0.0, 0.0  # what the multipliers ask for, the same for every tiling
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child, child_used, child_instances, child_per_word = -1, 1.0, 1.0, 1.0
        words = total[tensor] * (1.0 if tensor == _INPUTS else t.total[t.offset[M]])
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            instances = rows.unrolled[k + 1, i] * group_used[k + 1]
            used = min(instances, t.level[k, CHARGED])
            per_word = _BELOW / (instances * t.level[k, BLOCK])
            read_pj, write_pj = t.level[k, READ_PJ] * used, t.level[k, WRITE_PJ] * used
            part = words * repeats[1, k + 1, n_positions] if tensor == _OUTPUTS else 0.0
            if child < 0:
                access = words
                for d in _PREFIX:
                    if not t.relevant[tensor, d]:
                        access *= t.visits[picked[d], k + 1, 0]
                if tensor == _INPUTS:
                    access *= rows.visits[k + 1, 0, i]
                reads = np.ceil((access - part) * per_word)
                updates = np.ceil(access * per_word) if tensor == _OUTPUTS else 0.0
                if k == last:
                    every_dram += reads + updates
                else:
                    every_pj += reads * read_pj + updates * write_pj
                if t.may_stall[k]:
                    for tiling in range(n_tilings):
                        busy[0, k, tiling] += (access - part) / instances
                        busy[1, k, tiling] += access / instances if tensor == _OUTPUTS else 0.0
            else:
                may_stall = t.may_stall[child] or t.may_stall[k]
                fill_pj = t.level[child, WRITE_PJ] * child_used
                child_part = words * repeats[1, child + 1, n_positions] if tensor == _OUTPUTS else 0.0
                first = rows.first[child, i]
                if tensor == _INPUTS:
                    first_c, here, there = t.first[c, child], rows.visits[child + 1], rows.visits[k + 1]
                    for tiling in range(n_tilings):
                        at = min(first_c, tilings.first_npq[child, tiling], tilings.first_rs[child, tiling])
                        after = t.surely_after[at]
                        # an order that may still change might put the loop over M elsewhere
                        seen = first < at and after == at
                        moved = tilings.fetched[child, tiling] if seen else tilings.slid[child, tiling]
                        moved *= t.total[c]
                        from_m = t.from_level[M, after]
                        on_chip[tiling] += np.ceil(moved * here[from_m, i] * child_per_word) * fill_pj
                        reads = np.ceil(moved * there[from_m, i] * per_word)
                        if k == last:
                            dram[tiling] += reads
                        else:
                            on_chip[tiling] += reads * read_pj
                        if may_stall:
                            busy[1, child, tiling] += moved * here[from_m, i] / child_instances
                            busy[0, k, tiling] += moved * there[from_m, i] / instances
                elif tensor == _WEIGHTS:
                    first = min(first, t.first[c, child])
                    for tiling in range(n_tilings):
                        at = t.surely_after[min(first, tilings.first_rs[child, tiling])]
                        moved = words * tilings.beyond_npq[at, tiling]
                        on_chip[tiling] += np.ceil(moved * repeats[0, child + 1, at] * child_per_word) * fill_pj
                        reads = np.ceil(moved * repeats[0, k + 1, at] * per_word)
                        if k == last:
                            dram[tiling] += reads
                        else:
                            on_chip[tiling] += reads * read_pj
                        if may_stall:
                            busy[1, child, tiling] += moved * repeats[0, child + 1, at] / child_instances
                            busy[0, k, tiling] += moved * repeats[0, k + 1, at] / instances
                else:
                    for tiling in range(n_tilings):
                        at = t.surely_after[min(first, tilings.first_npq[child, tiling])]
                        moved = words * tilings.beyond_rs[at, tiling]
                        fill = moved * repeats[1, child + 1, at] - child_part
                        on_chip[tiling] += np.ceil(fill * child_per_word) * fill_pj
                        access = moved * repeats[1, k + 1, at]
                        reads, updates = np.ceil((access - part) * per_word), np.ceil(access * per_word)
                        if k == last:
                            dram[tiling] += reads + updates
                        else:
                            on_chip[tiling] += reads * read_pj + updates * write_pj
                        if may_stall:
                            busy[1, child, tiling] += fill / child_instances
                            busy[0, k, tiling] += (access - part) / instances
                            busy[1, k, tiling] += access / instances
            child, child_used, child_instances, child_per_word = k, used, instances, per_word
    for tiling in range(n_tilings):
        on_chip[tiling] = (on_chip[tiling] + every_pj) * _BELOW
        dram[tiling] += every_dram
    for k in range(n_levels):
        if t.may_stall[k]:
            for tiling in range(n_tilings):
                reads, writes = busy[0, k, tiling] * _BELOW, busy[1, k, tiling] * _BELOW
                stalled = max(
                    reads / t.level[k, READ_BANDWIDTH],
                    writes / t.level[k, WRITE_BANDWIDTH],
                    (reads + writes) / t.level[k, SHARED_BANDWIDTH],
                )
                cycles[tiling] = max(cycles[tiling], np.ceil(stalled))


@_compiled
def _steps(rows, row, time_from, space_from, space_to):  # type: ignore[no-untyped-def]
    """How often a row's temporal loops at levels from `time_from` and spatial ones in a range step onto something."""
    result, inside = 1.0, 1.0
    for k in range(rows.shape[2] - 1):
        end = rows[SPACE_END, row, k]
        if space_from <= k < space_to:
            result += end * inside
            inside *= rows[MESH_X, row, k] * rows[MESH_Y, row, k]
        elif end > 0.0:
            result = inside
        end = rows[TIME_END, row, k]
        if k >= time_from:
            result += end * inside
            inside *= rows[IN_TIME, row, k]
        elif end > 0.0:
            result = inside
    return result


@_compiled
def _input_words(t, v, level, picked, at, words, from_m):  # type: ignore[no-untyped-def]
    """Words moved between input tiles of a level and what serves them (COST_MODEL section 4), all instances together.

    Of the busiest instance of a level alone if `at` is the next level, of all if it is the number of levels. Filled in
    are terms that add up, and from which level on the loops over M repeat each; returns how many.
    """
    n_levels = t.keeps.shape[1]
    tiles, positions = np.empty(7), np.empty(7)
    for d in _PREFIX:
        row = picked[d]
        if at == n_levels:
            tiles[d], positions[d] = np.ceil(t.total[row] / t.row[EXTENT, row, level]), t.total[row]
        else:
            tiles[d], positions[d] = _steps(t.row, row, level + 1, level + 1, at), _steps(t.row, row, 0, 0, at)
    images = positions[N] * positions[C]
    width = _axis_words(t.stride[P], t.stride[R], tiles[P], positions[P], tiles[R], positions[R])
    height = _axis_words(t.stride[Q], t.stride[S], tiles[Q], positions[Q], tiles[S], positions[S])
    words[0], from_m[0] = images * width * height, n_levels
    terms = 1
    first_axis = -1
    first_shift, shifted = 0.0, 0.0
    inside = 0  # dimensions along the first axis that have a loop further inside
    for p in range(t.position_dim.shape[1]):
        k = t.position_level[v, p]
        if k <= level:
            continue
        d = t.position_dim[v, p]
        row = picked[d]
        if t.row[IN_TIME, row, k] == 1.0:
            continue
        m_from = k if t.position[v, M, k] > p else k + 1
        if d == M:
            if first_axis < 0:
                first_axis = -2  # it makes the tile forgotten before its neighbour comes
            continue
        axis = 0 if d == N else 1 if d == C else 2 if d in (P, R) else 3
        if first_axis < 0:
            from_m[0] = m_from
            if first_axis == -2 or axis < 2:
                break
            first_axis = axis
            first_shift = t.row[STEP, row, k] * t.stride[d]
        elif axis != first_axis:
            break
        e = R if d == P else P if d == R else S if d == Q else Q
        shift = t.row[STEP, row, k] * t.stride[d]
        mixed = inside >> e & 1 == 1
        if shift - shifted == first_shift and not (mixed and (t.ragged[row] or t.ragged[picked[e]])):
            shared = t.stride[d] * (t.row[EXTENT, row, level] - 1) + 1 - first_shift
            shared += t.stride[e] * (t.row[EXTENT, picked[e], level] - 1)
            if mixed:
                e_from = k if t.position[v, e, k] > p else k + 1
                shared = max(0.0, shared)
                if at == n_levels:
                    shared *= t.visits[picked[e], level + 1, e_from]
                else:
                    shared *= _steps(t.row, picked[e], e_from, level + 1, at)
            else:  # tiles of the other dimension are full but for the last
                short = tiles[e] * t.row[EXTENT, picked[e], level] - positions[e]
                less = max(0.0, shared - short * t.stride[e])
                shared = max(0.0, shared) * (tiles[e] - 1.0) + less
            if at == n_levels:
                steps = t.visits[row, level + 1, k] - t.visits[row, level + 1, k + 1]
            else:
                steps = _steps(t.row, row, k, level + 1, at) - _steps(t.row, row, k + 1, level + 1, at)
            words[terms] = -steps * shared * images * (height if axis == 2 else width)
            from_m[terms] = m_from
            terms += 1
        shifted += shift
        inside |= 1 << d
    return terms


@_compiled
def _busiest(t, v, tensor, picked, tile, at, from_level, words, from_m):  # type: ignore[no-untyped-def]
    """Words between a level's tiles and the busiest instance of level `at`: the first, which has the most to do."""
    n_levels = t.keeps.shape[1]
    result = 1.0
    for j in range(_HOW_MANY[tensor]):
        result *= _steps(t.row, picked[_RELEVANT[tensor, j]], 0, 0, at + 1)
    for j in range(_HOW_MANY[tensor], 7):
        d = _RELEVANT[tensor, j]
        result *= t.visits[picked[d], n_levels, from_level[d]]
    if tensor == _INPUTS and tile >= 0:
        result = 0.0
        for j in range(_input_words(t, v, tile, picked, at + 1, words, from_m)):
            result += words[j] * t.visits[picked[M], n_levels, from_m[j]]
    return result


@_compiled
def _count(t, v, picked, result):  # type: ignore[no-untyped-def]
    """One mapping exactly: cycles, on-chip energy and DRAM accesses into `result` (COST_MODEL sections 4 to 6).

    Behind those three: the compute steps, and words that the busiest instance of a level reads and writes.
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    steps = 1.0
    for d in range(7):
        steps *= t.visits[picked[d], n_levels, 0]
    result[:] = 0.0
    words, from_m = np.empty(n_positions + 1), np.empty(n_positions + 1, dtype=np.int64)
    from_level = np.zeros(7, dtype=np.int64)
    on_chip, dram = 0.0, 0.0
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        whole = 1.0
        for j in range(_HOW_MANY[tensor]):
            whole *= t.total[picked[_RELEVANT[tensor, j]]]
        child, child_part, child_instances = -1, 0.0, 1.0
        from_level[:] = 0
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            instances = 1.0
            for d in range(7):
                instances *= t.row[UNROLLED, picked[d], k + 1]
            part = 0.0
            if tensor == _OUTPUTS:  # the first accumulation reads nothing and fills nothing
                part = whole
                for j in range(_HOW_MANY[tensor], 7):
                    part *= t.row[UNROLLED, picked[_RELEVANT[tensor, j]], k + 1]
            if child >= 0:
                first = n_positions
                for j in range(_HOW_MANY[tensor]):
                    d = _RELEVANT[tensor, j]
                    first = min(first, t.position[v, d, t.first_level[picked[d], child]])
                at_level = t.position_level[v, first] if first < n_positions else n_levels
                for j in range(_HOW_MANY[tensor], 7):
                    d = _RELEVANT[tensor, j]
                    from_level[d] = at_level
                    if at_level < n_levels and t.position[v, d, at_level] <= first:
                        from_level[d] = at_level + 1
            if tensor == _INPUTS and child >= 0:
                fill, access = 0.0, 0.0
                for j in range(_input_words(t, v, child, picked, n_levels, words, from_m)):
                    fill += words[j] * t.visits[picked[M], child + 1, from_m[j]]
                    access += words[j] * t.visits[picked[M], k + 1, from_m[j]]
            else:
                fill, access = whole, whole
                for j in range(_HOW_MANY[tensor], 7):
                    d = _RELEVANT[tensor, j]
                    fill *= t.visits[picked[d], child + 1, from_level[d]]
                    access *= t.visits[picked[d], k + 1, from_level[d]]
            if child >= 0:
                fills = np.ceil((fill - child_part) / (child_instances * t.level[child, BLOCK]))
                on_chip += fills * t.level[child, WRITE_PJ] * min(child_instances, t.level[child, CHARGED])
                if t.may_stall[child]:
                    if child_instances > 1.0:
                        fill = _busiest(t, v, tensor, picked, child, child, from_level, words, from_m)
                        if tensor == _OUTPUTS:
                            child_part = _part_of_busiest(t.row, picked, child)
                    result[4 + (3 + tensor) * n_levels + child] += fill - child_part
            per_access = instances * t.level[k, BLOCK]
            reads = np.ceil((access - part) / per_access)
            updates = np.ceil(access / per_access) if tensor == _OUTPUTS else 0.0
            if k == last:
                dram += reads + updates
            else:
                charged = min(instances, t.level[k, CHARGED])
                on_chip += (reads * t.level[k, READ_PJ] + updates * t.level[k, WRITE_PJ]) * charged
            child, child_part, child_instances = k, part, instances
            if t.may_stall[k]:
                if instances > 1.0:
                    before = -1
                    for inner in range(k):
                        before = inner if t.keeps[tensor, inner] else before
                    access = _busiest(t, v, tensor, picked, before, k, from_level, words, from_m)
                    if tensor == _OUTPUTS:
                        part = _part_of_busiest(t.row, picked, k)
                result[4 + tensor * n_levels + k] += access - part
                result[4 + (3 + tensor) * n_levels + k] += access if tensor == _OUTPUTS else 0.0
    cycles = steps
    for k in range(n_levels):
        if t.may_stall[k]:
            reads, writes = 0.0, 0.0
            for tensor in range(3):
                if t.keeps[tensor, k]:
                    reads += result[4 + tensor * n_levels + k] / steps
                    writes += result[4 + (3 + tensor) * n_levels + k] / steps
            if reads > t.level[k, READ_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, READ_BANDWIDTH] / reads)))
            if writes > t.level[k, WRITE_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, WRITE_BANDWIDTH] / writes)))
            if reads + writes > t.level[k, SHARED_BANDWIDTH]:
                cycles = max(cycles, np.ceil(steps / (t.level[k, SHARED_BANDWIDTH] / (reads + writes))))
    result[0], result[1], result[2], result[3] = cycles, on_chip, dram, steps


@_compiled
def _part_of_busiest(rows, picked, level):  # type: ignore[no-untyped-def]
    """Distinct outputs that the busiest instance of a level handles."""
    result = 1.0
    for d in (N, M, P, Q):
        result *= _steps(rows, picked[d], 0, 0, level + 1)
    return result


PER_WORD, PART, READ, WRITE = range(4)
"""What `_rates` knows of a tensor at a level: accesses per word (a hair less) of all instances together, words that are
first accumulations, and pJ of all instances' reads and writes (DRAM: accesses)."""


@_compiled
def _rates(t, picked, rates):  # type: ignore[no-untyped-def]
    """Fill in (3, L, 4) rates for one group and row of M: no row of a dimension without a place on a mesh matters."""
    last = t.keeps.shape[1] - 1
    for k in range(last + 1):
        instances, part = 1.0, 1.0
        for d in range(7):
            instances *= t.row[UNROLLED, picked[d], k + 1]
            part *= t.total[picked[d]] if t.relevant[_OUTPUTS, d] else t.row[UNROLLED, picked[d], k + 1]
        charged = min(instances, t.level[k, CHARGED])
        for tensor in range(3):
            rates[tensor, k, PER_WORD] = _BELOW / (instances * t.level[k, BLOCK])
            rates[tensor, k, READ] = 1.0 if k == last else t.level[k, READ_PJ] * charged
            rates[tensor, k, WRITE] = 1.0 if k == last else t.level[k, WRITE_PJ] * charged
            rates[tensor, k, PART] = part if tensor == _OUTPUTS else 0.0


@_compiled
def _bound_orders(t, picked, whole, rates, slid, per_order, least):  # type: ignore[no-untyped-def]
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
    for tensor in (_WEIGHTS, _OUTPUTS, _INPUTS):
        child = -1
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            at_level = n_levels if child >= 0 else 0
            if child >= 0:
                for j in range(_HOW_MANY[tensor]):
                    at_level = min(at_level, t.first_level[picked[_RELEVANT[tensor, j]], child])
            matters = child >= 0 and at_level < n_levels
            on_chip, dram = 0.0, 0.0
            before = -1.0
            images, width, height = t.total[picked[N]] * t.total[picked[C]], 1.0, 1.0
            if tensor == _INPUTS and child >= 0:
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
                    for j in range(_HOW_MANY[tensor]):
                        d = _RELEVANT[tensor, j]
                        if t.first_level[picked[d], child] == at_level:
                            first = min(first, t.position[v, d, at_level])
                words = whole[tensor]
                if tensor == _INPUTS and child >= 0:
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
                for j in range(_HOW_MANY[tensor], 7):
                    d = _RELEVANT[tensor, j]
                    at = at_level + 1 if matters and t.position[v, d, at_level] <= first else at_level
                    access *= t.visits[picked[d], k + 1, at]
                    fill *= t.visits[picked[d], child + 1, at]
                if access != before:
                    before = access
                    on_chip, dram = 0.0, 0.0
                    cost = np.ceil((access - rates[tensor, k, PART]) * rates[tensor, k, PER_WORD])
                    cost *= rates[tensor, k, READ]
                    if tensor == _OUTPUTS:
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
    least[0] *= _BELOW


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


@_compiled
def _search_block(t, rows, archive, keys, count, tag, start, n_tilings, only):  # type: ignore[no-untyped-def]
    """Search all groups and rows of M with some of the tilings; `only` where there is but one."""
    n_levels = t.keeps.shape[1]
    n_variants, n_positions = t.position_dim.shape
    n_m = t.rows[M]
    n_groups = 1
    for d in _PREFIX:
        if not t.tiled_only[d]:
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
    fitting_rows = np.empty(n_m, dtype=np.int64)
    open_rows, open_tilings = np.empty(n_m, dtype=np.int64), np.empty(n_tilings, dtype=np.int64)
    one = np.empty(1, dtype=np.int64)
    per_order, least = np.zeros((n_levels, t.variant_with.shape[1], 2)), np.zeros(2)
    rates, whole = np.zeros((3, n_levels, 4)), np.ones(3)
    order_cycles, order_on_chip, order_dram = np.empty(n_variants), np.empty(n_variants), np.empty(n_variants)
    orders = np.zeros(n_variants, dtype=np.int64)
    cycles, on_chip = np.empty(n_tilings), np.empty(n_tilings)
    dram = np.empty(n_tilings)
    repeats = np.ones((2, n_levels + 1, n_positions + 1))
    busy = np.zeros((2, n_levels, n_tilings))
    least_slid = np.zeros(n_levels)
    used = np.ones(n_levels + 1)
    total = np.ones(3)  # bounds that matter to a tensor, M left out
    room = np.full(n_levels, np.inf)
    result = np.zeros(4 + 6 * n_levels)
    key = np.zeros(10, dtype=np.int64)
    key[8] = tag
    fitting, counted = 0, 0
    laid = -1
    tight = t.held_level >= 0 and not only
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
            _lay_tilings(t, picked, start, tilings)
            for k in range(n_levels):
                least_slid[k] = tilings.slid[k].min()
            _pick_tiling(t, picked, 0)
            laid = beside_c
        fit_here = 0
        for tiling in range(n_tilings):
            if _room_for_m(t, picked[C], tilings, tiling, room):
                fit_here += _how_many_fit(t, rows, on_mesh, room, fits)
        if fit_here == 0:
            continue
        fitting += fit_here
        possible = fits if only else on_mesh

        for tensor in range(3):
            total[tensor] = 1.0
            for d in _PREFIX:
                if t.relevant[tensor, d]:
                    total[tensor] *= t.total[picked[d]]
        _repeat(t, picked, repeats, used)
        n_fit = 0
        for i in range(n_m):
            if possible[i] == 1:
                fitting_rows[n_fit] = i
                n_fit += 1
        _bound_rows(
            t, rows, fitting_rows, n_fit, picked, total, repeats, least_slid, tight, row_cycles, row_on_chip, row_dram
        )
        n_open = _open(row_cycles, row_on_chip, row_dram, n_fit, archive, keys, count, open_rows)
        for a in range(n_open):
            b = open_rows[a]
            if a > 0 and _open(row_cycles[b:], row_on_chip[b:], row_dram[b:], 1, archive, keys, count, one) == 0:
                continue  # closed by what this group's earlier rows found
            i = fitting_rows[b]
            picked[M] = t.offset[M] + i
            _bound_tilings(t, rows, picked, i, total, repeats, used, tilings, busy, cycles, on_chip, dram)
            if n_variants > 1:
                _rates(t, picked, rates)
                for tensor in range(3):
                    whole[tensor] = total[tensor] * (1.0 if tensor == _INPUTS else t.total[picked[M]])
            n_tried = _open(cycles, on_chip, dram, n_tilings, archive, keys, count, open_tilings)
            for c in range(n_tried):
                tiling = open_tilings[c]
                at = slice(tiling, tiling + 1)
                if on_chip[tiling] == np.inf:
                    continue
                if c > 0 and _open(cycles[at], on_chip[at], dram[at], 1, archive, keys, count, one) == 0:
                    continue
                _pick_tiling(t, picked, start + tiling)
                n_orders = 1
                if n_variants > 1:
                    _bound_orders(t, picked, whole, rates, tilings.slid[:, tiling], per_order, least)
                    if _open(cycles[at], least[:1], least[1:], 1, archive, keys, count, one) == 0:
                        continue
                    for v in range(n_variants):
                        order_cycles[v], order_on_chip[v], order_dram[v] = cycles[tiling], 0.0, 0.0
                        for k in range(n_levels):
                            order_on_chip[v] += per_order[k, t.order_of[v, k], 0] * _BELOW
                            order_dram[v] += per_order[k, t.order_of[v, k], 1]
                    n_orders = _open(order_cycles, order_on_chip, order_dram, n_variants, archive, keys, count, orders)
                for o in range(n_orders):
                    v = orders[o]
                    if n_variants > 1 and not _runs_first(t, picked, v):
                        continue
                    if o > 0:
                        this = slice(v, v + 1)
                        still = _open(
                            order_cycles[this], order_on_chip[this], order_dram[this], 1, archive, keys, count, one
                        )
                        if still == 0:
                            continue
                    counted += 1
                    _count(t, v, picked, result)
                    on_chip_pj = result[1]
                    result[1] *= _EQUAL
                    if _open(result[:1], result[1:2], result[2:3], 1, archive, keys, count, one) == 1:
                        for d in range(7):
                            key[d] = t.original[picked[d]]
                        key[7], key[9] = v, result[3]
                        count, archive, keys = _insert(result[0], on_chip_pj, result[2], archive, count, key, keys)
    return fitting, counted, archive, keys, count


@_entry
def search(t: Tables, rows: Rows, archive, keys, count, tag, at_once=AT_ONCE):  # type: ignore[no-untyped-def]
    """Search one mapspace, going on from an archive of `count` points (see `layer.map_layer`).

    Tilings are looked at `at_once` together, which bounds the memory and changes nothing else.

    Returns (factorizations that fit, mappings counted exactly, the archive of shape (≥ K, 3): cycles, on-chip pJ
    without MACs, DRAM vector accesses, all for one group; keys of shape (≥ K, 10): the row per dimension, the loop
    order, `tag`, compute steps; K).
    """
    n_tilings = 1
    for d in _PREFIX:
        if t.tiled_only[d]:
            n_tilings *= t.rows[d]
    fitting, counted = 0, 0
    for start in range(0, n_tilings, at_once):
        fit, exactly, archive, keys, count = _search_block(
            t, rows, archive, keys, count, tag, start, min(at_once, n_tilings - start), n_tilings == 1
        )
        fitting += fit
        counted += exactly
    return fitting, counted, archive, keys, count
