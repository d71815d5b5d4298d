"""Figures that CNNParted published per partitioning point, beside a front of ours.

Its result tables have `;` between columns and give milliseconds and millijoules. An edge latency of 0 means that the
point was filtered out and never measured, except where nothing is left to the edge.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UserError, reason

if TYPE_CHECKING:
    from dse.result import StudyResult

__all__ = ["Beside", "PublishedPoint", "beside", "read_published"]

_COLUMNS = {
    "sensor_latency_s": "Sensor Latency",
    "sensor_energy_j": "Sensor Energy",
    "link_latency_s": "Link Latency",
    "link_energy_j": "Link Energy",
    "edge_latency_s": "Edge Latency",
}


@dataclass(frozen=True)
class PublishedPoint:
    """One partitioning point as published; `sensor_energy_j` is the accelerator's alone, `link_energy_j` the PHY's."""

    cut: str
    sensor_latency_s: float
    sensor_energy_j: float
    link_latency_s: float
    link_energy_j: float
    edge_latency_s: float

    @property
    def energy_j(self) -> float:
        """What we call a sensor node's energy: accelerator and PHY."""
        return self.sensor_energy_j + self.link_energy_j

    @property
    def to_the_edge_s(self) -> float:
        """Latency until the edge node has its input."""
        return self.sensor_latency_s + self.link_latency_s


def read_published(path: Path) -> tuple[PublishedPoint, ...]:
    """The points of a result table (`*_all.csv`, `*.csv` of the first release). Raises UserError for anything else."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    missing = [name for name in ("Layer", *_COLUMNS.values()) if not rows or name not in rows[0]]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}; CNNParted's tables per partitioning point have it")
    points = []
    for number, row in enumerate(rows, start=2):
        try:
            points.append(PublishedPoint(row["Layer"], *(float(row[name]) * 1e-3 for name in _COLUMNS.values())))
        except (TypeError, ValueError):
            raise UserError(f"{path}, line {number}: a figure is missing or no number") from None
    return tuple(points)


@dataclass(frozen=True)
class Beside:
    """A published point and our front's designs with the same cut: how many, and the least of each figure.

    `beaten` says whether a design of the front, of any cut, has no more energy and no more latency and less of one;
    None where the point has no latency of its edge node.
    """

    point: PublishedPoint
    known: bool
    designs: int
    energy_j: float | None
    to_the_edge_s: float | None
    beaten: bool | None

    def to_json(self) -> dict[str, Any]:
        ours = {"known": self.known, "designs": self.designs, "energy_j": self.energy_j}
        return {**asdict(self.point), "ours": ours | {"to_the_edge_s": self.to_the_edge_s}, "beaten": self.beaten}


def beside(points: Sequence[PublishedPoint], result: StudyResult) -> list[Beside]:
    """The points of a network beside a study's front. Raises UserError where they are of another network."""
    cuts = [str(value) for value in result.knobs["cut"]]
    if not any(point.cut in cuts for point in points):
        raise UserError(f"no published point is a cut of {result.folder}; is it another network, or another cut mode?")
    place = result.question["order"].index("cut")
    rows = [(cuts[int(indices[place])], result.front.row(i)) for i, indices in enumerate(result.front.indices)]
    found = []
    for point in points:
        ours = [row for cut, row in rows if cut == point.cut]
        whole = point.edge_latency_s > 0 or point.cut == cuts[-1]
        latency_s = point.to_the_edge_s + point.edge_latency_s
        beaten = any(
            row["sensor_energy_j"] <= point.energy_j
            and row["latency_s"] <= latency_s
            and (row["sensor_energy_j"] < point.energy_j or row["latency_s"] < latency_s)
            for _, row in rows
        )
        found.append(
            Beside(
                point,
                point.cut in cuts,
                len(ours),
                min((row["sensor_energy_j"] for row in ours), default=None),
                min((row["sensor_latency_s"] + row["link_latency_s"] for row in ours), default=None),
                beaten if whole else None,
            )
        )
    return found
