"""Trials in Optuna's own schema, in any storage of Optuna's: `optuna.load_study(study_name=…, storage=…)` sees them.

A parameter is a knob with more than one value, and its value what people read (a categorical choice, in the knob's
order); the samplers work on indices in a study of their own in memory (`algorithms._optuna`), so readable values
cost them nothing. Values are the objectives in SI units, constraints their violation (metric / bound − 1), user
attributes all other metrics. An illegal design is a complete trial with infinite values, a broken constraint "legal"
and its reason as user attribute, so that samplers and `best_trials` treat it as infeasible. A trial's position in
the study and the process that evaluates it are system attributes.

Processes that share a study work out the same proposals and divide them: who creates the first running trial of a
position has it. (Every storage of Optuna's numbers trials in one order for all.) A trial whose process died is set to
FAIL, which only one process can do to a running trial, and its position is free again.
"""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.database import DamagedError, is_damage
from dse.presence import STALE_SECONDS, Heart, Watch, this_process
from dse.study import Trial, fingerprint, parse_constraint
from evaluators.costs import METRICS
from search_spaces.errors import UserError

if TYPE_CHECKING:
    import optuna

__all__ = ["OptunaStore", "dispose", "explained", "is_ours", "mark", "new_study", "reading"]

FORMAT = 2
FORMAT_KEY = "paretocut:format"
FINGERPRINT = "paretocut:fingerprint"
QUESTION = "paretocut:question"
POSITION = "paretocut:position"
OWNER = "paretocut:process"
BEAT = "paretocut:heartbeat"
ADOPTED = "paretocut:adopted"
COPIED = "paretocut:copied"
ILLEGAL = "illegal"
LEGAL = "legal"
RECLAIM_SECONDS = 0.5
"""How often a process that waits for others looks whether they still live."""


class OptunaStore:
    """One study of an Optuna storage, read and written by Optuna's own calls."""

    def __init__(self, storage: optuna.storages.BaseStorage, name: str, label: Path | str) -> None:
        import optuna

        self.label = label
        self.shared = False
        self._claimed: dict[int, int] = {}
        self._heart: Heart | None = None
        self._reclaimed_at = 0.0
        with explained(label):
            self._study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
            self._storage = self._study._storage  # the given one, with Optuna's cache of finished trials
            self._id = self._study._study_id
            if not is_ours(self._study):
                raise UserError(
                    f"{label} is an Optuna study that paretocut did not make; take it over with --adopt or choose "
                    "another --out"
                )
            try:
                self._question: dict[str, Any] = json.loads(self._study.user_attrs[QUESTION])
            except json.JSONDecodeError as error:
                raise damaged(label, error) from None
            attributes = self._storage.get_study_system_attrs(self._id)
            self._adopted = _adopted(attributes)
            self._untimed = COPIED in attributes or bool(self._adopted)
        self._watch = Watch(lambda process: self._storage.get_study_system_attrs(self._id).get(f"{BEAT} {process}"))
        self._knobs = {name: self._question[f"knob {name}"] for name in self._question["order"]}
        self._constraints = [parse_constraint(text) for text in self._question["constraints"]]
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.CategoricalDistribution(values)
            for name, values in self._knobs.items()
            if len(values) > 1
        }
        if self._adopted:  # Optuna wants all trials of a study to have the same ranges
            for trial in self._study.get_trials(deepcopy=False):
                self._distributions |= trial.distributions

    def question(self) -> dict[str, Any]:
        return dict(self._question)

    def reclaim(self) -> int:
        """Set trials that dead processes left RUNNING or WAITING to FAIL; how many there were.

        Of a process that is not ours, Optuna's own heartbeat tells whether it lives; without one it counts as dead.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        reclaimed = 0
        with explained(self.label):
            left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
            left = [trial for trial in left if trial._trial_id not in self._claimed.values()]
            beating = self._beating() if any(OWNER not in trial.system_attrs for trial in left) else set()
            for trial in left:
                owner = trial.system_attrs.get(OWNER)
                if trial._trial_id in beating if owner is None else self._watch.is_alive(owner):
                    continue
                with suppress(UpdateFinishedTrialError):  # another process was faster
                    self._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                    reclaimed += 1
        self._reclaimed_at = time.monotonic()
        return reclaimed

    def trials(self) -> list[Trial]:
        """All finished trials of ours in the order of their positions; adopted ones come before the first."""
        live = self._live()
        own = [self._trial(live[position]) for position in sorted(live) if live[position].state.is_finished()]
        return [*self._adopted, *own]

    def read(self, positions: Collection[int]) -> list[Trial]:
        """Trials of these positions that others have finished meanwhile; reclaims what dead processes hold."""
        if time.monotonic() - self._reclaimed_at > RECLAIM_SECONDS:
            self.reclaim()
        live = self._live()
        return [self._trial(live[p]) for p in positions if p in live and live[p].state.is_finished()]

    def spans(self) -> list[tuple[float, float]]:
        """When each finished trial was begun and when it was safe, in seconds since 1970.

        Empty where trials were adopted or copied.
        """
        if self._untimed:
            return []
        live = self._live()
        finished = [live[position] for position in sorted(live) if live[position].state.is_finished()]
        return [
            (trial.datetime_start.timestamp(), trial.datetime_complete.timestamp())
            for trial in finished
            if trial.datetime_start is not None and trial.datetime_complete is not None
        ]

    def claim(self, wanted: Mapping[int, tuple[int, ...]], limit: int) -> list[int]:
        """Take up to `limit` of these positions, with their designs, that nobody has; they are RUNNING from now on."""
        from optuna.trial import TrialState

        self._start_heart()
        with explained(self.label):
            taken = self._live()
            free = [position for position in wanted if position not in taken]
            if self.shared and free:  # begin where others do not
                first = hash(this_process()) % len(free)
                free = free[first:] + free[:first]
            made = free[:limit]
            for position in made:
                trial = self._running(position, wanted[position])
                self._claimed[position] = self._storage.create_new_trial(self._id, template_trial=trial)
            live = self._live() if made else taken
            for position in made:
                if live[position]._trial_id != self._claimed[position]:
                    self._storage.set_trial_state_values(self._claimed.pop(position), TrialState.FAIL)
        self._look_for_others(trial.system_attrs[OWNER] for trial in live.values() if not trial.state.is_finished())
        return sorted(position for position in made if position in self._claimed)

    def append(self, trials: Sequence[Trial]) -> None:
        """Finish trials of claimed positions; one that was reclaimed from a process thought dead is dropped."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with explained(self.label):
            for trial in trials:
                trial_id = self._claimed[trial.position]
                with suppress(UpdateFinishedTrialError):
                    written = self._frozen(trial)
                    for name, value in written.user_attrs.items():
                        self._storage.set_trial_user_attr(trial_id, name, value)
                    for name, value in written.system_attrs.items():
                        self._storage.set_trial_system_attr(trial_id, name, value)
                    self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, written.values)
                del self._claimed[trial.position]

    def release(self) -> None:
        """Give back what was claimed and not finished."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        with explained(self.label):
            while self._claimed:
                with suppress(UpdateFinishedTrialError):
                    self._storage.set_trial_state_values(self._claimed.popitem()[1], TrialState.FAIL)

    def close(self) -> None:
        if self._heart is not None:
            self._heart.stop()
        dispose(self._storage)

    def _live(self) -> dict[int, optuna.trial.FrozenTrial]:
        """Of every position the trial that counts: the first that is running or complete."""
        from optuna.trial import TrialState

        found: dict[int, optuna.trial.FrozenTrial] = {}
        with reading(self.label):
            stored = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.COMPLETE))
        for trial in stored:
            position = trial.system_attrs.get(POSITION)
            if position is not None:
                found.setdefault(position, trial)
        return found

    def _look_for_others(self, owners: Iterator[str]) -> None:
        self.shared = self.shared or any(owner != this_process() for owner in owners)

    def _start_heart(self) -> None:
        if self._heart is None:
            key = f"{BEAT} {this_process()}"
            self._heart = Heart(lambda number: self._storage.set_study_system_attr(self._id, key, number))

    def _beating(self) -> set[int]:
        """Trials of which Optuna's own heartbeat was recorded not long ago, by the database's clock."""
        import optuna
        import sqlalchemy
        from optuna.storages._rdb.models import TrialHeartbeatModel as Heartbeat

        backend = getattr(self._storage, "_backend", None)
        if not isinstance(backend, optuna.storages.RDBStorage):
            return set()
        with backend.engine.connect() as connection:
            now = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one().replace(tzinfo=None)
            recent = Heartbeat.heartbeat > now - timedelta(seconds=2 * STALE_SECONDS)
            return set(connection.execute(sqlalchemy.select(Heartbeat.trial_id).where(recent)).scalars())

    def _trial(self, trial: optuna.trial.FrozenTrial) -> Trial:
        position = trial.system_attrs[POSITION]
        return self._read(trial.number, position, trial.params, trial.values, trial.user_attrs)

    def _read(
        self,
        number: int,
        position: int,
        params: Mapping[str, Any],
        objective_values: Sequence[float] | None,
        attributes: Mapping[str, Any],
    ) -> Trial:
        """A trial of ours from what Optuna knows of it."""
        try:
            indices = tuple(
                values.index(params[name]) if name in self._distributions else 0 for name, values in self._knobs.items()
            )
            if ILLEGAL in attributes:
                return Trial(position, indices, reason=attributes[ILLEGAL])
            metrics = dict(zip(self._question["objectives"], objective_values or (), strict=True)) | dict(attributes)
            return Trial(position, indices, metrics={name: metrics[name] for name in METRICS})
        except (ValueError, LookupError, TypeError) as error:
            raise damaged(self.label, f"trial {number}: {error!r}") from None

    def _running(self, position: int, indices: Sequence[int]) -> optuna.trial.FrozenTrial:
        import optuna

        return optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params={
                name: values[i]
                for (name, values), i in zip(self._knobs.items(), indices, strict=True)
                if name in self._distributions
            },
            distributions=dict(self._distributions),
            system_attrs={POSITION: position, OWNER: this_process()},
        )

    def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
        """What a finished trial has more than a running one: values, constraints and figures."""
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
            constraints=constraints,
            user_attrs=attributes,
        )


def is_ours(study: optuna.Study) -> bool:
    attributes = study.user_attrs
    return attributes.get(FORMAT_KEY) == FORMAT and QUESTION in attributes


def _adopted(attributes: Mapping[str, Any]) -> list[Trial]:
    """Trials of a study that was taken over, as its attributes have them, by position."""
    written = [json.loads(text) for key, text in attributes.items() if key.startswith(f"{ADOPTED}:")]
    return [
        Trial(trial["position"], tuple(trial["indices"]), trial["metrics"], trial["reason"])
        for trial in sorted(written, key=lambda trial: trial["position"])
    ]


def new_study(storage: optuna.storages.BaseStorage, name: str, question: Mapping[str, Any]) -> optuna.Study:
    """An Optuna study for this question; raises DuplicatedStudyError where there is one of this name."""
    import optuna

    study = optuna.create_study(
        study_name=name,
        storage=storage,
        directions=["minimize"] * len(question["objectives"]),
        sampler=optuna.samplers.RandomSampler(),
    )
    mark(study, question)
    return study


def mark(study: optuna.Study, question: Mapping[str, Any]) -> None:
    """Make an Optuna study the one of this question; the question comes last."""
    import optuna

    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        study.set_metric_names(question["objectives"])
    study.set_user_attr(FORMAT_KEY, FORMAT)
    study.set_user_attr(FINGERPRINT, fingerprint(question))
    study.set_user_attr(QUESTION, json.dumps(question))


def dispose(storage: optuna.storages.BaseStorage) -> None:
    import optuna

    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, optuna.storages.RDBStorage):
        backend.remove_session()
        backend.engine.dispose()


def damaged(label: Path | str, reason: object) -> UserError:
    """What is wrong with a study's file, or with one on a server, which we cannot mend."""
    if isinstance(label, Path):
        return DamagedError(label, reason)
    return UserError(f"{label} holds what paretocut did not write ({reason}); choose another --out")


@contextmanager
def explained(label: Path | str) -> Iterator[None]:
    """Errors of a database, by its file or its address, as one line."""
    import optuna
    import sqlalchemy.exc

    try:
        yield
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error) as error:
        cause = error.__cause__ or error
        cause = getattr(cause, "orig", None) or cause
        if is_damage(cause):
            raise damaged(label, cause) from None
        reason = " ".join(str(cause).split())[:200]
        raise UserError(f"cannot use {label}: {reason}; move it away or choose another --out") from None


@contextmanager
def reading(label: Path | str) -> Iterator[None]:
    """As `explained`; rows that are torn or missing are damage, too."""
    with explained(label):
        try:
            yield
        except UserError:
            raise
        except (ValueError, LookupError, TypeError, AssertionError) as error:
            raise damaged(label, error) from None
