"""`paretocut export` and `recover`: studies as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dse.cli._options import AsJson
from search_spaces.errors import UserError

__all__ = ["register"]

Folder = Annotated[Path, typer.Argument(help="A folder of results.")]


def register(app: typer.Typer) -> None:
    app.command("export")(_export)
    app.command("recover")(_recover)


def _export(
    folder: Folder,
    optuna: Annotated[bool, typer.Option("--optuna", help="As an Optuna study, for its dashboard and plots.")] = False,
    out: Annotated[Path | None, typer.Option(help="The SQLite file to write.", show_default="FOLDER/optuna.db")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a study into an Optuna study: parameters, values, constraints and every figure as a user attribute.

    An exact study is its front. Exporting again brings the copy up to date.

    paretocut export --optuna results/squeezenet-exact-s1
    """
    from dse.export import export_optuna

    if not optuna:
        raise UserError("say what to export to: paretocut export --optuna FOLDER")
    copy = export_optuna(folder, out)
    if as_json:
        typer.echo(json.dumps({"storage": copy.storage, "study_name": copy.study_name, "trials": copy.trials}))
        return
    typer.echo(f"{copy.trials:,} trials in {copy.path}")
    typer.echo(f"optuna.load_study(study_name={copy.study_name!r}, storage={copy.storage!r})")


def _recover(folder: Folder, as_json: AsJson = False) -> None:
    """Keep what is whole in a damaged study.db: it goes into a new one, the damaged file is kept beside it.

    paretocut recover results/mine-nsga2-s1
    """
    from dse.algorithms import load
    from dse.salvage import recover

    found = recover(folder)
    if as_json:
        typer.echo(
            json.dumps(
                {"damaged": False}
                if found is None
                else {"damaged": True, "trials": found.trials, "kept_as": str(found.aside)}
            )
        )
    elif found is None:
        typer.echo(f"{folder}: study.db is whole, there is nothing to recover")
    elif found.question is None:
        typer.echo(f"{folder}: nothing in study.db could be read; it is kept as {found.aside.name}, run the study anew")
    else:
        name = found.question["algorithm"]
        again = "" if load(name).unit == "designs" else f"{name} begins anew, with its layers in the memo"
        typer.echo(
            f"{folder}: {again or f'{found.trials:,} trials were whole and are in a new study.db'}; "
            f"the damaged file is kept as {found.aside.name}; the same command as before goes on"
        )
