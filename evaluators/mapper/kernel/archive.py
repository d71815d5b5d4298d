"""The mappings found so far that no other beats: cycles, on-chip pJ and DRAM accesses of each, and which it is."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.compiled import compiled

__all__ = ["BELOW", "EQUAL", "insert", "is_open", "list_open"]

BELOW = 1.0 - 1e-12
"""Bounds are put a hair lower, so that no rounding lets one exceed what it bounds."""
EQUAL = 1.0 + 1e-12
"""Energies this close are equal: the same sum of counts, rounded in another order."""


@compiled
def list_open(cycles, on_chip, dram, n, archive, keys, count, found):
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
        if 2 * left < n_open:
            _move_forward(archive, keys, e)
        n_open = left
        if n_open == 0:
            break
    return n_open


@compiled
def is_open(cycles, on_chip, dram, archive, keys, count):
    """Whether no entry of the archive equals or betters a point in all three; one that does moves forward."""
    for e in range(count):
        if archive[e, 0] <= cycles and archive[e, 1] <= on_chip and archive[e, 2] <= dram:
            _move_forward(archive, keys, e)
            return False
    return True


@compiled
def insert(cycles, on_chip, dram, archive, count, key, keys):
    """Put a point that nothing beats into the archive and drop what it beats."""
    kept = 0
    for e in range(count):
        if not (cycles <= archive[e, 0] and on_chip <= archive[e, 1] * EQUAL and dram <= archive[e, 2]):
            _put(archive, keys, kept, archive[e, 0], archive[e, 1], archive[e, 2], keys[e])
            kept += 1
    if kept == len(archive):
        bigger, more = np.empty((2 * kept, 3)), np.empty((2 * kept, keys.shape[1]), dtype=np.int64)
        for e in range(kept):
            _put(bigger, more, e, archive[e, 0], archive[e, 1], archive[e, 2], keys[e])
        archive, keys = bigger, more
    _put(archive, keys, kept, cycles, on_chip, dram, key)
    return kept + 1, archive, keys


@compiled
def _move_forward(archive, keys, e):
    to = e // 2
    for c in range(3):
        archive[e, c], archive[to, c] = archive[to, c], archive[e, c]
    for c in range(keys.shape[1]):
        keys[e, c], keys[to, c] = keys[to, c], keys[e, c]


@compiled
def _put(archive, keys, at, cycles, on_chip, dram, key):
    archive[at, 0], archive[at, 1], archive[at, 2] = cycles, on_chip, dram
    for c in range(len(key)):
        keys[at, c] = key[c]
