"""How good a front is beside a reference front: all from moocore but the coverage, which it does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dse.front import extent, reference_point

__all__ = ["Yardstick", "attainment", "coverage"]


@dataclass(frozen=True, eq=False)
class Yardstick:
    """A reference front (points, objectives), and the scale and reference point that follow from it alone.

    So a figure does not change with what else is compared. Points beyond the reference point add no hypervolume.
    """

    front: np.ndarray

    @cached_property
    def reference_point(self) -> np.ndarray:
        return reference_point(self.front)

    @cached_property
    def hypervolume(self) -> float:
        """The reference front's own, in the product of the objectives' units."""
        return self.hypervolume_of(self.front)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Objectives with 0 at the reference front's best and 1 at its worst value."""
        best, span = extent(self.front)
        return (values - best) / span

    def hypervolume_of(self, values: np.ndarray) -> float:
        """The volume dominated up to the reference point, in the product of the objectives' units."""
        from moocore import hypervolume

        return float(hypervolume(values, ref=self.reference_point)) if len(values) else 0.0

    def igd_plus(self, values: np.ndarray) -> float:
        """Mean distance by which the front falls short of the reference front, objectives scaled (Ishibuchi 2015)."""
        from moocore import igd_plus

        return float(igd_plus(self.scaled(values), ref=self.scaled(self.front)))

    def epsilon(self, values: np.ndarray) -> float:
        """By how much every point must improve in every scaled objective for the front to cover the reference front
        (additive epsilon, Zitzler 2003)."""
        from moocore import epsilon_additive

        return float(epsilon_additive(self.scaled(values), ref=self.scaled(self.front)))


def coverage(a: np.ndarray, b: np.ndarray) -> float:
    """C(A, B): the share of B's points that a point of A equals or dominates (Zitzler and Thiele 1999).

    >>> coverage(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 2.0], [0.0, 3.0], [3.0, 1.0]]))
    0.5
    """
    covered = [bool((a <= point).all(axis=1).any()) for point in b]
    return float(np.mean(covered))


def attainment(fronts: Sequence[np.ndarray], percentiles: Sequence[float] = (0, 50, 100)) -> list[np.ndarray]:
    """Surfaces that the best run, half the runs, … all runs attain: one front (points, objectives) per percentile.

    The empirical attainment function of Grunert da Fonseca, Fonseca and Hall (2001), over several seeds; of two or
    three objectives.
    """
    from moocore import eaf

    sets = np.repeat(np.arange(1, len(fronts) + 1), [len(front) for front in fronts])
    found = eaf(np.concatenate(fronts), sets, percentiles=list(percentiles))
    return [found[found[:, -1] == percentile][:, :-1] for percentile in percentiles]
