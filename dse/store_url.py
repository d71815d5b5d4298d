"""An Optuna study by its address, in any of Optuna's storages: several machines share it.

The folder of results keeps the address without its password, so that `front` and `compare` find the study again; the
database's own ways to a password (PGPASSWORD, ~/.pgpass) go on working.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.adopt import Evaluate, adopt
from dse.files import read_json, write_json
from dse.store_optuna import QUESTION, OptunaStore, explained, is_ours, mark, new_study
from search_spaces.errors import UserError

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

__all__ = ["REMEMBERED", "check_storage", "open_url", "remember", "remembered", "without_password"]

REMEMBERED = "storage.json"
PASSWORDS = ("password", "passwd", "sslpassword")
"""Of the drivers' options in an address, those that are secret."""
ATTEMPTS = 6
"""How often a storage is opened: of processes that make its tables at the same time, all but one fail."""
CREATION_SECONDS = 10.0
"""How long another process may take from creating a study to having written its question."""


def without_password(url: str) -> str:
    """The address as it may be shown and kept: that of a file from the root, so that it holds in any working folder.

    >>> without_password("postgresql://me:secret@db/studies")
    'postgresql://me@db/studies'
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if "://" not in url:
        return str(Path(url).resolve())
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UserError(f"cannot read the storage's address; it reads {_EXAMPLES}") from None
    file = _sqlite_file(parsed)
    if file is not None:
        parsed = parsed.set(database=str(file))
    secrets = [key for key in parsed.query if key.lower() in PASSWORDS]
    return parsed.difference_update_query(secrets)._replace(password=None).render_as_string()


def _sqlite_file(address: sqlalchemy.URL) -> Path | None:
    """The file of an SQLite address; None of a server's, of one in memory, and of SQLite's own `file:` addresses."""
    name = address.database
    if not address.drivername.startswith("sqlite") or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name).resolve()


_EXAMPLES = "postgresql://user@host/database, mysql+pymysql://…, sqlite:///file.db or the path of a journal file"


def remembered(folder: Path) -> str | None:
    """The address of this folder's study, None where the study is in the folder itself."""
    record = read_json(folder / REMEMBERED)
    url = record.get("storage") if isinstance(record, dict) else None
    return url if isinstance(url, str) else None


def remember(folder: Path, url: str) -> None:
    if remembered(folder) is None:
        write_json(folder / REMEMBERED, {"storage": without_password(url), "study_name": folder.resolve().name})


def check_storage(url: str) -> None:
    """Raises UserError for a storage that cannot be opened, before a folder is made for it."""
    label = without_password(url)
    with explained(label):
        _storage(url, label, there=False)


def open_url(
    url: str, folder: Path, question: Mapping[str, Any] | None = None, evaluate: Evaluate | None = None
) -> OptunaStore:
    """The study of this folder's name in a storage; made, or with `evaluate` adopted, where there is a question."""
    import optuna

    name, label = folder.resolve().name, without_password(url)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = _storage(url, label, there=question is None)
    with explained(label):
        if question is not None:
            try:
                if evaluate is not None and name not in optuna.get_all_study_names(storage):
                    raise UserError(f"nothing to adopt: {label} has no study {name!r}, which is the name of the folder")
                new_study(storage, name, question)
            except optuna.exceptions.DuplicatedStudyError:
                study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler())
                _take_over(study, question, evaluate, f"study {name!r} in {label}")
        try:
            return OptunaStore(storage, name, label)
        except KeyError:
            raise UserError(f"{label} has no study {name!r}; choose another --storage or --out") from None


def _take_over(study: optuna.Study, question: Mapping[str, Any], evaluate: Evaluate | None, label: str) -> None:
    """See to it that a study that somebody else has created is one of ours."""
    if is_ours(study):
        return
    if evaluate is not None:
        adopt(study, question, evaluate, label)
        return
    until = time.monotonic() + CREATION_SECONDS
    while not study.get_trials(deepcopy=False):
        if QUESTION in study.user_attrs:
            return
        if time.monotonic() > until:  # its creator was killed; there is nothing in it to lose
            mark(study, question)
            return
        time.sleep(0.2)
    if not is_ours(study):
        raise UserError(f"{label} was not made by paretocut; take it over with --adopt or choose another --out")


def _storage(url: str, label: str, *, there: bool) -> optuna.storages.BaseStorage:
    """Optuna's storage of this address; a file that should be `there` is not made."""
    import optuna
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy import make_url

    if "://" not in url:
        path = Path(url)
        if not path.parent.is_dir():
            raise UserError(f"no folder {path.parent} for the journal file {path.name}; a storage reads {_EXAMPLES}")
        if there and not path.exists():
            raise UserError(f"the study's storage {label} is not there; bring it back or choose another folder")
        return optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    file = _sqlite_file(address)
    if file is not None:
        if there and not file.exists():
            raise UserError(f"the study's storage {label} is not there; bring it back or choose another folder")
        with explained(label):  # readers and the writer do not wait for each other
            connection = sqlite3.connect(file, timeout=60)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
    text = address.render_as_string(hide_password=False)
    for attempt in range(ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(text, engine_kwargs={"pool_pre_ping": True})
        except ImportError:
            extra = "; install paretocut[postgresql]" if address.drivername.startswith("postgresql") else ""
            raise UserError(f"no Python driver for {label} is installed{extra}") from None
        except ValueError as error:
            raise UserError(f"cannot use {label}: {' '.join(str(error).split())[:200]}") from None
        except Exception as error:  # which one depends on the database, and on how far the other process is
            if attempt == ATTEMPTS - 1:
                cause = getattr(error.__cause__ or error, "orig", None) or error
                reason = " ".join(str(cause).split())[:200]
                raise UserError(f"cannot use {label}: {reason}; choose another --storage") from None
            time.sleep(random.uniform(0.1, 0.5))
    raise AssertionError
