"""How far studies are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from dse.files import read_json
from dse.locks import is_locked
from dse.result import read_result
from search_spaces.errors import UserError

__all__ = ["status_of", "status_table"]


def status_of(folder: Path, *, strict: bool = True) -> dict[str, Any]:
    """Algorithm, trials, front size and state of one study; a broken one has an "error" unless `strict`."""
    running = is_locked(folder)
    try:
        result = read_result(folder)
    except UserError as error:
        if strict:
            raise
        return {"folder": str(folder), "error": str(error)}
    run = read_json(folder / "run.json")
    run = run if isinstance(run, Mapping) else {}
    budget = None if result.question["algorithm"] == "exact" else run.get("budget")
    budget = budget if isinstance(budget, int) else None
    visited = result.counts.designs
    complete = result.exact or visited >= result.space_size or (budget is not None and result.visited >= budget)
    state = (
        f"running (process {', '.join(map(str, running)) or '?'})"
        if running is not None
        else "complete"
        if complete
        else "stopped"
    )
    return {
        "folder": str(folder),
        "network": result.question.get("network.name"),
        "algorithm": result.question["algorithm"],
        "seed": result.question.get("seed"),
        "state": state,
        "designs_visited": visited,
        "visited": result.visited,
        "budget": budget,
        "budget_unit": result.unit,
        "space_size": result.space_size,
        "front_size": result.front.size,
        "exact": result.exact,
    }


def status_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(header_style="bold")
    for heading in ("folder", "network", "algorithm", "seed", "state"):
        table.add_column(heading, overflow="fold", min_width=20 if heading == "folder" else None)
    for heading in ("visited", "of", "front points"):
        table.add_column(heading, justify="right", no_wrap=heading == "visited")
    for row in rows:
        if "error" in row:
            table.add_row(row["folder"], "", "", "", row["error"])
            continue
        budget, unit, visited = row["budget"], row["budget_unit"], row["visited"]
        if unit == "designs" or budget is None or row["exact"]:
            visited, unit = row["designs_visited"], "designs"
            budget = min(budget or row["space_size"], row["space_size"]) if row["budget_unit"] == unit else None
        total = max(budget or row["space_size"], visited)
        seed = "" if row["seed"] is None else str(row["seed"])
        table.add_row(
            row["folder"], row["network"], row["algorithm"], seed, row["state"],
            f"{visited:,} {unit}", f"{total:,}", f"{row['front_size']:,}",
        )  # fmt: skip
    return table
