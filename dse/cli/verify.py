"""`paretocut verify`: a front judged by Timeloop itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dse.cli._options import AsJson, Cache, KeepRuns, RunLimit, open_memo

if TYPE_CHECKING:
    from rich.console import Console

    from dse.verification import Verification

__all__ = ["register"]

_ROWS = 20
"""Rows of a table on the screen; --json has them all."""


def register(app: typer.Typer) -> None:
    app.command("verify")(_verify)


def _verify(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    designs: Annotated[int | None, typer.Option(min=1, help="Designs of the front.", show_default="all")] = None,
    search: Annotated[
        bool, typer.Option("--search/--no-search", help="Run timeloop-mapper too (seconds per layer).")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, help="Runs of the tool at once.")] = 1,
    script: Annotated[
        Path | None, typer.Option(help="The study's script, where its network has no name of its own.")
    ] = None,
    input_format: Annotated[
        str, typer.Option(help="Input of the tool, 0.3 or 0.4; auto: 0.4 where its front end is installed.")
    ] = "auto",
    keep_runs: KeepRuns = None,
    run_limit: RunLimit = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Judge a front by Timeloop: its counts for our mappings, and what its own mapper finds.

    Exit status 1 where timeloop-model counts otherwise, no mapping can be compared, or timeloop-mapper finds a better
    one. Mappings with remainders are compared with full tiles; those of a study on own Timeloop files are judged by
    timeloop-model alone.

    paretocut verify results/squeezenet-exact-s1 --designs 10
    """
    from dse.cli._script import question_in, spec_of
    from dse.console import now_and_then
    from dse.result import read_result
    from dse.verify import verify
    from evaluators.timeloop import LIMIT_S, Timeloop

    due = now_and_then()

    def progress(tool: str, done: int, total: int) -> None:
        if due():
            typer.echo(f"{tool}: {done:,} of {total:,} layers", err=True)

    asked: Any = input_format  # checked where it goes
    result = read_result(folder)
    network = None if script is None else spec_of(question_in(script)).network
    with open_memo(cache) as memo:
        found = verify(
            result,
            memo,
            network=network,
            designs=designs,
            search=search,
            workers=workers,
            tool=Timeloop(
                memo, limit_s=LIMIT_S if run_limit is None else run_limit, runs=keep_runs, input_format=asked
            ),
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)
    if not found.holds:
        raise typer.Exit(1)


def _show(found: Verification) -> None:
    from statistics import median

    from rich.table import Table

    from dse.console import console

    out = console()
    out.print(
        f"{found.folder}: {found.designs} of {found.front_designs} designs of the front; {', '.join(found.tools)}"
    )
    if not found.model:
        out.print("none of them runs a layer with multiply-accumulates on its sensor node: there is nothing to judge")
        return
    _show_counts(found, out)
    if not found.search:
        return
    ratios = found.ratios()
    metric = found.search[0].metric
    table = Table(header_style="bold")
    for heading in ("layer", "accelerator", "PEs, buffer"):
        table.add_column(heading, overflow="fold")
    for heading in ("cycles", "tool's\ncycles", "energy\nµJ", "tool's\nµJ", f"{metric}\ntool / ours"):
        table.add_column(heading, justify="right", no_wrap=True)
    worst_first = sorted(found.search, key=lambda row: -(row.ratio or float("inf")))
    for searched in worst_first[:_ROWS]:
        theirs = ("none", "found", "")
        if searched.tool_energy_j is not None and searched.ratio is not None:
            theirs = (f"{searched.tool_cycles:,}", f"{searched.tool_energy_j * 1e6:.4g}", f"{searched.ratio:.3f}")
        table.add_row(
            searched.layer, searched.accelerator, _size(dict(searched.parameters)), f"{searched.cycles:,}", theirs[0],
            f"{searched.energy_j * 1e6:.4g}", theirs[1], theirs[2],
        )  # fmt: skip
    out.print(table)
    if len(found.search) > _ROWS:
        out.print(f"the {_ROWS} largest of {len(found.search)} ratios; --json has them all")
    perfect = ", perfect factors only" if any(row.remainders for row in found.model) else ""
    if ratios:
        out.print(
            f"timeloop-mapper{perfect}: {len(found.better)} of {len(found.search)} layers better than ours; its "
            f"{metric} is {median(ratios):.3g} times our optimum at the median, {ratios[-1]:.3g} times at worst"
        )
    out.print("per group of a layer; energies of the tables at 5 ns, before clock, supply and leakage", style="dim")


def _show_counts(found: Verification, out: Console) -> None:
    """What timeloop-model says of the mappings."""
    equal = len(found.judged) - len(found.different)
    whose = "the mappings that timeloop-mapper found for the study" if found.own_files else "our mappings"
    out.print(
        f"timeloop-model on {whose}: {equal} of {len(found.judged)} equal in cycles, energy and every count of every "
        "level"
    )
    if found.own_files:
        out.print(
            f"own files ({', '.join(found.own_files)}): there is no mapping of ours, and nothing to search against"
        )
    for row in found.different[:_ROWS]:
        out.print(f"  {row.layer} on {row.accelerator}, {row.mapping}: {'; '.join(row.differences[:4])}", markup=False)
    unjudged = [row for row in found.model if row.unjudged]
    for row in unjudged[:_ROWS]:
        out.print(f"  not compared: {row.layer} on {row.accelerator}, {row.mapping}: {row.unjudged}", markup=False)
    if found.ragged:
        cycles, energies = found.ragged_cycles(), found.ragged_energies()
        out.print(
            f"{len(found.ragged)} of them leave remainders, and were compared with every tile full. As they are, the "
            f"tool says {cycles[0]:.3f} to {cycles[-1]:.3f} times our cycles and {energies[0]:.3f} to "
            f"{energies[-1]:.3f} times our energy: it charges short tiles and loops at full length, ours at their own"
        )


def _size(parameters: dict[str, Any]) -> str:
    return f"{parameters['pe_cols']}×{parameters['pe_rows']}, {parameters['glb_kib']} KiB"
