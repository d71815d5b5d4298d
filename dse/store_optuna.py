"""Trials in Optuna's own schema: `optuna.load_study(study_name=<folder>, storage="sqlite:///<folder>/study.db")`.

A parameter is a knob with more than one value, and its value what people read (a categorical choice, in the knob's
order); the samplers work on indices in a study of their own in memory (`algorithms._optuna`), so readable values
cost them nothing. Values are the objectives in SI units, constraints their violation (metric / bound − 1), user
attributes all other metrics. An illegal design is a complete trial with infinite values, a broken constraint "legal"
and its reason as user attribute, so that samplers and `best_trials` treat it as infeasible. A position is a trial's
place among those of ours.

Trials are inserted when they are finished, a batch in one transaction: no trial is left RUNNING by a killed process
of ours, and those left by others are set to FAIL when a study is taken up again.
"""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.store import connect, create_database
from dse.study import Trial, fingerprint, parse_constraint
from evaluators.costs import METRICS
from search_spaces.errors import UserError

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

__all__ = ["OptunaStore"]

FINGERPRINT = "paretocut:fingerprint"
QUESTION = "paretocut:question"
ILLEGAL = "illegal"
LEGAL = "legal"


class OptunaStore:
    """The one study of an SQLite file in Optuna's schema."""

    def __init__(self, path: Path) -> None:
        import optuna

        self.path = path
        with _explained(path):
            self._storage = _storage(path)
            studies = optuna.get_all_study_names(self._storage)
            if len(studies) != 1:
                raise UserError(
                    f"{path} holds {len(studies)} Optuna studies, and one folder holds one; choose another --out"
                )
            self._study = optuna.load_study(
                study_name=studies[0], storage=self._storage, sampler=optuna.samplers.RandomSampler()
            )
            question = self._study.user_attrs.get(QUESTION)
        if question is None:
            raise UserError(f"{path} is an Optuna study that paretocut did not make; choose another --out")
        self._question: dict[str, Any] = json.loads(question)
        self._knobs = {name: self._question[f"knob {name}"] for name in self._question["order"]}
        self._constraints = [parse_constraint(text) for text in self._question["constraints"]]
        self._distributions = {
            name: optuna.distributions.CategoricalDistribution(values)
            for name, values in self._knobs.items()
            if len(values) > 1
        }
        self._since = time.time()

    @classmethod
    def create(cls, path: Path, question: Mapping[str, Any]) -> OptunaStore:
        import optuna

        def fill(temporary: Path) -> None:
            with _explained(path):
                storage = _storage(temporary)
                study = optuna.create_study(
                    study_name=path.resolve().parent.name,
                    storage=storage,
                    directions=["minimize"] * len(question["objectives"]),
                    sampler=optuna.samplers.RandomSampler(),
                )
                with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
                    study.set_metric_names(question["objectives"])
                study.set_user_attr(FINGERPRINT, fingerprint(question))
                study.set_user_attr(QUESTION, json.dumps(question))
                _dispose(storage)

        create_database(path, fill)
        return cls(path)

    def question(self) -> dict[str, Any]:
        return dict(self._question)

    def reclaim(self) -> int:
        """Set trials that a dead process left RUNNING or WAITING to FAIL; how many there were."""
        from optuna.trial import TrialState

        with _explained(self.path):
            zombies = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
            for trial in zombies:
                self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        return len(zombies)

    def trials(self) -> list[Trial]:
        """All finished trials of ours in the order of their positions."""
        from optuna.trial import TrialState

        with _explained(self.path):
            stored = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [self._trial(position, trial) for position, trial in enumerate(filter(self._is_ours, stored))]

    def append(self, trials: Sequence[Trial]) -> None:
        """Add finished trials in one durable commit.

        Rows go straight into Optuna's tables: `Study.add_trial` costs 25 ms and a commit for each trial, nearly all
        of it spent on one upsert per attribute. A test holds that both leave the same trials.
        """
        with _explained(self.path), self._storage.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _insert(connection, self._study._study_id, [self._frozen(trial) for trial in trials], self._since)
            connection.commit()
        self._since = time.time()

    def spans(self) -> list[tuple[float, float]]:
        """When each trial was begun and when it was safe, in seconds since 1970; trials of one commit share a span."""
        from optuna.trial import TrialState

        with _explained(self.path):
            stored = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        found = [(t.datetime_start, t.datetime_complete) for t in stored if self._is_ours(t)]
        spans = [(start.timestamp(), end.timestamp()) for start, end in found if start is not None and end is not None]
        return spans if len(spans) == len(found) else []

    def close(self) -> None:
        _dispose(self._storage)

    def _is_ours(self, trial: optuna.trial.FrozenTrial) -> bool:
        figures = set(METRICS).difference(self._question["objectives"])
        return ILLEGAL in trial.user_attrs or figures <= trial.user_attrs.keys()

    def _trial(self, position: int, trial: optuna.trial.FrozenTrial) -> Trial:
        indices = tuple(
            values.index(trial.params[name]) if name in trial.params else 0 for name, values in self._knobs.items()
        )
        if ILLEGAL in trial.user_attrs:
            return Trial(position, indices, reason=trial.user_attrs[ILLEGAL])
        metrics = dict(zip(self._question["objectives"], trial.values, strict=True)) | trial.user_attrs
        return Trial(position, indices, metrics={name: metrics[name] for name in METRICS})

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        import optuna

        objectives = self._question["objectives"]
        attributes: dict[str, Any] = {ILLEGAL: trial.reason}
        constraints = {LEGAL: 1.0}
        if trial.metrics is not None:
            attributes = {name: value for name, value in trial.metrics.items() if name not in objectives}
            constraints = {str(c): c.violation(trial.metrics) for c in self._constraints}
        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE,
            values=[float(value) for value in trial.values(objectives)],
            params={
                name: values[i]
                for (name, values), i in zip(self._knobs.items(), trial.indices, strict=True)
                if name in self._distributions
            },
            distributions=dict(self._distributions),
            constraints=constraints,
            user_attrs=attributes,
        )


def _insert(
    connection: sqlalchemy.Connection, study_id: int, trials: Sequence[optuna.trial.FrozenTrial], since: float
) -> None:
    """Insert finished trials, begun at `since` (seconds since 1970), as the RDBStorage of Optuna 5 does."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from sqlalchemy import func, insert, select

    def rows(model: type[Any], values: list[dict[str, Any]]) -> None:
        if values:
            connection.execute(insert(model.__table__), values)

    table = models.TrialModel.__table__
    last, count = connection.execute(select(func.max(table.c.trial_id), func.count(table.c.trial_id))).one()
    numbered = list(enumerate(trials, start=(last or 0) + 1))
    # Optuna writes the local time without its zone.
    started, now = datetime.fromtimestamp(since), datetime.now()
    rows(
        models.TrialModel,
        [
            {
                "trial_id": trial_id,
                "number": count + i,
                "study_id": study_id,
                "state": trial.state,
                "datetime_start": started,
                "datetime_complete": now,
            }
            for i, (trial_id, trial) in enumerate(numbered)
        ],
    )
    values = []
    for trial_id, trial in numbered:
        for objective, value in enumerate(trial.values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            values.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
    rows(models.TrialValueModel, values)
    written = {name: distribution_to_json(d) for name, d in trials[0].distributions.items()} if trials else {}
    rows(
        models.TrialParamModel,
        [
            {
                "trial_id": trial_id,
                "param_name": name,
                "param_value": trial.distributions[name].to_internal_repr(value),
                "distribution_json": written[name],
            }
            for trial_id, trial in numbered
            for name, value in trial.params.items()
        ],
    )
    for model, attributes in (
        (models.TrialUserAttributeModel, [(i, trial.user_attrs) for i, trial in numbered]),
        (models.TrialSystemAttributeModel, [(i, trial.system_attrs) for i, trial in numbered]),
    ):
        rows(
            model,
            [
                {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
                for trial_id, attrs in attributes
                for key, value in attrs.items()
            ],
        )


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.RDBStorage(
        f"sqlite:///{path.resolve()}", engine_kwargs={"creator": lambda: connect(path.resolve())}
    )


def _dispose(storage: optuna.storages.RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import optuna
    import sqlalchemy.exc

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error) as error:
        cause = error.__cause__ or error
        reason = " ".join(str(getattr(cause, "orig", None) or cause).split())[:200]
        raise UserError(f"cannot use {path}: {reason}; move it away or choose another --out") from None
