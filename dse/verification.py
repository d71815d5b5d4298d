"""What judging a study by Timeloop found: one row per mapping, one per layer searched."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

__all__ = ["EQUAL_ENERGY", "ModelRow", "SearchRow", "Verification"]

EQUAL_ENERGY = 1e-9
"""Relative difference up to which two energies are the same one, summed in another order."""


@dataclass(frozen=True)
class ModelRow:
    """One mapping of a study in the eyes of `timeloop-model`; one group of a layer.

    `differences` are the figures on which the two disagree, as text; none where they agree in every count. Where
    dimensions leave `remainders` they are those with every tile full. `unjudged` says why nothing could be compared.
    """

    layer: str
    accelerator: str
    parameters: tuple[tuple[str, Any], ...]
    mapping: str
    cycles: int
    tool_cycles: int | None
    energy_j: float
    tool_energy_j: float | None
    differences: tuple[str, ...]
    remainders: tuple[str, ...] = ()
    unjudged: str = ""


@dataclass(frozen=True)
class SearchRow:
    """What `timeloop-mapper` found for one group of a layer beside our optimum.

    `ratio` is the tool's value of the metric over ours (edp, delay or energy), None where it found no mapping.
    """

    layer: str
    accelerator: str
    parameters: tuple[tuple[str, Any], ...]
    metric: str
    cycles: int
    energy_j: float
    tool_cycles: int | None
    tool_energy_j: float | None
    ratio: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """All rows of one folder; `designs` were looked at of the `front_designs` there are.

    `own_files` are those of a study on the user's own files: all mappings are the tool's, and nothing is searched.
    """

    folder: str
    designs: int
    front_designs: int
    model: tuple[ModelRow, ...]
    search: tuple[SearchRow, ...]
    tools: tuple[str, ...]
    own_files: tuple[str, ...] = ()

    @property
    def judged(self) -> list[ModelRow]:
        return [row for row in self.model if not row.unjudged]

    @property
    def different(self) -> list[ModelRow]:
        return [row for row in self.judged if row.differences]

    @property
    def ragged(self) -> list[ModelRow]:
        """Mappings with remainders for which the tool gave figures."""
        return [row for row in self.judged if row.remainders and row.tool_cycles is not None]

    @property
    def better(self) -> list[SearchRow]:
        """Layers for which the tool's mapper found a better mapping than ours: there must be none."""
        return [row for row in self.search if row.ratio is not None and row.ratio < 1 - EQUAL_ENERGY]

    @property
    def holds(self) -> bool:
        """Nothing differs, no better mapping was found, and there was something to say so of."""
        return bool(self.judged or not self.model) and not self.different and not self.better

    def ratios(self) -> list[float]:
        return sorted(row.ratio for row in self.search if row.ratio is not None)

    def ragged_cycles(self) -> list[float]:
        """The tool's cycles over ours for mappings with remainders, least first."""
        return sorted(row.tool_cycles / row.cycles for row in self.ragged if row.tool_cycles is not None)

    def ragged_energies(self) -> list[float]:
        """The tool's energy over ours for mappings with remainders, least first."""
        return sorted(row.tool_energy_j / row.energy_j for row in self.ragged if row.tool_energy_j is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `summary` counts what the rows say."""
        ratios = self.ratios()
        return {
            "folder": self.folder,
            "designs": self.designs,
            "front_designs": self.front_designs,
            "tools": list(self.tools),
            "own_files": list(self.own_files),
            "holds": self.holds,
            "summary": {
                "mappings": len(self.model),
                "mappings_judged": len(self.judged),
                "mappings_equal": len(self.judged) - len(self.different),
                "mappings_with_remainders": sum(bool(row.remainders) for row in self.model),
                "remainders_tool_cycles_over_ours": _range(self.ragged_cycles()),
                "remainders_tool_energy_over_ours": _range(self.ragged_energies()),
                "layers_searched": len(self.search),
                "layers_tool_better": len(self.better),
                "ratio_median": median(ratios) if ratios else None,
                "ratio_worst": ratios[-1] if ratios else None,
            },
            "model": [asdict(row) | {"parameters": dict(row.parameters)} for row in self.model],
            "search": [asdict(row) | {"parameters": dict(row.parameters)} for row in self.search],
        }


def _range(ratios: list[float]) -> list[float] | None:
    return [ratios[0], ratios[-1]] if ratios else None
