"""Real processes, killed with SIGKILL as a group at random moments, against the study that was never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dse.locks import working
from dse.report import FILES
from dse.run import WAIT_SECONDS, _pause_seconds, run_study
from dse.store import read_store
from dse.study import StudySpec, Trial
from search_spaces.errors import UserError
from tests.dse import fakes
from tests.dse.fakes import stored

ROOT = Path(__file__).parents[2]
BUDGET = 44
BATCH = 10


def start(
    algorithm: str, out: Path, log: Path | None = None, delay_s: float = 0.01, gate: Path | None = None
) -> subprocess.Popen[str]:
    """The experiment of this folder as a process group of its own; it starts when the file `gate` is there."""
    environment = os.environ | {"FAKE_DELAY_S": str(delay_s), "PYTHONPATH": str(ROOT)}
    environment |= {"FAKE_LOG": str(log)} if log else {}
    environment |= {"FAKE_GATE": str(gate)} if gate else {}
    command = [sys.executable, str(ROOT / "tests/dse/experiment.py")]
    command += ["--algorithm", algorithm, "--budget", str(BUDGET), "--out", str(out), "--json"]
    return subprocess.Popen(
        command, cwd=out.parent, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def uninterrupted(algorithm: str, out: Path) -> list[Trial]:
    spec = fakes.spec(algorithm, batch_size=BATCH)
    run_study(spec, out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    return stored(out)


LEFT = sorted([".lock", ".files.lock", *FILES])
"""What a finished study leaves in its folder, beside study.db."""


@pytest.mark.parametrize(("algorithm", "kills", "slow_kills"), [("optuna-nsga2", 3, 120), ("nsga2", 2, 80)])
def test_kill_9_loses_repeats_and_changes_nothing(
    algorithm: str, kills: int, slow_kills: int, tmp_path: Path, slow: bool
) -> None:
    expected = uninterrupted(algorithm, tmp_path / "whole")
    draw = random.Random(os.environ.get("KILL_SEED", algorithm))
    # Kills are to hit all of a run, creation and the writing of results too; its length is learnt on the way.
    seconds = 2.5
    killed = number = 0
    while killed < (slow_kills if slow else kills):
        out, log = tmp_path / f"round{number}", tmp_path / f"round{number}.log"
        number += 1
        for _ in range(5):
            known = [trial.indices for trial in stored(out)]
            evaluated = len(fakes.evaluated(log))
            process, started = start(algorithm, out, log), time.monotonic()
            if fakes.killed_within(process, draw.uniform(0.1, 1.0) * seconds):
                killed += 1
            else:
                assert process.returncode == 0
                seconds = min(seconds, time.monotonic() - started)
            found = stored(out)
            assert found == expected[: len(found)]
            assert len(found) >= len(known)
            again = fakes.evaluated(log)[evaluated:]
            assert not {str(list(indices)) for indices in known} & set(again), "evaluated twice"
            assert len(set(again)) == len(again)
            if killed >= (slow_kills if slow else kills):
                break
        known = [trial.indices for trial in stored(out)]
        text, errors = start(algorithm, out, log, delay_s=0).communicate(timeout=120)
        assert stored(out) == expected, errors
        assert json.loads(text)["run"]["resumed_trials"] == len(known)
        assert json.loads((out / "run.json").read_text())["resumed_trials"] == len(known)
        assert sorted(path.name for path in out.iterdir() if "study.db" not in path.name) == LEFT
    print(f"{algorithm}: {killed} kills in {number} studies, 0 mismatches")


def test_kill_9_of_a_search_over_architectures_changes_nothing(tmp_path: Path, slow: bool) -> None:
    expected = uninterrupted("memetic", tmp_path / "whole")
    draw, out, log = random.Random(7), tmp_path / "out", tmp_path / "log"
    killed = 0
    for number in range(40 if slow else 3):
        if number % 8 == 7:  # begin anew now and then
            out, log = tmp_path / f"out{number}", tmp_path / f"log{number}"
        process = start("memetic", out, log, delay_s=0.05)  # the first kill comes before its end
        killed += fakes.killed_within(process, draw.uniform(0.5, 2.5))
        found = stored(out)
        assert found == expected[: len(found)]
    assert killed
    _, errors = start("memetic", out, log, delay_s=0).communicate(timeout=120)
    assert stored(out) == expected, errors
    evaluated = log.read_text().splitlines()
    assert len(set(evaluated)) == BUDGET
    # Only what was evaluated in the very moment of a kill is evaluated again.
    assert len(evaluated) - BUDGET <= 8


@pytest.mark.parametrize("moment", ["before the file is linked", "after"])
@pytest.mark.parametrize("algorithm", ["optuna-nsga2", "nsga2"])
def test_a_kill_during_creation_leaves_no_half_made_file(
    algorithm: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    link = os.link

    def die(source: Path, target: Path) -> None:
        if moment == "after":
            link(source, target)
        raise Killed

    expected = uninterrupted(algorithm, tmp_path / "whole")
    out = tmp_path / "out"
    monkeypatch.setattr(os, "link", die)
    with pytest.raises(Killed):
        uninterrupted(algorithm, out)
    monkeypatch.undo()
    (out / ".study.999999.tmp.db").write_bytes(b"left by a kill that nobody could clean up after")
    (out / ".mine.tmp").write_text("somebody else's")
    assert uninterrupted(algorithm, out) == expected
    assert [path.name for path in out.glob(".*.tmp*")] == [".mine.tmp"]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_writes_the_front_so_far(number: signal.Signals, tmp_path: Path) -> None:
    out, log = tmp_path / "out", tmp_path / "log"
    process = start("nsga2", out, log, delay_s=0.05)
    while not log.exists() or log.read_text().count("\n") < 12:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "the same command goes on" in errors and "Traceback" not in errors
    run = json.loads(text)["run"]
    assert run["stopped_by"] == "interrupt" and 11 <= run["new_trials"] < BUDGET
    assert {path.name for path in out.iterdir()} >= set(FILES)
    assert json.loads((out / "front.json").read_text())
    assert uninterrupted("nsga2", out) == uninterrupted("nsga2", tmp_path / "whole")


def owners(out: Path) -> dict[str, int]:
    """How many finished trials of an Optuna study each process has evaluated."""
    with sqlite3.connect(out / "study.db") as connection:
        rows = connection.execute(
            "SELECT value_json, COUNT(*) FROM trial_system_attributes JOIN trials USING (trial_id) "
            "WHERE key = 'paretocut:process' AND state = 'COMPLETE' GROUP BY 1"
        ).fetchall()
    connection.close()
    return dict(rows)


def test_processes_that_start_one_optuna_study_at_once_share_it(tmp_path: Path, slow: bool) -> None:
    expected = uninterrupted("optuna-nsga2", tmp_path / "whole")
    shared = 0
    for number in range(20 if slow else 2):
        out, log = tmp_path / f"out{number}", tmp_path / f"log{number}"
        gate = tmp_path / f"gate{number}"
        processes = [start("optuna-nsga2", out, log, delay_s=0.08, gate=gate) for _ in range(4)]
        wait_for(lambda: len(list(tmp_path.glob(f"gate{number}.*"))) == 4)  # noqa: B023  # called at once
        gate.touch()
        ends = [process.communicate(timeout=120) for process in processes]
        assert {process.returncode for process in processes} == {0}, ends
        assert stored(out) == expected
        assert len(fakes.evaluated(log)) == BUDGET, "a design was evaluated twice"
        assert sorted(path.name for path in out.iterdir() if "study.db" not in path.name) == LEFT
        shared += len(owners(out)) > 1
    print(f"{number + 1} rounds of 4 starts at once, {shared} shared by several, 0 failures, 0 mismatches")


def test_what_a_killed_process_had_claimed_is_done_by_the_one_that_shares_its_study(tmp_path: Path) -> None:
    expected = uninterrupted("optuna-nsga2", tmp_path / "whole")
    out, log = tmp_path / "out", tmp_path / "log"
    first = start("optuna-nsga2", out, log, delay_s=60)
    wait_for(lambda: log.exists() or first.poll() is not None)
    second = start("optuna-nsga2", out, tmp_path / "log2", delay_s=0)
    # Two designs are left for the second, which then waits for the eight that the first has claimed.
    wait_for(lambda: len(owners(out)) == 1 or second.poll() is not None)
    assert second.poll() is None, second.communicate()
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    text, errors = second.communicate(timeout=120)
    assert stored(out) == expected, errors
    assert f"sharing the designs to evaluate with process {first.pid}, at work" in errors
    assert json.loads(text)["run"]["new_trials"] == BUDGET


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("algorithm", ["nsga2", "exact"])
def test_processes_that_start_another_study_at_once_take_turns(algorithm: str, tmp_path: Path) -> None:
    expected = uninterrupted(algorithm, tmp_path / "whole")
    out, log, gate = tmp_path / "out", tmp_path / "log", tmp_path / "gate"
    processes = [start(algorithm, out, log, delay_s=0.01, gate=gate) for _ in range(4)]
    wait_for(lambda: len(list(tmp_path.glob("gate.*"))) == 4)
    gate.touch()
    ends = [process.communicate(timeout=120) for process in processes]
    assert {process.returncode for process in processes} == {0}, ends
    assert stored(out) == expected
    assert sum("going on when it ends" in errors for _, errors in ends) == 3
    evaluated = log.read_text().splitlines() if algorithm == "exact" else fakes.evaluated(log)
    assert evaluated and len(evaluated) == len(set(evaluated)), "something was evaluated twice"


def test_a_second_process_says_that_it_waits_and_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    expected = uninterrupted("nsga2", tmp_path / "whole")
    out, log = tmp_path / "out", tmp_path / "log"
    first = start("nsga2", out, log, delay_s=0.2)
    wait_for(lambda: log.exists() or first.poll() is not None)
    second, third = start("nsga2", out), start("nsga2", out)
    assert second.stderr is not None and third.stderr is not None
    for waiting in (second.stderr, third.stderr):
        assert waiting.readline() == f"process {first.pid} is working in {out}; going on when it ends\n"
    third.send_signal(signal.SIGINT)
    assert third.wait(timeout=60) == 128 + signal.SIGINT
    assert "Traceback" not in third.stderr.read()
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    second.communicate(timeout=120)
    assert second.returncode == 0
    assert stored(out) == expected


def test_waiting_for_another_process_ends_with_the_time_limit(tmp_path: Path) -> None:
    out, notes = tmp_path / "out", []
    with (
        working(out, alone=True, note=None),
        pytest.raises(UserError, match=r"is working in .*; wait for it to end or choose another --out"),
        working(out, alone=True, note=notes.append, deadline=time.monotonic() + 0.2),
    ):
        raise AssertionError("two hold one folder")
    assert len(notes) == 1
    with working(out, alone=True, note=None), pytest.raises(UserError, match="is working in"):
        run_study(fakes.spec("nsga2"), out, budget=10, time_limit=0.2, evaluator=fakes.FakeEvaluator())
    assert not (out / "study.db").exists()


def test_a_long_wait_for_others_looks_again_every_second() -> None:
    pauses = [_pause_seconds(waits) for waits in (1, 5, 20, 1751, 10**9)]
    assert pauses == sorted(pauses) and pauses[0] < 0.1
    assert pauses[-2:] == [WAIT_SECONDS] * 2


def test_trials_left_running_by_others_are_reclaimed(tmp_path: Path) -> None:
    import optuna

    spec: StudySpec = fakes.spec("optuna-nsga2", batch_size=BATCH)
    expected = uninterrupted("optuna-nsga2", tmp_path / "whole")
    out = tmp_path / "out"
    run_study(spec, out, budget=15, evaluator=fakes.FakeEvaluator())
    study = optuna.load_study(study_name="out", storage=f"sqlite:///{out / 'study.db'}")
    study.ask()
    study.enqueue_trial({"cut": "fc"})
    result = run_study(spec, out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert result.session is not None and result.session.reclaimed_trials == 2
    assert stored(out) == expected
    states = [
        trial.state for trial in optuna.load_study(study_name="out", storage=f"sqlite:///{out / 'study.db'}").trials
    ]
    assert states.count(optuna.trial.TrialState.FAIL) == 2
    assert optuna.trial.TrialState.RUNNING not in states


def test_a_study_that_was_killed_while_being_read_is_no_foreign_file(tmp_path: Path) -> None:
    """The log that SQLite leaves beside the file after a kill is part of the study."""
    out = tmp_path / "out"
    uninterrupted("nsga2", out)
    store = read_store(out)
    try:
        assert store.question()["algorithm"] == "nsga2"
        with pytest.raises(UserError, match="another question"):
            uninterrupted("optuna-nsga2", out)
    finally:
        store.close()
