"""Optuna's NSGA-II: every knob is a category to it (its uniform crossover and mutation know no order)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dse.algorithms import Algorithm
from dse.algorithms._optuna import OptunaProposer

if TYPE_CHECKING:
    import optuna

    from dse.study import StudySpec

__all__ = ["ALGORITHM"]


def _proposer(spec: StudySpec) -> OptunaProposer:
    from optuna.distributions import CategoricalDistribution
    from optuna.samplers import NSGAIISampler

    def sampler(seed: int) -> NSGAIISampler:
        return NSGAIISampler(population_size=spec.proposals, seed=seed)

    def attributes(position: int) -> dict[str, Any]:
        # A batch is a generation: the population is as large, and no trial is left out.
        return {NSGAIISampler._get_generation_key(): position // spec.proposals}

    def recalled(study: optuna.Study, trials: int) -> None:
        # The parents of a generation are chosen once, from the parents before them as they were stored. Choosing
        # all of them at once, from the last back to the first, orders ties differently and goes on differently.
        memory = sampler(0)
        for generation in range(1, trials // spec.proposals):
            memory.get_parent_population(study, generation)

    return OptunaProposer(
        spec,
        sampler,
        {
            knob.name: CategoricalDistribution(range(len(knob.values)))
            for knob in spec.space.knobs
            if len(knob.values) > 1
        },
        attributes,
        recalled,
    )


ALGORITHM = Algorithm(
    name="optuna-nsga2",
    summary="NSGA-II (Optuna)",
    storage="optuna",
    batch_size=50,
    proposer=_proposer,
)
