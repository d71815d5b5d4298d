"""What has been computed once is never computed again: one SQLite table of JSON values under canonical-JSON keys.

A key holds what the answer depends on and a version bumped by hand; never a layer's name, a cut or a link. The file
is shared by all studies of a user and by any number of processes.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import platformdirs

from search_spaces.errors import UserError

__all__ = ["Memo", "MemoInfo", "canonical", "default_cache_path", "digest", "is_damaged"]

_CHUNK = 500
"""Keys per SELECT, well under SQLite's limit on host parameters."""

_BUSY_S = 60.0

_RECENT = 20_000
"""Entries kept in memory beside the file, so that a study of any length needs no more than some tens of MB."""


def default_cache_path() -> Path:
    """The memo's file: the environment's PARETOCUT_CACHE, else memo.db in the user's cache folder."""
    given = os.environ.get("PARETOCUT_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("paretocut")) / "memo.db"


def canonical(key: object) -> str:
    """JSON with sorted keys and no spaces: equal keys are equal text."""
    return json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class MemoInfo:
    """What a memo holds: entries per kind and the size of its file in bytes (0 in memory)."""

    path: str
    entries: dict[str, int]
    size_bytes: int


class Memo:
    """A table of finished answers; `path` None keeps it in memory for this process only.

    `hits` and `misses` count distinct keys: those that were there when first asked for and those that were not, however
    often they are asked for again. Raises UserError where the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.hits = 0
        self.misses = 0
        self._asked: set[int] = set()
        self._recent: dict[tuple[str, str], Any] = {}
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        with _explained(self.path):
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                ":memory:" if self.path is None else self.path, timeout=_BUSY_S, isolation_level=None
            )
            tables = {row[0] for row in _patiently(connection, "SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and "memo" not in tables:
                connection.close()
                raise UserError(f"{self.path} is another program's database, not a memo; name another with --cache")
            _patiently(connection, "PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            _patiently(
                connection,
                "CREATE TABLE IF NOT EXISTS memo "
                "(kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID",
            )
            connection.execute("SELECT kind, key, value FROM memo LIMIT 1").fetchall()
        return connection

    def __getstate__(self) -> Path | None:
        return self.path

    def __setstate__(self, path: Path | None) -> None:
        self.__init__(path)  # type: ignore[misc]  # another process opens its own connection

    def get(self, kind: str, key: object) -> Any | None:
        """The stored value, or None if this was never computed (values themselves are never None)."""
        return self.get_many(kind, [key])[0]

    def get_many(self, kind: str, keys: Sequence[object]) -> list[Any | None]:
        """Stored values in the order of the keys, None for each that is missing."""
        texts = [canonical(key) for key in keys]
        if len(self._recent) > _RECENT and self.path is not None:
            self._recent.clear()
        for text, value in self._select("key, value", kind, self._not_recent(kind, texts)):
            self._recent[kind, text] = json.loads(value)
        found = [self._recent.get((kind, text)) for text in texts]
        self._tally(kind, texts, [value is not None for value in found])
        return found

    def _not_recent(self, kind: str, texts: Iterable[str]) -> set[str]:
        return {text for text in texts if (kind, text) not in self._recent}

    def _select(self, columns: str, kind: str, texts: Iterable[str]) -> Iterator[tuple[str, ...]]:
        """These columns of the entries under any of these keys."""
        wanted = list(texts)
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            with _explained(self.path):
                yield from self._connection.execute(
                    f"SELECT {columns} FROM memo WHERE kind = ? AND key IN ({marks})", [kind, *chunk]
                )

    def _tally(self, kind: str, texts: Sequence[str], known: Sequence[bool]) -> None:
        for text, hit in zip(texts, known, strict=True):
            key = hash((kind, text))
            if key not in self._asked:
                self._asked.add(key)
                self.hits += hit
                self.misses += not hit

    def missing(self, kind: str, keys: Sequence[object]) -> list[int]:
        """Which of the keys (by place) were never computed; the values of the others are not read."""
        texts = [canonical(key) for key in keys]
        absent = self._not_recent(kind, texts)
        known = set(texts) - absent
        known.update(text for (text,) in self._select("key", kind, absent))
        self._tally(kind, texts, [text in known for text in texts])
        return [i for i, text in enumerate(texts) if text not in known]

    def put(self, kind: str, key: object, value: Any) -> None:
        self.put_many(kind, [(key, value)])

    def put_many(self, kind: str, items: Iterable[tuple[object, Any]]) -> None:
        """Store values durably in one commit; a key that another process stored meanwhile keeps its first value."""
        rows = [(kind, canonical(key), json.dumps(value, separators=(",", ":"))) for key, value in items]
        if not rows:
            return
        with _explained(self.path):
            _patiently(self._connection, "BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO memo VALUES (?, ?, ?)", rows)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has rolled back already
                    self._connection.execute("ROLLBACK")
                raise
        for kind_, text, value_text in rows:
            self._recent.setdefault((kind_, text), json.loads(value_text))

    def info(self) -> MemoInfo:
        with _explained(self.path):
            counted = self._connection.execute("SELECT kind, COUNT(*) FROM memo GROUP BY kind ORDER BY kind")
            size = self.path.stat().st_size if self.path is not None else 0
            return MemoInfo(str(self.path), dict(counted.fetchall()), size)

    def clear(self, kind: str | None = None) -> int:
        """Forget everything, or one kind; returns how many entries there were."""
        where, values = ("", []) if kind is None else (" WHERE kind = ?", [kind])
        with _explained(self.path):
            removed = self._connection.execute(f"DELETE FROM memo{where}", values).rowcount
            _patiently(self._connection, "VACUUM")
        self._recent.clear()
        return removed

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Memo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _explained(path: Path | None) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        damaged = path is not None and is_damaged(path)
        raise UserError(
            f"the memo {path} cannot be used ({error}); name another with --cache or the environment variable "
            f"PARETOCUT_CACHE, or {'empty it with: paretocut cache clear' if damaged else 'move it away'}"
        ) from None


def is_damaged(path: Path) -> bool:
    """Whether this is an SQLite file that cannot be read: what a memo is after a crash of the disk, and only that."""
    try:
        with path.open("rb") as file:
            if not file.read(16).startswith(b"SQLite format 3"):
                return False
        connection = sqlite3.connect(path, timeout=_BUSY_S)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
        finally:
            connection.close()
    except sqlite3.OperationalError:  # locked or not accessible
        return False
    except sqlite3.DatabaseError:
        return True
    except OSError:
        return False


def _patiently(connection: sqlite3.Connection, statement: str) -> list[Any]:
    """Run a statement that several processes may issue at once; SQLite's own busy handler skips some of these."""
    give_up = time.monotonic() + _BUSY_S
    while True:
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def digest(key: object) -> str:
    """A short name for a large part of a key: the SHA-256 of its canonical JSON, in hex."""
    return sha256(canonical(key).encode()).hexdigest()
