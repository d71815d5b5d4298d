"""NSGA-II with pymoo's operators on an integer genome: one gene per knob, its index.

The loop of generations is ours, so that a generation is a pure function of (seed, position) and of the trials before
it, and so that offspring are compared with everything the study has seen (pymoo compares with the population alone
and repeats 9 to 26 % of its points). Selection, crossover, mutation, and survival are pymoo's; constraints are
handled by its feasibility-first rule, an illegal design being worse than any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.algorithms import Algorithm
from dse.algorithms._opening import opening
from dse.algorithms._unseen import generator, unseen_near
from dse.study import Trial

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["ALGORITHM"]

ILLEGAL_VIOLATION = 1e6
"""Constraint violation of an illegal design: more than any share of a bound that a legal one exceeds it by."""


class Nsga2:
    """The population after the last generation told, and all designs ever proposed."""

    def __init__(self, spec: StudySpec) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.pm import PolynomialMutation
        from pymoo.operators.repair.rounding import RoundingRepair

        self._spec = spec
        self._shape = spec.space.shape
        self._opening = opening(spec)
        self._seen: set[tuple[int, ...]] = set()
        self._told = 0
        self._population: Any = Population.empty()
        self._merge = Population.merge
        self._new = Population.new
        self._problem = Problem(
            n_var=len(self._shape),
            n_obj=len(spec.objectives),
            n_ieq_constr=len(spec.constraints) + 1,
            xl=0,
            xu=np.array(self._shape) - 1,
            vtype=int,
        )
        self._algorithm = NSGA2(
            pop_size=spec.proposals,
            crossover=UniformCrossover(prob=0.9),
            mutation=PolynomialMutation(
                prob=1.0,
                prob_var=1.5 / max(1, sum(n > 1 for n in self._shape)),
                eta=5,
                vtype=float,
                repair=RoundingRepair(),
            ),
            eliminate_duplicates=False,
        )

    def ask(self, position: int) -> list[tuple[int, ...]]:
        rng = generator(self._spec.seed, position)
        seen = set(self._seen)
        fresh = list(self._opening[position : position + self._spec.proposals])
        seen.update(fresh)
        repeated: list[tuple[int, ...]] = []
        wanted = self._spec.proposals
        for _ in range(8):
            if len(fresh) == wanted:
                break
            for indices in self._offspring(wanted - len(fresh), rng):
                (repeated if indices in seen else fresh).append(indices)
                seen.add(indices)
        for start in repeated[: wanted - len(fresh)]:
            found = unseen_near(rng, start, self._shape, seen)
            if found is None:
                break
            seen.add(found)
            fresh.append(found)
        return fresh

    def _offspring(self, n: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
        if not len(self._population):
            return [tuple(int(i) for i in rng.integers(0, self._shape)) for _ in range(n)]
        if len(self._population) < 2:
            return [tuple(int(i) for i in self._population.get("X")[0])] * n
        self._algorithm.random_state = rng  # its tournament takes this one, not the argument
        mated = self._algorithm.mating.do(
            self._problem, self._population, n, algorithm=self._algorithm, random_state=rng
        )
        return [tuple(int(x) for x in np.rint(row.astype(float))) for row in mated.get("X")]

    def tell(self, trials: Sequence[Trial]) -> None:
        self._seen.update(trial.indices for trial in trials)
        legal = [trial.metrics is not None for trial in trials]
        # The objectives of an illegal design are never looked at: it is infeasible, and those rank by violation.
        objectives = [
            trial.values(self._spec.objectives) if ok else np.zeros(len(self._spec.objectives))
            for trial, ok in zip(trials, legal, strict=True)
        ]
        violations = [
            (*self._spec.violations(trial.metrics), 0.0)
            if trial.metrics is not None
            else (*(0.0 for _ in self._spec.constraints), ILLEGAL_VIOLATION)
            for trial in trials
        ]
        told = self._new(
            X=np.array([trial.indices for trial in trials], dtype=float),
            F=np.array(objectives),
            G=np.array(violations),
        )
        for individual in told:
            individual.evaluated.update(("F", "G"))
        self._population = self._algorithm.survival.do(
            self._problem,
            self._merge(self._population, told),
            n_survive=self._spec.proposals,
            algorithm=self._algorithm,
            random_state=np.random.default_rng((self._spec.seed, self._told, 1)),
        )
        self._told += len(trials)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        for batch in batches:
            self.tell(batch)


ALGORITHM = Algorithm(
    name="nsga2",
    summary="NSGA-II (pymoo) on knob indices",
    storage="table",
    batch_size=100,
    proposer=Nsga2,
)
