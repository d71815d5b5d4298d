"""Starting a search from the front of another study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dse.result import read_result
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.space import SearchSpace
    from search_spaces.types import KnobValue

__all__ = ["WarmStart", "warm_start"]


@dataclass(frozen=True)
class WarmStart:
    """One design for each point of a front, by knob indices of the space asked about; `skipped` points have none."""

    designs: tuple[tuple[int, ...], ...]
    skipped: int


def warm_start(folder: Path, space: SearchSpace) -> WarmStart:
    """The front in a folder of results, as designs of this space, compared by the names and values of the knobs.

    Of designs with equal objectives the first that is in the space stands for all. Raises UserError where the folder
    holds no study, or no point of its front is in the space.
    """
    result = read_result(folder)
    designs: list[tuple[int, ...]] = []
    groups = result.front.groups() if len(result.front) else []
    for start, end in groups:
        found = (_indices(space, result.design(result.front.indices[i])) for i in range(start, end))
        first = next((indices for indices in found if indices is not None), None)
        if first is not None:
            designs.append(first)
    if not designs:
        raise UserError(
            f"none of the {len(groups)} points on the front in {folder} is in this space; a warm start takes a study "
            "with the same names of cuts and values of knobs"
        )
    distinct = tuple(dict.fromkeys(designs))
    return WarmStart(distinct, len(groups) - len(designs))


def _indices(space: SearchSpace, design: Mapping[str, KnobValue]) -> tuple[int, ...] | None:
    """Where this design is in the space; None if it is not there."""
    if {knob.name for knob in space.knobs} != design.keys():
        return None
    if any(design[knob.name] not in knob.values for knob in space.knobs):
        return None
    return space.encode(design)
