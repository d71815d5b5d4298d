"""`paretocut run` and `new`: studies from the command line."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dse.cli._options import RESULTS, AsJson, Cache, KeepRuns, RunLimit, open_memo
from dse.cli._script import Question, question_in, spec_of
from dse.cli.networks import NETWORK, parse_shape
from dse.cli.results import show
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from dse.study import Constraint, Evaluator, StudySpec
    from evaluators.memo import Memo
    from evaluators.system import Sensor

__all__ = ["launch", "register"]

Algorithm = Annotated[
    str | None,
    typer.Option(
        help="exact, memetic, nsga2, optuna-nsga2, optuna-nsga3, optuna-tpe, optuna-gp or random.",
        show_default="what the script says",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        help="Designs to evaluate in all, those of earlier runs included; memetic counts architectures.",
        show_default="2000; memetic, optuna-gp: 300; exact: all",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the search.", show_default="what the script says")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the results.", show_default="results/<script>-<algorithm>-s<seed>")
]
Workers = Annotated[int, typer.Option(help="Processes that map layers; the trials are the same for any number.")]
Backend = Annotated[str, typer.Option(help="What runs those processes: loky (this machine), dask or ray.")]
Scheduler = Annotated[
    str | None,
    typer.Option(help="Address of a Dask or Ray cluster, all of which is used.", show_default="one on this machine"),
]
TimeLimit = Annotated[
    float | None, typer.Option(help="Stop after this many seconds; the same command goes on.", show_default="none")
]
Constraints = Annotated[
    list[str] | None,
    typer.Option(
        "--constraint", help="A bound such as area_mm2<=3 or latency_ms<=30 (repeat).", show_default="the script's"
    ),
]
WarmStart = Annotated[
    Path | None,
    typer.Option(help="Results whose front a heuristic evaluates first; part of the question.", show_default="none"),
]
AcceleratorModel = Annotated[
    str | None,
    typer.Option(
        help="mapper: ours, optimal; timeloop (-v0.3, -v0.4) or zigzag: that tool.", show_default="what the script says"
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="Optuna storage that machines share: postgresql://user@host/database, mysql+pymysql://…, sqlite:///… "
        "or the path of a journal file.",
        show_default="study.db in the folder",
    ),
]
Adopt = Annotated[bool, typer.Option("--adopt", help="Take over a study that was made with Optuna's own calls.")]


@dataclass(frozen=True)
class Options:
    """What can be said on the command line of a study."""

    algorithm: str | None
    budget: int | None
    seed: int | None
    out: Path | None
    workers: int
    backend: str
    scheduler: str | None
    time_limit: float | None
    constraints: list[str] | None
    warm_start: Path | None
    accelerator_model: str | None
    keep_runs: Path | None
    run_limit: float | None
    cache: Path | None
    storage: str | None
    adopt: bool
    as_json: bool


def register(app: typer.Typer) -> None:
    app.command("run")(_run)
    app.command("new")(_new)


def launch(question: Question | StudySpec, *, evaluator: Callable[[StudySpec], Evaluator] | None = None) -> None:
    """The command line of an experiment script: `python script.py OPTIONS` is `paretocut run script.py OPTIONS`.

    `question` is the study or a function that makes it (better: `--help` need not trace a network then).
    `evaluator` replaces the system model; tests ship a fake.
    """
    from dse.cli import run_application

    script = Path(sys.argv[0])
    asked: Question = question if callable(question) else lambda: question
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    def run(
        algorithm: Algorithm = None,
        budget: Budget = None,
        seed: Seed = None,
        out: Out = None,
        workers: Workers = 1,
        backend: Backend = "loky",
        scheduler: Scheduler = None,
        time_limit: TimeLimit = None,
        constraint: Constraints = None,
        warm_start: WarmStart = None,
        accelerator_model: AcceleratorModel = None,
        keep_runs: KeepRuns = None,
        run_limit: RunLimit = None,
        cache: Cache = None,
        storage: Storage = None,
        adopt: Adopt = False,
        as_json: AsJson = False,
    ) -> None:
        options = Options(
            algorithm, budget, seed, out, workers, backend, scheduler, time_limit, constraint, warm_start,
            accelerator_model, keep_runs, run_limit, cache, storage, adopt, as_json,
        )  # fmt: skip
        _study(asked, script, options, evaluator)

    app.command(help=question.__doc__ if callable(question) else None)(run)
    sys.exit(run_application(app, sys.argv[1:], script.name))


def _run(
    script: Annotated[Path, typer.Argument(help="An experiment script; make one with: paretocut new")],
    algorithm: Algorithm = None,
    budget: Budget = None,
    seed: Seed = None,
    out: Out = None,
    workers: Workers = 1,
    backend: Backend = "loky",
    scheduler: Scheduler = None,
    time_limit: TimeLimit = None,
    constraint: Constraints = None,
    warm_start: WarmStart = None,
    accelerator_model: AcceleratorModel = None,
    keep_runs: KeepRuns = None,
    run_limit: RunLimit = None,
    cache: Cache = None,
    storage: Storage = None,
    adopt: Adopt = False,
    as_json: AsJson = False,
) -> None:
    """Run the study of a script, or go on with it: the front of sensor energy against latency.

    paretocut run experiments/squeezenet.py --algorithm exact

    paretocut run mine.py --algorithm nsga2 --budget 2000 --seed 1 --constraint "area_mm2<=3"
    """
    options = Options(
        algorithm, budget, seed, out, workers, backend, scheduler, time_limit, constraint, warm_start,
        accelerator_model, keep_runs, run_limit, cache, storage, adopt, as_json,
    )  # fmt: skip
    _study(question_in(script), script, options)


def _study(
    question: Question, script: Path, options: Options, evaluator: Callable[[StudySpec], Evaluator] | None = None
) -> None:
    """Run one study, write its files, show its front; an interrupt keeps what was found and ends with 130."""
    from dse import algorithms
    from dse.backends import backend
    from dse.interrupt import Interrupts
    from dse.report import write_results
    from dse.report.progress import StudyProgress
    from dse.run import run_study

    spec = _asked(spec_of(question), options)
    for note in spec.network.notes:
        typer.echo(f"{spec.network.name}: {note}", err=True)
    out = options.out or RESULTS / f"{script.stem}-{spec.algorithm}-s{spec.seed}"
    exact = spec.algorithm == "exact"
    if options.budget is not None and options.budget < 1:
        raise UserError(f"--budget is a number of at least 1, not {options.budget}")
    if exact and options.budget is not None:
        typer.echo("exact visits the whole space: --budget is not used", err=True)
    budget = options.budget if options.budget is not None else algorithms.load(spec.algorithm).budget
    if options.backend != "loky" and (tool := spec.settings.sensor.accelerator_model) != "mapper":
        raise UserError(f"runs of {tool} are on this machine, --workers of them at once; leave out --backend")
    memo = None if evaluator else open_memo(options.cache)
    interrupts = Interrupts()
    with interrupts.active(), backend(options.backend, options.scheduler, options.workers) as workers:
        result = run_study(
            spec,
            out,
            budget=None if exact else budget,
            workers=workers,
            time_limit=options.time_limit,
            memo=memo,
            evaluator=evaluator(spec) if evaluator else None,
            sensor_model=_timeloop(spec, memo, options) if memo else None,
            progress=StudyProgress(),
            interrupts=interrupts,
            finish=partial(write_results, script=script),
            storage=options.storage,
            adopt=options.adopt,
        )
    show(result, options.as_json)
    if result.session is not None and result.session.stopped_by == "interrupt":
        typer.echo("interrupted: what was found is kept; the same command goes on", err=True)
        raise typer.Exit(128 + (interrupts.received or signal.SIGINT))


def _timeloop(spec: StudySpec, memo: Memo, options: Options) -> Sensor | None:
    """The sensor model of a study on Timeloop where its runs are kept or limited; None for the study's own."""
    if options.keep_runs is None and options.run_limit is None:
        return None
    from evaluators.sensor import SensorModel
    from evaluators.timeloop import LIMIT_S, Timeloop
    from evaluators.timeloop.layers import TimeloopLayers
    from evaluators.timeloop.own import OwnSensor

    settings = spec.settings.sensor
    if settings.timeloop_input is None or settings.mapping == "pareto":
        option = "--run-limit" if options.keep_runs is None else "--keep-runs"
        raise UserError(f"{option} is for runs of Timeloop; this study has none without --accelerator-model timeloop")
    limit_s = LIMIT_S if options.run_limit is None else options.run_limit
    tool = Timeloop(memo, limit_s=limit_s, runs=options.keep_runs, input_format=settings.timeloop_input)
    if settings.timeloop_files is not None:
        return OwnSensor(settings, memo, tool)
    return SensorModel(settings, memo, TimeloopLayers(tool, settings.mapping, settings.energy_table))


def _asked(spec: StudySpec, options: Options) -> StudySpec:
    """The script's question with what the command line changes."""
    from dse.study import parse_constraint

    changes: dict[str, Any] = {}
    if options.algorithm is not None:
        changes["algorithm"] = options.algorithm
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.accelerator_model is not None:
        model: Any = options.accelerator_model  # the settings check it
        sensor = replace(spec.settings.sensor, accelerator_model=model)
        changes["settings"] = replace(spec.settings, sensor=sensor)
    if options.constraints:
        bounds: dict[str, Constraint] = {constraint.metric: constraint for constraint in spec.constraints}
        bounds |= {c.metric: c for c in map(parse_constraint, options.constraints)}
        changes["constraints"] = tuple(bounds.values())
    spec = replace(spec, **changes)
    if options.warm_start is None:
        return spec
    if spec.algorithm == "exact":
        typer.echo("exact visits the whole space: --warm-start is not used", err=True)
        return spec
    return _warm_started(spec, options.warm_start)


def _warm_started(spec: StudySpec, folder: Path) -> StudySpec:
    from dse.warm_start import warm_start

    start = warm_start(folder, spec.space)
    skipped = f"; {start.skipped} points of that front are not in this space" if start.skipped else ""
    typer.echo(f"starting from {len(start.designs)} designs on the front in {folder}{skipped}", err=True)
    return replace(spec, warm_start=start.designs)


def _new(
    name: Annotated[str, typer.Argument(help="Name of the script, without .py.")],
    network: Annotated[str, typer.Option(help=NETWORK)],
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Input shape, batch first.", show_default="the network's own")
    ] = None,
    cut_mode: Annotated[str, typer.Option("--mode", "--cut-mode", help="block, tensor or frontier.")] = "block",
    as_json: AsJson = False,
) -> None:
    """Write a script to start from: NAME.py in this folder, with every knob spelled out.

    paretocut new mine --network mobilenet_v2 --input 1x3x192x192
    """
    from dse.scaffold import write_script

    path = write_script(name, network, None if input_shape is None else parse_shape(input_shape), cut_mode)
    if as_json:
        typer.echo(json.dumps({"script": str(path)}))
    else:
        typer.echo(f"{path} asks about {network}; edit its knobs, then: paretocut run {path}")
