"""A mapping: which loops run at which level, in time (with an order) and in space (on an axis of the mesh)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from search_spaces.accelerators.architecture import DIMS, Architecture
from search_spaces.types import ConvShape

__all__ = ["FACTORS", "Factors", "LevelLoops", "Mapping", "bounds", "concrete", "padded"]

Factors = Literal["perfect", "imperfect"]
FACTORS: tuple[Factors, ...] = ("perfect", "imperfect")
"""How a dimension is tiled: by factors whose product is its bound, or with a remainder in the last tile."""

Loop = tuple[str, int]

_LOOP = re.compile(r"([A-Z])(\d+)")


@dataclass(frozen=True)
class LevelLoops:
    """The loops of one level: temporal ones innermost first, spatial ones per axis. Bounds of 1 may be left out.

    `keeps` is what the mapping keeps at a level that leaves it the choice, None where the architecture says it.
    """

    temporal: tuple[Loop, ...] = ()
    x: tuple[Loop, ...] = ()
    y: tuple[Loop, ...] = ()
    keeps: str | None = None

    @property
    def spatial(self) -> tuple[Loop, ...]:
        return self.x + self.y


@dataclass(frozen=True)
class Mapping:
    """Loops of every level, innermost level first, as the architecture lists them.

    `ragged` has the bound of every dimension whose factors cover more than it: loops stop there, so that the last
    tile of such a dimension is smaller at every level (imperfect factors).
    """

    levels: tuple[LevelLoops, ...]
    ragged: tuple[Loop, ...] = ()

    def extent(self, dim: str) -> int:
        """What runs of a dimension: its bound, or the product of all factors (the bound padded where it had to be)."""
        for ragged, bound in self.ragged:
            if ragged == dim:
                return bound
        return prod(n for loops in self.levels for d, n in loops.temporal + loops.spatial if d == dim)

    def to_text(self) -> str:
        """One line for the memo: levels by "/", temporal, X and Y loops by ";", each loop as dimension and factor.

        What a level was chosen to keep stands after another ";", bounds of ragged dimensions behind a "|".

        >>> Mapping((LevelLoops((("M", 8),)), LevelLoops((("C", 2), ("M", 4)), y=(("S", 3),)))).to_text()
        'M8;;/C2M4;;S3'
        >>> Mapping((LevelLoops((("Q", 4),), x=(("Q", 14),)),), ragged=(("Q", 55),)).to_text()
        'Q4;Q14;|Q55'
        """
        levels = "/".join(
            ";".join(
                ["".join(f"{d}{n}" for d, n in part) for part in (ll.temporal, ll.x, ll.y)]
                + ([] if ll.keeps is None else [ll.keeps])
            )
            for ll in self.levels
        )
        return levels + ("|" + "".join(f"{d}{n}" for d, n in self.ragged) if self.ragged else "")

    @staticmethod
    def from_text(text: str) -> Mapping:
        """The mapping that `to_text` wrote."""

        def loops(part: str) -> tuple[Loop, ...]:
            return tuple((d, int(n)) for d, n in _LOOP.findall(part))

        def level(part: str) -> LevelLoops:
            temporal, x, y, *keeps = part.split(";")
            return LevelLoops(loops(temporal), loops(x), loops(y), keeps[0] if keeps else None)

        levels, _, ragged = text.partition("|")
        return Mapping(tuple(level(part) for part in levels.split("/")), loops(ragged))


def bounds(shape: ConvShape) -> dict[str, int]:
    """The seven loop bounds of one group of a layer."""
    one = shape.one_group
    return {dim: getattr(one, dim) for dim in DIMS}


def concrete(architecture: Architecture, mapping: Mapping) -> Architecture:
    """The architecture with every level keeping what the mapping chose to keep there."""
    if all(loops.keeps is None for loops in mapping.levels):
        return architecture
    levels = tuple(
        level if loops.keeps is None else replace(level, keeps=loops.keeps, keeps_choices=())
        for level, loops in zip(architecture.levels, mapping.levels, strict=True)
    )
    return replace(architecture, levels=levels)


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
