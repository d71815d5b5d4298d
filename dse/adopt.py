"""Taking over a study that was made with Optuna's own calls.

Its directions, parameter names and ranges must be those of the question. Its finished trials then count as seen: each
design once, evaluated by our evaluator for the figures that Optuna does not have, at positions before the study's
own. Where the values are not our evaluator's, the design stays seen and out of the front.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING, Any

from dse.store_optuna import ADOPTED, POSITION, is_ours, mark
from dse.study import Trial
from search_spaces.errors import UserError

if TYPE_CHECKING:
    import optuna

__all__ = ["OTHER_VALUES", "Evaluate", "adopt"]

Evaluate = Callable[[Mapping[int, tuple[int, ...]]], Sequence[Trial]]
"""The trials of designs by position."""
OTHER_VALUES = "adopted with values that are not this evaluator's"
MOST_VALUES = 10_000
"""A range of more values than this is no knob's."""


def adopt(study: optuna.Study, question: Mapping[str, Any], evaluate: Evaluate, label: object) -> None:
    """Make an Optuna study the one of this question; killed half-way, it is begun again."""
    from optuna.trial import TrialState

    if is_ours(study):
        return
    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    finished = [trial for trial in finished if POSITION not in trial.system_attrs]
    differences = [*_directions(study, question), *_parameters(finished, question)]
    if differences:
        shown = "; ".join(differences[:6]) + (f"; and {len(differences) - 6} more" if len(differences) > 6 else "")
        raise UserError(f"{label} asks something else ({shown}); choose another --out")
    knobs = {name: question[f"knob {name}"] for name in question["order"]}
    designs: dict[tuple[int, ...], optuna.trial.FrozenTrial] = {}
    for trial in finished:
        indices = tuple(
            values.index(trial.params[name]) if name in trial.params else 0 for name, values in knobs.items()
        )
        designs.setdefault(indices, trial)
    positions = dict(enumerate(designs, start=-len(designs)))
    storage = study._storage
    for judged in evaluate(positions):
        trial = designs[judged.indices]
        if judged.metrics is not None:
            ours = [judged.metrics[name] for name in question["objectives"]]
            if not all(isclose(a, b, rel_tol=1e-9) for a, b in zip(ours, trial.values, strict=True)):
                judged = Trial(judged.position, judged.indices, reason=OTHER_VALUES)
        written = {"position": judged.position, "indices": judged.indices, "metrics": judged.metrics}
        text = json.dumps(written | {"reason": judged.reason})
        storage.set_study_system_attr(study._study_id, f"{ADOPTED}:{trial.number}", text)
    mark(study, question)


def _directions(study: optuna.Study, question: Mapping[str, Any]) -> list[str]:
    theirs = [direction.name.lower() for direction in study.directions]
    ours = ["minimize"] * len(question["objectives"])
    return [] if theirs == ours else [f"directions: {', '.join(theirs)}, now {', '.join(ours)}"]


def _parameters(trials: Sequence[optuna.trial.FrozenTrial], question: Mapping[str, Any]) -> list[str]:
    """Names that only one side has, and ranges that are not a knob's values."""
    knobs = {name: question[f"knob {name}"] for name in question["order"]}
    found: list[str] = []
    for trial in trials:
        for name in sorted(trial.distributions.keys() - knobs.keys()):
            found.append(f"parameter {name}: is no knob")
        for name, values in knobs.items():
            if name in trial.distributions:
                theirs = _values(trial.distributions[name])
                if theirs is None or set(theirs) != set(values):
                    shown = "a continuous range" if theirs is None else json.dumps(theirs)
                    found.append(f"parameter {name}: {shown[:60]}, now {json.dumps(values)[:60]}")
            elif len(values) > 1:
                found.append(f"parameter {name}: not in trial {trial.number}")
        if found:
            break
    return found


def _values(distribution: optuna.distributions.BaseDistribution) -> list[Any] | None:
    """All values of a distribution; None where they are not finitely many."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return list(values) if len(values) <= MOST_VALUES else None
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        if count <= MOST_VALUES:
            return [distribution.low + k * distribution.step for k in range(count)]
    return None
