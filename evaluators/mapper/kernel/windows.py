"""Words along one axis of the inputs, whose tiles overlap where windows do."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.compiled import inlined
from evaluators.mapper.tables import EXTENT, UNROLLED

__all__ = ["axis_words", "axis_words_moved"]


@inlined
def axis_words_moved(t, position, tap, dim, tap_dim, level, extent):
    """Words along one input axis of all tiles: moved at least, each sharing what it can with the last, and in all."""
    tiles = np.ceil(t.total[position] / t.row[EXTENT, position, level])
    tap_tiles = np.ceil(t.total[tap] / t.row[EXTENT, tap, level])
    used, tap_used = t.row[UNROLLED, position, level + 1], t.row[UNROLLED, tap, level + 1]
    shift = extent
    if tiles > used:
        shift = min(shift, t.row[EXTENT, position, level] * t.stride[dim])
    if tap_tiles > tap_used:
        shift = min(shift, t.row[EXTENT, tap, level] * t.stride[tap_dim])
    words = axis_words(t.stride[dim], t.stride[tap_dim], tiles, t.total[position], tap_tiles, t.total[tap])
    return words - (tiles * tap_tiles - used * tap_used) * (extent - shift), words


@inlined
def axis_words(stride, dilation, tiles, positions, tap_tiles, taps):
    """Words along an input axis of tiles that hold so many positions and taps in all, each tile on its own."""
    return tap_tiles * stride * (positions - tiles) + tiles * dilation * (taps - tap_tiles) + tiles * tap_tiles
