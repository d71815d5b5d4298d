"""Optuna's Gaussian processes with expected hypervolume improvement: for a few hundred evaluations that are dear.

One process per objective and constraint is fitted again for every proposal, which takes time that grows with the
square of the trials; a batch is proposed one design after the other, those before it counting as running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._optuna import OptunaProposer, ordered

if TYPE_CHECKING:
    from optuna.samplers import GPSampler

    from dse.study import StudySpec

__all__ = ["ALGORITHM"]


STARTUP = 20
"""Designs before the first process is fitted."""


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.samplers import GPSampler

    def sampler(seed: int) -> GPSampler:
        made = GPSampler(seed=seed, n_startup_trials=STARTUP, deterministic_objective=True)
        # A quarter of Optuna's own numbers: a proposal takes a second instead of some five.
        made._n_preliminary_samples, made._n_local_search, made._n_qmc_samples_ehvi = 512, 4, 32
        return made

    return OptunaProposer(spec, sampler, ordered(spec.space), attempts=2)


ALGORITHM = Algorithm(
    name="optuna-gp",
    summary="Gaussian processes, expected hypervolume improvement (Optuna)",
    storage="optuna",
    batch_size=10,
    proposer=_proposer,
    budget=300,
)
