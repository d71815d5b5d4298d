"""Which knob moves which objective: shares of an objective's variance over a whole space, or PED-ANOVA over trials."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from dse.algorithms.exact import design_of, table
from dse.study import Evaluator, StudySpec, Trial, parse_constraint
from search_spaces.errors import UserError

__all__ = ["BEST", "Importance", "exact_importance", "ped_anova"]

KEPT_BYTES = 64 * 2**20
"""Objectives of architectures that are kept for the passes that need them again; the rest is computed again."""

BATCH = 32
"""Architectures mapped at a time."""

BEST = 0.1
"""PED-ANOVA asks what makes a trial one of this best share."""


@dataclass(frozen=True)
class Importance:
    """Per objective and knob with more than one value: the knob's share.

    `method` "variance": `alone` is the first-order index Var(E[Y | X]) / Var(Y), `total` the total index
    E[Var(Y | all other knobs)] / Var(Y) (Sobol 2001; Saltelli et al. 2010), over the `designs` feasible designs of the
    space, each with the same weight. `method` "PED-ANOVA": `alone` is the knob's share of what makes a trial one of
    the best tenth of the feasible ones (Watanabe, Bansal and Hutter, IJCAI 2023), `total` is empty, and "front" stands
    beside the objectives for the best in all of them.
    """

    method: str
    designs: int
    visited: int
    alone: Mapping[str, Mapping[str, float]]
    total: Mapping[str, Mapping[str, float]]

    def as_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "feasible_designs": self.designs,
            "designs": self.visited,
            "first_order" if self.total else "share": {name: dict(found) for name, found in self.alone.items()},
        } | ({"total": {name: dict(found) for name, found in self.total.items()}} if self.total else {})


def exact_importance(
    spec: StudySpec,
    evaluator: Evaluator,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Importance:
    """Shares of variance over every feasible design of the space, from the sums of architecture after architecture.

    Memory does not grow with the space: totals of a knob that makes the architecture are taken over the few
    architectures that differ in it alone, in a pass of their own. `progress` gets architectures done and in all.
    Raises UserError where no design is feasible.
    """
    space = spec.space
    own = [knob.name for knob in space.architecture_knobs]
    others = [knob.name for knob in space.knobs if knob.name not in own]
    shape = tuple(len(space.knob(name).values) for name in others)
    sizes = [len(space.knob(name).values) for name in own]
    m = len(spec.objectives)
    block_bytes = int(np.prod(shape)) * m * 8

    @lru_cache(maxsize=max(8, KEPT_BYTES // block_bytes))
    def block(architecture: tuple[int, ...]) -> np.ndarray:
        """Objectives (*others, m) of every design of an architecture, NaN where it is not feasible."""
        found = table(evaluator, space, architecture, spec.constraints)
        values = found.metrics[:, [found.columns.index(name) for name in spec.objectives]]
        return np.where(found.feasible[:, None], values, np.nan).reshape(*shape, m)

    n, mean, squares = 0, np.zeros(m), np.zeros(m)
    sums = {name: np.zeros((len(space.knob(name).values), m + 1)) for name in (*own, *others)}
    within = {name: np.zeros(m) for name in (*own, *others)}
    shift: np.ndarray | None = None
    architectures = list(space.architectures())
    for done, architecture in enumerate(architectures):
        if done % BATCH == 0:
            points = [space.decode(design_of(space, a)) for a in architectures[done : done + BATCH]]
            evaluator.prepare(points, workers=workers)
        values = block(architecture)
        feasible = values[~np.isnan(values[..., 0])]
        if len(feasible):
            if shift is None:
                shift = feasible.mean(axis=0)
            n, mean, squares = _merged(n, mean, squares, feasible)
            # Sums of deviations from a typical value: the digits of large values would be lost in them.
            tallied = np.concatenate([values - shift, ~np.isnan(values[..., :1])], axis=-1, dtype=float)
            for axis, name in enumerate(others):
                elsewhere = tuple(k for k in range(len(shape)) if k != axis)
                sums[name] += np.nansum(tallied, axis=elsewhere)
                within[name] += _spread_along(values, axis)
            for name, i in zip(own, architecture, strict=True):
                sums[name][i] += np.nansum(tallied, axis=tuple(range(len(shape))))
        if progress is not None:
            progress(done + 1, len(architectures))
    if shift is None:
        raise UserError("no design of this space is feasible: loosen a constraint")
    for k, name in enumerate(own):
        if sizes[k] > 1:
            for rest in product(*(range(size) for i, size in enumerate(sizes) if i != k)):
                line = [block((*rest[:k], i, *rest[k:])) for i in range(sizes[k])]
                within[name] += _spread_along(np.stack(line), 0)
    searched = [knob.name for knob in space.knobs if len(knob.values) > 1]
    alone: dict[str, dict[str, float]] = {}
    total: dict[str, dict[str, float]] = {}
    for j, objective in enumerate(spec.objectives):
        alone[objective] = {k: _share(_between(sums[k], mean - shift)[j], squares[j]) for k in searched}
        total[objective] = {k: _share(within[k][j], squares[j]) for k in searched}
    return Importance("variance", n, space.size, alone, total)


def _merged(n: int, mean: np.ndarray, squares: np.ndarray, values: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Count, mean and sum of squared deviations with more values (rows) added (Chan, Golub and LeVeque 1979)."""
    more, middle = len(values), values.mean(axis=0)
    off = middle - mean
    both = n + more
    spread = ((values - middle) ** 2).sum(axis=0)
    return both, mean + off * (more / both), squares + spread + off**2 * (n * more / both)


def _spread_along(values: np.ndarray, axis: int) -> np.ndarray:
    """The sum over all lines along an axis of the squared deviations from the line's mean, per objective."""
    known = ~np.isnan(values[..., :1])
    count = np.maximum(known.sum(axis=axis, keepdims=True), 1)
    means = np.nansum(values, axis=axis, keepdims=True) / count
    return np.where(known, (values - means) ** 2, 0.0).reshape(-1, values.shape[-1]).sum(axis=0)


def _between(sums: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The sum over a knob's values of the squared deviations of their means, weighted with their designs."""
    counts = sums[:, -1:]
    means = sums[:, :-1] / np.maximum(counts, 1)
    return (counts * (means - mean) ** 2).sum(axis=0)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 0.0


def ped_anova(trials: Sequence[Trial], question: Mapping[str, Any]) -> Importance:
    """Optuna's PED-ANOVA over the feasible trials of a search; knobs are categorical, as in Optuna's own store.

    Raises UserError where there are fewer than ten feasible trials: the tenth that is best would be none.
    """
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    knobs = {name: question[f"knob {name}"] for name in question["order"] if len(question[f"knob {name}"]) > 1}
    places = {name: k for k, name in enumerate(question["order"])}
    constraints = [parse_constraint(text) for text in question["constraints"]]
    objectives = question["objectives"]
    distributions = {name: optuna.distributions.CategoricalDistribution(values) for name, values in knobs.items()}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize"] * len(objectives), sampler=optuna.samplers.RandomSampler())
    study.add_trials(
        [
            optuna.trial.create_trial(
                values=[float(value) for value in trial.values(objectives)],
                params={name: values[trial.indices[places[name]]] for name, values in knobs.items()},
                distributions=dict(distributions),
            )
            for trial in trials
            if trial.meets(constraints)
        ]
    )
    found = len(study.trials)
    if found < 1 / BEST:
        raise UserError(f"importance needs at least {1 / BEST:.0f} feasible trials, and there are {found}; search on")

    def shares(target: Callable[[Any], float] | None) -> dict[str, float]:
        with warnings.catch_warnings(category=UserWarning, action="ignore"):  # says that less is taken as better: it is
            return get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BEST), params=list(knobs), target=target
            )

    def one(k: int) -> Callable[[Any], float]:
        return lambda trial: trial.values[k]

    alone = {name: shares(one(k)) for k, name in enumerate(objectives)} | {"front": shares(None)}
    return Importance("PED-ANOVA", found, len(trials), alone, {})
