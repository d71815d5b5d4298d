"""One folder, one question: refusals, damaged and foreign files, and what Optuna sees."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.result import StudyResult, read_result
from dse.run import run_study
from dse.status import status_of
from dse.store import TableStore, read_store
from dse.store_optuna import OptunaStore
from dse.store_optuna_file import OptunaFile
from dse.study import Constraint, StudySpec, Trial, differences, parse_constraint
from search_spaces.errors import UserError
from search_spaces.space import SearchSpace
from search_spaces.types import Knob
from tests.dse import fakes

KINDS = ["nsga2", "optuna-nsga2"]


def run(spec: StudySpec, out: Path, budget: int = 12) -> StudyResult:
    return run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator())


@pytest.mark.parametrize("algorithm", KINDS)
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": 2}, "seed: 1, now 2"),
        ({"algorithm": "random"}, "algorithm: "),
        ({"batch_size": 7}, "batch_size: 10, now 7"),
        ({"objectives": ("latency_s", "sensor_energy_j")}, "objectives: "),
        ({"constraints": (Constraint("area_mm2", 2.0),)}, "constraints: "),
        ({"space": fakes.small_space()}, "knob clock_mhz: "),
    ],
)
def test_another_question_is_refused_naming_what_differs(
    algorithm: str, change: dict[str, object], field: str, tmp_path: Path
) -> None:
    spec = fakes.spec(algorithm, batch_size=10)
    run(spec, tmp_path)
    with pytest.raises(UserError, match="holds another question") as refused:
        run(replace(spec, **change), tmp_path)  # type: ignore[arg-type]
    assert field in str(refused.value) and "\n" not in str(refused.value)
    run(spec, tmp_path, budget=15)


@pytest.mark.parametrize("algorithm", KINDS)
def test_what_the_evaluator_depends_on_is_part_of_the_question(algorithm: str, tmp_path: Path) -> None:
    spec = fakes.spec(algorithm)
    run(spec, tmp_path)
    other = fakes.FakeEvaluator(settings=fakes.FakeSettings(macs=3e8))
    with pytest.raises(UserError, match=r"settings\.macs: 200000000\.0, now 300000000\.0"):
        run_study(spec, tmp_path, budget=12, evaluator=other)


def test_budget_and_workers_are_not_part_of_the_question(tmp_path: Path) -> None:
    spec = fakes.spec("nsga2")
    run(spec, tmp_path, budget=12)
    result = run_study(spec, tmp_path, budget=5, workers=2, evaluator=fakes.FakeEvaluator())
    assert result.counts.designs == 12, "a smaller budget shows what is there"
    assert result.session is not None and result.session.new_trials == 0


def test_differences_name_fields_that_came_and_went() -> None:
    names = [f"a long name of a cut, number {i}" for i in range(9)]
    assert differences({"cuts": names}, {"cuts": [*names[:5], "other", *names[6:]]}) == [
        'cuts: now without "a long name of a cut, number 5" and with "other"'
    ]
    assert differences({"cuts": names}, {"cuts": names[::-1]}) == ["cuts: the same values, now in another order"]
    assert differences({"hash": "x" * 90 + "old"}, {"hash": "x" * 90 + "new"}) == [
        'hash: …xxxxxxxxxxold", now …xxxxxxxxxxnew"'
    ]
    assert differences({"a": 1, "b": [2]}, {"b": [3], "c": "x"}) == [
        "a: 1, now nothing",
        "b: [2], now [3]",
        'c: nothing, now "x"',
    ]


def make_empty(path: Path) -> None:
    path.touch()


def make_text(path: Path) -> None:
    path.write_text("not a database, but long enough to be looked at as one" * 100)


def make_foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE groceries (name TEXT)")
    connection.commit()
    connection.close()


def make_foreign_optuna(path: Path) -> None:
    optuna.create_study(study_name="mine", storage=f"sqlite:///{path}", directions=["minimize"] * 2)


def make_torn(path: Path) -> None:
    run(fakes.spec("nsga2"), path.parent, budget=200)
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(bytes(data))


def make_torn_optuna(path: Path) -> None:
    run(fakes.spec("optuna-nsga2"), path.parent, budget=20)
    path.write_bytes(path.read_bytes()[:9000])


@pytest.mark.parametrize("algorithm", KINDS)
@pytest.mark.parametrize(
    "make", [make_empty, make_text, make_foreign, make_foreign_optuna, make_torn, make_torn_optuna]
)
def test_a_damaged_or_foreign_file_is_one_line_and_left_alone(
    algorithm: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "study.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"study\.db") as refused:
        run(fakes.spec(algorithm), tmp_path)
    assert "\n" not in str(refused.value) and "--out" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_folder_may_have_any_name(algorithm: str, tmp_path: Path) -> None:
    out = tmp_path / "50 % of?b#c%41"
    run(fakes.spec(algorithm), out, budget=20)
    again = run(fakes.spec(algorithm), out, budget=30)
    assert again.session is not None and again.session.resumed_trials > 0
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_read_only_folder_can_be_read(algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    found = run(fakes.spec(algorithm), out, budget=20)
    for path in (out, *out.iterdir()):
        path.chmod(path.stat().st_mode & ~0o222)
    # Root may write everywhere: tell SQLite and ourselves what others would be told.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != out)
    try:
        assert read_result(out).front.sha256() == found.front.sha256()
        assert not list(out.glob("study.db-*"))
        with pytest.raises(UserError, match="it is read-only; choose another --out"):
            run(fakes.spec(algorithm), out, budget=30)
    finally:
        out.chmod(0o755)


@pytest.mark.parametrize("algorithm", KINDS)
def test_trials_that_would_be_proposed_otherwise_now_are_refused(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade of Optuna or pymoo in the middle of a batch."""
    run(fakes.spec(algorithm), tmp_path, budget=25)
    with monkeypatch.context() as patch:
        for module in ("_optuna", "nsga2"):
            patch.setattr(f"dse.algorithms.{module}.generator", lambda seed, start: np.random.default_rng(99))
        with pytest.raises(UserError, match="other versions of its libraries"):
            run(fakes.spec(algorithm), tmp_path, budget=40)
    assert len(read_result(tmp_path).front)
    again = run(fakes.spec(algorithm), tmp_path, budget=40)
    assert again.session is not None and again.session.resumed_trials == 25


def test_a_torn_row_is_one_line(tmp_path: Path) -> None:
    run(fakes.spec("nsga2"), tmp_path, budget=20)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE trial SET metrics = '{' WHERE position = 3")
    with pytest.raises(UserError, match=r"study\.db is damaged"):
        read_result(tmp_path)


def test_a_trial_that_somebody_else_added_is_left_out(tmp_path: Path) -> None:
    found = run(fakes.spec("optuna-nsga2"), tmp_path / "mine", budget=20)
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path / 'mine' / 'study.db'}")
    trial = study.ask()
    trial.set_user_attr("note", "by hand")
    study.tell(trial, [0.0] * len(study.directions))
    assert read_result(tmp_path / "mine").front.sha256() == found.front.sha256()


def test_a_file_of_another_optuna_is_one_line(tmp_path: Path) -> None:
    run(fakes.spec("optuna-nsga2"), tmp_path, budget=5)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v9.9.9'")
    connection.close()
    with pytest.raises(UserError, match=r"was made by another version of Optuna than \d"):
        read_result(tmp_path)


def test_a_foreign_run_json_is_ignored(tmp_path: Path) -> None:
    found = run(fakes.spec("nsga2"), tmp_path, budget=20)
    (tmp_path / "run.json").write_text('{"baselines": [{}], "budget": "many"}')
    assert read_result(tmp_path).front.sha256() == found.front.sha256()
    assert status_of(tmp_path)["budget"] is None


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(UserError, match="is a file; move it away"):
        run(fakes.spec("nsga2"), tmp_path / "out")
    with pytest.raises(UserError, match="cannot write results"):
        run(fakes.spec("nsga2"), tmp_path / "out" / "deeper")


def test_optuna_sees_parameters_values_constraints_and_figures(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    spec = fakes.spec("optuna-nsga2")
    run(spec, out, budget=120)
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{out / 'study.db'}")
    assert optuna.get_all_study_names(f"sqlite:///{out / 'study.db'}") == ["mine"]
    assert study.metric_names == list(spec.objectives)
    assert len(study.user_attrs["paretocut:fingerprint"]) == 64
    evaluator = fakes.FakeEvaluator()
    illegal = 0
    for trial in study.trials:
        assert trial.state == optuna.trial.TrialState.COMPLETE
        point = spec.space.decode(spec.space.encode(trial.params))
        if "illegal" in trial.user_attrs:
            illegal += 1
            assert trial.values == [np.inf, np.inf] and trial.constraints == {"legal": 1.0}
            continue
        metrics = evaluator.metrics(point)
        assert trial.values == [metrics[name] for name in spec.objectives]
        assert trial.user_attrs | dict(zip(spec.objectives, trial.values, strict=True)) == metrics
        assert trial.constraints == {str(c): c.violation(metrics) for c in spec.constraints}
    assert illegal
    result = run_study(spec, out, budget=1, evaluator=fakes.FakeEvaluator())
    best = {tuple(trial.values) for trial in study.best_trials}
    assert best == {tuple(values) for values in result.front.distinct}


def test_rows_written_at_once_are_those_of_optuna_s_own_way(tmp_path: Path) -> None:
    """Written straight into the tables or by Optuna's own calls: the same rows."""
    out = tmp_path / "fast"
    spec = fakes.spec("optuna-nsga2")
    run(spec, out, budget=30)
    store = OptunaFile(out / "study.db")
    trials = store.trials()
    store.close()

    slow_out = tmp_path / "slow"
    slow_out.mkdir()
    OptunaFile.create(slow_out / "study.db", store.question()).close()
    slow = OptunaStore(optuna.storages.RDBStorage(f"sqlite:///{slow_out / 'study.db'}"), "slow", "slow")
    for start in range(0, 30, 10):
        batch = trials[start : start + 10]
        assert slow.claim({trial.position: trial.indices for trial in batch}, 10) == list(range(start, start + 10))
        slow.append(batch)
    assert slow.trials() == trials, "read by Optuna's own calls as by ours"
    slow.close()

    tables = ("trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes")
    for table in tables:
        columns = {
            "trial_params": "trial_id, param_name, param_value, distribution_json",
            "trial_values": "trial_id, objective, value, value_type",
        }.get(table, "trial_id, key, value_json")
        rows = [
            sqlite3.connect(folder / "study.db").execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
            for folder in (out, slow_out)
        ]
        assert rows[0] == rows[1] and rows[0], table
    numbers = [
        sqlite3.connect(folder / "study.db").execute("SELECT trial_id, number, study_id, state FROM trials").fetchall()
        for folder in (out, slow_out)
    ]
    assert numbers[0] == numbers[1]
    for folder in (out, slow_out):
        study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")
        age = abs((study.trials[0].datetime_start or 0) - __import__("datetime").datetime.now())  # type: ignore[operator]
        assert age.total_seconds() < 600, "times are in the reader's own time zone"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("latency_ms<=30", "latency_s <= 0.03"),
        ("sensor_energy_uj <= 2500", "sensor_energy_j <= 0.0025"),
        ("sensor_memory_kib<=512", "sensor_memory_bytes <= 524288"),
        ("sensor_power_mw<88", "sensor_power_w <= 0.088"),
        ("throughput_fps >= 25", "throughput_fps >= 25"),
    ],
)
def test_a_bound_may_be_in_another_unit(text: str, stored: str) -> None:
    assert str(parse_constraint(text)) == stored


@given(st.floats(1e-12, 1e12), st.booleans())
def test_a_constraint_is_read_back_to_the_last_digit(bound: float, upper: bool) -> None:
    constraint = Constraint("latency_s", maximum=bound) if upper else Constraint("latency_s", minimum=bound)
    assert parse_constraint(str(constraint)) == constraint


@pytest.mark.parametrize(
    "text", ["area_mm2=3", "area_mm2<=", "<=3", "area_mm2<=0", "area_mm2<=nan", "a<=1e999", "a<=--3"]
)
def test_a_constraint_that_cannot_be_read_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match="constraint"):
        parse_constraint(text)


def test_a_trial_has_metrics_or_a_reason() -> None:
    with pytest.raises(ValueError, match="either metrics or a reason"):
        Trial(0, (0,))
    assert Trial(0, (0,), reason="x").state == "illegal"


def test_study_specs_refuse_what_makes_no_sense() -> None:
    for change, message in (
        ({"objectives": ("sensor_energy",)}, "did you mean 'sensor_energy_j'"),
        ({"objectives": ("latency_s",)}, "two or more different objectives"),
        ({"constraints": (Constraint("area", 1.0),)}, "metric to constrain 'area'"),
        ({"constraints": (Constraint("area_mm2", 1.0), Constraint("area_mm2", 2.0))}, "one bound per metric"),
        ({"objectives": ("latency_s", "throughput_fps")}, "bound it: throughput_fps>=30"),
        ({"batch_size": 1}, "at least 2, not 1"),
        ({"seed": -1}, "a seed is a whole number"),
        ({"space": SearchSpace(fakes.space().knobs[::-1])}, "knobs in the order cut, accelerator, .*; reorder it"),
        ({"space": SearchSpace((*fakes.space().knobs, Knob("colour", ("red",))))}, "no knob 'colour'"),
    ):
        with pytest.raises(UserError, match=message):
            fakes.spec("nsga2", **change)
    json.dumps(fakes.spec("nsga2").question(fakes.FakeEvaluator().fingerprint()))


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_store_knows_when_its_trials_were_made(algorithm: str, tmp_path: Path) -> None:
    before = time.time()
    spec = fakes.spec(algorithm, batch_size=10)
    run(spec, tmp_path, budget=25)
    between = time.time()
    run(spec, tmp_path, budget=40)
    store = read_store(tmp_path)
    spans = np.array(store.spans())
    store.close()
    assert spans.shape == (40, 2)
    assert before <= spans[0, 0] and spans[-1, 1] <= time.time()
    assert (spans[:, 0] <= spans[:, 1]).all() and (np.diff(spans[:, 1]) >= 0).all()
    assert (spans[:25] <= between).all() and (spans[25:] >= between).all(), "the pause belongs to no trial"


@pytest.mark.parametrize("algorithm", KINDS)
def test_copied_trials_have_no_times(algorithm: str, tmp_path: Path) -> None:
    """As after `recover`, here of all trials but the first."""
    spec = fakes.spec(algorithm, batch_size=10)
    run(spec, tmp_path / "whole", budget=20)
    store = read_store(tmp_path / "whole")
    assert len(store.spans()) == 20
    make = OptunaFile.create if isinstance(store, OptunaFile) else TableStore.create
    make(tmp_path / "study.db", store.question(), store.trials()[1:]).close()
    store.close()
    run(spec, tmp_path, budget=25)
    copy = read_store(tmp_path)
    assert len(copy.trials()) == 25 and copy.spans() == []
    copy.close()


def test_a_study_of_before_there_were_times_has_none(tmp_path: Path) -> None:
    spec = fakes.spec("nsga2")
    run(spec, tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("DROP TABLE span")
    connection.close()
    run(spec, tmp_path, budget=20)
    store = read_store(tmp_path)
    assert len(store.trials()) == 20 and store.spans() == []
    store.close()
