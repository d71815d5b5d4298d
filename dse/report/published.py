"""Published points beside a front, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.published import Beside

__all__ = ["published_table"]


def published_table(rows: Sequence[Beside], source: str, folder: str) -> RenderableType:
    """One row per published point; ours are the front's designs with that cut, the least of each figure."""
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
            str(row.designs) if row.known else "no such cut",
            "–" if row.beaten is None else "yes" if row.beaten else "no",
        )
    judged = [row.beaten for row in rows if row.beaten is not None]
    notes = (
        f"{sum(judged)} of {len(judged)} published points with an edge latency are beaten by a design of {folder} in "
        "sensor energy and latency; their edge node is the authors' CPU, ours is the study's",
        "ours: the least figure among the front's designs with that cut, which need not be one design",
    )
    return Group(Text(f"Published: {source}"), table, *(Text(note, style="dim") for note in notes))
