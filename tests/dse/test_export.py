"""`paretocut export --optuna`: other algorithms' studies as Optuna sees them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import optuna
import pytest

from dse.cli import application, run_application
from dse.export import export_optuna
from dse.run import run_study
from dse.store import read_store
from search_spaces.errors import UserError
from tests.dse import fakes


@pytest.mark.parametrize("algorithm", ["nsga2", "exact"])
def test_a_copy_holds_every_trial_with_its_figures(algorithm: str, tmp_path: Path) -> None:
    spec = fakes.spec(algorithm, space=fakes.small_space())
    out = tmp_path / "mine"
    result = run_study(spec, out, budget=150, evaluator=fakes.FakeEvaluator())
    copy = export_optuna(out)
    store = read_store(out)
    trials = store.trials()
    store.close()
    assert copy.path == out / "optuna.db" and copy.trials == len(trials)

    study = optuna.load_study(study_name="mine", storage=copy.storage)
    assert study.metric_names == list(spec.objectives)
    assert len(study.trials) == len(trials)
    for seen, trial in zip(study.trials, trials, strict=True):
        assert spec.space.encode(seen.params) == trial.indices
        if trial.metrics is None:
            assert seen.user_attrs == {"illegal": trial.reason} and seen.constraints == {"legal": 1.0}
        else:
            assert seen.user_attrs | dict(zip(spec.objectives, seen.values, strict=True)) == trial.metrics
            assert seen.constraints == {str(c): c.violation(trial.metrics) for c in spec.constraints}
    best = {tuple(trial.values) for trial in study.best_trials}
    assert best == {tuple(values) for values in result.front.distinct}


def test_exporting_again_brings_the_copy_up_to_date_and_spares_other_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = fakes.spec("nsga2", batch_size=10)
    out, file = tmp_path / "mine", tmp_path / "copy.db"
    for budget in (20, 30):
        run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator())
        arguments = ["export", "--optuna", str(out), "--out", str(file), "--json"]
        assert run_application(application(), arguments, "paretocut") == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["trials"] == budget
        study = optuna.load_study(study_name=shown["study_name"], storage=shown["storage"])
        assert len(study.trials) == budget
    with pytest.raises(UserError, match=r"there is no folder .*deep to write copy\.db into"):
        export_optuna(out, tmp_path / "deep" / "copy.db")
    assert not (tmp_path / "deep").exists()
    foreign = tmp_path / "foreign.db"
    foreign.write_text("groceries")
    with pytest.raises(UserError, match=r"foreign\.db is there and no copy of this study"):
        export_optuna(out, foreign)
    assert foreign.read_text() == "groceries"
    foreign.unlink()
    for statement in ("", "CREATE TABLE groceries (name TEXT)", "CREATE TABLE study_user_attributes (name TEXT)"):
        with sqlite3.connect(foreign) as connection:
            connection.execute(statement)
        connection.close()
        foreign.touch()
        before = foreign.read_bytes()
        with pytest.raises(UserError, match=r"foreign\.db is there and no copy of this study"):
            export_optuna(out, foreign)
        assert foreign.read_bytes() == before, statement
        foreign.unlink()
    other = tmp_path / "other"
    run_study(fakes.spec("nsga2", seed=2), other, budget=5, evaluator=fakes.FakeEvaluator())
    with pytest.raises(UserError, match="no copy of this study"):
        export_optuna(other, file)
    assert run_application(application(), ["export", str(out)], "paretocut") == 2
    assert "--optuna" in capsys.readouterr().err


def test_an_optuna_study_needs_no_copy(tmp_path: Path) -> None:
    run_study(fakes.spec("optuna-nsga2"), tmp_path / "mine", budget=5, evaluator=fakes.FakeEvaluator())
    with pytest.raises(UserError, match=r"is an Optuna study already: sqlite:///.*study\.db, study name 'mine'"):
        export_optuna(tmp_path / "mine")
    address = str(tmp_path / "journal.log")
    spec = fakes.spec("optuna-nsga2")
    run_study(spec, tmp_path / "far", budget=5, evaluator=fakes.FakeEvaluator(), storage=address)
    with pytest.raises(UserError, match=rf"is an Optuna study already: {address}, study name 'far'"):
        export_optuna(tmp_path / "far")
