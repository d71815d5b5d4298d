"""What a study leaves behind: `front.csv`, `front.json`, `front.png` and `run.json` in its folder."""

from __future__ import annotations

import csv
import io
import platform
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dse.certificate import certificate_of
from dse.files import read_json, write_atomic, write_json, write_text
from dse.front import hypervolume, reference_point
from dse.result import MAPPING_COLUMNS, StudyResult
from dse.study import fingerprint
from search_spaces.accelerators import TEMPLATE

__all__ = [
    "FILES",
    "describe_hardware",
    "designs",
    "frame_rate_fps",
    "frames_per_evaluation",
    "run_record",
    "write_results",
]

FILES = ("front.csv", "front.json", "front.png", "run.json")
PACKAGES = ("paretocut", "numpy", "moocore", "pymoo", "optuna", "torch", "torchvision")


def designs(result: StudyResult, whole: StudyResult | None = None) -> list[dict[str, Any]]:
    """The front's designs, one flat object each: every metric (SI units), every knob, its knob indices.

    `front_point` numbers the distinct objective vectors from 1: designs with equal objectives share it. It is that of
    `whole`, where `result` has only a part of its front.
    """
    rows = []
    numbers = result.front.numbers(result.front if whole is None else whole.front)
    for number, (start, end) in zip(numbers, result.front.groups(), strict=True):
        for i in range(start, end):
            indices = [int(k) for k in result.front.indices[i]]
            figures: dict[str, Any] = dict(result.front.row(i))
            figures |= {name: int(figures[name]) for name in MAPPING_COLUMNS if name in figures}
            rows.append({"front_point": number} | figures | result.design(indices) | {"indices": indices})
    return rows


def run_record(result: StudyResult) -> dict[str, Any]:
    """What was asked, what was found and how: the content of `run.json`."""
    front, session = result.front, result.session
    record: dict[str, Any] = {
        "name": result.name,
        "algorithm": result.question["algorithm"],
        "exact": result.exact,
        "front_size": front.size,
        "front_designs": len(front),
        "front_sha256": front.sha256(),
        "space_size": result.space_size,
        "counts": result.counts.as_json(),
    }
    if len(front):
        reference = reference_point(front.distinct)
        record["hypervolume"] = {
            "value": hypervolume(front, reference),
            "reference_point": dict(zip(front.objectives, map(float, reference), strict=True)),
        }
    certificate = certificate_of(result)
    if certificate is not None:
        record["certificate"] = certificate.as_json()
    if session is not None:
        record |= {
            "stopped_by": session.stopped_by,
            "budget": session.budget,
            "budget_unit": result.unit,
            "resumed_trials": session.resumed_trials,
            "new_trials": session.new_trials,
            "reclaimed_trials": session.reclaimed_trials,
            "evaluator_calls": session.evaluator_calls,
            "memo_hits": session.memo_hits,
            "memo_misses": session.memo_misses,
            "workers": session.workers,
            "seconds": session.seconds,
        }
    record |= {
        "provenance": dict(result.provenance),
        "baselines": [baseline.as_json() | {"knobs": result.design(baseline.indices)} for baseline in result.baselines],
        "seed": result.question.get("seed"),
        "spec": dict(result.question),
        "fingerprint": fingerprint(result.question),
        "versions": _versions(),
    }
    return record


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_results(result: StudyResult, script: Path | None = None) -> dict[str, Any]:
    """Write all files, each whole or not at all; returns the content of `run.json`, which comes last.

    `script` is the one that asked; its path is noted.
    """
    record = run_record(result)
    before = read_json(result.folder / "run.json")
    if script is not None:
        record["script"] = str(script.resolve())
    _add_sessions(record, before)
    if not _shows(before, record) or not all((result.folder / name).exists() for name in FILES):
        from dse.report.plot import plot_front

        rows = designs(result)
        write_text(result.folder / "front.csv", _csv(rows))
        write_json(result.folder / "front.json", rows)
        write_atomic(result.folder / "front.png", lambda path: plot_front(result, path))
    write_json(result.folder / "run.json", record)
    return record


def _shows(before: Any, record: Mapping[str, Any]) -> bool:
    """Whether the files of an earlier run, whose `run.json` came last, show the same answer."""
    same = ("fingerprint", "front_sha256", "counts", "exact", "baselines", "versions")
    return isinstance(before, dict) and all(before.get(name) == record[name] for name in same)


SESSION_SUMS = ("new_trials", "evaluator_calls", "memo_hits", "memo_misses", "seconds")


def _add_sessions(record: dict[str, Any], before: Any) -> None:
    """Keep what earlier runs of this study took: `sessions`, oldest first, and their sums as `all_sessions`."""
    same = isinstance(before, dict) and before.get("fingerprint") == record["fingerprint"]
    sessions = [*(before.get("sessions") or [])] if same else []
    if record.get("new_trials") or not sessions:
        sessions.append({name: record.get(name) for name in ("stopped_by", "resumed_trials", *SESSION_SUMS)})
    record["sessions"] = sessions
    record["all_sessions"] = {name: round(sum(session[name] or 0 for session in sessions), 3) for name in SESSION_SUMS}


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = [name for name in rows[0] if name != "indices"] if rows else ["front_point"]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def describe_hardware(knobs: Mapping[str, Any], searched: Collection[str]) -> str:
    """The accelerator and its parameters in a few words; buffer scales and memories only where they were `searched`.

    >>> simba = {"accelerator": "simba_like", "pe_cols": 4, "pe_rows": 4, "glb_kib": 64, "weight_buffer_scale": 0.5}
    >>> describe_hardware(simba, ["weight_buffer_scale"])
    'simba_like 4×4, 64 KiB, w ×0.5'
    """
    text = f"{knobs['accelerator']} {knobs['pe_cols']}×{knobs['pe_rows']}, {knobs['glb_kib']:g} KiB"
    names = {"input_buffer_scale": "in", "weight_buffer_scale": "w", "accum_buffer_scale": "acc"}
    for knob, name in names.items():
        if knob in searched:
            text += f", {name} ×{knobs[knob]:g}"
    for knob, name in {
        "input_buffer": "in",
        "weight_buffer": "w",
        "accum_buffer": "acc",
        "glb": "global buffer",
    }.items():
        if knob in searched and knobs[knob] != TEMPLATE:
            text += f", {name} {knobs[knob]}"
    return text


def frame_rate_fps(question: Mapping[str, Any]) -> float | None:
    """The camera's frames per second; None where the question has none."""
    rate = question.get("settings.frame_rate_fps")
    return None if rate is None else float(rate)


def frames_per_evaluation(question: Mapping[str, Any]) -> int:
    """How many frames the network takes at once: the batch of its input, of images (N, C, H, W)."""
    shape = question.get("network.input") or [1]
    return int(shape[0]) if len(shape) == 4 else 1
