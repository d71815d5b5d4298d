"""What a study asks: a frozen spec with a fingerprint, and the trials that answer it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from search_spaces.errors import UserError, unknown

if TYPE_CHECKING:
    import numpy as np

    from evaluators.system import SystemSettings
    from search_spaces.space import DesignPoint, SearchSpace
    from search_spaces.types import Network

__all__ = [
    "DEFAULT_CONSTRAINTS",
    "Constraint",
    "Evaluator",
    "StudySpec",
    "Trial",
    "differences",
    "fingerprint",
    "parse_constraint",
]


class Evaluator(Protocol):
    """What a study needs of `evaluators.system.System`; the tests' fake has the same methods."""

    def metrics(self, point: DesignPoint) -> dict[str, float]: ...

    def prepare(
        self,
        points: Sequence[DesignPoint],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None: ...

    def architecture_block(self, space: SearchSpace, arch_indices: Sequence[int]) -> Any: ...

    def combinations(self, space: SearchSpace, arch_indices: Sequence[int], cells: np.ndarray) -> Any: ...

    def provenance(self, point: DesignPoint) -> dict[str, str]: ...

    def fingerprint(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Constraint:
    """A metric that must not exceed `maximum`, or not fall below `minimum`, in the metric's SI unit.

    >>> Constraint("area_mm2", 3.0).violation({"area_mm2": 4.5})
    0.5
    >>> str(Constraint("throughput_fps", minimum=30))
    'throughput_fps >= 30'
    """

    metric: str
    maximum: float | None = None
    minimum: float | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.maximum, self.minimum) if bound is not None]
        if len(bounds) != 1:
            raise UserError(f"a constraint has one bound, a maximum or a minimum; {self.metric} has {len(bounds)}")
        if not (isfinite(bounds[0]) and bounds[0] > 0):
            raise UserError(f"a constraint's bound must be a number above 0, not {bounds[0]} for {self.metric}")

    def __str__(self) -> str:
        sign, bound = ("<=", self.maximum) if self.maximum is not None else (">=", self.minimum)
        # All digits: studies are read back from this text.
        return f"{self.metric} {sign} {repr(float(bound or 0)).removesuffix('.0')}"

    def violation(self, metrics: Mapping[str, Any]) -> Any:
        """By which share of the bound the metric breaks it, zero or less if it does not; of numbers or arrays."""
        if self.maximum is not None:
            return metrics[self.metric] / self.maximum - 1.0
        assert self.minimum is not None
        return 1.0 - metrics[self.metric] / self.minimum


DEFAULT_CONSTRAINTS = (Constraint("link_utilisation", 1.0),)
"""A link that is busy for more than the frame period cannot carry the frame rate: always on."""


def parse_constraint(text: str) -> Constraint:
    """The constraint that a user wrote; a metric's name may end in another unit, as in `--where`.

    >>> parse_constraint("area_mm2 <= 3")
    Constraint(metric='area_mm2', maximum=3.0, minimum=None)
    >>> str(parse_constraint("latency_ms<=30"))
    'latency_s <= 0.03'
    """
    from dse.where import unit_factor
    from evaluators.costs import METRICS

    match = re.fullmatch(r"\s*([a-z0-9_]+)\s*([<>])=?\s*([-+0-9.eE]+)\s*", text)
    try:
        bound = float(match[3]) if match else None
    except ValueError:
        bound = None
    if match is None or bound is None:
        raise UserError(f"a constraint reads METRIC<=NUMBER or METRIC>=NUMBER, as in area_mm2<=3, not {text!r}")
    factors = {name: unit_factor(name, match[1]) for name in METRICS}
    metric, factor = next(((name, f) for name, f in factors.items() if f is not None), (match[1], 1.0))
    bound /= factor
    return Constraint(metric, maximum=bound) if match[2] == "<" else Constraint(metric, minimum=bound)


GROWING = ("throughput_fps",)
"""Metrics of which more is better."""


@dataclass(frozen=True)
class StudySpec:
    """One question: which designs of this space are on the front, found by which algorithm from which seed.

    Budget, workers, time limit and storage are no part of it. `batch_size` is how many designs are proposed before
    any of their results is used (none: the algorithm's own): part of the question, because it changes what is
    proposed; results are taken in the order of the proposals, whatever the number of workers. `warm_start` are designs
    (by knob indices) that a heuristic evaluates before all others, see `dse.warm_start`.
    """

    network: Network
    space: SearchSpace
    settings: SystemSettings
    objectives: tuple[str, ...] = ("sensor_energy_j", "latency_s")
    constraints: tuple[Constraint, ...] = field(default=DEFAULT_CONSTRAINTS)
    algorithm: str = "exact"
    seed: int = 1
    batch_size: int | None = None
    warm_start: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        from dse import algorithms
        from evaluators.costs import METRICS

        algorithms.load(self.algorithm)
        _check_knobs([knob.name for knob in self.space.knobs])
        for name in self.objectives:
            if name not in METRICS:
                raise unknown("objective", name, METRICS)
            if name in GROWING:
                raise UserError(f"objectives are minimised, and {name} is better when it grows; bound it: {name}>=30")
        for constraint in self.constraints:
            if constraint.metric not in METRICS:
                raise unknown("metric to constrain", constraint.metric, METRICS)
        if len(self.objectives) < 2 or len(set(self.objectives)) < len(self.objectives):
            raise UserError(f"a front needs two or more different objectives, not {self.objectives}")
        metrics = [constraint.metric for constraint in self.constraints]
        if len(set(metrics)) < len(metrics):
            raise UserError(f"one bound per metric; the constraints name one twice: {', '.join(metrics)}")
        if self.proposals < 2:
            raise UserError(f"batch_size must be at least 2, not {self.batch_size}")
        if not 0 <= self.seed < 2**31:
            raise UserError(f"a seed is a whole number from 0 to {2**31 - 1}, not {self.seed}")
        for indices in self.warm_start:
            self.space.decode(indices)

    @property
    def proposals(self) -> int:
        """Designs per batch: `batch_size`, or the algorithm's own."""
        from dse import algorithms

        return self.batch_size if self.batch_size is not None else algorithms.load(self.algorithm).batch_size

    def question(self, versions: Mapping[str, Any]) -> dict[str, Any]:
        """All that the trials depend on, as flat JSON-able fields; `versions` is the evaluator's fingerprint."""
        fields: dict[str, Any] = {
            "algorithm": self.algorithm,
            "order": [knob.name for knob in self.space.knobs],
            "objectives": list(self.objectives),
            "constraints": [str(constraint) for constraint in self.constraints],
        }
        if self.algorithm != "exact":
            fields |= {"seed": self.seed, "batch_size": self.proposals}
            if self.warm_start:
                designs = sha256(json.dumps(self.warm_start).encode()).hexdigest()
                fields["warm_start"] = f"{len(self.warm_start)} designs, SHA-256 {designs[:16]}"
        fields |= {f"knob {knob.name}": list(knob.values) for knob in self.space.knobs}
        fields |= dict(_flat("", versions))
        return json.loads(json.dumps(fields, sort_keys=True, default=_plain))

    def violations(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        return tuple(constraint.violation(metrics) for constraint in self.constraints)


def _check_knobs(names: Sequence[str]) -> None:
    """Evaluators lay out the designs of an architecture in the order of `KNOBS`, whatever a space's own order."""
    from search_spaces.space import KNOBS

    for name in names:
        if name not in KNOBS:
            raise unknown("knob", name, KNOBS)
    expected = [name for name in KNOBS if name in names]
    if list(names) != expected:
        raise UserError(f"a space has its knobs in the order {', '.join(expected)}, not {', '.join(names)}; reorder it")


def _flat(prefix: str, value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        rows += _flat(f"{name}.", item) if isinstance(item, Mapping) else [(name, item)]
    return rows


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)


def fingerprint(question: Mapping[str, Any]) -> str:
    """A hash of the question; two studies with equal fingerprints have equal trials."""
    return sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Field by field, what another question changes: `seed: 1, now 2`; of long lists and texts the part that differs.

    >>> differences({"order": ["cut", "link"], "seed": 1}, {"order": ["cut", "link"], "seed": 2})
    ['seed: 1, now 2']
    """
    rows = []
    for name in sorted(stored.keys() | asked.keys()):
        if stored.get(name) != asked.get(name):
            rows.append(f"{name}: {_change(stored.get(name), asked.get(name))}")
    return rows


SHOWN = 60
"""Characters of a value that are shown."""


def _change(before: Any, after: Any) -> str:
    a, b = (_text(value) for value in (before, after))
    if max(len(a), len(b)) > SHOWN:
        if isinstance(before, list) and isinstance(after, list):
            changes = [
                f"{word} {_cut(', '.join(map(_text, some)))}"
                for word, some in (
                    ("without", [value for value in before if value not in after]),
                    ("with", [value for value in after if value not in before]),
                )
                if some
            ]
            return f"now {' and '.join(changes)}" if changes else "the same values, now in another order"
        same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        if same > SHOWN // 2:
            a, b = (f"…{text[same - 10 :]}" for text in (a, b))
    return f"{_cut(a)}, now {_cut(b)}"


def _text(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


@dataclass(frozen=True)
class Trial:
    """One evaluated position of a study: its design, and either its metrics or why it cannot exist."""

    position: int
    indices: tuple[int, ...]
    metrics: Mapping[str, float] | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.metrics is None) == (self.reason is None):
            raise ValueError(f"trial {self.position} has either metrics or a reason why it is illegal")

    @property
    def state(self) -> str:
        return "complete" if self.metrics is not None else "illegal"

    def values(self, objectives: Sequence[str]) -> np.ndarray:
        """Objective values; infinite for an illegal design."""
        import numpy as np

        if self.metrics is None:
            return np.full(len(objectives), np.inf)
        return np.array([self.metrics[name] for name in objectives])

    def feasible(self, spec: StudySpec) -> bool:
        return self.meets(spec.constraints)

    def meets(self, constraints: Sequence[Constraint]) -> bool:
        """Whether the design can exist and breaks none of these."""
        return self.metrics is not None and all(c.violation(self.metrics) <= 0 for c in constraints)
