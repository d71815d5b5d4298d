"""Optuna's multi-objective tree-structured Parzen estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._optuna import OptunaProposer, ordered

if TYPE_CHECKING:
    from optuna.samplers import TPESampler

    from dse.study import StudySpec

__all__ = ["ALGORITHM"]


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.samplers import TPESampler

    def sampler(seed: int) -> TPESampler:
        return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=50)

    return OptunaProposer(spec, sampler, ordered(spec.space))


ALGORITHM = Algorithm(
    name="optuna-tpe",
    summary="tree-structured Parzen estimator (Optuna)",
    storage="optuna",
    batch_size=10,
    proposer=_proposer,
)
