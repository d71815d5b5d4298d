"""How a search got on: the hypervolume after so many evaluations, architectures and seconds of work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["working_seconds"]


def working_seconds(spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """For the end of every span (begun, finished): for how long, up to then, at least one span was going on.

    Pauses between two runs of a study do not count, and what several processes did at the same time counts once.

    >>> working_seconds([(0, 2), (1, 3), (10, 11)])
    array([2., 3., 4.])
    """
    times = np.asarray(spans, dtype=float).reshape(-1, 2)
    order = np.argsort(times[:, 0], kind="stable")
    begun, reached = times[order, 0], np.maximum.accumulate(times[order, 1])
    first = np.flatnonzero(np.r_[True, begun[1:] > reached[:-1]]) if len(times) else np.empty(0, int)
    starts, ends = begun[first], reached[np.r_[first[1:] - 1, len(times) - 1]] if len(times) else first
    ends = np.maximum(ends, starts)
    before = np.concatenate([[0.0], np.cumsum(ends - starts)])
    piece = np.searchsorted(starts, times[:, 1], side="right") - 1
    inside = np.minimum(times[:, 1], ends[piece]) - starts[piece]
    return before[piece] + np.maximum(inside, 0.0)
