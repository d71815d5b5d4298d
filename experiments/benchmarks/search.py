"""Search on real spaces: the exact front's time, what each heuristic reaches of it, and what keeping trials costs.

    python experiments/benchmarks/search.py                    everything; 15 minutes on two idle cores, mapped layers
    python experiments/benchmarks/search.py --networks squeezenet --algorithms nsga2,memetic --seeds 1
    python experiments/benchmarks/search.py --networks squeezenet_wide --algorithms memetic,nsga2

`squeezenet_wide` has 10,368 architectures, all of which its exact front has to map once (twenty minutes). A heuristic's
time is split by clocks around its proposer and around the evaluator; what is left is durable overhead: storing trials
(SQLite on disk), the front so far, and the result files' content.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer
from joblib import Parallel, delayed
from rich.console import Console
from rich.table import Table

from dse import StudySpec, algorithms
from dse.cli import run_script
from dse.indicators import Yardstick
from dse.run import run_study
from dse.store import read_store
from dse.study import Trial
from evaluators.memo import Memo, default_cache_path
from evaluators.system import System
from search_spaces.errors import unknown
from search_spaces.space import sensor_edge_space

NETWORKS = ("squeezenet", "googlenet", "fcn_resnet50")
CHECKPOINTS = (30, 100, 300, 1000, 2000)
BUDGETS = {"memetic": 300, "optuna-gp": 300, "optuna-nsga2": 1000, "optuna-nsga3": 1000, "optuna-tpe": 300}
"""Evaluations of those whose proposals take long, or that count architectures; the others have `--budget`."""
ONCE = ("optuna-gp",)
"""Run with one seed on the first network alone: a proposal takes a second."""
LONG = ("nsga2", "optuna-nsga2")
"""One of each kind of store, whose overhead is followed over many trials."""
LONG_TRIALS = 5000
WIDE: dict[str, tuple[float, ...]] = {
    "pe_cols": (1, 2, 4, 6, 8, 10, 12, 14),
    "pe_rows": (2, 3, 4, 6, 8, 12),
    "glb_kib": (32, 64, 96, 128),
    "input_buffer_scale": (0.25, 0.5, 1.0),
    "weight_buffer_scale": (0.25, 0.5, 1.0),
    "accum_buffer_scale": (0.5, 1.0, 2.0),
}


def study(network: str) -> StudySpec:
    if network not in (*NETWORKS, "squeezenet_wide"):
        raise unknown("network", network, (*NETWORKS, "squeezenet_wide"))
    script = Path(__file__).parents[1] / f"{network.removesuffix('_wide')}.py"
    spec: StudySpec = runpy.run_path(str(script), run_name="benchmark")["study"]()
    wide: Any = WIDE if network.endswith("_wide") else {}
    return replace(spec, space=sensor_edge_space(spec.network, **wide))


@dataclass
class Clocks:
    """Seconds in the proposer and the evaluator so far, and (evaluations, all, proposer, evaluator) at every batch."""

    proposer_s: float = 0.0
    evaluator_s: float = 0.0
    marks: list[tuple[int, float, float, float]] = field(default_factory=list)

    def mark(self, position: int) -> None:
        self.marks.append((position, time.perf_counter(), self.proposer_s, self.evaluator_s))

    def per_evaluation_ms(self, first: int, last: int) -> tuple[float, float, float]:
        """Overhead, proposer and evaluator between the batches nearest to two positions."""
        a = min(self.marks, key=lambda mark: abs(mark[0] - first))
        b = min(self.marks, key=lambda mark: abs(mark[0] - last))
        n, total, proposer, evaluator = (y - x for x, y in zip(a, b, strict=True))
        return tuple(1e3 * seconds / n for seconds in (total - proposer - evaluator, proposer, evaluator))  # type: ignore[return-value]  # three


class TimedProposer:
    def __init__(self, proposer: algorithms.Proposer, clocks: Clocks) -> None:
        self._proposer, self._clocks = proposer, clocks

    def ask(self, position: int) -> list[tuple[int, ...]]:
        self._clocks.mark(position)
        return self._timed(self._proposer.ask, position)

    def tell(self, trials: Sequence[Trial]) -> None:
        self._timed(self._proposer.tell, trials)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        self._timed(self._proposer.recall, batches)

    def _timed(self, call: Callable[..., Any], argument: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(argument)
        finally:
            self._clocks.proposer_s += time.perf_counter() - started


class TimedSystem(System):
    """The system model; its time is the clocks'."""

    clocks: Clocks

    def prepare(self, *arguments: Any, **options: Any) -> None:
        self._timed(super().prepare, *arguments, **options)

    def metrics(self, point: Any) -> Any:
        return self._timed(super().metrics, point)

    def architecture_block(self, *arguments: Any) -> Any:
        return self._timed(super().architecture_block, *arguments)

    def _timed(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return call(*arguments, **options)
        finally:
            self.clocks.evaluator_s += time.perf_counter() - started


@dataclass(frozen=True)
class Searched:
    """One run of a heuristic: hypervolume shares by evaluations, seconds in all, repeats, and its clocks."""

    shares: dict[int, float]
    seconds: float
    repeats: int
    better: int
    clocks: Clocks


def searched(spec: StudySpec, budget: int, exact: np.ndarray) -> Searched:
    """Run a heuristic in a folder of its own; `exact` are the objective values of the exact front."""
    algorithm, clocks = algorithms.load(spec.algorithm), Clocks()
    assert algorithm.proposer is not None
    make = algorithm.proposer
    timed = replace(algorithm, proposer=lambda spec: TimedProposer(make(spec), clocks))
    system = TimedSystem(spec.network, spec.settings, Memo(default_cache_path()))
    system.clocks = clocks
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        with patch("dse.algorithms.load", lambda name: timed):
            result = run_study(spec, Path(folder), budget=budget, evaluator=system)
        seconds = time.perf_counter() - started
        store = read_store(Path(folder))
        trials = store.trials()
        store.close()
    own = range(len(spec.space.knobs))
    if algorithm.unit == "architectures":
        own = [spec.space.knobs.index(knob) for knob in spec.space.architecture_knobs]
    proposed = list(dict.fromkeys(tuple(trial.indices[k] for k in own) for trial in trials))
    clocks.mark(len(proposed))
    clocks.marks[-1] = (len(proposed), started + seconds, *clocks.marks[-1][2:])
    yardstick, number = Yardstick(exact), {unit: k for k, unit in enumerate(proposed)}
    shares = {}
    for n in CHECKPOINTS:
        values = [
            trial.values(spec.objectives)
            for trial in trials
            if number[tuple(trial.indices[k] for k in own)] < n and trial.feasible(spec)
        ]
        if len(proposed) >= min(n, budget) and n <= budget:
            shares[n] = yardstick.hypervolume_of(np.array(values)) / yardstick.hypervolume
    both = np.concatenate([exact, result.front.distinct])
    better = int((~_nondominated(both)[: len(exact)]).sum())
    repeats = len(trials) - len({trial.indices for trial in trials})
    return Searched(shares, seconds, repeats, better, clocks)


def _nondominated(values: np.ndarray) -> np.ndarray:
    from moocore import is_nondominated

    return np.asarray(is_nondominated(values, keep_weakly=True))


def exact_front(spec: StudySpec, workers: int, console: Console) -> np.ndarray:
    """The exact front's objective values; prints what it takes with the memo as it is and with a warm one."""
    for state in ("memo as it is", "warm memo"):
        memo = Memo(default_cache_path())
        started = time.perf_counter()
        with TemporaryDirectory() as folder:
            result = run_study(replace(spec, algorithm="exact"), Path(folder), workers=workers, memo=memo)
        seconds = time.perf_counter() - started
        console.print(
            f"exact, {state} ({memo.misses:,} layers mapped): {spec.space.size:,} designs in {seconds:.2f} s, "
            f"{spec.space.size / seconds:,.0f} designs/s, front of {result.front.size} points, "
            f"SHA-256 {result.front.sha256()[:12]}"
        )
        if not memo.misses:
            break
    return result.front.distinct


def compare(spec: StudySpec, names: Sequence[str], budget: int, seeds: int, workers: int, console: Console) -> None:
    """Every heuristic on one space, the seeds side by side on `workers` processes."""
    exact = exact_front(spec, workers, console)
    runs = [
        (name, replace(spec, algorithm=name, seed=seed), min(budget, BUDGETS.get(name, budget)))
        for name in names
        for seed in range(1, (1 if name in ONCE else seeds) + 1)
    ]
    found = Parallel(n_jobs=workers)(delayed(searched)(asked, evaluations, exact) for _, asked, evaluations in runs)
    table = Table(title="share of the exact hypervolume after … evaluations: median (worst)", title_justify="left")
    for heading in ("algorithm", *(f"{n:,}" for n in CHECKPOINTS if n <= budget)):
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    for heading in ("seeds", "s per run", "overhead\nms/evaluation", "proposer\nms", "evaluator\nms", "repeats"):
        table.add_column(heading, justify="right")
    for name in names:
        mine = [result for (of, _, _), result in zip(runs, found, strict=True) if of == name]
        cells = []
        for n in CHECKPOINTS:
            shares = [run.shares[n] for run in mine if n in run.shares]
            if n <= budget:
                cells.append(f"{median(shares):.2%} ({min(shares):.2%})" if shares else "")
        last = [run.clocks.per_evaluation_ms(0, run.clocks.marks[-1][0]) for run in mine]
        split = (f"{median(column):.2f}" for column in zip(*last, strict=True))
        unit = " (architectures)" if algorithms.load(name).unit == "architectures" else ""
        table.add_row(
            name + unit, *cells, str(len(mine)), f"{median(run.seconds for run in mine):.1f}", *split,
            str(sum(run.repeats for run in mine)),
        )  # fmt: skip
        if any(run.better for run in mine):
            console.print(f"{name} beats the exact front: one of the two is wrong")
    console.print(table)


def long_runs(spec: StudySpec, workers: int, console: Console) -> None:
    """Durable overhead and the proposer's time per evaluation, thousand by thousand."""
    none = np.array([[1.0, 1.0]])
    found = Parallel(n_jobs=min(workers, len(LONG)))(
        delayed(searched)(replace(spec, algorithm=name, seed=1), LONG_TRIALS, none) for name in LONG
    )
    table = Table("ms per evaluation", title=f"{LONG_TRIALS:,} trials in one study", title_justify="left")
    for start in range(0, LONG_TRIALS, 1000):
        table.add_column(f"to {start + 1000:,}", justify="right")
    for name, run in zip(LONG, found, strict=True):
        blocks = [run.clocks.per_evaluation_ms(start, start + 1000) for start in range(0, LONG_TRIALS, 1000)]
        for label, part in (("durable overhead", 0), ("proposer", 1)):
            table.add_row(f"{name}, {label}", *(f"{block[part]:.2f}" for block in blocks))
    console.print(table)


def main(
    networks: Annotated[str, typer.Option(help="Which, with commas; also squeezenet_wide.")] = ",".join(NETWORKS),
    algorithm: Annotated[str, typer.Option("--algorithms", help="Which, with commas.", show_default="all")] = "",
    budget: Annotated[int, typer.Option(min=1, help="Evaluations of a heuristic, at most.")] = 2000,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 5,
    long: Annotated[bool, typer.Option(help="Follow the overhead over 5,000 trials too.")] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Hypervolume share of each heuristic's front in the exact one's, under one reference point."""
    console = Console(width=200, highlight=False)
    known = [name for name in algorithms.names() if name != "exact"]
    asked = algorithm.split(",") if algorithm else known
    for name in asked:
        if name not in known:
            raise unknown("heuristic", name, known)
    specs = {network: study(network) for network in networks.split(",")}
    for k, (network, spec) in enumerate(specs.items()):
        architectures = len(list(spec.space.architectures()))
        console.rule(f"{network}: {spec.space.size:,} designs, {architectures:,} architectures", align="left")
        compare(spec, [n for n in asked if n not in ONCE or k == 0], budget, seeds, workers, console)
    if long:
        long_runs(next(iter(specs.values())), workers, console)


if __name__ == "__main__":
    run_script(main, __file__)
