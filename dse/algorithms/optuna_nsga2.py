"""Optuna's NSGA-II."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._optuna_genetic import genetic

if TYPE_CHECKING:
    from dse.algorithms._optuna import OptunaProposer
    from dse.study import StudySpec

__all__ = ["ALGORITHM"]


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.samplers import NSGAIISampler

    return genetic(spec, NSGAIISampler, lambda seed: NSGAIISampler(population_size=spec.proposals, seed=seed))


ALGORITHM = Algorithm(
    name="optuna-nsga2",
    summary="NSGA-II (Optuna)",
    storage="optuna",
    batch_size=50,
    proposer=_proposer,
)
