"""The exact enumeration killed with SIGKILL at random moments: nothing is lost, and the proof is the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from dse.run import run_study
from dse.store import TableStore
from tests.dse import fakes

ROOT = Path(__file__).parents[2]


def start(out: Path, log: Path, delay_s: float) -> subprocess.Popen[str]:
    """The experiment of this folder on a small space, `delay_s` for each architecture, a process group of its own."""
    environment = os.environ | {"FAKE_SPACE": "small", "FAKE_DELAY_S": str(delay_s), "FAKE_LOG": str(log)}
    command = [sys.executable, str(ROOT / "tests/dse/experiment.py"), "--algorithm", "exact", "--out", str(out)]
    return subprocess.Popen(
        [*command, "--json"], cwd=out.parent, env=environment | {"PYTHONPATH": str(ROOT)},
        start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def reached(out: Path) -> int:
    """How many architectures are committed."""
    if not (out / "study.db").exists():
        return 0
    store = TableStore(out / "study.db")
    try:
        state: dict[str, Any] = store.state() or {"next": 0}
        return int(state["next"])
    finally:
        store.close()


def test_kill_9_loses_nothing_and_the_certificate_is_the_same(tmp_path: Path, slow: bool) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    architectures = [list(a) for a in spec.space.architectures()]
    whole = run_study(spec, tmp_path / "whole", evaluator=fakes.FakeEvaluator())
    draw = random.Random(os.environ.get("KILL_SEED", "exact"))
    for number in range(20 if slow else 1):
        out, log = tmp_path / f"round{number}", tmp_path / f"round{number}.log"
        killed = 0
        while killed < 3 and reached(out) < len(architectures):
            known = reached(out)
            before = log.read_text().count("\n") if log.exists() else 0
            process = start(out, log, 0.02)
            killed += fakes.killed_within(process, draw.uniform(0.5, 3.0))
            assert reached(out) >= known
            visited = [json.loads(line) for line in log.read_text().splitlines()[before:]] if log.exists() else []
            assert visited == architectures[known : known + len(visited)], "an architecture was visited twice"
        text, errors = start(out, log, 0).communicate(timeout=120)
        assert reached(out) == len(architectures), errors
        run = json.loads(text)["run"]
        assert run["front_sha256"] == run["certificate"]["front_sha256"] == whole.front.sha256()
        assert run["counts"] == whole.counts.as_json()
        assert run["certificate"]["complete"]
