"""Figures that CNNParted published per partitioning point, beside a front of ours.

Its result tables give milliseconds and millijoules. Those of 2022 and 2023 have `;` between columns and tell the parts
of a point; an edge latency of 0 means that it was filtered out and never measured, except where nothing is left to the
edge. Those since 2024 have `,`, perhaps no header, and tell the whole system only: names of partitioning points,
platforms, latency, energy and more, with `nondom` or `dom` at the end of a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UserError, reason

if TYPE_CHECKING:
    from dse.result import StudyResult

__all__ = ["Beside", "BesideSystem", "Published", "PublishedPoint", "PublishedSystem", "beside", "read_published"]

_COLUMNS = {
    "sensor_latency_s": "Sensor Latency",
    "sensor_energy_j": "Sensor Energy",
    "link_latency_s": "Link Latency",
    "link_energy_j": "Link Energy",
    "edge_latency_s": "Edge Latency",
}


_INPUT = "Identity"
"""The point before the first layer, in the tables and of every network of ours."""


@dataclass(frozen=True)
class PublishedPoint:
    """One partitioning point as published; `sensor_energy_j` is the accelerator's alone, `link_energy_j` the PHY's.

    `elements` cross the link; None where the table does not tell.
    """

    cut: str
    sensor_latency_s: float
    sensor_energy_j: float
    link_latency_s: float
    link_energy_j: float
    edge_latency_s: float
    elements: int | None = None

    @property
    def energy_j(self) -> float:
        """What we call a sensor node's energy: accelerator and PHY."""
        return self.sensor_energy_j + self.link_energy_j

    @property
    def to_the_edge_s(self) -> float:
        """Latency until the edge node has its input."""
        return self.sensor_latency_s + self.link_latency_s


@dataclass(frozen=True)
class PublishedSystem:
    """A system as published since 2024: the layers it is cut after, latency of a frame, energy of all nodes and links.

    `cuts` holds "input" where everything is on one node that gets its input over a link.
    """

    cuts: tuple[str, ...]
    latency_s: float
    energy_j: float


Published = tuple[PublishedPoint, ...] | tuple[PublishedSystem, ...]


def read_published(path: Path) -> Published:
    """The points of a result table, of any release: `*_all.csv`, `*.csv`, `*_result*.csv`, `*_objectives*.csv`.

    Of systems only those that CNNParted found not dominated, equal ones once. Raises UserError for anything else.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        if lines and lines[-1].rpartition(",")[2] in _KINDS:
            return _systems(path, list(csv.reader(lines)))
        return _points(path, list(csv.DictReader(lines, delimiter=";")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None


def _points(path: Path, rows: list[dict[str, str]]) -> tuple[PublishedPoint, ...]:
    missing = [name for name in ("Layer", *_COLUMNS.values()) if not rows or name not in rows[0]]
    if missing:
        raise UserError(
            f"{path} is no table per partitioning point of CNNParted (no column {missing[0]!r}); those are *_all.csv, "
            "*_result*.csv and *_objectives*.csv: tables per layer, schedules and robustness hold no points"
        )
    points = []
    for number, row in enumerate(rows, start=2):
        try:
            figures = {name: _figure(row[column]) for name, column in _COLUMNS.items()}
            points.append(PublishedPoint(row["Layer"], **figures, elements=_elements(row.get("Output Size") or "")))
        except (TypeError, ValueError):
            raise UserError(f"{path}, line {number}: a figure is missing or no number") from None
    return tuple(points)


def _elements(cell: str) -> int | None:
    """Those of "[1, 64, 56, 56]"; None of what is no single shape."""
    found = re.fullmatch(r"\D*(\d+(?:, *\d+)*)\D*", cell)
    return prod(int(n) for n in found[1].split(",")) if found else None


_KINDS = ("nondom", "dom")


def _systems(path: Path, rows: list[list[str]]) -> tuple[PublishedSystem, ...]:
    header = [cell.lower() for cell in rows[0]]
    headed = header[-1] == "type"
    found: dict[PublishedSystem, None] = {}
    for number, row in enumerate(rows[headed:], start=1 + headed):
        try:
            names = [i for i, cell in enumerate(row[:-1]) if not _is_number(cell)]
            points = [row[i] for i in names]
            after = names[-1] + 1 if names else 0
            platforms = row[after : after + len(points) + 1]
            at = header.index("latency") if headed else after + len(platforms)
            system = PublishedSystem(_cuts(points, platforms), _figure(row[at]), _figure(row[at + 1]))
        except (ValueError, IndexError):
            raise UserError(f"{path}, line {number}: a figure is missing or no number") from None
        if row[-1] == "nondom":
            found[system] = None
    if not found:
        raise UserError(f"{path} holds dominated points only")
    return tuple(found)


def _cuts(points: list[str], platforms: list[str]) -> tuple[str, ...]:
    """The partitioning points with layers on both sides and another platform behind; a single one as it stands."""
    if len(points) == 1:
        return (points[0],)
    cuts: list[str] = []
    last, on = "input", ""
    for point, platform in zip([*points, "output"], platforms, strict=False):
        if point != last:
            if on not in ("", platform):
                cuts.append(last)
            last, on = point, platform
    return tuple(cuts)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _figure(cell: str) -> float:
    """A figure in SI units from one in thousandths, to 12 digits: a system's parts are summed up in several orders.

    Raises ValueError for what is no finite number from 0 on.
    """
    value = float(f"{float(cell) * 1e-3:.12g}")
    if not 0 <= value < float("inf"):
        raise ValueError(cell)
    return value


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


@dataclass(frozen=True)
class BesideSystem:
    """A published system and the least energy of both nodes and the link among our front's designs no slower than it.

    `beaten` says whether a design of the front has no more energy and no more latency and less of one.
    """

    point: PublishedSystem
    energy_j: float | None
    beaten: bool

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self.point), "ours": {"energy_j": self.energy_j}, "beaten": self.beaten}


def beside(published: Published, result: StudyResult) -> list[Beside] | list[BesideSystem]:
    """Published points beside a study's front. Raises UserError where they are seen to be of another network."""
    systems = [point for point in published if isinstance(point, PublishedSystem)]
    if systems:
        return _beside_systems(systems, result)
    return _beside_points([point for point in published if isinstance(point, PublishedPoint)], result)


def _beside_systems(systems: Sequence[PublishedSystem], result: StudyResult) -> list[BesideSystem]:
    """Published systems beside a study's front, whatever its cuts; the tables do not tell of which network they are."""
    front = result.front
    rows = [front.row(i) for i in range(len(front))]
    found = []
    for system in systems:
        as_fast = [row for row in rows if row["latency_s"] <= system.latency_s]
        energy_j = min((row["total_energy_j"] for row in as_fast), default=None)
        beaten = any(
            row["total_energy_j"] <= system.energy_j
            and (row["total_energy_j"] < system.energy_j or row["latency_s"] < system.latency_s)
            for row in as_fast
        )
        found.append(BesideSystem(system, energy_j, beaten))
    return found


def _beside_points(points: Sequence[PublishedPoint], result: StudyResult) -> list[Beside]:
    cuts = [str(value) for value in result.knobs["cut"]]
    last = _check_network(points, cuts, result)
    place = result.question["order"].index("cut")
    rows = [(cuts[int(indices[place])], result.front.row(i)) for i, indices in enumerate(result.front.indices)]
    found = []
    for point in points:
        ours = [row for cut, row in rows if cut == point.cut]
        whole = point.edge_latency_s > 0 or point.cut == last
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


def _check_network(points: Sequence[PublishedPoint], cuts: Sequence[str], result: StudyResult) -> str:
    """The name of the last cut, after which nothing is left to the edge.

    Where the study's network cannot be traced again, only the size of its input is known. Raises UserError where no
    name but that of the input coincides, which all networks have, or where something else crosses at one that does.
    """
    from dse.result import network_of

    try:
        elements = {cut.name: cut.elements for cut in network_of(result.question).cuts}
        cuts = list(elements)
    except UserError:
        elements = {_INPUT: prod(result.question["network.input"])}
    if not any(point.cut in cuts and point.cut != _INPUT for point in points):
        raise UserError(
            f"no published point after the input is a cut of {result.folder}; is it another network, or "
            "another cut mode?"
        )
    for point in points:
        ours = elements.get(point.cut, point.elements)
        if point.elements is not None and point.elements != ours:
            raise UserError(
                f"after {point.cut} {point.elements:,} elements cross in the published table and {ours:,} in "
                f"{result.folder}; take a study of the same network and input"
            )
    return cuts[-1]
