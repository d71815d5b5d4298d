"""Optuna's NSGA-III: for three objectives and more, where crowding distance tells designs apart badly."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._optuna_genetic import genetic

if TYPE_CHECKING:
    from dse.algorithms._optuna import OptunaProposer
    from dse.study import StudySpec

__all__ = ["ALGORITHM", "divisions"]


def divisions(objectives: int, population: int) -> int:
    """Into how many parts each objective is divided: the most that give no more reference points than individuals.

    Das and Dennis' points: divisions + objectives − 1 over objectives − 1 (Deb and Jain, TEVC 2014). Optuna's own
    default of 3 would give two objectives four points.

    >>> divisions(2, 50), divisions(3, 50)
    (49, 8)
    """
    parts = 1
    while comb(parts + objectives, objectives - 1) <= population:
        parts += 1
    return parts


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.samplers import NSGAIIISampler

    parts = divisions(len(spec.objectives), spec.proposals)
    return genetic(
        spec,
        NSGAIIISampler,
        lambda seed: NSGAIIISampler(population_size=spec.proposals, dividing_parameter=parts, seed=seed),
    )


ALGORITHM = Algorithm(
    name="optuna-nsga3",
    summary="NSGA-III (Optuna)",
    storage="optuna",
    batch_size=50,
    proposer=_proposer,
)
