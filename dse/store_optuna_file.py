"""An Optuna study in one SQLite file, written fast.

Optuna's own calls cost 40 ms and some 15 commits per trial on a disk, most of it one upsert per attribute. Here rows
go straight into Optuna's tables, many trials in one transaction; a test holds that both ways leave the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.database import connect, create_database
from dse.store_optuna import COPIED, OWNER, POSITION, OptunaStore, dispose, explained, new_study, reading
from dse.study import Trial
from search_spaces.errors import UserError

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

__all__ = ["OptunaFile"]

AT_ONCE = 1000
"""Trials that are copied in one transaction."""


class OptunaFile(OptunaStore):
    """The one study of an SQLite file in Optuna's schema."""

    def __init__(self, path: Path) -> None:
        with explained(path):
            storage = _storage(path)
        self._engine = storage.engine
        try:
            super().__init__(storage, _the_study(storage, path), path)
        except BaseException:
            dispose(storage)  # the last connection takes the log away: not later, while somebody reads it
            raise
        self._taken: dict[int, int] = {}
        self._running_ids: set[int] = set()
        self._last_id = 0

    @classmethod
    def create(
        cls,
        path: Path,
        question: Mapping[str, Any],
        trials: Sequence[Trial] = (),
        *,
        name: str | None = None,
        replace: bool = False,
    ) -> OptunaFile:
        """A new file, whole or not there at all; its study has this name, or the folder's.

        Trials that are given are marked as copies, which were not worked on when they were written.
        """

        def fill(temporary: Path) -> None:
            with explained(path):
                storage = _storage(temporary)
                study = new_study(storage, name or path.resolve().parent.name, question)
                if trials:
                    storage.set_study_system_attr(study._study_id, COPIED, True)
                dispose(storage)
            store = cls(temporary)
            for start in range(0, len(trials), AT_ONCE):
                store._add(trials[start : start + AT_ONCE])
            store.close()

        create_database(path, fill, replace=replace)
        return cls(path)

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[optuna.Study]:
        """The study of a file, whoever made it, to be taken over."""
        import optuna

        with explained(path):
            storage = _storage(path)
            try:
                with storage.engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                name = _the_study(storage, path)
                yield optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
            finally:
                dispose(storage)

    def _add(self, trials: Sequence[Trial]) -> None:
        """Claim and finish trials that were evaluated before."""
        self.claim({trial.position: trial.indices for trial in trials}, len(trials))
        self.append(trials)

    def trials(self) -> list[Trial]:
        """As Optuna itself reads them, at a fraction of its time: five tables, put together by trial."""
        from optuna.storages._rdb import models
        from optuna.trial import TrialState
        from sqlalchemy import select

        trial, param, value = models.TrialModel, models.TrialParamModel, models.TrialValueModel
        attribute, place = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
        mine = (trial.study_id == self._id, trial.state == TrialState.COMPLETE)
        numbers: dict[int, tuple[int, int]] = {}
        params: dict[int, dict[str, Any]] = {}
        values: dict[int, dict[int, float]] = {}
        attributes: dict[int, dict[str, Any]] = {}
        external = cache(lambda name, stored: self._distributions[name].to_external_repr(stored))
        with reading(self.label), self._engine.connect() as connection:
            for trial_id, number, position in connection.execute(
                select(trial.trial_id, trial.number, place.value_json)
                .join(place, place.trial_id == trial.trial_id)
                .where(*mine, place.key == POSITION)
            ):
                numbers[trial_id] = number, int(position)
            for trial_id, name, stored in connection.execute(
                select(trial.trial_id, param.param_name, param.param_value).join(param).where(*mine)
            ):
                if name in self._distributions:
                    params.setdefault(trial_id, {})[name] = external(name, stored)
            for trial_id, objective, stored, kind in connection.execute(
                select(trial.trial_id, value.objective, value.value, value.value_type).join(value).where(*mine)
            ):
                values.setdefault(trial_id, {})[objective] = value.stored_repr_to_value(stored, kind)
            for trial_id, key, text in connection.execute(
                select(trial.trial_id, attribute.key, attribute.value_json).join(attribute).where(*mine)
            ):
                attributes.setdefault(trial_id, {})[key] = json.loads(text)
        trials = [
            self._read(
                number,
                position,
                params.get(trial_id, {}),
                [found for _, found in sorted(values.get(trial_id, {}).items())],
                attributes.get(trial_id, {}),
            )
            for trial_id, (number, position) in numbers.items()
        ]
        return [*self._adopted, *sorted(trials, key=lambda made: made.position)]

    def claim(self, wanted: Mapping[int, tuple[int, ...]], limit: int) -> list[int]:
        self._start_heart()
        with self._transaction() as connection:
            self._look(connection)
            free = [position for position in wanted if position not in self._taken][:limit]
            trials = [self._running(position, wanted[position]) for position in free]
            numbers = _insert_running(connection, self._id, trials)
            connection.commit()
        self._claimed.update(zip(free, numbers, strict=True))
        self._taken.update(self._claimed)
        return free

    def append(self, trials: Sequence[Trial]) -> None:
        with self._transaction() as connection:
            numbered = {self._claimed[trial.position]: self._frozen(trial) for trial in trials}
            _finish(connection, numbered)
            connection.commit()
        for trial in trials:
            self._running_ids.discard(self._claimed.pop(trial.position))

    @contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        """One that holds off all other writers from its beginning."""
        with explained(self.label), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _look(self, connection: sqlalchemy.Connection) -> None:
        """See which positions others have taken or lost since the last look."""
        from optuna.storages._rdb.models import TrialModel, TrialSystemAttributeModel
        from optuna.trial import TrialState
        from sqlalchemy import and_, or_, select

        trial, attribute = TrialModel.__table__.c, TrialSystemAttributeModel.__table__.c
        joined = TrialModel.__table__.join(
            TrialSystemAttributeModel.__table__,
            and_(attribute.trial_id == trial.trial_id, attribute.key == POSITION),
        )
        news = or_(trial.trial_id > self._last_id, trial.trial_id.in_(self._running_ids))
        rows = connection.execute(
            select(trial.trial_id, trial.state, attribute.value_json)
            .select_from(joined)
            .where(trial.study_id == self._id, news)
            .order_by(trial.trial_id)
        ).all()
        for number, state, position in rows:
            self._last_id = max(self._last_id, number)
            (self._running_ids.add if state == TrialState.RUNNING else self._running_ids.discard)(number)
            if state in (TrialState.RUNNING, TrialState.COMPLETE):
                self._taken.setdefault(int(position), number)
            elif self._taken.get(int(position)) == number:
                del self._taken[int(position)]
        if not self.shared and not self._running_ids <= set(self._claimed.values()):
            owner = TrialSystemAttributeModel.__table__.c
            running = select(owner.value_json).where(owner.key == OWNER, owner.trial_id.in_(self._running_ids))
            self._look_for_others(json.loads(value) for value in connection.execute(running).scalars())


def _insert_running(
    connection: sqlalchemy.Connection, study_id: int, trials: Sequence[optuna.trial.FrozenTrial]
) -> list[int]:
    """Insert running trials as the RDBStorage of Optuna 5 does; their ids."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models
    from sqlalchemy import select

    if not trials:
        return []
    table = models.TrialModel.__table__
    newest = select(table.c.trial_id, table.c.number).order_by(table.c.trial_id.desc()).limit(1)
    last, number = connection.execute(newest).one_or_none() or (0, -1)
    numbered = list(enumerate(trials, start=last + 1))
    _rows(
        connection,
        models.TrialModel,
        [
            {
                "trial_id": trial_id,
                "number": number + 1 + i,
                "study_id": study_id,
                "state": trial.state,
                "datetime_start": _now(),
            }
            for i, (trial_id, trial) in enumerate(numbered)
        ],
    )
    written = {name: distribution_to_json(d) for name, d in trials[0].distributions.items()}
    _rows(
        connection,
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
    _attributes(connection, models.TrialSystemAttributeModel, {i: trial.system_attrs for i, trial in numbered})
    return [trial_id for trial_id, _ in numbered]


def _finish(connection: sqlalchemy.Connection, trials: Mapping[int, optuna.trial.FrozenTrial]) -> None:
    """Complete running trials with their values and attributes; one that is no longer running is left alone."""
    from optuna.storages._rdb import models
    from optuna.trial import TrialState
    from sqlalchemy import select, update

    table = models.TrialModel.__table__
    mine = table.c.trial_id.in_(trials)
    running = connection.execute(select(table.c.trial_id).where(mine, table.c.state == TrialState.RUNNING)).scalars()
    finished = {trial_id: trials[trial_id] for trial_id in running}
    connection.execute(
        update(table).where(table.c.trial_id.in_(finished)).values(state=TrialState.COMPLETE, datetime_complete=_now())
    )
    values = []
    for trial_id, trial in finished.items():
        for objective, value in enumerate(trial.values):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            values.append({"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind})
    _rows(connection, models.TrialValueModel, values)
    _attributes(connection, models.TrialUserAttributeModel, {i: trial.user_attrs for i, trial in finished.items()})
    _attributes(connection, models.TrialSystemAttributeModel, {i: trial.system_attrs for i, trial in finished.items()})


def _attributes(
    connection: sqlalchemy.Connection, model: type[Any], attributes: Mapping[int, Mapping[str, Any]]
) -> None:
    _rows(
        connection,
        model,
        [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for trial_id, named in attributes.items()
            for key, value in named.items()
        ],
    )


def _rows(connection: sqlalchemy.Connection, model: type[Any], values: list[dict[str, Any]]) -> None:
    from sqlalchemy import insert

    if values:
        connection.execute(insert(model.__table__), values)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def _the_study(storage: optuna.storages.RDBStorage, path: Path) -> str:
    import optuna

    with explained(path):
        names = optuna.get_all_study_names(storage)
    if len(names) != 1:
        raise UserError(f"{path} holds {len(names)} Optuna studies, and one folder holds one; choose another --out")
    return names[0]


def _storage(path: Path) -> optuna.storages.RDBStorage:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.storages.RDBStorage(
            f"sqlite:///{path.resolve()}", engine_kwargs={"creator": lambda: connect(path.resolve())}
        )
    except RuntimeError:  # what Optuna raises where its tables are not this version's
        raise UserError(
            f"{path} was made by another version of Optuna than {optuna.__version__}; use that one, move the file "
            "away or choose another --out"
        ) from None
