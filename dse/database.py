"""SQLite files of studies: whole or not there at all, and errors in one line."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dse.files import sync_folder, unusable
from search_spaces.errors import UserError

__all__ = ["DamagedError", "connect", "create_database", "explained", "is_damage"]


class DamagedError(UserError):
    """A study's file that was whole once."""

    def __init__(self, path: Path, reason: object) -> None:
        shown = " ".join(str(reason).split())
        super().__init__(
            f"{path} is damaged ({shown}); keep what is whole in it: paretocut recover {path.parent}; "
            "or choose another --out"
        )


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that exists: waits for other writers and commits durably without an fsync per page.

    In a folder that may not be written to, SQLite could not even read a database with a log; so this says that
    nobody changes it.
    """
    path = path.resolve()
    finished = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    options = "mode=ro&immutable=1" if finished else "mode=rw"
    connection = sqlite3.connect(f"{path.as_uri()}?{options}", uri=True, timeout=60.0, check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def create_database(path: Path, fill: Callable[[Path], None], *, replace: bool = False) -> None:
    """Let `fill` make a database under a temporary name, then link it into place: whole, or not there at all.

    One that is there already is an error unless it is to be replaced.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        connection = sqlite3.connect(temporary)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        fill(temporary)
        # The last connection to close checkpoints the log into the file; what is left is one whole file.
        connection = sqlite3.connect(temporary)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if replace:
            for part in ("-wal", "-shm"):  # of the old file: SQLite would take the log for the new one's
                path.with_name(path.name + part).unlink(missing_ok=True)
            temporary.replace(path)
        else:
            os.link(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        for leftover in path.parent.glob(f"{temporary.name}*"):
            leftover.unlink(missing_ok=True)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if is_damage(error) or not isinstance(error, sqlite3.OperationalError):
            raise DamagedError(path, error) from None
        raise UserError(f"cannot use {path}: {error}; choose another --out") from None


def is_damage(error: object) -> bool:
    """Whether the file itself is malformed: an error of none of SQLite's kinds, or a text that is not UTF-8."""
    return type(error) is sqlite3.DatabaseError or "decode to UTF-8" in str(error)
