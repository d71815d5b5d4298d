"""Optuna's genetic samplers: every knob is a category to them (their uniform crossover and mutation know no order)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dse.algorithms._optuna import OptunaProposer

if TYPE_CHECKING:
    import optuna
    from optuna.samplers._ga import BaseGASampler

    from dse.study import StudySpec

__all__ = ["genetic"]

ATTEMPTS = 3
"""A repeat is told as a failed trial, and the samplers look through all trials for every proposal."""


def genetic(spec: StudySpec, sampler: type[BaseGASampler], make: Callable[[int], BaseGASampler]) -> OptunaProposer:
    """A proposer with this class of samplers, of which `make` makes one from a seed; a batch is a generation."""
    from optuna.distributions import CategoricalDistribution

    def attributes(position: int) -> dict[str, Any]:
        # The population is as large as a batch, and no trial is left out.
        return {sampler._get_generation_key(): position // spec.proposals}

    def recalled(study: optuna.Study, sampler: Any, position: int) -> None:
        # The parents of a generation are chosen once, from the parents before them as they were stored, before
        # anything is proposed. Choosing all of them at once, from the last back to the first, goes on differently.
        sampler.get_parent_population(study, position // spec.proposals)

    return OptunaProposer(
        spec,
        make,
        {
            knob.name: CategoricalDistribution(range(len(knob.values)))
            for knob in spec.space.knobs
            if len(knob.values) > 1
        },
        attributes,
        recalled,
        attempts=ATTEMPTS,
    )
