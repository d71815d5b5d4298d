"""Fronts side by side: size and hypervolume under one reference point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.front import hypervolume, reference_point
from dse.result import StudyResult
from dse.study import differences
from search_spaces.errors import UserError

__all__ = ["Comparison", "compare", "comparison_table"]

PART_OF_SEARCH = ("algorithm", "seed", "batch_size", "warm_start")
"""Fields of a question that say how it is searched, not what is asked."""


@dataclass(frozen=True)
class Comparison:
    """Results with the same objectives; `reference` is in their SI units, a hypervolume in the product of them."""

    results: tuple[StudyResult, ...]
    reference: np.ndarray
    hypervolumes: tuple[float, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """What tells the results apart: their names, or their folders where two have the same name."""
        names = tuple(result.name for result in self.results)
        return names if len(set(names)) == len(names) else tuple(str(result.folder) for result in self.results)

    @property
    def different(self) -> dict[str, list[str]]:
        """By label: the fields, apart from the search, in which a question differs from the first one."""
        first = _asked(self.results[0])
        changed = {
            label: differences(first, _asked(result)) for label, result in zip(self.labels, self.results, strict=True)
        }
        return {label: fields for label, fields in changed.items() if fields}

    def as_json(self) -> dict[str, Any]:
        best = max(self.hypervolumes)
        return {
            "objectives": list(self.results[0].objectives),
            "reference_point": [float(value) for value in self.reference],
            "different_questions": self.different,
            "results": [
                {
                    "name": result.name,
                    "folder": str(result.folder),
                    "algorithm": result.question["algorithm"],
                    "seed": result.question.get("seed"),
                    "exact": result.exact,
                    "designs_visited": result.counts.designs,
                    "front_size": result.front.size,
                    "front_designs": len(result.front),
                    "hypervolume": volume,
                    "hypervolume_share": volume / best if best > 0 else None,
                }
                for result, volume in zip(self.results, self.hypervolumes, strict=True)
            ],
        }


def _asked(result: StudyResult) -> dict[str, Any]:
    return {name: value for name, value in result.question.items() if name not in PART_OF_SEARCH}


def compare(results: Sequence[StudyResult]) -> Comparison:
    """Compare fronts; the reference point is the worst of all of them plus 10 % of their range."""
    objectives = results[0].objectives
    for result in results:
        if result.objectives != objectives:
            raise UserError(
                f"fronts of different objectives cannot be compared: {results[0].folder} has "
                f"{', '.join(objectives)}, {result.folder} has {', '.join(result.objectives)}"
            )
        if not len(result.front):
            raise UserError(f"{result.folder} has no feasible design yet; run it on or leave it out")
    fronts = [result.front for result in results]
    reference = reference_point(fronts)
    return Comparison(tuple(results), reference, tuple(hypervolume(front, reference) for front in fronts))


def comparison_table(comparison: Comparison) -> RenderableType:
    table = Table(header_style="bold")
    for heading in ("results", "algorithm", "seed"):
        table.add_column(heading, overflow="fold")
    for heading in ("designs\nvisited", "front\npoints", "front\ndesigns", "hypervolume", "of the\nbest"):
        table.add_column(heading, justify="right", no_wrap=True)
    best = max(comparison.hypervolumes)
    for label, result, volume in zip(comparison.labels, comparison.results, comparison.hypervolumes, strict=True):
        table.add_row(
            label,
            result.question["algorithm"] + (" (proven)" if result.exact else ""),
            str(result.question.get("seed", "")),
            f"{result.counts.designs:,}",
            f"{result.front.size:,}",
            f"{len(result.front):,}",
            f"{volume:.6g}",
            f"{volume / best:.2%}" if best > 0 else "",
        )
    objectives = comparison.results[0].objectives
    point = ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, comparison.reference, strict=True))
    notes = [f"Reference point: {point} (the worst of all fronts plus 10 % of their range)."]
    for name, fields in comparison.different.items():
        shown = "; ".join(fields[:3]) + (f"; and {len(fields) - 3} more" if len(fields) > 3 else "")
        notes.append(f"{name} asks another question than {comparison.labels[0]}: {shown}.")
    return Group(table, *(Text(note) for note in notes))
