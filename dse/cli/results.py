"""`paretocut front`, `compare` and `status`: what studies have found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dse.cli._options import RESULTS, AsJson
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from dse.result import StudyResult

__all__ = ["register", "show"]

Folder = Annotated[Path, typer.Argument(help="A folder of results.")]


def register(app: typer.Typer) -> None:
    app.command("front")(_front)
    app.command("compare")(_compare)
    app.command("status")(_status)


def show(result: StudyResult, as_json: bool, limit: int | None = None) -> None:
    from dse.report import FILES, designs, run_record
    from dse.report.table import WIDE, console, front_table, summary

    if as_json:
        typer.echo(json.dumps({"run": run_record(result), "front": designs(result)}, indent=2))
        return
    screen = console()
    if len(result.front):
        screen.print(front_table(result, limit, wide=screen.width >= WIDE))
    screen.print(summary(result))
    written = [name for name in FILES if (result.folder / name).exists()]
    if written:
        screen.print(f"{result.folder}: {', '.join(written)}", soft_wrap=True)


def _front(
    folder: Folder,
    limit: Annotated[int | None, typer.Option(min=0, help="Rows to show.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the front that a study has found so far, from its study.db.

    paretocut front results/squeezenet-exact-s1
    """
    from dse.result import read_result

    show(read_result(folder), as_json, limit)


def _compare(
    folders: Annotated[list[Path], typer.Argument(help="Two or more folders of results.")],
    plot: Annotated[Path | None, typer.Option(help="Where to draw the fronts.", show_default="no plot")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare fronts: their size, and their hypervolume under one reference point.

    paretocut compare results/squeezenet-exact-s1 results/squeezenet-nsga2-s1 --plot fronts.png
    """
    from dse.compare import compare, comparison_table
    from dse.files import write_atomic
    from dse.report.table import console
    from dse.result import read_result

    if len(folders) < 2:
        raise UserError("compare takes two or more folders of results")
    comparison = compare([read_result(folder) for folder in folders])
    if plot is not None:
        from dse.report.plot import plot_compare

        write_atomic(plot, lambda path: plot_compare(comparison, path), "--plot")
    if as_json:
        typer.echo(json.dumps(comparison.as_json(), indent=2))
        return
    screen = console()
    screen.print(comparison_table(comparison))
    if plot is not None:
        screen.print(f"fronts drawn in {plot}")


def _status(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of results.", show_default="all in results/")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What studies there are, how far they are, and which are running."""
    from dse.report.table import console
    from dse.status import status_of, status_table

    given = folders or sorted(path.parent for path in RESULTS.glob("*/study.db"))
    rows = [status_of(folder, strict=bool(folders)) for folder in given]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        console().print(status_table(rows))
    else:
        typer.echo("no studies in results/; start one with: paretocut run SCRIPT")
