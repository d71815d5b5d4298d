"""Published points beside a front, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.published import Beside, BesideSystem

__all__ = ["published_table"]


def published_table(rows: Sequence[Beside] | Sequence[BesideSystem], source: str, folder: str) -> RenderableType:
    """One row per published point, ours beside it."""
    systems = [row for row in rows if isinstance(row, BesideSystem)]
    return (
        _systems_table(systems, source, folder)
        if systems
        else _points_table([row for row in rows if isinstance(row, Beside)], source, folder)
    )


_NAMED = 2
"""Cuts that are named in a row; of more, how many there are."""

_ROWS = 40
"""Rows of a table of systems on the screen; --json has them all."""


def _systems_table(rows: Sequence[BesideSystem], source: str, folder: str) -> RenderableType:
    """Ours is the front's design with the least energy that is no slower."""
    table = Table(header_style="bold")
    table.add_column("cut after", overflow="fold")
    for heading in ("published\nlatency ms", "\nenergy mJ", "ours, as fast\nenergy mJ", "beaten by\nour front"):
        table.add_column(heading, justify="right", no_wrap=True)
    fastest_first = sorted(rows, key=lambda row: row.point.latency_s)
    for row in fastest_first[:_ROWS]:
        cuts = row.point.cuts
        table.add_row(
            ", ".join(cuts) or "–" if len(cuts) <= _NAMED else f"{len(cuts)} cuts",
            *(f"{value * 1e3:.4g}" for value in (row.point.latency_s, row.point.energy_j)),
            "–" if row.energy_j is None else f"{row.energy_j * 1e3:.4g}",
            "yes" if row.beaten else "no",
        )
    more = (f"{len(rows) - _ROWS} slower ones are not shown; --json has them all",) if len(rows) > _ROWS else ()
    notes = (
        *more,
        f"{sum(row.beaten for row in rows)} of {len(rows)} published systems are beaten by a design of {folder} in "
        "energy of both nodes and the link, and latency; such a table names no network: see that it is the same",
        "ours: the least total_energy_j among the front's designs that are no slower; – where none is",
    )
    return Group(Text(f"Published: {source}"), table, *(Text(note, style="dim") for note in notes))


def _points_table(rows: Sequence[Beside], source: str, folder: str) -> RenderableType:
    """Ours are the front's designs with that cut, the least of each figure."""
    table = Table(header_style="bold")
    table.add_column("cut after", overflow="fold")
    for heading in (
        "published\nsensor ms", "\nlink ms", "\nsensor mJ", "\nPHY mJ", "ours\nto the edge ms", "\nenergy mJ",
        "\ndesigns", "beaten by\nour front",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        point = row.point
        table.add_row(
            point.cut,
            *(f"{value * 1e3:.4g}" for value in (point.sensor_latency_s, point.link_latency_s)),
            *(f"{value * 1e3:.4g}" for value in (point.sensor_energy_j, point.link_energy_j)),
            *("–" if value is None else f"{value * 1e3:.4g}" for value in (row.to_the_edge_s, row.energy_j)),
            str(row.designs) if row.known else "not asked",
            "–" if row.beaten is None else "yes" if row.beaten else "no",
        )
    judged = [row.beaten for row in rows if row.beaten is not None]
    notes = (
        f"{sum(judged)} of {len(judged)} published points with an edge latency are beaten by a design of {folder} in "
        "sensor energy and latency; their edge node is the authors' CPU, ours is the study's",
        "ours: the least figure among the front's designs with that cut, which need not be one design",
    )
    return Group(Text(f"Published: {source}"), table, *(Text(note, style="dim") for note in notes))
