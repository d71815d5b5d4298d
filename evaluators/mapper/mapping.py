"""A mapping: which loops run at which level, in time (with an order) and in space (on an axis of the mesh)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod

from search_spaces.accelerators.architecture import DIMS, Architecture
from search_spaces.types import ConvShape

__all__ = ["LevelLoops", "Mapping", "bounds", "padded"]

Loop = tuple[str, int]

_LOOP = re.compile(r"([A-Z])(\d+)")


@dataclass(frozen=True)
class LevelLoops:
    """The loops of one level: temporal ones innermost first, spatial ones per axis. Bounds of 1 may be left out."""

    temporal: tuple[Loop, ...] = ()
    x: tuple[Loop, ...] = ()
    y: tuple[Loop, ...] = ()

    @property
    def spatial(self) -> tuple[Loop, ...]:
        return self.x + self.y


@dataclass(frozen=True)
class Mapping:
    """Loops of every level, innermost level first, as the architecture lists them."""

    levels: tuple[LevelLoops, ...]

    def extent(self, dim: str) -> int:
        """The product of all factors of a dimension: the layer's bound, padded where it had to be."""
        return prod(n for loops in self.levels for d, n in loops.temporal + loops.spatial if d == dim)

    def to_text(self) -> str:
        """One line for the memo: levels by "/", temporal, X and Y loops by ";", each loop as dimension and factor.

        >>> Mapping((LevelLoops((("M", 8),)), LevelLoops((("C", 2), ("M", 4)), y=(("S", 3),)))).to_text()
        'M8;;/C2M4;;S3'
        """
        return "/".join(
            ";".join("".join(f"{d}{n}" for d, n in part) for part in (ll.temporal, ll.x, ll.y)) for ll in self.levels
        )

    @staticmethod
    def from_text(text: str) -> Mapping:
        """The mapping that `to_text` wrote."""

        def loops(part: str) -> tuple[Loop, ...]:
            return tuple((d, int(n)) for d, n in _LOOP.findall(part))

        return Mapping(tuple(LevelLoops(*(loops(part) for part in level.split(";"))) for level in text.split("/")))


def bounds(shape: ConvShape) -> dict[str, int]:
    """The seven loop bounds of one group of a layer."""
    one = shape.one_group
    return {dim: getattr(one, dim) for dim in DIMS}


def padded(shape: ConvShape, architecture: Architecture) -> dict[str, int]:
    """The bounds the array really runs: a dimension with a fixed unrolling is padded to its next multiple.

    Padded positions are computed and moved like real ones, so cycles and energy include them.
    """
    result = bounds(shape)
    for level in architecture.levels:
        for unroll in level.spatial:
            if unroll.fixed is not None and result[unroll.dim] >= unroll.fixed:
                result[unroll.dim] += -result[unroll.dim] % unroll.fixed
    return result
