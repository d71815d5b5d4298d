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
    from dse.console import console
    from dse.report import FILES, designs, run_record
    from dse.report.table import WIDE, front_table, summary

    if as_json:
        typer.echo(json.dumps({"run": run_record(result), "front": designs(result)}, indent=2))
        return
    screen = console()
    if len(result.front):
        screen.print(front_table(result, limit, wide=screen.width >= WIDE))
    screen.print(summary(result))
    written = [name for name in ("study.db", *FILES) if (result.folder / name).exists()]
    if written:
        screen.print(f"{result.folder}: {', '.join(written)}", soft_wrap=True)


def _front(
    folder: Folder,
    pick: Annotated[
        str | None,
        typer.Option(
            help="One design, and what its neighbours cost or save: knee, min-energy, min-latency, weights=0.3,0.7.",
            show_default="the whole front",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only designs that meet this, as in 'latency_ms<20 and area_mm2<20'; metrics and knobs by name.",
            show_default="all",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Rows to show.", show_default="all")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the front that a study has found so far, from its study.db, or choose one of its designs.

    paretocut front results/squeezenet-exact-s1

    paretocut front results/squeezenet-exact-s1 --pick knee --where "latency_ms<20 and area_mm2<20"
    """
    from dse.result import read_result

    result = read_result(folder)
    if pick is None and where is None:
        show(result, as_json, limit)
        return
    from dse.choose import choose, restrict
    from dse.console import console
    from dse.report import designs, run_record
    from dse.report.choice import choice_json, choice_text, condition_note
    from dse.report.table import WIDE, front_table
    from dse.where import parse_where
    from evaluators.costs import METRICS

    names = result.front.columns if len(result.front) else METRICS
    condition = None if where is None else parse_where(where, names, result.knobs)
    kept = result if condition is None else restrict(result, condition)
    choice = None if pick is None else choose(kept, pick, result)
    if as_json:
        found = {"run": run_record(result), "front": designs(kept, result)}
        typer.echo(json.dumps(found | {"choice": choice and choice_json(kept, choice, condition)}, indent=2))
        return
    screen = console()
    if choice is None or pick is None:
        screen.print(front_table(kept, limit, wide=screen.width >= WIDE, whole=result))
    else:
        screen.print(choice_text(kept, choice, pick, wide=screen.width >= WIDE))
    if condition is not None:
        screen.print(condition_note(result, kept, condition), soft_wrap=True)


def _compare(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Two or more folders of results, or a folder that holds them; one with --published."),
    ],
    plot: Annotated[Path | None, typer.Option(help="Where to draw the fronts.", show_default="no plot")] = None,
    published: Annotated[
        Path | None, typer.Option(help="A result table of CNNParted, to be shown beside.", show_default="none")
    ] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="A table, one row per study.", show_default="none")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare studies: across algorithms and seeds of one question, and across questions by their own baselines.

    The reference is the exact front of the question, if it is among the folders or beside them.

    paretocut compare results/squeezenet-exact-s1 results/squeezenet-nsga2-s* --plot fronts.png
    """
    from dse.compare import compare
    from dse.console import console
    from dse.files import write_atomic, write_text
    from dse.published import beside, read_published
    from dse.report.comparison import COMPARISON_COLUMNS, comparison_csv, comparison_tables
    from dse.report.published import published_table
    from dse.store import is_study, studies_in

    named: dict[Path, Path] = {}
    for folder in folders:
        for study in [folder] if is_study(folder) else _undamaged(studies_in(folder)) or [folder]:
            named.setdefault(study.resolve(), study)
    studies = list(named.values())
    if len(studies) < 2 and published is None:
        raise UserError("compare takes two or more different folders of results")
    points = None if published is None else read_published(published)
    comparison = compare(studies)
    shown = {
        str(entry.result.folder): beside(points, entry.result)
        for group in comparison.groups
        for entry in group.entries
        if points is not None
    }
    if plot is not None:
        from dse.report.plot_compare import plot_compare

        write_atomic(plot, lambda path: plot_compare(comparison, path), "--plot")
    if as_csv is not None:
        write_text(as_csv, comparison_csv(comparison), "--csv")
    if as_json:
        beside_them = {folder: [row.to_json() for row in rows] for folder, rows in shown.items()}
        typer.echo(json.dumps(comparison.as_json() | ({"published": beside_them} if shown else {}), indent=2))
        return
    screen = console()
    screen.print(comparison_tables(comparison, wide=screen.width >= COMPARISON_COLUMNS))
    for name, rows in shown.items():
        screen.print(published_table(rows, str(published), name))
    for path, what in ((plot, "fronts drawn in"), (as_csv, "one row per study in")):
        if path is not None:
            screen.print(f"{what} {path}", soft_wrap=True)


def _undamaged(studies: list[Path]) -> list[Path]:
    """Those of a folder's studies that can be read; each of the others is told in a line of its own."""
    from dse.database import DamagedError
    from dse.result import read_result

    readable = []
    for study in studies:
        try:
            read_result(study)
            readable.append(study)
        except DamagedError as error:
            typer.echo(f"left out: {error}", err=True)
    return readable


def _status(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of results, or folders of such folders.", show_default="all in results/"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What studies there are, how far they are, and which are running."""
    from dse.console import console
    from dse.status import status_of, status_table
    from dse.store import is_study, studies_in

    rows = []
    for folder in folders or [RESULTS]:
        inside = studies_in(folder)
        if is_study(folder) or (folders and not inside):
            rows.append(status_of(folder))
        else:
            rows += [status_of(study, strict=False) for study in inside]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        console().print(status_table(rows))
    else:
        typer.echo("no studies in results/; start one with: paretocut run SCRIPT")
