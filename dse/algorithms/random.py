"""Uniform random search without repeats: the yardstick for every other heuristic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dse.algorithms import Algorithm
from dse.algorithms._opening import opening
from dse.algorithms._unseen import generator, unseen_near
from dse.study import Trial

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["ALGORITHM"]


class RandomSearch:
    """Draws designs uniformly after the opening; a repeat is drawn again, then replaced by an unseen neighbour."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._opening = opening(spec)
        self._seen: set[tuple[int, ...]] = set()

    def ask(self, position: int) -> list[tuple[int, ...]]:
        shape = self._spec.space.shape
        seen = set(self._seen)
        proposals = list(self._opening[position : position + self._spec.proposals])
        seen.update(proposals)
        for k in range(len(proposals), self._spec.proposals):
            rng = generator(self._spec.seed, position + k)
            indices: tuple[int, ...] | None = None
            for _ in range(8):
                indices = tuple(int(i) for i in rng.integers(0, shape))
                if indices not in seen:
                    break
            else:
                indices = unseen_near(rng, indices or (), shape, seen)
            if indices is None:
                break
            seen.add(indices)
            proposals.append(indices)
        return proposals

    def tell(self, trials: Sequence[Trial]) -> None:
        self._seen.update(trial.indices for trial in trials)

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        for batch in batches:
            self.tell(batch)


ALGORITHM = Algorithm(
    name="random",
    summary="uniform random search without repeats",
    storage="table",
    batch_size=100,
    proposer=RandomSearch,
)
