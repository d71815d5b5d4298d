"""What a study has found: its front, what was counted on the way, and the baselines beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse import algorithms
from dse.files import read_json
from dse.front import Front
from dse.store import Store, TableStore, read_store
from dse.study import Constraint, Trial, parse_constraint
from search_spaces.errors import UserError
from search_spaces.space import ARCHITECTURE_KNOBS
from search_spaces.types import KnobValue, Network

__all__ = ["MAPPING_COLUMNS", "Baseline", "Counts", "Session", "StudyResult", "front_of", "network_of", "read_result"]


MAPPING_COLUMNS = ("mapping_point", "mappings_changed")
"""What a design has beside the metrics where all mappings are kept: the number of its combination on the front over
mappings of the layers before its cut, from 1, and how many layers are not mapped for their least energy × latency."""


@dataclass(frozen=True)
class Counts:
    """Designs visited: `illegal` by reason, `infeasible` by constraint (a design may break several).

    Where all mappings are kept, designs are `feasible` that no constraint excludes by itself, `bounded` of them are
    beaten whatever their mappings, and `combinations` counts the legal designs with each choice of mappings.
    """

    designs: int = 0
    feasible: int = 0
    illegal: Mapping[str, int] = field(default_factory=dict)
    infeasible: Mapping[str, int] = field(default_factory=dict)
    bounded: int = 0
    combinations: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.designs + other.designs,
            self.feasible + other.feasible,
            dict(Counter(self.illegal) + Counter(other.illegal)),
            dict(Counter(self.infeasible) + Counter(other.infeasible)),
            self.bounded + other.bounded,
            self.combinations + other.combinations,
        )

    @classmethod
    def of(cls, trials: Sequence[Trial], constraints: Sequence[Constraint]) -> Counts:
        illegal = Counter(trial.reason for trial in trials if trial.reason is not None)
        infeasible: Counter[str] = Counter()
        feasible = 0
        for trial in trials:
            if trial.metrics is not None:
                broken = [c for c in constraints if c.violation(trial.metrics) > 0]
                infeasible.update(str(c) for c in broken)
                feasible += not broken
        return cls(len(trials), feasible, dict(illegal), dict(infeasible))

    def as_json(self) -> dict[str, Any]:
        return {
            "designs": self.designs,
            "feasible": self.feasible,
            "illegal": dict(sorted(self.illegal.items())),
            "infeasible": dict(sorted(self.infeasible.items())),
            **({"bounded": self.bounded, "combinations": self.combinations} if self.combinations else {}),
        }


@dataclass(frozen=True)
class Baseline:
    """A design that needs no search: everything on one node, the best one for one objective.

    `broken` names the constraints it breaks; a design that breaks none is preferred where there is one.
    """

    label: str
    indices: tuple[int, ...]
    metrics: Mapping[str, float]
    broken: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The label for people: `all on the edge, least latency`."""
        return self.label.replace("_mm2", "").replace("_j", "").replace("_s", "").replace("_", " ")

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "indices": list(self.indices),
            "metrics": dict(self.metrics),
            "broken": list(self.broken),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Baseline:
        return cls(value["label"], tuple(value["indices"]), dict(value["metrics"]), tuple(value["broken"]))


@dataclass(frozen=True)
class Session:
    """What one run of a study did; `stopped_by` is "budget", "space", "time limit" or "interrupt"."""

    stopped_by: str
    budget: int | None
    resumed_trials: int
    new_trials: int
    evaluator_calls: int
    memo_hits: int
    memo_misses: int
    workers: int
    seconds: float
    reclaimed_trials: int = 0


@dataclass(frozen=True)
class StudyResult:
    """A study's answer so far. `exact` says that the front is proven for the whole space.

    `provenance` says of each metric where the figures on the front come from.
    """

    folder: Path
    question: Mapping[str, Any]
    front: Front
    counts: Counts
    baselines: tuple[Baseline, ...] = ()
    exact: bool = False
    session: Session | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def unit(self) -> str:
        """What a budget counts: "designs", or "architectures" with all their designs."""
        return algorithms.load(self.question["algorithm"]).unit

    @property
    def visited(self) -> int:
        """How much of a budget is used up."""
        if self.unit == "designs":
            return self.counts.designs
        of_one = [len(values) for name, values in self.knobs.items() if name not in ARCHITECTURE_KNOBS]
        return self.counts.designs // int(np.prod(of_one, dtype=object))

    @property
    def knobs(self) -> dict[str, list[KnobValue]]:
        return {name: self.question[f"knob {name}"] for name in self.question["order"]}

    @property
    def objectives(self) -> tuple[str, ...]:
        return tuple(self.question["objectives"])

    @property
    def space_size(self) -> int:
        return int(np.prod([len(values) for values in self.knobs.values()], dtype=object))

    def design(self, indices: Sequence[int]) -> dict[str, KnobValue]:
        """Knob names and values."""
        return {name: values[int(i)] for (name, values), i in zip(self.knobs.items(), indices, strict=True)}


def front_of(trials: Sequence[Trial], question: Mapping[str, Any]) -> Front:
    """The front of the feasible trials."""
    constraints = [parse_constraint(text) for text in question["constraints"]]
    feasible = [trial for trial in trials if trial.meets(constraints)]
    columns = tuple(feasible[0].metrics or ()) if feasible else tuple(question["objectives"])
    return Front.of(
        question["objectives"],
        columns,
        np.array([trial.indices for trial in feasible], dtype=np.int64).reshape(-1, len(question["order"])),
        np.array([[(trial.metrics or {})[name] for name in columns] for trial in feasible]).reshape(-1, len(columns)),
    )


def result_of(
    folder: Path, store: Store, baselines: Sequence[Baseline] = (), session: Session | None = None
) -> StudyResult:
    """The answer that the store holds."""
    question = store.question()
    trials = store.trials()
    exact = False
    if isinstance(store, TableStore) and algorithms.load(question["algorithm"]).unit == "architectures":
        # Most designs of an architecture left no trial.
        state = store.state() or {}
        counts = Counts(**state.get("counts", {}))
        baselines = [Baseline.from_json(b) for b in state.get("baselines", [])]
        exact = bool(state.get("complete", False))
    else:
        counts = Counts.of(trials, [parse_constraint(text) for text in question["constraints"]])
    return StudyResult(folder, question, front_of(trials, question), counts, tuple(baselines), exact, session)


def read_result(folder: Path) -> StudyResult:
    """The answer in a results folder as its `study.db` has it; baselines of heuristics from the last `run.json`."""
    store = read_store(folder)
    try:
        return replace(result_of(folder, store, _last_baselines(folder)), provenance=_last_provenance(folder))
    finally:
        store.close()


def _last_provenance(folder: Path) -> dict[str, str]:
    """The provenance of the last `run.json`; none where it is missing or foreign."""
    record = read_json(folder / "run.json")
    known = record.get("provenance") if isinstance(record, dict) else None
    return {str(name): str(says) for name, says in known.items()} if isinstance(known, dict) else {}


def _last_baselines(folder: Path) -> list[Baseline]:
    """The baselines of the last `run.json`; none where it is missing or foreign."""
    try:
        return [Baseline.from_json(known) for known in read_json(folder / "run.json")["baselines"]]
    except (KeyError, TypeError, ValueError):
        return []


def network_of(question: Mapping[str, Any], given: Network | None = None) -> Network:
    """The study's network, traced again if it is not given. Raises UserError where it is not what it was."""
    from evaluators.system import network_identity
    from search_spaces import networks

    name, shape = question["network.name"], tuple(question["network.input"])
    network = given or networks.load(name, input_shape=shape, cut_mode=question["network.cut_mode"])
    if network_identity(network)["graph"] != question["network.graph"]:
        raise UserError(f"{network.name} has other layers or cuts than when the study was run; run the study again")
    return network
