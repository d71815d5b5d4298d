"""One mapping counted exactly: cycles, on-chip energy and DRAM accesses (COST_MODEL sections 4 to 6)."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.compiled import compiled
from evaluators.mapper.kernel.dims import HOW_MANY, INPUTS, OUTPUTS, PREFIX, RELEVANT, WEIGHTS, C, M, N, P, Q, R, S
from evaluators.mapper.kernel.windows import axis_words
from evaluators.mapper.tables import (
    BLOCK,
    CHARGED,
    EXTENT,
    IN_TIME,
    MESH_X,
    MESH_Y,
    READ_BANDWIDTH,
    READ_PJ,
    SHARED_BANDWIDTH,
    SPACE_END,
    STEP,
    TIME_END,
    UNROLLED,
    WRITE_BANDWIDTH,
    WRITE_PJ,
)

__all__ = ["count_exactly"]


@compiled
def count_exactly(t, v, picked, result):
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
    for tensor in (WEIGHTS, OUTPUTS, INPUTS):
        whole = 1.0
        for j in range(HOW_MANY[tensor]):
            whole *= t.total[picked[RELEVANT[tensor, j]]]
        child, child_part, child_instances = -1, 0.0, 1.0
        from_level[:] = 0
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            instances = 1.0
            for d in range(7):
                instances *= t.row[UNROLLED, picked[d], k + 1]
            part = 0.0
            if tensor == OUTPUTS:  # the first accumulation reads nothing and fills nothing
                part = whole
                for j in range(HOW_MANY[tensor], 7):
                    part *= t.row[UNROLLED, picked[RELEVANT[tensor, j]], k + 1]
            if child >= 0:
                first = n_positions
                for j in range(HOW_MANY[tensor]):
                    d = RELEVANT[tensor, j]
                    first = min(first, t.position[v, d, t.first_level[picked[d], child]])
                at_level = t.position_level[v, first] if first < n_positions else n_levels
                for j in range(HOW_MANY[tensor], 7):
                    d = RELEVANT[tensor, j]
                    from_level[d] = at_level
                    if at_level < n_levels and t.position[v, d, at_level] <= first:
                        from_level[d] = at_level + 1
            if tensor == INPUTS and child >= 0:
                fill, access = 0.0, 0.0
                for j in range(_input_words(t, v, child, picked, n_levels, words, from_m)):
                    fill += words[j] * t.visits[picked[M], child + 1, from_m[j]]
                    access += words[j] * t.visits[picked[M], k + 1, from_m[j]]
            else:
                fill, access = whole, whole
                for j in range(HOW_MANY[tensor], 7):
                    d = RELEVANT[tensor, j]
                    fill *= t.visits[picked[d], child + 1, from_level[d]]
                    access *= t.visits[picked[d], k + 1, from_level[d]]
            if child >= 0:
                fills = np.ceil((fill - child_part) / (child_instances * t.level[child, BLOCK]))
                on_chip += fills * t.level[child, WRITE_PJ] * min(child_instances, t.level[child, CHARGED])
                if t.may_stall[child]:
                    if child_instances > 1.0:
                        fill = _busiest(t, v, tensor, picked, child, child, from_level, words, from_m)
                        if tensor == OUTPUTS:
                            child_part = _part_of_busiest(t.row, picked, child)
                    result[4 + (3 + tensor) * n_levels + child] += fill - child_part
            per_access = instances * t.level[k, BLOCK]
            reads = np.ceil((access - part) / per_access)
            updates = np.ceil(access / per_access) if tensor == OUTPUTS else 0.0
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
                    if tensor == OUTPUTS:
                        part = _part_of_busiest(t.row, picked, k)
                result[4 + tensor * n_levels + k] += access - part
                result[4 + (3 + tensor) * n_levels + k] += access if tensor == OUTPUTS else 0.0
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


@compiled
def _input_words(t, v, level, picked, at, words, from_m):
    """Words moved between input tiles of a level and what serves them (COST_MODEL section 4), all instances together.

    Of the busiest instance of a level alone if `at` is the next level, of all if it is the number of levels. Filled in
    are terms that add up, and from which level on the loops over M repeat each; returns how many.
    """
    n_levels = t.keeps.shape[1]
    tiles, positions = np.empty(7), np.empty(7)
    for d in PREFIX:
        row = picked[d]
        if at == n_levels:
            tiles[d], positions[d] = np.ceil(t.total[row] / t.row[EXTENT, row, level]), t.total[row]
        else:
            tiles[d], positions[d] = _steps(t.row, row, level + 1, level + 1, at), _steps(t.row, row, 0, 0, at)
    images = positions[N] * positions[C]
    width = axis_words(t.stride[P], t.stride[R], tiles[P], positions[P], tiles[R], positions[R])
    height = axis_words(t.stride[Q], t.stride[S], tiles[Q], positions[Q], tiles[S], positions[S])
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


@compiled
def _busiest(t, v, tensor, picked, tile, at, from_level, words, from_m):
    """Words between a level's tiles and the busiest instance of level `at`: the first, which has the most to do."""
    n_levels = t.keeps.shape[1]
    result = 1.0
    for j in range(HOW_MANY[tensor]):
        result *= _steps(t.row, picked[RELEVANT[tensor, j]], 0, 0, at + 1)
    for j in range(HOW_MANY[tensor], 7):
        d = RELEVANT[tensor, j]
        result *= t.visits[picked[d], n_levels, from_level[d]]
    if tensor == INPUTS and tile >= 0:
        result = 0.0
        for j in range(_input_words(t, v, tile, picked, at + 1, words, from_m)):
            result += words[j] * t.visits[picked[M], n_levels, from_m[j]]
    return result


@compiled
def _part_of_busiest(rows, picked, level):
    """Distinct outputs that the busiest instance of a level handles."""
    result = 1.0
    for d in (N, M, P, Q):
        result *= _steps(rows, picked[d], 0, 0, level + 1)
    return result


@compiled
def _steps(rows, row, time_from, space_from, space_to):
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
