"""Damaged studies: a clear message, and everything that was whole is in the study again."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dse.cli import application, run_application
from dse.database import DamagedError
from dse.report import write_results
from dse.result import read_result
from dse.run import run_study
from dse.salvage import records, recover, whole_question, whole_trials
from dse.store import read_store
from dse.store_optuna_file import OptunaFile
from dse.study import StudySpec
from search_spaces.errors import UserError
from tests.dse import fakes
from tests.dse.fakes import stored

KINDS = ["nsga2", "optuna-nsga2"]
BUDGET = 60
PAGE = 4096


def spec(algorithm: str) -> StudySpec:
    return fakes.spec(algorithm, batch_size=10)


@pytest.fixture(scope="module", params=KINDS)
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """An algorithm and the folder of a finished study."""
    out = tmp_path_factory.mktemp(request.param) / "study"
    run_study(spec(request.param), out, budget=BUDGET, evaluator=fakes.FakeEvaluator(), finish=write_results)
    return request.param, out


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 + 100])


def garbage_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    page = len(data) // PAGE // 2
    data[page * PAGE : (page + 1) * PAGE] = random.Random(1).randbytes(PAGE)
    path.write_bytes(bytes(data))


def no_first_page(path: Path) -> None:
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])


def without_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        connection.execute(f"DROP TABLE {'question' if 'question' in names else 'study_user_attributes'}")
    connection.close()


def no_text(path: Path, where: dict[str, str]) -> None:
    """Put bytes that are not UTF-8 into a column of the table that a study of this kind has."""
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        table = next(name for name in where if name in names)
        connection.execute(f"UPDATE {table} SET {where[table]}".replace("?", "CAST(x'22ff22' AS TEXT)"))
    connection.close()


def no_question(path: Path) -> None:
    no_text(path, {"question": "fields = ?", "study_user_attributes": "value_json = ? WHERE key LIKE '%question'"})


def one_trial_less(path: Path) -> None:
    places = {"trial": "metrics = ? WHERE position = 3", "trial_user_attributes": "value_json = ? WHERE trial_id = 4"}
    no_text(path, places)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("damage", "least"),
    [
        (truncated, 15),
        (garbage_page, 40),
        (no_first_page, 50),
        (without_table, BUDGET),
        (no_question, BUDGET),
        (one_trial_less, BUDGET - 1),
        (empty, 0),
    ],
)
def test_what_is_whole_is_kept_and_the_study_goes_on(
    damage: Callable[[Path], None], least: int, study: tuple[str, Path], tmp_path: Path
) -> None:
    algorithm, whole = study
    expected = stored(whole)
    out = tmp_path / "study"
    shutil.copytree(whole, out)
    damage(out / "study.db")
    broken = (out / "study.db").read_bytes()
    with pytest.raises(DamagedError, match=rf"is damaged .*paretocut recover {out}") as refused:
        run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert "\n" not in str(refused.value) and str(refused.value).count("is damaged") == 1
    assert (out / "study.db").read_bytes() == broken, "left alone"

    found = recover(out)
    assert found is not None and found.question is not None
    assert found.aside.read_bytes() == broken
    kept = stored(out)
    assert found.trials == len(kept) and set(map(str, kept)) <= set(map(str, expected))
    # In Optuna's schema a trial is spread over six tables: a lost page costs more trials.
    assert len(kept) >= (least if algorithm == "nsga2" or least in (0, BUDGET) else 1)
    result = run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert stored(out) == expected
    assert result.session is not None
    assert result.session.resumed_trials == len(kept), "what was whole is not evaluated again"
    assert result.session.new_trials == BUDGET - len(kept)
    assert recover(out) is None


def test_reading_pages_finds_what_sqlite_finds(study: tuple[str, Path], tmp_path: Path) -> None:
    """In the file, and in its log where nothing has come into the file yet."""
    algorithm, whole = study
    expected = stored(whole)
    question = read_result(whole).question
    found = list(records([whole / "study.db"]))
    assert whole_question(found, tmp_path) == question
    assert whole_trials(found, question) == expected

    out = tmp_path / "study"
    run_study(spec(algorithm), out, budget=20, evaluator=fakes.FakeEvaluator())
    reader = read_store(out)  # while somebody reads, the last to close cannot empty the log
    run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    copies = [Path(shutil.copy(path, tmp_path)) for path in (out / "study.db", out / "study.db-wal")]
    reader.close()
    assert copies[1].stat().st_size > 0
    assert whole_trials(list(records(copies)), question) == expected
    assert len(whole_trials(list(records(copies[:1])), question)) < BUDGET


def test_any_damage_gives_a_part_of_the_study(study: tuple[str, Path], tmp_path: Path) -> None:
    algorithm, whole = study
    expected = set(map(str, stored(whole)))
    question = read_result(whole).question
    data = (whole / "study.db").read_bytes()
    draw = random.Random(algorithm)
    for _ in range(40):
        broken = bytearray(data)
        for _ in range(draw.randrange(1, 6)):
            start = draw.randrange(len(broken))
            length = draw.choice((1, 512, PAGE, 3 * PAGE))
            broken[start : start + length] = draw.choice((bytes(length), draw.randbytes(length), b""))
        (tmp_path / "study.db").write_bytes(bytes(broken[: draw.randrange(len(broken))]))
        rows = list(records([tmp_path / "study.db"]))
        trials = whole_trials(rows, question)
        # SQLite keeps no checksums: a digit that became another goes unnoticed, and only that may.
        assert sum(str(trial) not in expected for trial in trials) <= 6


def test_a_log_that_is_garbage_is_no_damage(study: tuple[str, Path], tmp_path: Path) -> None:
    algorithm, whole = study
    out = tmp_path / "study"
    shutil.copytree(whole, out)
    (out / "study.db-wal").write_bytes(random.Random(1).randbytes(10_000))
    (out / "study.db-journal").write_bytes(random.Random(2).randbytes(10_000))
    run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert stored(out) == stored(whole)


def test_a_kill_between_putting_aside_and_putting_in_place_loses_nothing(
    study: tuple[str, Path], tmp_path: Path
) -> None:
    algorithm, whole = study
    expected = stored(whole)
    out = tmp_path / "study"
    shutil.copytree(whole, out)
    garbage_page(out / "study.db")
    before = whole_trials(list(records([out / "study.db"])), json.loads((out / "run.json").read_text())["spec"])
    (out / "study.db").rename(out / "study.db.damaged")
    found = recover(out)
    assert found is not None and found.trials == len(before)
    run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    assert stored(out) == expected


def test_a_kill_before_the_log_is_put_aside_or_after_loses_nothing_in_it(
    study: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm, whole = study
    out, copy = tmp_path / "study", tmp_path / "copy"
    run_study(spec(algorithm), out, budget=20, evaluator=fakes.FakeEvaluator())
    reader = read_store(out)  # while somebody reads, the last to close cannot empty the log
    run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
    shutil.copytree(out, copy)
    reader.close()
    shutil.copy(whole / "run.json", copy)
    empty(copy / "study.db")
    expected = whole_trials(list(records([copy / "study.db-wal"])), read_result(whole).question)
    assert expected

    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for name in ("os.link", "pathlib.Path.rename", "dse.database.create_database"):
        shutil.rmtree(out)
        shutil.copytree(copy, out)
        with monkeypatch.context() as patch:
            if name == "dse.database.create_database":
                patch.setattr("dse.store.create_database", killed)
                patch.setattr("dse.store_optuna_file.create_database", killed)
            else:
                patch.setattr(name, killed)
            with pytest.raises(Killed):
                recover(out)
        found = recover(out)
        assert found is not None and found.aside.name == "study.db.damaged", name
        assert stored(out) == expected, name
        assert [path.name for path in sorted(out.glob("*.damaged*"))] == ["study.db.damaged", "study.db.damaged-wal"]
        assert recover(out) is None


def test_damage_after_a_recovery_is_recovered_from_the_new_file_alone(study: tuple[str, Path], tmp_path: Path) -> None:
    algorithm, whole = study
    out = tmp_path / "study"
    shutil.copytree(whole, out)
    expected = stored(whole)
    for _ in range(2):
        garbage_page(out / "study.db")
        assert recover(out) is not None
        assert set(map(str, stored(out))) <= set(map(str, expected))
        run_study(spec(algorithm), out, budget=BUDGET, evaluator=fakes.FakeEvaluator())
        assert stored(out) == expected

    (out / "study.db").unlink()
    other = fakes.spec(algorithm, batch_size=10, seed=2)
    run_study(other, out, budget=BUDGET, evaluator=fakes.FakeEvaluator(), finish=write_results)
    expected = stored(out)
    garbage_page(out / "study.db")
    found = recover(out)
    assert found is not None and found.question is not None and found.question["seed"] == 2
    assert found.trials > 0
    assert set(map(str, stored(out))) <= set(map(str, expected))


def test_what_cannot_be_opened_does_not_empty_the_log_later(tmp_path: Path) -> None:
    out, copy = tmp_path / "study", tmp_path / "copy"
    run_study(spec("optuna-nsga2"), out, budget=20, evaluator=fakes.FakeEvaluator())
    reader = read_store(out)
    run_study(spec("optuna-nsga2"), out, budget=BUDGET, evaluator=fakes.FakeEvaluator(), finish=write_results)
    with sqlite3.connect(out / "study.db") as connection:
        connection.execute("UPDATE study_user_attributes SET value_json = '\"{\"' WHERE key = 'paretocut:question'")
    connection.close()
    shutil.copytree(out, copy)
    reader.close()
    assert (copy / "study.db-wal").stat().st_size > 0
    with pytest.raises(DamagedError) as refused:
        OptunaFile(copy / "study.db")
    assert not (copy / "study.db-wal").exists(), f"closed while {refused.value} is still held"
    found = recover(copy)
    assert found is not None and found.trials == BUDGET


def test_copied_trials_took_no_time(tmp_path: Path) -> None:
    """When they were worked on is not in the new file, and when they were copied says nothing."""
    out = tmp_path / "study"
    run_study(spec("optuna-nsga2"), out, budget=BUDGET, evaluator=fakes.FakeEvaluator(), finish=write_results)
    no_first_page(out / "study.db")
    found = recover(out)
    assert found is not None and found.trials > 0
    run_study(spec("optuna-nsga2"), out, budget=BUDGET + 5, evaluator=fakes.FakeEvaluator())
    store = read_store(out)
    assert store.spans() == []
    store.close()


def test_the_command_says_what_it_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    with pytest.raises(UserError, match="nothing to recover"):
        recover(out)
    run_study(spec("exact"), out, evaluator=fakes.FakeEvaluator())
    front = read_result(out).front.sha256()
    assert run_application(application(), ["recover", str(out)], "paretocut") == 0
    assert "is whole" in capsys.readouterr().out
    no_first_page(out / "study.db")
    assert run_application(application(), ["recover", str(out)], "paretocut") == 0
    assert "exact begins anew" in capsys.readouterr().out
    assert run_study(spec("exact"), out, evaluator=fakes.FakeEvaluator()).front.sha256() == front
    (out / "study.db").write_bytes(b"")
    for path in out.glob("study.db.damaged*"):
        path.unlink()
    assert run_application(application(), ["recover", str(out)], "paretocut") == 0
    assert "nothing in study.db could be read" in capsys.readouterr().out
    assert not (out / "study.db").exists() and (out / "study.db.damaged").exists()


def test_an_exact_study_whose_state_is_cut_off_is_damaged_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SQLite finds nothing wrong where the last page ends early: it reads what is missing as zeros."""
    out = tmp_path / "study"
    run_study(spec("exact"), out, evaluator=fakes.FakeEvaluator())
    front = read_result(out).front.sha256()
    with sqlite3.connect(out / "study.db") as connection:
        connection.execute("UPDATE state SET content = substr(content, 1, length(content) / 2)")
    connection.close()
    for command in ("front", "status"):
        assert run_application(application(), [command, str(out)], "paretocut") == 2
        errors = capsys.readouterr().err
        assert "is damaged" in errors and errors.count("\n") == 1
    assert run_application(application(), ["status", str(tmp_path)], "paretocut") == 0
    assert "damaged" in capsys.readouterr().out
    for seed in (1, 2):
        other = replace(spec("random"), seed=seed)
        run_study(other, tmp_path / f"random-{seed}", budget=5, evaluator=fakes.FakeEvaluator())
    assert run_application(application(), ["compare", str(tmp_path)], "paretocut") == 0
    assert f"left out: {out / 'study.db'} is damaged" in capsys.readouterr().err
    with pytest.raises(DamagedError):
        run_study(spec("exact"), out, evaluator=fakes.FakeEvaluator())
    assert run_application(application(), ["recover", str(out)], "paretocut") == 0
    assert "exact begins anew" in capsys.readouterr().out
    assert run_study(spec("exact"), out, evaluator=fakes.FakeEvaluator()).front.sha256() == front


def test_a_file_that_never_was_a_study_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE groceries (name TEXT)")
    connection.close()
    with pytest.raises(UserError, match="is not a study of paretocut"):
        recover(tmp_path)
