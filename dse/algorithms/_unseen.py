"""Designs that a study has not seen: what is proposed where an algorithm only repeats itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["generator", "unseen_near"]


def generator(seed: int, position: int) -> np.random.Generator:
    """The source of all random draws of the batch that starts at this position."""
    return np.random.default_rng((seed, position))


def unseen_near(
    rng: np.random.Generator, start: Sequence[int], shape: Sequence[int], seen: set[tuple[int, ...]]
) -> tuple[int, ...] | None:
    """A design not in `seen`, a few changed knobs away from `start`; None when the whole space is seen.

    One knob is changed first, then two, and so on; if chance finds none, the space is walked in order from a
    random place, which ends at the latest after as many steps as there are seen designs.
    """
    size = int(np.prod(shape, dtype=object))
    if len(seen) >= size:
        return None
    free = [k for k, n in enumerate(shape) if n > 1]
    for changed in range(1, len(free) + 1):
        for _ in range(16):
            candidate = list(start)
            for k in rng.choice(free, size=changed, replace=False):
                candidate[k] = int((candidate[k] + rng.integers(1, shape[k])) % shape[k])
            if tuple(candidate) not in seen:
                return tuple(candidate)
    position = int(rng.integers(0, size)) if size < 2**63 else 0
    while True:
        candidate, rest = [], position
        for n in reversed(shape):
            rest, i = divmod(rest, n)
            candidate.append(i)
        found = tuple(reversed(candidate))
        if found not in seen:
            return found
        position = (position + 1) % size
