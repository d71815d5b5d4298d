"""Search algorithms by name: one file each, found by its name (`optuna-nsga2` is `optuna_nsga2.py`).

A heuristic proposes batches of designs and is told their trials; a batch is a pure function of the spec, the position
and the trials told before. To add one: a file here with an `ALGORITHM`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal, Protocol

from dse.study import Trial
from search_spaces.errors import unknown

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["Algorithm", "Proposer", "load", "names"]


class Proposer(Protocol):
    """The memory of a heuristic between batches."""

    def ask(self, position: int) -> list[tuple[int, ...]]:
        """The batch of designs (or architectures) that starts at this position, by knob indices, none seen before.

        Shorter than the batch size only when the space is used up.
        """
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials of the batch last asked for, all of them, in the order of their positions."""
        ...

    def recall(self, batches: Sequence[Sequence[Trial]]) -> None:
        """Whole batches of an earlier run, instead of asking and telling them again."""
        ...


@dataclass(frozen=True)
class Algorithm:
    """A search algorithm: `proposer` is None for `exact`, which visits every design and proposes none.

    `unit` is what it proposes and its budget counts: "architectures" are evaluated with all their designs at once, and
    a batch is told the trials that each of them left, one or more. `budget` is how many it takes if nobody says.
    """

    name: str
    summary: str
    storage: Literal["table", "optuna"]
    batch_size: int
    proposer: Callable[[StudySpec], Proposer] | None
    unit: Literal["designs", "architectures"] = "designs"
    budget: int = 2000


def names() -> tuple[str, ...]:
    """All algorithms, without importing them."""
    return tuple(sorted(m.name.replace("_", "-") for m in iter_modules(__path__) if not m.name.startswith("_")))


@cache
def load(name: str) -> Algorithm:
    """The algorithm of this name; raises UserError for an unknown one."""
    if name not in names():
        raise unknown("algorithm", name, names(), add="dse/algorithms/<name>.py")
    algorithm: Algorithm = import_module(f"{__name__}.{name.replace('-', '_')}").ALGORITHM
    return algorithm
