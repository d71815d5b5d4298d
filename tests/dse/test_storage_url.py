"""Studies in a storage that several machines share: SQLite and a journal file by their address, and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

from dse import presence
from dse.result import read_result
from dse.run import run_study
from dse.store import open_store, read_store
from dse.store_url import without_password
from dse.study import StudySpec, Trial
from search_spaces.errors import UserError
from tests.dse import fakes, postgres
from tests.dse.fakes import stored

ROOT = Path(__file__).parents[2]
BUDGET = 24
SPEC = fakes.spec("optuna-nsga2", batch_size=10)

Address = Callable[[Path], str]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Callable[[str], str]]:
    """The address of a new database of a running server."""
    import sqlalchemy

    try:
        with postgres.server() as address:

            def new(name: str) -> str:
                admin = sqlalchemy.create_engine(
                    address.format(database="postgres").replace("postgresql:", "postgresql+psycopg:"),
                    isolation_level="AUTOCOMMIT",
                )
                with admin.connect() as connection:
                    connection.exec_driver_sql(f"CREATE DATABASE {name}")
                admin.dispose()
                return address.format(database=name)

            yield new
    except postgres.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["sqlite", "journal", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    if request.param == "journal":
        return str(tmp_path / "journal.log")
    new: Callable[[str], str] = request.getfixturevalue("postgresql")
    return new(f"db{time.monotonic_ns()}")


def run(out: Path, budget: int = BUDGET, spec: StudySpec = SPEC, **options: object) -> list[Trial]:
    run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator(), **options)  # type: ignore[arg-type]
    return stored(out)


def start(out: Path, address: str, log: Path, delay_s: float = 0.0) -> subprocess.Popen[str]:
    """The study in a process of its own, as on another machine."""
    code = (
        "import sys; from pathlib import Path; from dse.run import run_study; from tests.dse import fakes;"
        "out, address, log, delay, budget = sys.argv[1:];"
        "evaluator = fakes.FakeEvaluator(delay_s=float(delay), log=log);"
        "spec = fakes.spec('optuna-nsga2', batch_size=10);"
        "run_study(spec, Path(out), budget=int(budget), evaluator=evaluator, storage=address)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(out), address, str(log), str(delay_s), str(BUDGET)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_the_trials_are_those_of_a_study_in_a_folder(address: str, tmp_path: Path) -> None:
    expected = run(tmp_path / "local")
    out = tmp_path / "mine"
    assert run(out, 17, storage=address) == expected[:17]
    assert run(out) == expected, "the folder remembers where its study is"
    assert not (out / "study.db").exists()
    assert read_result(out).front.sha256() == read_result(tmp_path / "local").front.sha256()

    storage = read_store(out)._storage  # type: ignore[attr-defined]  # a journal file has no address that Optuna takes
    study = optuna.load_study(study_name="mine", storage=storage)
    for seen, trial in zip(study.trials, expected, strict=True):
        assert SPEC.space.encode(seen.params) == trial.indices
        if trial.metrics is not None:
            assert seen.user_attrs | dict(zip(SPEC.objectives, seen.values, strict=True)) == trial.metrics
            assert seen.constraints == {str(c): c.violation(trial.metrics) for c in SPEC.constraints}


def test_another_question_or_storage_is_refused(tmp_path: Path) -> None:
    out, address = tmp_path / "mine", str(tmp_path / "journal.log")
    run(out, 5, storage=address)
    with pytest.raises(UserError, match="seed: 1, now 2"):
        run(out, 5, spec=fakes.spec("optuna-nsga2", batch_size=10, seed=2))
    with pytest.raises(UserError, match=r"the study of .* is in .*journal\.log; choose another --out"):
        run(out, 5, storage=f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(UserError, match=r"--storage is for the optuna-\* algorithms, not nsga2"):
        run(tmp_path / "table", 5, spec=fakes.spec("nsga2"), storage=address)
    with pytest.raises(UserError, match="holds a study of an optuna"):
        run(out, 5, spec=fakes.spec("nsga2"))
    run(tmp_path / "own", 5)
    with pytest.raises(UserError, match="holds a study of its own"):
        run(tmp_path / "own", 5, storage=address)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://nobody:secret@127.0.0.1:1/x", "postgresql://nobody@127.0.0.1:1/x"),
        ("postgresql://nobody@127.0.0.1:1/x?password=secret", "postgresql://nobody@127.0.0.1:1/x:"),
        ("no-such-folder/journal.log", "no folder no-such-folder"),
        ("nonsense://x", "nonsense"),
        ("://", "address"),
    ],
)
def test_a_storage_that_cannot_be_used_is_one_line(
    address: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dse.store_url.ATTEMPTS", 1)
    with pytest.raises(UserError, match=message) as refused:
        run(tmp_path / "mine", 5, storage=address)
    assert "\n" not in str(refused.value) and "secret" not in str(refused.value)
    assert not (tmp_path / "mine").exists()


def test_a_password_is_not_kept(tmp_path: Path) -> None:
    assert (
        without_password("mysql+pymysql://me:p%40ss@db:3306/x?charset=utf8")
        == "mysql+pymysql://me@db:3306/x?charset=utf8"
    )
    for key in ("password", "passwd", "sslpassword", "PASSWORD"):
        shown = without_password(f"postgresql://me@h/db?{key}=secret&sslmode=require")
        assert shown == "postgresql://me@h/db?sslmode=require"


@pytest.mark.parametrize("address", ["sqlite:///shared.db", "journal.log"])
def test_a_relative_address_holds_in_any_working_folder(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, here, elsewhere = tmp_path / "mine", tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    expected = run(out, 5, storage=address)
    monkeypatch.chdir(elsewhere)
    assert stored(out) == expected
    assert run(out, 10)[:5] == expected
    with pytest.raises(UserError, match=f"is in .*{here}.*; choose another --out"):
        run(out, 10, storage=address)
    assert list(elsewhere.iterdir()) == []
    for path in here.iterdir():
        path.unlink()
    with pytest.raises(UserError, match="is not there"):
        stored(out)
    assert list(here.iterdir()) == [], "who only reads makes no empty one"


@pytest.mark.parametrize("address", ["journal", "postgresql"], indirect=True)
def test_processes_that_start_at_once_share_one_study(address: str, tmp_path: Path, slow: bool) -> None:
    """As on several machines: every process has a folder of its own, of the same name."""
    expected = run(tmp_path / "local")
    for number in range(5 if slow else 1):
        outs = [tmp_path / f"machine{number}-{k}" / f"study{number}" for k in range(2)]
        log = tmp_path / f"log{number}"
        processes = [start(out, address, log, delay_s=0.05) for out in outs]
        ends = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], ends
        assert [stored(out) for out in outs] == [expected, expected]
        assert len(fakes.evaluated(log)) == BUDGET, "a design was evaluated twice"


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_killed_process_loses_nothing(address: str, tmp_path: Path) -> None:
    expected = run(tmp_path / "local")
    out, log = tmp_path / "mine", tmp_path / "log"
    process = start(out, address, log, delay_s=0.05)
    while not log.exists() or log.read_text().count("\n") < 13:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = run_study(SPEC, out, budget=BUDGET, storage=address, evaluator=fakes.FakeEvaluator())
    assert stored(out) == expected
    assert result.session is not None and result.session.resumed_trials + result.session.new_trials == BUDGET
    assert result.session.reclaimed_trials >= 1


def test_a_process_elsewhere_is_dead_when_its_heart_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, out = str(tmp_path / "journal.log"), tmp_path / "mine"
    out.mkdir()
    expected = run(tmp_path / "local")
    question = SPEC.question(fakes.FakeEvaluator().fingerprint())
    with monkeypatch.context() as patch:
        patch.setattr("dse.store_optuna.this_process", lambda: "elsewhere/1/2 77 88")
        store = open_store(out, question, "optuna", storage=address)
        assert store.claim({t.position: t.indices for t in expected[:10]}, 3) == [0, 1, 2]
        store.close()  # without giving back
    monkeypatch.setattr(presence, "STALE_SECONDS", 0.5)
    began = time.monotonic()
    result = run_study(SPEC, out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert stored(out) == expected
    assert result.session is not None and result.session.new_trials == BUDGET
    assert time.monotonic() - began > 0.5, "a heart is watched for a while first"


@pytest.mark.filterwarnings("ignore:Argument ``heartbeat_interval``", "ignore:Heartbeat of storage")
def test_optuna_s_own_heartbeat_spares_a_living_trial(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    run(out, 5)
    storage = optuna.storages.RDBStorage(f"sqlite:///{out / 'study.db'}", heartbeat_interval=10)
    study = optuna.load_study(study_name="mine", storage=storage)
    alive, dead = study.ask(), study.ask()
    storage.record_heartbeat(alive._trial_id)
    result = run_study(SPEC, out, budget=15, evaluator=fakes.FakeEvaluator())
    assert result.session is not None and result.session.reclaimed_trials == 1
    states = {trial.number: trial.state for trial in study.trials}
    assert states[alive.number] == optuna.trial.TrialState.RUNNING
    assert states[dead.number] == optuna.trial.TrialState.FAIL
