"""Optuna's multi-objective TPE: ordered knobs are whole numbers to it, names of things are categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._optuna import OptunaProposer

if TYPE_CHECKING:
    import optuna

    from dse.study import StudySpec

__all__ = ["ALGORITHM"]

UNORDERED = ("accelerator", "dram")
"""Knobs whose values have no order; cuts go from input to output and links from slow to fast."""


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
    from optuna.samplers import TPESampler

    distributions: dict[str, BaseDistribution] = {
        knob.name: CategoricalDistribution(range(len(knob.values)))
        if knob.name in UNORDERED
        else IntDistribution(0, len(knob.values) - 1)
        for knob in spec.space.knobs
        if len(knob.values) > 1
    }

    def sampler(seed: int) -> optuna.samplers.BaseSampler:
        return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=50)

    return OptunaProposer(spec, sampler, distributions)


ALGORITHM = Algorithm(
    name="optuna-tpe",
    summary="tree-structured Parzen estimator (Optuna)",
    storage="optuna",
    batch_size=10,
    proposer=_proposer,
)
