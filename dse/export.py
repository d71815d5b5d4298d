"""A copy of any study as an Optuna study."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dse import algorithms
from dse.database import connect
from dse.files import make_folder
from dse.store import read_store
from dse.store_optuna import FINGERPRINT
from dse.store_optuna_file import OptunaFile
from dse.store_url import remembered
from dse.study import fingerprint
from search_spaces.errors import UserError

__all__ = ["Export", "export_optuna"]


@dataclass(frozen=True)
class Export:
    """Where the copy is: what `optuna.load_study` takes, and how many trials it has."""

    path: Path
    study_name: str
    storage: str
    trials: int


def export_optuna(folder: Path, out: Path | None = None) -> Export:
    """Write the study in `folder` as an Optuna study into the file `out`, by default `optuna.db` beside it.

    An earlier copy of the same study is replaced; any other file is refused, and so are a folder that is not there
    and a study that is Optuna's.
    """
    store = read_store(folder)
    try:
        question, trials = store.question(), store.trials()
    finally:
        store.close()
    name = folder.resolve().name
    if algorithms.load(question["algorithm"]).storage == "optuna":
        where = remembered(folder) or _address(folder / "study.db")
        raise UserError(f"{folder} is an Optuna study already: {where}, study name {name!r}")
    path = out or folder / "optuna.db"
    if path.exists() and not _is_copy(path, fingerprint(question)):
        raise UserError(f"{path} is there and no copy of this study; choose another --out")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into; choose another --out")
    make_folder(path.parent)
    OptunaFile.create(path, question, trials, name=name, replace=True).close()
    return Export(path, name, _address(path), len(trials))


def _address(path: Path) -> str:
    return f"sqlite:///{path}"


def _is_copy(path: Path, wanted: str) -> bool:
    """Whether the file is a study of this fingerprint; read without Optuna, which makes its tables in any database."""
    try:
        with closing(connect(path)) as connection:
            rows = connection.execute("SELECT value_json FROM study_user_attributes WHERE key = ?", (FINGERPRINT,))
            return rows.fetchall() == [(json.dumps(wanted),)]
    except sqlite3.Error:
        return False
