"""Optuna's samplers as proposers: they work on knob indices in a study in memory, rebuilt from the stored trials.

A sampler is made anew for every batch with a seed derived from (seed, position): it has no memory but the trials, so
a study that was killed goes on as if it had never stopped. A repeated proposal is told as failed, which the samplers
ignore, and asked for again; after some repeats an unseen neighbour is enqueued instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dse.algorithms._unseen import generator, unseen_near
from dse.study import Trial

if TYPE_CHECKING:
    import optuna

    from dse.study import StudySpec

__all__ = ["ATTEMPTS", "OptunaProposer"]

ATTEMPTS = 8
LEGAL = "legal"


class OptunaProposer:
    """A study in memory in which the sampler sees all trials told so far.

    `attributes` gives what the sampler had written down about the trial of a position, `recalled` brings back what it
    had worked out from that many trials.
    """

    def __init__(
        self,
        spec: StudySpec,
        make_sampler: Callable[[int], optuna.samplers.BaseSampler],
        distributions: dict[str, optuna.distributions.BaseDistribution],
        attributes: Callable[[int], dict[str, Any]] = lambda position: {},
        recalled: Callable[[optuna.Study, int], None] = lambda study, trials: None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._make_sampler = make_sampler
        self._distributions = distributions
        self._attributes = attributes
        self._recalled = recalled
        self._seen: set[tuple[int, ...]] = set()
        self._asked: list[optuna.trial.Trial] = []
        self._study = optuna.create_study(
            directions=["minimize"] * len(spec.objectives), sampler=optuna.samplers.RandomSampler()
        )

    def ask(self, position: int) -> list[tuple[int, ...]]:
        from optuna.trial import TrialState

        rng = generator(self._spec.seed, position)
        self._study.sampler = self._make_sampler(int(rng.integers(0, 2**31)))
        seen = set(self._seen)
        self._asked = []
        proposals: list[tuple[int, ...]] = []
        while len(self._asked) < self._spec.proposals:
            for _ in range(ATTEMPTS):
                trial = self._study.ask(self._distributions)
                indices = self._indices(trial)
                if indices not in seen:
                    break
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                found = unseen_near(rng, indices, self._spec.space.shape, seen)
                if found is None:
                    break
                indices = found
                self._study.enqueue_trial(self._params(indices))
                trial = self._study.ask(self._distributions)
                # The sampler was not asked about this one, so it noted nothing down.
                for key, value in self._attributes(position + len(proposals)).items():
                    self._study._storage.set_trial_system_attr(trial._trial_id, key, value)
            seen.add(indices)
            self._asked.append(trial)
            proposals.append(indices)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        for asked, trial in zip(self._asked, trials, strict=True):
            for name, violation in self._violations(trial).items():
                asked.set_constraint(name, violation)
            self._study.tell(asked, list(trial.values(self._spec.objectives)))
        self._asked = []
        self._seen.update(trial.indices for trial in trials)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        from optuna.trial import TrialState, create_trial

        for batch in batches:
            for trial in batch:
                self._study.add_trial(
                    create_trial(
                        state=TrialState.COMPLETE,
                        values=list(trial.values(self._spec.objectives)),
                        params=self._params(trial.indices),
                        distributions=dict(self._distributions),
                        constraints=self._violations(trial),
                        system_attrs=self._attributes(trial.position),
                    )
                )
            self._seen.update(trial.indices for trial in batch)
        self._recalled(self._study, sum(len(batch) for batch in batches))

    def _violations(self, trial: Trial) -> dict[str, float]:
        if trial.metrics is None:
            return {LEGAL: 1e6}
        violations = zip(self._spec.constraints, self._spec.violations(trial.metrics), strict=True)
        return {constraint.metric: violation for constraint, violation in violations} | {LEGAL: 0.0}

    def _indices(self, trial: optuna.trial.Trial) -> tuple[int, ...]:
        params = trial.params  # a copy at every access
        return tuple(int(params.get(knob.name, 0)) for knob in self._spec.space.knobs)

    def _params(self, indices: Sequence[int]) -> dict[str, Any]:
        chosen = zip(self._spec.space.knobs, indices, strict=True)
        return {knob.name: int(i) for knob, i in chosen if knob.name in self._distributions}
