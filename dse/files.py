"""Files that are either the old one or the new one, whatever moment the process is killed at."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError

__all__ = ["make_folder", "read_json", "sync_folder", "write_atomic", "write_bytes", "write_json", "write_text"]


def make_folder(folder: Path) -> None:
    """Create a results folder that can be written to, or say in one line why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(
            f"results go into a folder, and {folder} is a file; move it away or choose another --out"
        ) from None
    except OSError as error:
        raise unusable(folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write results into {folder}: it is read-only; choose another --out")


def unusable(path: Path, error: OSError, option: str = "--out") -> UserError:
    reason = (error.strerror or str(error)).lower()
    return UserError(f"cannot write results into {path}: {reason}; choose another {option}")


def write_atomic(path: Path, write: Callable[[Path], None], option: str = "--out") -> None:
    """Let `write` fill a temporary file beside `path`, make it durable and rename it into place.

    `option` is the user's that names the path.
    """
    if path.is_dir():  # "." has no name that one beside it could be made of
        raise unusable(path, IsADirectoryError(errno.EISDIR, "is a folder"), option)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise unusable(path, error, option) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str, option: str = "--out") -> None:
    write_bytes(path, text.encode(), option)


def write_bytes(path: Path, content: bytes, option: str = "--out") -> None:
    write_atomic(path, lambda temporary: _fill(temporary, content), option)


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The parsed file, or None where it is missing or not JSON (an older or foreign file)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
