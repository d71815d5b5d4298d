"""`paretocut importance`: which knob moves which objective."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dse.cli._options import AsJson, Cache, open_memo
from dse.cli._script import question_in, spec_of
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from dse.importance import Importance
    from dse.result import StudyResult

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("importance")(_importance)


def _importance(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    exact: Annotated[
        bool, typer.Option("--exact", help="Over the whole space, also where the study is a heuristic's.")
    ] = False,
    script: Annotated[
        Path | None, typer.Option(help="The script that asked, for the whole space.", show_default="as run.json says")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Bars per knob, as a PNG.", show_default="no plot")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that map layers the memo does not have.")] = 1,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Which knob moves which objective.

    For an exact study: shares of variance over the whole space, evaluated again from the memo. For a heuristic's:
    PED-ANOVA over its trials.

    paretocut importance results/squeezenet-exact-s1 --plot importance.png
    """
    from dse.console import console
    from dse.files import write_atomic
    from dse.report.importance import importance_table, plot_importance
    from dse.result import read_result

    result = read_result(folder)
    whole = exact or result.question["algorithm"] == "exact"
    found = _of_space(result, script, workers, cache) if whole else _of_trials(result)
    network = str(result.question.get("network.name", result.name))
    if plot is not None:
        write_atomic(plot, lambda path: plot_importance(found, network, path), "--plot")
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    screen = console()
    screen.print(importance_table(found, network))
    if plot is not None:
        screen.print(f"drawn in {plot}", soft_wrap=True)


def _of_trials(result: StudyResult) -> Importance:
    from dse.importance import ped_anova
    from dse.store import read_store

    store = read_store(result.folder)
    try:
        return ped_anova(store.trials(), result.question)
    finally:
        store.close()


def _of_space(result: StudyResult, script: Path | None, workers: int, cache: Path | None) -> Importance:
    from dse.compare import asked
    from dse.importance import exact_importance
    from dse.report.progress import StudyProgress
    from dse.study import differences, parse_constraint
    from evaluators.system import System

    spec = spec_of(question_in(script or _script_of(result.folder)))
    constraints = tuple(parse_constraint(text) for text in result.question["constraints"])
    sensor = spec.settings.sensor
    model = result.question.get("settings.sensor.accelerator_model", sensor.accelerator_model)
    settings = replace(spec.settings, sensor=replace(sensor, accelerator_model=model))
    spec = replace(spec, settings=settings, algorithm="exact", constraints=constraints, batch_size=None, warm_start=())
    system = System(spec.network, spec.settings, open_memo(cache))
    changed = differences(asked(result.question), asked(spec.question(system.fingerprint())))
    if changed:
        raise UserError(
            f"the script asks another question than {result.folder} holds ({'; '.join(changed[:3])}); name the script "
            "that asked it with --script, or run the study again"
        )
    progress = StudyProgress()
    per_architecture = spec.space.size // max(1, len(list(spec.space.architectures())))
    progress.start("importance", spec.space.size, 0)
    try:
        return exact_importance(
            spec, system, workers=workers, progress=lambda done, _: progress.update(done * per_architecture, None, None)
        )
    finally:
        progress.stop()


def _script_of(folder: Path) -> Path:
    """The script that a study's `run.json` names."""
    from dse.files import read_json

    record: Any = read_json(folder / "run.json")
    named = record.get("script") if isinstance(record, dict) else None
    if not isinstance(named, str) or not Path(named).is_file():
        raise UserError(
            f"the whole space is evaluated again by the script that asked, and {folder}/run.json "
            + (f"names {named}, which is not there" if named else "names none")
            + "; say --script PATH"
        )
    return Path(named)
