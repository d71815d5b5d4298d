"""What a tiling costs at least beside a group and a row of M, whatever the loop order."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.archive import BELOW
from evaluators.mapper.kernel.compiled import compiled
from evaluators.mapper.kernel.dims import INPUTS, OUTPUTS, PREFIX, WEIGHTS, C, M
from evaluators.mapper.tables import (
    BLOCK,
    CHARGED,
    EXTENT,
    READ_BANDWIDTH,
    READ_PJ,
    SHARED_BANDWIDTH,
    WORDS,
    WRITE_BANDWIDTH,
    WRITE_PJ,
)

__all__ = ["bound_tilings"]


@compiled
def bound_tilings(t, rows, picked, i, total, repeats, group_used, tilings, busy, cycles, on_chip, dram):
    """What every tiling costs at least for one group and row of M, infinite where it does not fit.

    `busy` is room for the words that an instance reads and writes on average: (2, L, T).
    """
    n_levels = t.keeps.shape[1]
    last = n_levels - 1
    n_positions = t.position_dim.shape[1]
    n_tilings = tilings.weights.shape[1]
    c = picked[C]
    steps = rows.visits[n_levels, 0, i]
    for d in PREFIX:
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
        weights = t.row[EXTENT, c, k] * rows.extent[k, i] if t.keeps[WEIGHTS, k] else 0.0
        inputs = t.row[EXTENT, c, k] if t.keeps[INPUTS, k] else 0.0
        outputs = rows.extent[k, i] if t.keeps[OUTPUTS, k] else 0.0
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
    for tensor in (WEIGHTS, OUTPUTS, INPUTS):
        child, child_used, child_instances, child_per_word = -1, 1.0, 1.0, 1.0
        words = total[tensor] * (1.0 if tensor == INPUTS else t.total[t.offset[M]])
        for k in range(n_levels):
            if not t.keeps[tensor, k]:
                continue
            instances = rows.unrolled[k + 1, i] * group_used[k + 1]
            used = min(instances, t.level[k, CHARGED])
            per_word = BELOW / (instances * t.level[k, BLOCK])
            read_pj, write_pj = t.level[k, READ_PJ] * used, t.level[k, WRITE_PJ] * used
            part = words * repeats[1, k + 1, n_positions] if tensor == OUTPUTS else 0.0
            if child < 0:
                access = words
                for d in PREFIX:
                    if not t.relevant[tensor, d]:
                        access *= t.visits[picked[d], k + 1, 0]
                if tensor == INPUTS:
                    access *= rows.visits[k + 1, 0, i]
                reads = np.ceil((access - part) * per_word)
                updates = np.ceil(access * per_word) if tensor == OUTPUTS else 0.0
                if k == last:
                    every_dram += reads + updates
                else:
                    every_pj += reads * read_pj + updates * write_pj
                if t.may_stall[k]:
                    for tiling in range(n_tilings):
                        busy[0, k, tiling] += (access - part) / instances
                        busy[1, k, tiling] += access / instances if tensor == OUTPUTS else 0.0
            else:
                may_stall = t.may_stall[child] or t.may_stall[k]
                fill_pj = t.level[child, WRITE_PJ] * child_used
                child_part = words * repeats[1, child + 1, n_positions] if tensor == OUTPUTS else 0.0
                first = rows.first[child, i]
                if tensor == INPUTS:
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
                elif tensor == WEIGHTS:
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
        on_chip[tiling] = (on_chip[tiling] + every_pj) * BELOW
        dram[tiling] += every_dram
    for k in range(n_levels):
        if t.may_stall[k]:
            for tiling in range(n_tilings):
                reads, writes = busy[0, k, tiling] * BELOW, busy[1, k, tiling] * BELOW
                stalled = max(
                    reads / t.level[k, READ_BANDWIDTH],
                    writes / t.level[k, WRITE_BANDWIDTH],
                    (reads + writes) / t.level[k, SHARED_BANDWIDTH],
                )
                cycles[tiling] = max(cycles[tiling], np.ceil(stalled))
