"""Running a study: propose, evaluate, commit, and go on where a killed run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dse import algorithms
from dse.algorithms._optuna import OptunaProposer
from dse.algorithms.exact import Baselines, check_mappings, enumerate_space, table
from dse.front import FrontStream
from dse.interrupt import Interrupts
from dse.locks import held, working
from dse.result import Session, StudyResult, result_of
from dse.run_architectures import run_architectures
from dse.store import Store, TableStore, open_store
from dse.study import Evaluator, StudySpec, Trial
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.space import ARCHITECTURE_KNOBS

if TYPE_CHECKING:
    from evaluators.memo import Memo
    from evaluators.system import Sensor
    from search_spaces.space import DesignPoint

__all__ = ["Progress", "Run", "run_study"]

COMMIT_SECONDS = 1.0
"""A batch that takes longer than this is committed in parts."""
WAIT_SECONDS = 1.0
"""How long at most a process waits before it looks again what others have finished of a batch."""
PROVENANCE_POINTS = 64
"""Of how many points of the front it is said where their figures come from."""
BASELINE_ARCHITECTURES = 200
"""Of how many architectures on a heuristic's front the baselines are taken."""


NOTE_SECONDS = 10.0
"""How often a run says that it is still measuring its edge node."""


class Progress(Protocol):
    """What a run tells whoever watches it; `done` and `total` count designs."""

    def start(self, what: str, total: int, done: int) -> None: ...

    def update(self, done: int, front: int, memo_hits: int) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...


class Silent:
    """No progress."""

    def start(self, what: str, total: int, done: int) -> None: ...

    def update(self, done: int, front: int, memo_hits: int) -> None: ...

    def preparing(self, done: int, total: int) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None: ...


@dataclass
class Run:
    """One run of a study: what it works with, and what it has done so far."""

    spec: StudySpec
    evaluator: Evaluator
    memo: Memo | None
    budget: int | None
    workers: int
    deadline: float | None
    progress: Progress
    interrupts: Interrupts
    new: int = 0
    calls: int = 0
    resumed: int = 0

    @property
    def out_of_time(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def memo_hits(self) -> int:
        return self.memo.hits if self.memo is not None else 0

    @property
    def memo_misses(self) -> int:
        return self.memo.misses if self.memo is not None else 0

    def watch(self, front: FrontStream, trials: Sequence[Trial]) -> None:
        """Add the feasible ones of these trials to the front that is shown."""
        feasible = [trial for trial in trials if trial.feasible(self.spec)]
        if feasible:
            front.add(
                np.array([trial.indices for trial in feasible]),
                np.array([trial.values(self.spec.objectives) for trial in feasible]),
            )

    def proposes_otherwise(self) -> UserError:
        """What is raised where stored trials are not those that the algorithm proposes now."""
        return UserError(
            f"the study was begun with other versions of its libraries, whose {self.spec.algorithm} proposes other "
            "designs (its run.json names them); choose another --out"
        )


def run_study(
    spec: StudySpec,
    out: Path,
    *,
    budget: int | None = None,
    workers: int = 1,
    time_limit: float | None = None,
    memo: Memo | None = None,
    evaluator: Evaluator | None = None,
    sensor_model: Sensor | None = None,
    progress: Progress | None = None,
    interrupts: Interrupts | None = None,
    finish: Callable[[StudyResult], object] | None = None,
    storage: str | None = None,
    adopt: bool = False,
) -> StudyResult:
    """Run the study in folder `out` up to `budget` in all (none: the whole space), or go on with it.

    A budget counts what the algorithm proposes: designs, or architectures with all their designs.

    `time_limit` is in seconds and holds for the wait for another process's end too; every run that gets the folder
    gets on by a few designs, however short it is. `finish` gets the result while the folder is still held. Raises
    UserError where the folder holds another question, is in use, damaged or not writable. An interrupt ends the run
    with what was found; the result's session says so.

    An `optuna-*` study is shared by all processes that run it at the same time, on this machine or, with `storage`
    (the address of any Optuna storage), on several. `adopt` takes over one that was made with Optuna's own calls.
    """
    _check(budget, workers, time_limit)
    algorithm = algorithms.load(spec.algorithm)
    if algorithm.storage != "optuna" and (adopt or storage is not None):
        option = "--adopt" if adopt else "--storage"
        raise UserError(f"{option} is for the optuna-* algorithms, not {spec.algorithm}; choose another --algorithm")
    if storage is not None and not out.exists():
        from dse.store_url import check_storage  # takes a second

        check_storage(storage)
    started = time.monotonic()
    progress = progress or Silent()
    interrupts = interrupts or Interrupts()
    if evaluator is None:
        evaluator, memo = _system(spec, memo, sensor_model, progress)
    deadline = None if time_limit is None else started + time_limit
    run = Run(spec, evaluator, memo, budget, workers, deadline, progress, interrupts)
    question = spec.question(evaluator.fingerprint())

    with working(out, alone=algorithm.storage == "table", note=progress.note, deadline=deadline):
        evaluate = partial(_judged, run) if adopt else None
        store = open_store(out, question, algorithm.storage, storage=storage, evaluate=evaluate)
        try:
            reclaimed = store.reclaim()
            try:
                stopped_by = _search(run, store)
            except KeyboardInterrupt:
                stopped_by = "interrupt"
            progress.stop()
            session = Session(
                stopped_by, budget, run.resumed, run.new, run.calls, run.memo_hits, run.memo_misses, workers,
                round(time.monotonic() - started, 3), reclaimed,
            )  # fmt: skip
            with interrupts.shielded(), held(out):
                result = result_of(out, store, session=session)
                if algorithm.unit == "designs":
                    result = _with_baselines(result, run)
                result = replace(result, provenance=_provenance(result, run))
                if finish is not None:
                    finish(result)
            return result
        finally:
            progress.stop()
            store.close()


def _check(budget: int | None, workers: int, time_limit: float | None) -> None:
    if budget is not None and budget < 1:
        raise UserError(f"a budget is a number of designs (memetic: architectures) of at least 1, not {budget}")
    if workers < 1:
        raise UserError(f"workers are processes, at least 1, not {workers}")
    if time_limit is not None and not time_limit > 0:
        raise UserError(f"a time limit is a number of seconds above 0, not {time_limit:g}")


def _system(spec: StudySpec, memo: Memo | None, sensor_model: Sensor | None, progress: Progress) -> tuple[Any, Memo]:
    from evaluators.memo import Memo as Table
    from evaluators.memo import default_cache_path
    from evaluators.system import System

    bounded = [*spec.objectives, *(constraint.metric for constraint in spec.constraints)]
    unknown = [name for name in bounded if name in ("edge_energy_j", "total_energy_j")]
    if unknown and spec.settings.edge.startswith("measured:") and spec.settings.edge_power_w is None:
        raise UserError(f"{unknown[0]} needs the power of a measured edge node: SystemSettings(edge_power_w=…)")
    if spec.settings.sensor.mapping == "pareto":
        check_mappings(spec)
    memo = memo if memo is not None else Table(default_cache_path())
    told = _measuring(progress)
    system = System(spec.network, spec.settings, memo, sensor_model=sensor_model, edge_progress=told)
    if unknown and spec.settings.edge.startswith("profile:") and not system.edge_power_w:
        raise UserError(f"{unknown[0]} needs the power of the edge node, which its profile lacks: edge_power_w=…")
    return system, memo


def _measuring(progress: Progress) -> Callable[[int, int], None]:
    """Says now and then how far the measurement of an edge node is, which comes before the first design."""
    last = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > NOTE_SECONDS:
            last = time.monotonic()
            progress.note(f"measuring the edge node: {done:,} of {total:,}")

    return told


def _search(run: Run, store: Store) -> str:
    algorithm = algorithms.load(run.spec.algorithm)
    if algorithm.unit == "designs":
        return _heuristic(run, store)
    assert isinstance(store, TableStore)
    return enumerate_space(run, store) if algorithm.proposer is None else run_architectures(run, store)


def _heuristic(run: Run, store: Store) -> str:
    """Batches until the budget, the time or the space is used up; says which."""
    spec = run.spec
    size = spec.proposals
    finished = {trial.position: trial for trial in store.trials()}
    run.resumed = len(finished)
    adopted = [trial for trial in finished.values() if trial.position < 0]
    budget = min(run.budget if run.budget is not None else spec.space.size, spec.space.size)
    front = FrontStream(spec.objectives, spec.objectives)
    run.watch(front, list(finished.values()))
    run.progress.start(spec.algorithm, budget, len(finished))
    run.progress.update(len(finished), front.size, run.memo_hits)
    ended = "budget" if budget < spec.space.size else "space"
    budget -= len(adopted)  # positions from here on: those that were taken over come before the first
    whole = next(position for position in range(len(finished) + 1) if position not in finished)
    if whole >= budget:
        return ended

    make = algorithms.load(spec.algorithm).proposer
    assert make is not None
    proposer = make(spec)
    if adopted:
        assert isinstance(proposer, OptunaProposer)
        proposer.adopt(adopted)
    start = whole // size * size
    proposer.recall([[finished[k] for k in range(i, i + size)] for i in range(0, start, size)])
    try:
        while True:
            proposals = proposer.ask(start)
            batch = dict(enumerate(proposals, start))
            # Proposals that were evaluated before are the same again; their stored trials stand for them.
            if any(k in finished and finished[k].indices != indices for k, indices in batch.items()):
                raise run.proposes_otherwise()
            due = {position: indices for position, indices in batch.items() if position < budget}
            if not _finish(run, store, due, finished, front):
                return "time limit"
            if start + len(due) >= budget:
                return ended
            if len(proposals) < size:
                return "space"
            proposer.tell([finished[position] for position in batch])
            start += size
            if run.out_of_time:
                return "time limit"
    finally:
        store.release()


def _finish(
    run: Run, store: Store, due: Mapping[int, tuple[int, ...]], finished: dict[int, Trial], front: FrontStream
) -> bool:
    """Have all these positions evaluated, by this process or by others; False when the time is up before."""
    uncommitted: list[Trial] = []
    last_commit = time.monotonic()
    waits = 0

    def commit() -> None:
        nonlocal last_commit
        if uncommitted:
            with run.interrupts.shielded():
                store.append(uncommitted)
                run.new += len(uncommitted)
                uncommitted.clear()
        last_commit = time.monotonic()

    def add(trials: Sequence[Trial]) -> None:
        finished.update({trial.position: trial for trial in trials})
        run.watch(front, trials)
        run.progress.update(len(finished), front.size, run.memo_hits)

    begun = False
    try:
        while missing := {position: due[position] for position in due if position not in finished}:
            if run.out_of_time and (begun or run.new or waits):  # every run gets on, however short its time
                return False
            with run.interrupts.shielded():
                claimed = store.claim(missing, run.workers if store.shared else 8 * run.workers)
            if claimed:
                begun, waits = True, 0
                points = [run.spec.space.decode(due[position]) for position in claimed]
                run.evaluator.prepare(points, workers=run.workers, progress=run.progress.preparing)
                done = []
                try:
                    for position, point in zip(claimed, points, strict=True):
                        trial = _evaluate(run, position, point)
                        uncommitted.append(trial)
                        done.append(trial)
                finally:
                    add(done)
                if time.monotonic() - last_commit > COMMIT_SECONDS:
                    commit()
            else:
                commit()
                add(store.read(missing))
                if any(position not in finished for position in missing):
                    waits += 1
                    time.sleep(_pause_seconds(waits))
    finally:
        commit()
    return True


def _pause_seconds(waits: int) -> float:
    """How long to wait for others before looking again for the `waits`-th time: longer and longer, to a limit."""
    return min(0.02 * 1.5 ** min(waits, 20), WAIT_SECONDS)


def _judged(run: Run, designs: Mapping[int, tuple[int, ...]]) -> list[Trial]:
    """What this study's evaluator says of designs that somebody else has evaluated."""
    run.progress.note(f"taking over {len(designs)} designs")
    points = {position: run.spec.space.decode(indices) for position, indices in designs.items()}
    run.evaluator.prepare(list(points.values()), workers=run.workers, progress=run.progress.preparing)
    return [_evaluate(run, position, point) for position, point in points.items()]


def _evaluate(run: Run, position: int, point: DesignPoint) -> Trial:
    run.calls += 1
    try:
        metrics = run.evaluator.metrics(point)
    except IllegalDesign as illegal:
        return Trial(position, point.indices, reason=illegal.reason)
    return Trial(position, point.indices, metrics)


def _provenance(result: StudyResult, run: Run) -> dict[str, str]:
    """Where each metric's figures on the front come from; several sources are all named."""
    found: dict[str, list[str]] = {}
    for start, _ in result.front.groups()[:PROVENANCE_POINTS]:
        for metric, says in run.evaluator.provenance(run.spec.space.decode(result.front.indices[start])).items():
            if says not in found.setdefault(metric, []):
                found[metric].append(says)
    return {metric: "; ".join(says) for metric, says in found.items()}


def _with_baselines(result: StudyResult, run: Run) -> StudyResult:
    """A heuristic's baselines: the best over the architectures on its front."""
    space = run.spec.space
    own = [k for k, knob in enumerate(space.knobs) if knob.name in ARCHITECTURE_KNOBS]
    architectures = list(dict.fromkeys(tuple(int(row[k]) for k in own) for row in result.front.indices))
    baselines = Baselines(run.spec)
    for architecture in architectures[:BASELINE_ARCHITECTURES]:
        baselines.add(table(run.evaluator, space, architecture, run.spec.constraints))
    return replace(result, baselines=baselines.all())
