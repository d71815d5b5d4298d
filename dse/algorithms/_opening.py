"""The designs that every heuristic evaluates first: the front it starts from, and the corners of the space.

A corner has all layers on one node: a search without them may end with a front that "all on the edge" or "all on the
sensor" beats. Where the edge node does everything only the link matters, so all such designs of note are there.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from dse.algorithms._ordered import is_ordered

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["corners", "opening"]


def opening(spec: StudySpec) -> tuple[tuple[int, ...], ...]:
    """Designs by knob indices, none twice: those of the warm start in their order, then the corners."""
    return tuple(dict.fromkeys((*spec.warm_start, *corners(spec))))


def corners(spec: StudySpec) -> tuple[tuple[int, ...], ...]:
    """All on the edge node over every link; all on the sensor node with every accelerator, the smallest and the
    largest, at its slowest and fastest clock."""
    space = spec.space
    names = [knob.name for knob in space.knobs]
    cuts = space.knob("cut").values
    first, last = spec.network.cuts[0].name, spec.network.cuts[-1].name
    found: list[dict[str, int]] = []
    if first in cuts:
        found += [{"cut": cuts.index(first), "link": link} for link in _all(spec, "link")]
    if last in cuts:
        for accelerator, end, clock in product(_all(spec, "accelerator"), (0, -1), (0, -1)):
            sizes = {knob.name: end % len(knob.values) for knob in space.architecture_knobs if is_ordered(knob)}
            found.append(
                {
                    "cut": cuts.index(last),
                    "accelerator": accelerator,
                    "clock_mhz": clock % len(space.knob("clock_mhz").values),
                }
                | sizes
            )
    return tuple(dict.fromkeys(tuple(choice.get(name, 0) for name in names) for choice in found))


def _all(spec: StudySpec, knob: str) -> range:
    return range(len(spec.space.knob(knob).values))
