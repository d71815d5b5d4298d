"""Optuna's samplers as proposers: they work on knob indices in a study in memory, rebuilt from the stored trials.

A sampler is made anew for every batch with a seed derived from (seed, position): it has no memory but the trials, so
a study that was killed goes on as if it had never stopped (what GPSampler remembers of its last fit, to begin the
next one there, lives for one batch). A repeated proposal is told as failed, which the samplers ignore, and asked for
again; after some repeats an unseen neighbour is enqueued instead.

Constraints are told as constraints (`Trial.set_constraint`), the objectives as they are: NSGA-II and NSGA-III rank by
constrained domination, TPE splits feasible from infeasible trials, GP multiplies its expected improvement with the
probability of feasibility. To all of them, being legal is one more constraint.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dse.algorithms._opening import opening
from dse.algorithms._ordered import is_ordered
from dse.algorithms._unseen import generator, unseen_near
from dse.study import Trial

if TYPE_CHECKING:
    import numpy as np
    import optuna

    from dse.study import StudySpec
    from search_spaces.space import SearchSpace

__all__ = ["OptunaProposer", "ordered"]

ATTEMPTS = 8
"""How often a sampler is asked again where it repeats a design."""
LEGAL = "legal"
ILLEGAL_VIOLATION = 1e6
"""More than any share of a bound that a legal design exceeds it by."""


def ordered(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    """For samplers that know an order: ordered knobs are whole numbers, names of things categories."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        knob.name: IntDistribution(0, len(knob.values) - 1)
        if is_ordered(knob)
        else CategoricalDistribution(range(len(knob.values)))
        for knob in space.knobs
        if len(knob.values) > 1
    }


class OptunaProposer:
    """A study in memory in which the sampler sees all trials told so far.

    `attributes` gives what the sampler had written down about the trial of a position, `recalled` brings back what
    the sampler of the batch that starts at a position had worked out before it proposed anything.
    """

    def __init__(
        self,
        spec: StudySpec,
        make_sampler: Callable[[int], optuna.samplers.BaseSampler],
        distributions: dict[str, optuna.distributions.BaseDistribution],
        attributes: Callable[[int], dict[str, Any]] = lambda position: {},
        recalled: Callable[[optuna.Study, optuna.samplers.BaseSampler, int], None] | None = None,
        attempts: int = ATTEMPTS,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._make_sampler = make_sampler
        self._distributions = distributions
        self._attributes = attributes
        self._recalled = recalled
        self._attempts = attempts
        self._opening = opening(spec)
        self._seen: set[tuple[int, ...]] = set()
        self._asked: list[optuna.trial.Trial] = []
        self._study = optuna.create_study(
            directions=["minimize"] * len(spec.objectives), sampler=optuna.samplers.RandomSampler()
        )

    def ask(self, position: int) -> list[tuple[int, ...]]:
        import optuna

        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            warnings.filterwarnings("ignore", "Clip non-finite values")  # those of illegal designs
            return self._ask(position)

    def _ask(self, position: int) -> list[tuple[int, ...]]:
        rng = generator(self._spec.seed, position)
        self._study.sampler = self._sampler(rng)
        seen = set(self._seen)
        self._asked = []
        proposals = list(self._opening[position : position + self._spec.proposals])
        for k, indices in enumerate(proposals):
            self._asked.append(self._enqueued(indices, position + k))
        seen.update(proposals)
        while len(self._asked) < self._spec.proposals:
            trial, indices = self._unseen(rng, seen, position + len(proposals))
            if trial is None:
                break
            seen.add(indices)
            self._asked.append(trial)
            proposals.append(indices)
        return proposals

    def _sampler(self, rng: np.random.Generator) -> optuna.samplers.BaseSampler:
        return self._make_sampler(int(rng.integers(0, 2**31)))

    def _unseen(
        self, rng: np.random.Generator, seen: set[tuple[int, ...]], position: int
    ) -> tuple[optuna.trial.Trial | None, tuple[int, ...]]:
        """What the sampler proposes, or an unseen neighbour of it; no trial where the space is used up."""
        from optuna.trial import TrialState

        for _ in range(self._attempts):
            trial = self._asked_at(position)
            indices = self._indices(trial)
            if indices not in seen:
                return trial, indices
            self._study.tell(trial, state=TrialState.FAIL)
        found = unseen_near(rng, indices, self._spec.space.shape, seen)
        return (None, indices) if found is None else (self._enqueued(found, position), found)

    def _enqueued(self, indices: tuple[int, ...], position: int) -> optuna.trial.Trial:
        """A trial of this design, which the sampler is not asked about."""
        self._study.enqueue_trial(self._params(indices))
        return self._asked_at(position)

    def _asked_at(self, position: int) -> optuna.trial.Trial:
        """A trial at this position; what the sampler would note down, or look through all trials for, is noted."""
        trial = self._study.ask()
        for key, value in self._attributes(position).items():
            self._study._storage.set_trial_system_attr(trial._trial_id, key, value)
            trial._cached_frozen_trial.system_attrs[key] = value
        for name, distribution in self._distributions.items():
            trial._suggest(name, distribution)
        return trial

    def adopt(self, trials: Sequence[Trial]) -> None:
        """Trials that were not proposed here: never propose them, and let samplers that look at all trials see them."""
        self._seen.update(trial.indices for trial in trials)
        self._opening = tuple(indices for indices in self._opening if indices not in self._seen)
        self._add([trial for trial in trials if trial.metrics is not None], lambda position: {})

    def tell(self, trials: Sequence[Trial]) -> None:
        for asked, trial in zip(self._asked, trials, strict=True):
            for name, violation in self._violations(trial).items():
                asked.set_constraint(name, violation)
            self._study.tell(asked, list(trial.values(self._spec.objectives)))
        self._asked = []
        self._seen.update(trial.indices for trial in trials)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        import optuna

        for batch in batches:
            self._add(batch, self._attributes)
            self._seen.update(trial.indices for trial in batch)
        if self._recalled is None:
            return
        with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
            for batch in batches[1:]:
                start = batch[0].position
                self._recalled(self._study, self._sampler(generator(self._spec.seed, start)), start)

    def _add(self, trials: Sequence[Trial], attributes: Callable[[int], dict[str, Any]]) -> None:
        from optuna.trial import TrialState, create_trial

        for trial in trials:
            self._study.add_trial(
                create_trial(
                    state=TrialState.COMPLETE,
                    values=list(trial.values(self._spec.objectives)),
                    params=self._params(trial.indices),
                    distributions=dict(self._distributions),
                    constraints=self._violations(trial),
                    system_attrs=attributes(trial.position),
                )
            )

    def _violations(self, trial: Trial) -> dict[str, float]:
        """By constraint; of an illegal design it is only known that it is illegal."""
        if trial.metrics is None:
            return {constraint.metric: 0.0 for constraint in self._spec.constraints} | {LEGAL: ILLEGAL_VIOLATION}
        violations = zip(self._spec.constraints, self._spec.violations(trial.metrics), strict=True)
        return {constraint.metric: violation for constraint, violation in violations} | {LEGAL: -ILLEGAL_VIOLATION}

    def _indices(self, trial: optuna.trial.Trial) -> tuple[int, ...]:
        params = trial.params  # a copy at every access
        return tuple(int(params.get(knob.name, 0)) for knob in self._spec.space.knobs)

    def _params(self, indices: Sequence[int]) -> dict[str, Any]:
        chosen = zip(self._spec.space.knobs, indices, strict=True)
        return {knob.name: int(i) for knob, i in chosen if knob.name in self._distributions}
