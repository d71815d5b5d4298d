"""What is whole in a damaged `study.db`, read from its pages one by one, without SQLite.

SQLite refuses a file with one bad page or none of its first. But every leaf page of a table is readable by itself
(https://www.sqlite.org/fileformat2.html: b-tree pages 1.6, records 2.1, the write-ahead log 4.1), a finished trial is
never changed, and each row says enough to be told from the others and to be checked. A trial counts as whole only
where everything that belongs to it was found.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from dse import algorithms
from dse.database import DamagedError
from dse.files import read_json
from dse.locks import held, working
from dse.store import DATABASE, TableStore, read_store
from dse.store_optuna import ADOPTED, FINGERPRINT, ILLEGAL, POSITION, QUESTION
from dse.store_optuna_file import OptunaFile
from dse.study import Trial, fingerprint
from evaluators.costs import METRICS
from search_spaces.errors import UserError

__all__ = ["Recovered", "records", "recover", "whole_question", "whole_trials"]

MAGIC = b"SQLite format 3\x00"
TABLE_LEAF = 13
WAL_MAGIC = (0x377F0682, 0x377F0683)
Record = tuple[int, tuple[Any, ...]]
"""A row: its rowid, its values (None, int, float, str or bytes)."""


@dataclass(frozen=True)
class Recovered:
    """`trials` were whole and are in the study again; the damaged file is kept as `aside`.

    `question` is None where not even that could be read: there is no study any more.
    """

    folder: Path
    aside: Path
    question: Mapping[str, Any] | None
    trials: int


def recover(folder: Path) -> Recovered | None:
    """Put a damaged study aside and a new one with all its whole trials in its place; None where nothing is damaged.

    A study of architectures begins anew: which designs its trials were compared with is not in them. Raises UserError
    for a file that was never a study, and while somebody works in the folder.
    """
    path = folder / DATABASE
    aside = [folder / f"{DATABASE}.damaged{k or ''}" for k in range(100)]
    if not path.exists() and not aside[0].exists():
        raise UserError(f"nothing to recover in {folder}: it has no {DATABASE}")
    with working(folder, alone=True, note=None), held(folder):
        before = [copy for copy in aside if copy.exists()]
        if path.exists():
            # A copy that is the same file is that of a recovery that was cut off, maybe with the file's log.
            before = [copy for copy in before if copy.samefile(path)]
            if not before and _is_whole(folder):
                return None
            sources = [path, *before]
        else:
            sources = before = before[-1:]
        found = [list(records([file for file in (copy, _log(copy)) if file.exists()])) for copy in sources]
        question = whole_question([row for rows in found for row in rows], folder)
        trials: list[Trial] = []
        if question is not None and algorithms.load(question["algorithm"]).unit == "designs":
            # Each file by itself: another one may number the same trials otherwise.
            by_position = {trial.position: trial for rows in found for trial in whole_trials(rows, question)}
            trials = [by_position[position] for position in sorted(by_position)]
        if path.exists():
            unused = [copy for copy in aside if not copy.exists() and not _log(copy).exists()]
            kept = next((copy for copy in before if not (_log(path).exists() and _log(copy).exists())), unused[0])
            if not kept.exists():
                os.link(path, kept)
            # A new file must never find the old one's log.
            if _log(path).exists():
                _log(path).rename(_log(kept))
            for part in ("-shm", "-journal"):
                path.with_name(path.name + part).unlink(missing_ok=True)
        else:
            kept = before[-1]
        if question is None:
            path.unlink(missing_ok=True)
        elif algorithms.load(question["algorithm"]).storage == "optuna":
            OptunaFile.create(path, question, trials, replace=True).close()
        else:
            TableStore.create(path, question, trials, replace=True).close()
        return Recovered(folder, kept, question, len(trials))


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _is_whole(folder: Path) -> bool:
    try:
        store = read_store(folder)
        try:
            store.trials()
            if isinstance(store, TableStore):
                store.state()
        finally:
            store.close()
    except DamagedError:
        return False
    return True


def records(paths: Sequence[Path]) -> Iterator[Record]:
    """All rows on readable leaf pages of these files, a database and its log; some more than once, some outdated."""
    for path in paths:
        content = path.read_bytes()
        numbered = list(_pages(content))
        latest = dict(numbered)
        for number, page in numbered:
            yield from _rows(page, 100 if number == 1 and page[:16] == MAGIC else 0, latest)


def _pages(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Page number and content, of a database or of its write-ahead log."""
    if len(content) >= 32 and int.from_bytes(content[:4], "big") in WAL_MAGIC:
        size = _page_size(int.from_bytes(content[8:12], "big"))
        for start in range(32, len(content) - size - 23, 24 + size):
            yield int.from_bytes(content[start : start + 4], "big"), content[start + 24 : start + 24 + size]
        return
    size = _page_size(int.from_bytes(content[16:18], "big") if content[:16] == MAGIC else 0)
    for start in range(0, len(content) - size + 1, size):
        yield start // size + 1, content[start : start + size]


def _page_size(written: int) -> int:
    size = 65536 if written == 1 else written
    return size if size in (1 << k for k in range(9, 17)) else 4096


def _rows(page: bytes, start: int, pages: Mapping[int, bytes]) -> Iterator[Record]:
    if page[start] != TABLE_LEAF:
        return
    cells = int.from_bytes(page[start + 3 : start + 5], "big")
    pointers = page[start + 8 : start + 8 + 2 * cells]
    for (cell,) in struct.iter_unpack(">H", pointers[: len(pointers) // 2 * 2]):
        try:
            length, at = _varint(page, cell)
            rowid, at = _varint(page, at)
            yield rowid, _record(_payload(page, at, length, pages))
        except (ValueError, IndexError, KeyError, struct.error):
            continue


def _payload(page: bytes, at: int, length: int, pages: Mapping[int, bytes]) -> bytes:
    """A cell's content; what does not fit on the page is on a chain of others."""
    usable = len(page)
    local = length
    if length > usable - 35:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    content = page[at : at + local]
    if len(content) < local:
        raise ValueError("a cell that ends outside its page")
    following = int.from_bytes(page[at + local : at + local + 4], "big") if local < length else 0
    visited: set[int] = set()
    while len(content) < length:
        if following in visited:
            raise ValueError("a chain of pages that bites its tail")
        visited.add(following)
        content += pages[following][4 : 4 + length - len(content)]
        following = int.from_bytes(pages[following][:4], "big")
    return content


def _record(payload: bytes) -> tuple[Any, ...]:
    header, at = _varint(payload, 0)
    if not 0 < header <= len(payload):
        raise ValueError("no record")
    types = []
    while at < header:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: list[Any] = []
    for kind in types:
        length = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else (kind - 12) // 2
        if kind in (10, 11) or at + length > len(payload):
            raise ValueError("no record")
        raw = payload[at : at + length]
        at += length
        if kind == 0:
            values.append(None)
        elif kind < 7:
            values.append(int.from_bytes(raw, "big", signed=True))
        elif kind == 7:
            values.append(struct.unpack(">d", raw)[0])
        elif kind < 10:
            values.append(kind - 8)
        else:
            values.append(raw.decode() if kind % 2 else raw)
    return tuple(values)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for k in range(9):
        byte = data[at + k]
        if k == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + k + 1
    raise AssertionError


def whole_question(rows: Sequence[Record], folder: Path) -> dict[str, Any] | None:
    """The study's question, checked against its fingerprint; else the one in `run.json`."""
    candidates: list[tuple[Any, Any]] = []
    prints: list[Any] = []
    for _, row in rows:
        if len(row) == 4 and isinstance(row[1], int) and isinstance(row[3], str):
            if row[2] == QUESTION:
                candidates.append((_json(_json(row[3])), None))
            elif row[2] == FINGERPRINT:
                prints.append(_json(row[3]))
            else:
                candidates.append((_json(row[3]), row[2]))
    record = read_json(folder / "run.json")
    if isinstance(record, dict):
        candidates.append((record.get("spec"), record.get("fingerprint")))
    for question, written in candidates:
        if isinstance(question, dict) and "order" in question:
            found = fingerprint(question)
            if found == written or (written is None and (found in prints or not prints)):
                return question
    return None


def whole_trials(rows: Sequence[Record], question: Mapping[str, Any]) -> list[Trial]:
    """The trials of this question that are whole, by position."""
    knobs = [question[f"knob {name}"] for name in question["order"]]
    found = [trial for trial in (_table_trial(rowid, row) for rowid, row in rows) if trial is not None]
    found += _optuna_trials(rows, question)
    return [
        trial
        for _, trial in sorted({trial.position: trial for trial in found}.items())
        if len(trial.indices) == len(knobs)
        and all(0 <= i < len(values) for i, values in zip(trial.indices, knobs, strict=True))
        and (trial.metrics is None or _are_figures(trial.metrics, question["objectives"]))
    ]


def _are_figures(metrics: Mapping[str, Any], objectives: Sequence[str]) -> bool:
    """Numbers, those that nobody knows (NaN) included, but not among the objectives."""
    return (
        metrics.keys() == set(METRICS)
        and all(isinstance(value, (int, float)) for value in metrics.values())
        and all(isfinite(metrics[name]) for name in objectives)
    )


def _table_trial(rowid: int, row: tuple[Any, ...]) -> Trial | None:
    """A row of `TableStore`: position (the rowid), indices, metrics, state, reason."""
    if len(row) != 5 or row[0] is not None or row[3] not in ("complete", "illegal"):
        return None
    indices, metrics = _json(row[1]), _json(row[2])
    if not isinstance(indices, list) or not all(isinstance(i, int) for i in indices):
        return None
    if (row[3] == "complete") != isinstance(metrics, dict) or (row[3] == "illegal") != isinstance(row[4], str):
        return None
    return Trial(rowid, tuple(indices), metrics, row[4])


def _optuna_trials(rows: Sequence[Record], question: Mapping[str, Any]) -> Iterator[Trial]:
    """Trials put together from the rows of Optuna's tables (columns as in its RDBStorage)."""
    objectives = question["objectives"]
    knobs = {name: question[f"knob {name}"] for name in question["order"]}
    attributes: dict[int, dict[str, Any]] = {}
    values: dict[int, dict[int, float]] = {}
    params: dict[int, dict[str, int]] = {}
    for _, row in rows:
        if len(row) == 4 and isinstance(row[1], int) and isinstance(row[2], str) and isinstance(row[3], str):
            if row[2].startswith(f"{ADOPTED}:"):
                named = _json(_json(row[3]))
                if isinstance(named, dict):
                    yield Trial(named["position"], tuple(named["indices"]), named["metrics"], named["reason"])
            elif row[2] in METRICS or row[2] in (ILLEGAL, POSITION):
                attributes.setdefault(row[1], {})[row[2]] = _json(row[3])
        elif len(row) == 5 and isinstance(row[1], int):
            if row[2] in knobs and isinstance(row[4], str):
                index = _index(tuple(knobs[row[2]]), row[4], row[3])
                if index is not None:
                    params.setdefault(row[1], {})[row[2]] = index
            elif row[4] == "FINITE" and isinstance(row[3], (int, float)) and row[2] in range(len(objectives)):
                values.setdefault(row[1], {})[row[2]] = float(row[3])
    searched = {name for name, choices in knobs.items() if len(choices) > 1}
    for trial_id, named in attributes.items():
        chosen = params.get(trial_id, {})
        position = named.pop(POSITION, None)
        if chosen.keys() != searched or not isinstance(position, int):
            continue
        indices = tuple(chosen.get(name, 0) for name in knobs)
        if isinstance(named.get(ILLEGAL), str):
            yield Trial(position, indices, reason=named[ILLEGAL])
            continue
        figures = named | {objectives[k]: value for k, value in values.get(trial_id, {}).items()}
        if figures.keys() == set(METRICS):
            yield Trial(position, indices, {name: figures[name] for name in METRICS})


@cache
def _index(choices: tuple[Any, ...], distribution: str, stored: float) -> int | None:
    """Which of a knob's values a parameter's row means."""
    from optuna.distributions import json_to_distribution

    try:
        return choices.index(json_to_distribution(distribution).to_external_repr(stored))
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return None
