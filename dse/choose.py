"""One design out of a front: by a rule, with what its neighbours would cost or save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dse.front import Front, extent
from dse.result import MAPPING_COLUMNS, StudyResult
from dse.where import Condition
from search_spaces.errors import UserError
from search_spaces.types import KnobValue

__all__ = ["Choice", "Neighbour", "choose", "knee", "restrict", "smallest"]

PICKS = "knee, min-energy, min-latency, min-OBJECTIVE or weights=0.3,0.7"

CLEARLY = 0.1
"""On a dense front the nearest point differs by next to nothing: also told is the nearest with so much less."""

AUGMENTATION = 1e-6
"""Weight of the plain sum that decides between points with equal largest term (Steuer and Choo 1983)."""


@dataclass(frozen=True)
class Neighbour:
    """A design beside the chosen one: the share by which each objective changes, and the knobs that differ.

    `mapped_otherwise`: its layers have other mappings, in a study that keeps them all.
    """

    label: str
    metrics: Mapping[str, float]
    changes: Mapping[str, float | None]
    knobs: Mapping[str, tuple[KnobValue, KnobValue]]
    mapped_otherwise: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "metrics": dict(self.metrics),
            "relative_change": dict(self.changes),
            "knobs": {name: {"chosen": a, "here": b} for name, (a, b) in self.knobs.items()},
            "mapped_otherwise": self.mapped_otherwise,
        }


@dataclass(frozen=True)
class Choice:
    """A row of a front, why it was taken, and the designs around it; its point is the whole front's `point` of
    `points`, counted from 1."""

    row: int
    point: int
    points: int
    rule: str
    neighbours: tuple[Neighbour, ...]


def knee(front: Front) -> int:
    """The knee's row: the point farthest below the plane through the ends, objectives scaled to 0…1 over the front.

    For two objectives that is the point farthest from the straight line between the front's ends (Das, "On
    characterizing the knee of the Pareto curve based on normal-boundary intersection", 1999); for more, the plane
    through (1, 0, …), (0, 1, …), …. Its distance is (1 − Σ scaled) / √m, so the least sum wins.
    """
    return _row(front, int(_scaled(front).sum(axis=1).argmin()))


def smallest(front: Front, start: int, end: int) -> int:
    """Of rows with equal objectives the one with the smallest area, else the first."""
    if "area_mm2" not in front.columns:
        return start
    return start + int(np.argmin(front.column("area_mm2")[start:end]))


def restrict(result: StudyResult, condition: Condition) -> StudyResult:
    """The result with those designs of its front that meet a condition. Raises UserError where none does."""
    front = result.front
    kept = [i for i in range(len(front)) if condition(front.row(i) | result.design(front.indices[i]))]
    if not kept:
        raise UserError(
            f"none of the {len(front):,} designs on the front meets {condition.text!r}; loosen it, or search under it: "
            "paretocut run … --constraint"
        )
    return replace(result, front=Front(front.objectives, front.columns, front.indices[kept], front.metrics[kept]))


def choose(result: StudyResult, pick: str, whole: StudyResult | None = None) -> Choice:
    """The design of the result's front that the rule picks. Raises UserError for a rule that is none.

    `whole` is given where `result` has only a part of its front.
    """
    front = result.front
    if not len(front):
        raise UserError(f"{result.folder} has no feasible design yet; run it on")
    row, rule = _pick(front, pick)
    of = front if whole is None else whole.front
    return Choice(
        row=row,
        point=next(n for n, (a, b) in zip(front.numbers(of), front.groups(), strict=True) if a <= row < b),
        points=of.size,
        rule=rule,
        neighbours=tuple(_neighbours(result, row)),
    )


def _pick(front: Front, pick: str) -> tuple[int, str]:
    if pick == "knee":
        return knee(front), (
            "the point farthest from the straight line between the front's ends, objectives scaled to 0–1 over the "
            "front (Das 1999)"
            if len(front.objectives) == 2
            else "the point farthest below the plane through the front's worst values, objectives scaled to 0–1 (Das "
            "1999)"
        )
    if pick.startswith("min-"):
        word = pick.removeprefix("min-").replace("-", "_")
        found = [name for name in front.objectives if name == word] or [
            name for name in front.objectives if word and word in name
        ]
        if len(found) != 1:
            raise UserError(
                f"--pick {pick}: the objectives are {', '.join(front.objectives)}; "
                f"name one of them, as in min-{front.objectives[0]}"
            )
        return _row(front, int(np.lexsort(_least_first(front, found[0]))[0])), f"least {found[0]} on the front"
    if pick.startswith("weights="):
        return _weighted(front, pick)
    raise UserError(f"--pick takes {PICKS}, not {pick!r}")


def _least_first(front: Front, objective: str) -> list[np.ndarray]:
    """Sort keys: this objective, then the others in their order."""
    first = front.objectives.index(objective)
    order = [first, *(k for k in range(len(front.objectives)) if k != first)]
    return [front.distinct[:, k] for k in reversed(order)]


def _weighted(front: Front, pick: str) -> tuple[int, str]:
    """The least weighted distance to the best values of all objectives (augmented Chebyshev, Steuer and Choo 1983).

    A weighted sum would never pick a point in a dent of the front, whatever the weights.
    """
    try:
        weights = np.array([float(text) for text in pick.removeprefix("weights=").split(",")])
    except ValueError:
        weights = np.empty(0)
    m = len(front.objectives)
    if len(weights) != m or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise UserError(
            f"--pick weights= takes {m} numbers of at least 0, not all 0, one per objective "
            f"({', '.join(front.objectives)}), not {pick.removeprefix('weights=')!r}"
        )
    weights = weights / weights.sum()
    terms = weights * _scaled(front)
    best = int((terms.max(axis=1) + AUGMENTATION * _scaled(front).sum(axis=1)).argmin())
    shown = ", ".join(f"{w:.3g} × {name}" for w, name in zip(weights, front.objectives, strict=True))
    return _row(front, best), (
        f"least value of the largest of {shown}, each scaled to 0–1 over the front (Chebyshev; Steuer and Choo 1983)"
    )


def _scaled(front: Front) -> np.ndarray:
    best, span = extent(front.distinct)
    return (front.distinct - best) / span


def _row(front: Front, point: int) -> int:
    return smallest(front, *front.groups()[point])


def _neighbours(result: StudyResult, row: int) -> list[Neighbour]:
    """For each objective the nearest point of the front with less of it, and the nearest with a tenth less where that
    is another one; then the baselines."""
    front = result.front
    here = front.values[row]
    distance = np.linalg.norm((front.values - here) / extent(front.values)[1], axis=1)
    around = []
    for k, name in enumerate(front.objectives):
        shown = -1
        for label, most in ((f"less {name}", here[k]), (f"{CLEARLY:.0%} less {name}", (1 - CLEARLY) * here[k])):
            less = np.flatnonzero(front.values[:, k] < here[k] if most == here[k] else front.values[:, k] <= most)
            if not len(less):
                continue
            nearest = less[np.argmin(distance[less])]
            start, end = next((a, b) for a, b in front.groups() if a <= nearest < b)
            other = smallest(front, start, end)
            if other != shown:
                around.append(_beside(result, row, label, front.row(other), front.indices[other]))
            shown = other
    for baseline in result.baselines:
        broken = f" (breaks {', '.join(baseline.broken)})" if baseline.broken else ""
        around.append(_beside(result, row, baseline.title + broken, baseline.metrics, np.array(baseline.indices)))
    return around


def _beside(result: StudyResult, row: int, label: str, metrics: Mapping[str, float], indices: np.ndarray) -> Neighbour:
    chosen, other = result.design(result.front.indices[row]), result.design([int(i) for i in indices])
    mine = result.front.row(row)
    return Neighbour(
        label,
        dict(metrics),
        {name: metrics[name] / mine[name] - 1 if mine[name] else None for name in result.objectives},
        {name: (chosen[name], other[name]) for name in chosen if chosen[name] != other[name]},
        MAPPING_COLUMNS[0] in metrics and mine.get(MAPPING_COLUMNS[0]) != metrics[MAPPING_COLUMNS[0]],
    )
