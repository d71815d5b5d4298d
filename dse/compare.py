"""Studies side by side: grouped by the question they ask, and ranked within a group only.

Within a group every figure is taken against one reference front: the exact one of that question, where it is among
the studies or lies beside them in their folders, else the union of all fronts of the group. Across groups only
figures relative to a study's own baselines are told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median, median_high, median_low
from typing import Any

import numpy as np

from dse.choose import knee as knee_of
from dse.files import read_json
from dse.front import MARGIN, Front
from dse.history import LEVELS, Effort, History, read_history
from dse.indicators import Yardstick, attainment, coverage
from dse.result import Baseline, StudyResult, read_result
from dse.store import is_study
from dse.study import differences
from search_spaces.errors import UserError

__all__ = ["PLACES", "Comparison", "Entry", "Group", "asked", "compare"]

PART_OF_SEARCH = ("algorithm", "seed", "batch_size", "warm_start")
"""Fields of a question that say how it is searched, not what is asked."""

PLACES = ("all on the sensor", "all on the edge")
"""What needs no search: everything on one node."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One study beside its group's reference front; figures are None where it has found no feasible design yet.

    `hypervolume` is in the product of the objectives' SI units, `share` that of the reference front's. `found` is the
    share of the reference front that this front covers.
    """

    label: str
    variant: str
    result: StudyResult
    effort: Effort
    history: History | None
    hypervolume: float
    share: float
    igd_plus: float | None
    epsilon: float | None
    found: float | None
    reached: Mapping[float, Effort | None]

    @property
    def front(self) -> Front:
        return self.result.front

    def as_json(self) -> dict[str, Any]:
        question = self.result.question
        return {
            "name": self.label,
            "folder": str(self.result.folder),
            "algorithm": question["algorithm"],
            "seed": question.get("seed"),
            "exact": self.result.exact,
            "designs_visited": self.result.counts.designs,
            "architectures": self.effort.architectures,
            "seconds": self.effort.seconds,
            "front_size": self.front.size,
            "front_designs": len(self.front),
            "hypervolume": self.hypervolume,
            "hypervolume_share": self.share,
            "igd_plus": self.igd_plus,
            "epsilon_additive": self.epsilon,
            "reference_front_found": self.found,
            "knee": dict(zip(self.front.objectives, map(float, self.front.values[knee_of(self.front)]), strict=True))
            if len(self.front)
            else None,
            "reached": {f"{level:.0%}": effort and effort.as_json() for level, effort in self.reached.items()},
        }


@dataclass(frozen=True, eq=False)
class Group:
    """Studies that ask the same question. `exact` is the study whose front is the reference, None for the union;
    `beside` says that it was not among those given; `differs` how the question differs from the first group's."""

    entries: tuple[Entry, ...]
    yardstick: Yardstick
    exact: StudyResult | None
    beside: bool
    differs: tuple[str, ...]

    @property
    def question(self) -> Mapping[str, Any]:
        return self.entries[0].result.question

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(self.question["objectives"])

    @property
    def network(self) -> str:
        return str(self.question.get("network.name", "network"))

    @cached_property
    def variants(self) -> dict[str, list[Entry]]:
        """Studies that differ in the seed only, by what they have in common."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.variant, []).append(entry)
        return found

    def over_seeds(self, variant: str) -> dict[str, Any]:
        """Median and worst of a variant's studies; an effort that less than half of the seeds made has no median.

        Of an even number the median is the better of the two in the middle, as in `attainment`: what half of the seeds
        reach, of two seeds the best.
        """
        entries = self.variants[variant]
        rows: dict[str, Any] = {"variant": variant, "seeds": len(entries)}
        for name, middle, worst in (
            ("share", median_high, min),
            ("igd_plus", median_low, max),
            ("epsilon", median_low, max),
        ):
            values = [getattr(entry, name) for entry in entries]
            known = None not in values
            rows[name] = {"median": middle(values), "worst": worst(values)} if known else None
        for level in LEVELS:
            efforts = [entry.reached.get(level) for entry in entries]
            for what in ("evaluations", "architectures", "seconds"):
                spent = [None if effort is None else getattr(effort, what) for effort in efforts]
                reached = [value for value in spent if value is not None]
                rows[f"{what}_to_{level:.0%}"] = {
                    "median": _median_of_censored(spent),
                    "worst": max(reached) if len(reached) == len(spent) else None,
                    "seeds_that_reached": len(reached),
                }
        return rows

    def covers(self, a: str, b: str) -> float:
        """C(A, B) of two variants: the median over all pairs of their studies; 0 of an empty front."""
        pairs = [
            coverage(one.front.distinct, other.front.distinct)
            for one in self.variants[a]
            for other in self.variants[b]
            if len(one.front) and len(other.front)
        ]
        return median(pairs) if pairs else 0.0

    def attainment(self, variant: str) -> list[np.ndarray] | None:
        """Best, median and worst attainment surface over a variant's seeds; None for one seed, or four objectives."""
        fronts = [entry.front.distinct for entry in self.variants[variant] if len(entry.front)]
        return attainment(fronts) if len(fronts) > 1 and len(self.objectives) <= 3 else None

    @cached_property
    def baselines(self) -> tuple[Baseline, ...]:
        """Those of the exact study, or of all studies."""
        known = [self.exact] if self.exact is not None else [entry.result for entry in self.entries]
        return tuple(baseline for result in known for baseline in result.baselines)

    def relative(self, place: str) -> dict[str, dict[str, Any]]:
        """By objective: the reference front's least value and its knee's, relative to the best with everything in one
        place (−0.2: a fifth less). A baseline that breaks a constraint counts only where none does not."""
        found = {}
        least, bend = self.yardstick.front.min(axis=0), self.knee
        for k, name in enumerate(self.objectives):
            here = [b for b in self.baselines if b.label.startswith(place) and name in b.metrics]
            allowed = [b for b in here if not b.broken] or here
            best = min((b.metrics[name] for b in allowed), default=0.0)
            if best > 0:
                found[name] = {
                    "baseline": best,
                    "breaks_a_constraint": all(b.broken for b in here),
                    "least": float(least[k]) / best - 1,
                    "knee": float(bend[k]) / best - 1,
                }
        return found

    @cached_property
    def knee(self) -> np.ndarray:
        """The objectives of the reference front's knee."""
        points = self.yardstick.front
        front = Front.of(self.objectives, self.objectives, np.arange(len(points)).reshape(-1, 1), points)
        return front.values[knee_of(front)]

    def as_json(self) -> dict[str, Any]:
        variants = list(self.variants)
        surfaces = {variant: self.attainment(variant) for variant in variants}
        return {
            "network": self.network,
            "objectives": list(self.objectives),
            "constraints": list(self.question["constraints"]),
            "differs_from_the_first": list(self.differs),
            "reference_front": {
                "exact": self.exact is not None,
                "folder": None if self.exact is None else str(self.exact.folder),
                "points": len(self.yardstick.front),
                "hypervolume": self.yardstick.hypervolume,
            },
            "reference_point": [float(value) for value in self.yardstick.reference_point],
            "results": [entry.as_json() for entry in self.entries],
            "over_seeds": [self.over_seeds(variant) for variant in variants],
            "coverage": {a: {b: self.covers(a, b) for b in variants if b != a} for a in variants},
            "attainment": {
                variant: dict(zip(("best", "median", "worst"), (s.tolist() for s in surface), strict=True))
                for variant, surface in surfaces.items()
                if surface is not None
            },
            "relative_to_baselines": {place: self.relative(place) for place in PLACES},
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups of studies, in the order in which they were given."""

    groups: tuple[Group, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "normalisation": f"objectives 0 at the reference front's best and 1 at its worst value; reference point "
            f"{MARGIN * 100:g} % of that range beyond the worst values",
            "groups": [group.as_json() for group in self.groups],
        }


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare the studies in these folders. Raises UserError where there is no study, or a group without a front."""
    studies = [read_history(folder) for folder in dict.fromkeys(folders)]
    names = [result.name for result, _, _ in studies]
    labels = names if len(set(names)) == len(names) else [str(result.folder) for result, _, _ in studies]
    first = asked(studies[0][0].question)
    groups: list[tuple[Mapping[str, Any], list[int]]] = []
    for i, (result, _, _) in enumerate(studies):
        this = asked(result.question)
        same = next((members for question, members in groups if not differences(question, this)), None)
        if same is None:
            groups.append((this, [i]))
        else:
            same.append(i)
    return Comparison(
        tuple(
            _group([studies[i] for i in members], [labels[i] for i in members], _differences(first, other))
            for other, members in groups
        )
    )


def _group(
    studies: Sequence[tuple[StudyResult, History | None, Effort]], labels: Sequence[str], differs: tuple[str, ...]
) -> Group:
    results = [result for result, _, _ in studies]
    exact = next((result for result in results if result.exact), None)
    beside = exact is None
    exact = exact or _exact_beside(results)
    found = [result.front.distinct for result in ([exact] if exact is not None else results) if len(result.front)]
    if not found:
        raise UserError(f"{results[0].folder} has no feasible design yet; run it on or leave it out")
    points = np.unique(np.concatenate(found), axis=0)
    objectives = results[0].objectives
    union = Front.of(objectives, objectives, np.arange(len(points)).reshape(-1, 1), points)
    yardstick = Yardstick(union.distinct)
    names = _variants([result.question for result in results])
    entries = [_entry(label, name, study, yardstick) for label, name, study in zip(labels, names, studies, strict=True)]
    return Group(tuple(entries), yardstick, exact, beside and exact is not None, differs)


def _entry(label: str, variant: str, study: tuple[StudyResult, History | None, Effort], yardstick: Yardstick) -> Entry:
    result, history, effort = study
    values = result.front.distinct
    some = len(values) > 0
    volume = yardstick.hypervolume_of(values)
    return Entry(
        label=label,
        variant=variant,
        result=result,
        effort=effort,
        history=history,
        hypervolume=volume,
        share=volume / yardstick.hypervolume,
        igd_plus=yardstick.igd_plus(values) if some else None,
        epsilon=yardstick.epsilon(values) if some else None,
        found=coverage(values, yardstick.front) if some else None,
        reached={} if history is None else {level: history.reaching(yardstick, level) for level in LEVELS},
    )


def _variants(questions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The algorithm, its warm start, and its batch size where its studies differ in that."""
    names = []
    for question in questions:
        same = [q for q in questions if q["algorithm"] == question["algorithm"]]
        parts = [question["algorithm"]]
        if len({q.get("batch_size") for q in same}) > 1:
            parts.append(f"batches of {question.get('batch_size')}")
        if question.get("warm_start"):
            designs, _, digest = str(question["warm_start"]).partition(", SHA-256 ")
            alike = {q["warm_start"] for q in same if str(q.get("warm_start")).startswith(f"{designs},")}
            words = "1 design" if designs == "1 designs" else designs
            parts.append(f"warm start ({words}{f', {digest[:8]}' if len(alike) > 1 else ''})")
        names.append(", ".join(parts))
    return names


def _exact_beside(results: Sequence[StudyResult]) -> StudyResult | None:
    """A finished exact study of the same question in a folder beside the given ones, by its `run.json`."""
    wanted = asked(results[0].question)
    for parent in dict.fromkeys(result.folder.resolve().parent for result in results):
        for record_path in sorted(parent.glob("*/run.json")):
            record = read_json(record_path)
            if not (isinstance(record, dict) and record.get("exact") is True and isinstance(record.get("spec"), dict)):
                continue
            if not differences(asked(record["spec"]), wanted) and is_study(record_path.parent):
                try:
                    found = read_result(record_path.parent)
                except UserError:  # damaged, or of another version: nobody asked for it
                    continue
                if found.exact and not differences(asked(found.question), wanted):
                    return found
    return None


def asked(question: Mapping[str, Any]) -> dict[str, Any]:
    """A question without how it is searched: two studies ask the same where there are no `differences`.

    A field that is None counts as none: an older study does not have it. A knob `tensor_bits` of one value asks the
    same as the setting.
    """
    fields = {name: value for name, value in question.items() if name not in PART_OF_SEARCH}
    widths = fields.get("knob tensor_bits", ())
    if len(widths) == 1:
        del fields["knob tensor_bits"]
        fields["order"] = [name for name in fields["order"] if name != "tensor_bits"]
        fields["settings.tensor_bits"] = widths[0]
    return fields


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs; of two networks only their names, not all that follows from them."""
    if first.get("network.name") != other.get("network.name"):
        follows = ("knob cut", "network.graph", "network.input")
        first, other = ({k: v for k, v in fields.items() if k not in follows} for fields in (first, other))
    return tuple(sorted(differences(first, other), key=lambda text: not text.startswith("network.name")))


def _median_of_censored(values: Sequence[float | None]) -> float | None:
    """What half of the values do not exceed, where None is more than every number; None where less than half are."""
    middle = median_low(float("inf") if value is None else value for value in values)
    return None if middle == float("inf") else middle
