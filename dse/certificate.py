"""What proves an exact front: every design of the space accounted for, and a hash to compare another run's with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dse.result import StudyResult
from dse.study import fingerprint

__all__ = ["Certificate", "certificate_of"]


@dataclass(frozen=True)
class Certificate:
    """Where every design of a space went. `complete` says that all were visited, so that the front is proven.

    `visited` = `cannot_exist` + `excluded` (break a constraint) + `bounded` (no choice of mappings could bring them
    to the front) + `beaten` (compared) + `front_designs`. `illegal` counts by reason, `infeasible` by constraint,
    where a design may break several. `combinations` are designs × choices of mappings where all are kept. The front
    has `front_points` distinct objective vectors; its SHA-256 is over objective values and knob indices, bit by bit,
    and the same question, versions included, gives the same.
    """

    complete: bool
    space_size: int
    visited: int
    cannot_exist: int
    excluded: int
    bounded: int
    beaten: int
    front_designs: int
    front_points: int
    front_sha256: str
    combinations: int | None
    illegal: Mapping[str, int]
    infeasible: Mapping[str, int]
    question: str
    versions: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        parts = [
            (self.cannot_exist, "that cannot exist"),
            (self.excluded, "that break a constraint"),
            (self.bounded, "that no choice of mappings could save"),
            (self.beaten, "beaten"),
            (self.front_designs, "on the front"),
        ]
        sum_of = " + ".join(f"{n:,} {what}" for n, what in parts if n)
        times = f", {self.combinations:,} with each choice of mappings" if self.combinations else ""
        return f"Certificate: {self.visited:,} designs{times} = {sum_of}; front SHA-256 {self.front_sha256[:16]}…"


def certificate_of(result: StudyResult) -> Certificate | None:
    """The certificate of an exact study, finished or not; None for a heuristic's."""
    if result.question["algorithm"] != "exact":
        return None
    counts, front = result.counts, result.front
    cannot_exist = sum(counts.illegal.values())
    on_front = len(np.unique(front.indices, axis=0)) if len(front) else 0
    return Certificate(
        complete=result.exact,
        space_size=result.space_size,
        visited=counts.designs,
        cannot_exist=cannot_exist,
        excluded=counts.designs - cannot_exist - counts.feasible,
        bounded=counts.bounded,
        beaten=counts.feasible - counts.bounded - on_front,
        front_designs=on_front,
        front_points=front.size,
        front_sha256=front.sha256(),
        combinations=counts.combinations or None,
        illegal=counts.illegal,
        infeasible=counts.infeasible,
        question=fingerprint(result.question),
        versions={k.removeprefix("versions."): v for k, v in result.question.items() if k.startswith("versions.")},
    )
