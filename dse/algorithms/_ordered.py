"""Which knobs have an order that a search can follow."""

from __future__ import annotations

from search_spaces.types import Knob

__all__ = ["is_ordered"]


def is_ordered(knob: Knob) -> bool:
    """Numbers, cuts (from input to output) and links (from slow to fast); not the names of other things.

    >>> is_ordered(Knob("glb_kib", (64, 128))), is_ordered(Knob("accelerator", ("eyeriss_like", "simba_like")))
    (True, False)
    """
    return knob.name in ("cut", "link") or not any(isinstance(value, str) for value in knob.values)
