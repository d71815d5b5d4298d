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

from collections.abc import Callable
from typing import Any

from evaluators.mapper.kernel.block import search_block
from evaluators.mapper.kernel.compiled import entry, sources
from evaluators.mapper.kernel.dims import PREFIX
from evaluators.mapper.tables import Rows, Tables

__all__ = ["AT_ONCE", "search"]

AT_ONCE = 1 << 15
"""Tilings that are looked at together: some 1 kB each."""


def _search_of(kept_for: str) -> Callable[..., Any]:
    """`search` as these sources compile.

    numba looks for changes in the file of a function that it keeps, not in those of the functions that this one calls.
    But the key that it keeps a function under holds the values that the function closes over.
    """

    @entry
    def search(t: Tables, rows: Rows, archive, keys, count, tag, at_once):
        """Search one mapspace, going on from an archive of `count` points (see `layer.map_layer`).

        Tilings are looked at `at_once` together, which bounds the memory and changes nothing else. (No default: with
        one, calls with and without it would be compiled apart.)

        Returns (factorizations that fit, mappings counted exactly, the archive of shape (≥ K, 3): cycles, on-chip pJ
        without MACs, DRAM vector accesses, all for one group; keys of shape (≥ K, 10): the row per dimension, the loop
        order, `tag`, compute steps; K).
        """
        _ = kept_for
        n_tilings = 1
        for d in PREFIX:
            if t.tiled_only[d]:
                n_tilings *= t.rows[d]
        fitting, counted = 0, 0
        for start in range(0, n_tilings, at_once):
            fit, exactly, archive, keys, count = search_block(
                t, rows, archive, keys, count, tag, start, min(at_once, n_tilings - start), n_tilings == 1
            )
            fitting += fit
            counted += exactly
        return fitting, counted, archive, keys, count

    return search


search = _search_of(sources())
