"""Who works in a folder of results: locks that a killed process leaves open."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dse.files import make_folder, unusable
from dse.presence import runs
from search_spaces.errors import UserError

__all__ = ["held", "is_locked", "working"]


@contextmanager
def working(
    folder: Path, *, alone: bool, note: Callable[[str], None] | None, deadline: float | None = None
) -> Iterator[None]:
    """Hold the folder for this process, `alone` or with others that share its study.

    Where another holds it alone, wait for its end and `note` so. Raises UserError where it still does at the
    `deadline` (of `time.monotonic`), and at once without `note`.
    """
    make_folder(folder)
    with _open(folder / ".lock") as file:
        others = _processes(file)
        kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        if not _take(file, kind):
            if note is not None:
                note(f"process {_named(file)} is working in {folder}; going on when it ends")
            if note is None or not _wait(file, kind, deadline):
                holder = _named(file)
                raise UserError(f"process {holder} is working in {folder}; wait for it to end or choose another --out")
        if others and not alone and note is not None:
            shown = f"process {others[0]}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")
            note(f"sharing the designs to evaluate with {shown}, at work on this study too")
        with held(folder):
            text = "".join(f"{pid}\n" for pid in [*_processes(file), os.getpid()])
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
        yield


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Wait for the moment in which this process alone makes or writes files in the folder."""
    with _open(folder / ".files.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a+")
    except OSError as error:
        raise unusable(path, error) from None


def _processes(file: IO[str]) -> list[int]:
    """Of the processes that wrote themselves into a lock's file, those that still run."""
    file.seek(0)
    found = [int(line) for line in file.read().split() if line.isdigit()]
    return [pid for pid in dict.fromkeys(found) if pid != os.getpid() and runs(pid)]


def _named(file: IO[str]) -> str:
    return ", ".join(map(str, _processes(file))) or "?"


def _wait(file: IO[str], kind: int, deadline: float | None) -> bool:
    """Lock a file as soon as no other process holds on to it; False where one does at the deadline."""
    if deadline is None:
        fcntl.flock(file, kind)
        return True
    while time.monotonic() < deadline:
        if _take(file, kind):
            return True
    return False


def _take(file: IO[str], kind: int, attempts: int = 5) -> bool:
    """Lock a file unless another process holds on to it; `is_locked` of others lasts for a moment only."""
    for _ in range(attempts):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def is_locked(folder: Path) -> list[int] | None:
    """The processes that are working in this folder (none named where they did not say); None where nobody is."""
    try:
        with (folder / ".lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _processes(file)
    except OSError:
        pass
    return None
