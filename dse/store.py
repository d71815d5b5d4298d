"""One folder, one question: `study.db` is an SQLite file that holds the question and every finished trial.

`nsga2`, `random` and `exact` keep their trials in one plain table (this module), `optuna-*` in Optuna's own schema
(`store_optuna`, `store_optuna_file`). The file is created under another name and linked into place, so it is whole or
absent; a batch is one transaction (WAL, synchronous=NORMAL: a killed process loses nothing that was committed).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dse.database import DamagedError, connect, create_database, explained
from dse.locks import held
from dse.study import Trial, differences, fingerprint
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from dse.adopt import Evaluate

__all__ = ["DATABASE", "Store", "TableStore", "is_study", "open_store", "read_store", "stored_kind", "studies_in"]

DATABASE = "study.db"
FORMAT = 1
SCHEMA = """
CREATE TABLE question (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL,
                       fingerprint TEXT NOT NULL, fields TEXT NOT NULL);
CREATE TABLE trial (position INTEGER PRIMARY KEY, indices TEXT NOT NULL, metrics TEXT, state TEXT NOT NULL,
                    reason TEXT);
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);
"""
SPANS = "CREATE TABLE IF NOT EXISTS span (first INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL NOT NULL)"
"""When the trials of one commit, from position `first` on, were worked on: seconds since 1970."""
COPIED = -1
"""The position of a span that says that trials were copied: of when they were evaluated nothing is known."""


OWN_TABLES = {
    "table": {"question", "trial", "state"},
    "optuna": {
        "studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials", "trial_params",
        "trial_values", "trial_user_attributes", "trial_system_attributes", "version_info",
    },
}  # fmt: skip
"""What each kind of study cannot be without."""


class Store(Protocol):
    """Where the trials of one study are kept."""

    def question(self) -> dict[str, Any]: ...

    @property
    def shared(self) -> bool:
        """Whether other processes were seen to work on this study too."""
        ...

    def trials(self) -> list[Trial]:
        """All finished trials in the order of their positions, which may have gaps."""
        ...

    def reclaim(self) -> int:
        """Free what dead processes have claimed; how many trials that were."""
        ...

    def claim(self, wanted: Mapping[int, tuple[int, ...]], limit: int) -> list[int]:
        """Up to `limit` of these positions, of which the designs are given, that are now this process's alone."""
        ...

    def append(self, trials: Sequence[Trial]) -> None:
        """Add finished trials of claimed positions in one durable commit."""
        ...

    def release(self) -> None:
        """Give back what was claimed and not finished."""
        ...

    def read(self, positions: Collection[int]) -> list[Trial]:
        """The trials of these positions that are finished by now."""
        ...

    def spans(self) -> list[tuple[float, float]]: ...

    def close(self) -> None: ...


def stored_kind(folder: Path) -> str | None:
    """The kind "table" or "optuna", None where there is no study; DamagedError, or UserError for a foreign file."""
    path = folder / DATABASE
    if not path.exists():
        return None
    if not path.stat().st_size:  # before SQLite removes the log of an empty file
        raise DamagedError(path, "it is empty")
    with explained(path):
        connection = connect(path)
        try:
            check = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if check != "ok":
                raise sqlite3.DatabaseError(check)
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    for kind, needed in OWN_TABLES.items():
        if needed <= tables:
            return kind
        if needed & tables:
            raise DamagedError(path, f"it has no table {', '.join(sorted(needed - tables))}")
    raise UserError(f"{path} is not a study of paretocut; choose another --out")


class TableStore:
    """Trials in one plain table: position, knob indices, metrics as JSON, state, reason.

    One process at a time: it holds the folder, so all positions are its own.
    """

    shared = False

    def __init__(self, path: Path) -> None:
        self.path = path
        with explained(path):
            self._connection = connect(path)
        try:
            self._question = self._read_question()
        except BaseException:
            self._connection.close()
            raise
        self._since = time.time()

    @classmethod
    def create(
        cls, path: Path, question: Mapping[str, Any], trials: Sequence[Trial] = (), *, replace: bool = False
    ) -> TableStore:
        """A new file, whole or not there at all."""

        def fill(temporary: Path) -> None:
            connection = sqlite3.connect(temporary)
            with connection:
                connection.executescript(SCHEMA)
                connection.execute(
                    "INSERT INTO question VALUES (1, ?, ?, ?)",
                    (FORMAT, fingerprint(question), json.dumps(question)),
                )
                connection.executemany("INSERT INTO trial VALUES (?, ?, ?, ?, ?)", map(_row, trials))
                if trials:
                    connection.execute(SPANS)
                    connection.execute("INSERT INTO span VALUES (?, 0, 0)", (COPIED,))
            connection.close()

        create_database(path, fill, replace=replace)
        return cls(path)

    def _read_question(self) -> Any:
        with explained(self.path):
            row = self._connection.execute("SELECT format, fields FROM question").fetchone()
        if row is None or row[0] != FORMAT:
            raise UserError(f"{self.path} was made by another version of paretocut; choose another --out")
        try:
            return json.loads(row[1])
        except ValueError as error:
            raise DamagedError(self.path, error) from None

    def question(self) -> dict[str, Any]:
        return dict(self._question)

    def trials(self) -> list[Trial]:
        """All finished trials in the order of their positions."""
        with explained(self.path):
            rows = self._connection.execute(
                "SELECT position, indices, metrics, reason FROM trial ORDER BY position"
            ).fetchall()
        try:
            return [
                Trial(position, tuple(json.loads(indices)), json.loads(metrics) if metrics else None, reason)
                for position, indices, metrics, reason in rows
            ]
        except (TypeError, ValueError) as error:
            raise DamagedError(self.path, error) from None

    def reclaim(self) -> int:
        return 0

    def claim(self, wanted: Mapping[int, tuple[int, ...]], limit: int) -> list[int]:
        return list(wanted)[:limit]

    def release(self) -> None:
        pass

    def read(self, positions: Collection[int]) -> list[Trial]:
        return []

    def append(self, trials: Sequence[Trial]) -> None:
        """Add finished trials in one durable commit."""
        if trials:
            self.replace(trials, (), None)

    def spans(self) -> list[tuple[float, float]]:
        """When each trial was begun and when it was safe, in seconds since 1970; empty where nobody noted it.

        Trials of one commit share a span.
        """
        from bisect import bisect_right

        with explained(self.path):
            if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'span'").fetchone():
                return []
            positions = [row[0] for row in self._connection.execute("SELECT position FROM trial ORDER BY position")]
            rows = self._connection.execute("SELECT first, started, finished FROM span ORDER BY first").fetchall()
        firsts = [row[0] for row in rows]
        found = [bisect_right(firsts, position) - 1 for position in positions]
        return [] if -1 in found or COPIED in firsts else [(rows[i][1], rows[i][2]) for i in found]

    def state(self) -> dict[str, Any] | None:
        """Whatever else the algorithm has to remember between runs (`exact`: how far it is)."""
        with explained(self.path):
            row = self._connection.execute("SELECT content FROM state").fetchone()
        if row is None:
            return None
        try:
            return dict(json.loads(row[0]))
        except (TypeError, ValueError) as error:
            raise DamagedError(self.path, error) from None

    def replace(self, added: Sequence[Trial], dropped: Sequence[int], state: Mapping[str, Any] | None) -> None:
        """Add trials, drop others by position and set the state, in one durable commit.

        Noted with the trials is the time they took: since the commit before, or since the file was opened.
        """
        now = time.time()
        with explained(self.path), self._connection:
            self._connection.executemany("DELETE FROM trial WHERE position = ?", [(p,) for p in dropped])
            self._connection.executemany("INSERT INTO trial VALUES (?, ?, ?, ?, ?)", [_row(t) for t in added])
            if added:
                self._connection.execute(SPANS)
                span = (added[0].position, self._since, now)
                self._connection.execute("INSERT OR REPLACE INTO span VALUES (?, ?, ?)", span)
            if state is not None:
                self._connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (json.dumps(state),))
        self._since = now

    def close(self) -> None:
        self._connection.close()


def _row(trial: Trial) -> tuple[int, str, str | None, str, str | None]:
    metrics = None if trial.metrics is None else json.dumps(dict(trial.metrics))
    return trial.position, json.dumps(list(trial.indices)), metrics, trial.state, trial.reason


def open_store(
    folder: Path,
    question: Mapping[str, Any],
    kind: str,
    *,
    storage: str | None = None,
    evaluate: Evaluate | None = None,
) -> Store:
    """The store of this folder for this question: made if there is none, refused if it holds another question.

    `storage` is the address of an Optuna storage in place of a file in the folder. With `evaluate`, an Optuna study
    that somebody else has made is taken over.
    """
    from dse import store_url
    from dse.adopt import adopt
    from dse.store_optuna_file import OptunaFile

    if kind == "optuna":
        import optuna  # noqa: F401  # before the lock: it takes a second

    path = folder / DATABASE
    with held(folder):  # of several processes that start at once, one makes the study
        stored = stored_kind(folder)
        known = store_url.remembered(folder)
        if storage is not None:
            if stored is not None:
                raise UserError(
                    f"{folder} holds a study of its own ({DATABASE}), not one in a storage; choose another --out"
                )
            if known not in (None, store_url.without_password(storage)):
                raise UserError(f"the study of {folder} is in {known}; choose another --out for another --storage")
        _sweep(folder)
        elsewhere = (storage or known) if stored is None else None
        if elsewhere is None and stored is None:
            if evaluate is not None:
                raise UserError(f"nothing to adopt: there is no {path}")
            return OptunaFile.create(path, question) if kind == "optuna" else TableStore.create(path, question)
        if stored == "optuna" and evaluate is not None:
            with OptunaFile.opened(path) as study:
                adopt(study, question, evaluate, path)
    store: Store
    if elsewhere is not None:
        if kind != "optuna":
            raise UserError(f"{folder} holds a study of an optuna-* algorithm in {known}; choose another --out")
        store = store_url.open_url(elsewhere, folder, question, evaluate)
    else:
        store = OptunaFile(path) if stored == "optuna" else TableStore(path)
    changed = differences(store.question(), question)
    if changed:
        store.close()
        shown = "; ".join(changed[:6]) + (f"; and {len(changed) - 6} more" if len(changed) > 6 else "")
        raise UserError(f"{folder} holds another question ({shown}); choose another --out")
    if storage is not None:
        store_url.remember(folder, storage)
    return store


def read_store(folder: Path) -> Store:
    """The study in this folder, or in the storage that the folder names, whatever its question."""
    from dse import store_url
    from dse.store_optuna_file import OptunaFile

    stored = stored_kind(folder)
    url = store_url.remembered(folder)
    if stored is None and url is not None:
        return store_url.open_url(url, folder)
    if stored is None:
        inside = [str(study) for study in studies_in(folder)]
        if inside:
            more = f" and {len(inside) - 3} more" if len(inside) > 3 else ""
            raise UserError(f"{folder} is no study but holds some: name one of {', '.join(inside[:3])}{more}")
        raise UserError(f"no study in {folder}: it has no {DATABASE}; start one with paretocut run … --out {folder}")
    return OptunaFile(folder / DATABASE) if stored == "optuna" else TableStore(folder / DATABASE)


def is_study(folder: Path) -> bool:
    """Whether this folder looks like one of a study: it has a database, or names a storage."""
    from dse.store_url import REMEMBERED

    return any((folder / name).exists() for name in (DATABASE, REMEMBERED))


def studies_in(folder: Path) -> list[Path]:
    """The folders in this one that look like studies, by name."""
    return sorted(path for path in folder.glob("*/") if is_study(path))


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left behind; the caller holds the folder's lock."""
    for pattern in (".study.*.tmp.db*", ".front.*.tmp.*", ".run.*.tmp.json"):
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)
