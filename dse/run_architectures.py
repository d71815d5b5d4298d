"""Running a search over architectures: each is evaluated with all its designs, and leaves those on its own front.

The trial of a design has the position it would have if every design of every architecture were one: the number of the
architecture times the designs per architecture, plus the design's place among them. An architecture without a feasible
design leaves the one that breaks its constraints least, or a reason why none can exist; so each leaves something, and
the search goes on from its trials alone. An architecture is one commit with the counts of all designs visited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dse import algorithms
from dse.algorithms.exact import Baselines, Table, design_of, table
from dse.front import FrontStream
from dse.result import Baseline, Counts
from dse.study import Trial

if TYPE_CHECKING:
    from dse.run import Run
    from dse.store import TableStore
    from dse.study import StudySpec

__all__ = ["run_architectures"]


def run_architectures(run: Run, store: TableStore) -> str:
    """Batches of architectures until the budget, the time or the space is used up; says which."""
    spec, space = run.spec, run.spec.space
    own = [space.knobs.index(knob) for knob in space.architecture_knobs]
    architectures = int(np.prod([space.shape[k] for k in own], dtype=object))
    per_architecture = space.size // architectures
    budget = min(run.budget if run.budget is not None else architectures, architectures)
    state = store.state() or {"architectures": 0, "counts": {}, "best": []}
    counts, baselines = Counts(**state["counts"]), Baselines(spec, [Baseline.from_json(b) for b in state["best"]])
    left: dict[int, list[Trial]] = {number: [] for number in range(state["architectures"])}
    for trial in store.trials():
        left[trial.position // per_architecture].append(trial)
    front = FrontStream(spec.objectives, spec.objectives)
    run.watch(front, [trial for trials in left.values() for trial in trials])
    run.resumed = counts.designs
    run.progress.start(spec.algorithm, budget * per_architecture, counts.designs)
    run.progress.note(f"the budget is {budget:,} architectures, each with all its {per_architecture:,} designs")
    run.progress.update(counts.designs, front.size, run.memo_hits)
    if len(left) >= budget:
        return "budget" if budget < architectures else "space"

    make = algorithms.load(spec.algorithm).proposer
    assert make is not None
    proposer, size = make(spec), spec.proposals
    start = len(left) // size * size
    proposer.recall([[t for k in range(i, i + size) for t in left[k]] for i in range(0, start, size)])
    while True:
        proposals = proposer.ask(start)
        for number, architecture in enumerate(proposals, start):
            if number in left and tuple(left[number][0].indices[k] for k in own) != architecture:
                raise run.proposes_otherwise()
        due = [(k, a) for k, a in enumerate(proposals, start) if k < budget and k not in left]
        run.evaluator.prepare(
            [space.decode(design_of(space, architecture)) for _, architecture in due],
            workers=run.workers,
            progress=run.progress.preparing,
        )
        for number, architecture in due:
            designs = table(run.evaluator, space, architecture, spec.constraints)
            trials = _left(designs, spec, number * per_architecture)
            counts += designs.counts
            baselines.add(designs)
            state = {
                "architectures": number + 1,
                "counts": counts.as_json(),
                "best": [baseline.as_json() for baseline in baselines.best()],
                "baselines": [baseline.as_json() for baseline in baselines.all()],
                "complete": number + 1 == architectures,
            }
            with run.interrupts.shielded():
                store.replace(trials, (), state)
                left[number] = trials
                run.new += per_architecture
                run.calls += 1
            run.watch(front, trials)
            run.progress.update(counts.designs, front.size, run.memo_hits)
            if run.out_of_time and len(left) < budget:
                return "time limit"
        if len(left) >= budget or len(proposals) < size:
            return "budget" if len(left) < architectures else "space"
        proposer.tell([t for number in range(start, start + size) for t in left[number]])
        start += size


def _left(designs: Table, spec: StudySpec, position: int) -> list[Trial]:
    """The trials of an architecture whose first design has this position."""
    from moocore import is_nondominated

    rows = np.flatnonzero(designs.feasible)
    if len(rows):
        values = designs.metrics[rows][:, [designs.columns.index(name) for name in spec.objectives]]
        rows = rows[np.asarray(is_nondominated(values, keep_weakly=True))]
    elif designs.legal.any():
        rows = np.flatnonzero(designs.legal)
        broken = np.zeros(len(rows))
        for constraint in spec.constraints:
            values = designs.metrics[rows, designs.columns.index(constraint.metric)]
            broken += np.maximum(constraint.violation({constraint.metric: values}), 0.0)
        rows = rows[[int(np.argmin(broken))]]
    else:
        reason = max(designs.counts.illegal.items(), key=lambda item: item[1])[0]
        return [Trial(position, tuple(map(int, designs.indices[0])), reason=reason)]
    return [
        Trial(
            position + int(row),
            tuple(map(int, designs.indices[row])),
            dict(zip(designs.columns, map(float, designs.metrics[row]), strict=True)),
        )
        for row in rows
    ]
