"""Studies on Timeloop from the command line: marked, refused where they cannot be, never mixed with ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dse.cli import main
from dse.result import read_result
from tests.timeloop import StandIn

SCRIPT = """
from dse import StudySpec
from evaluators.sensor import SensorSettings
from evaluators.system import SystemSettings
from search_spaces.space import sensor_edge_space
from tests.evaluators.timeloop.test_layers import NETWORK

def study():
    space = sensor_edge_space(
        NETWORK, accelerators=["simba_like"], pe_cols=[4], pe_rows=[4], glb_kib=[64], input_buffer_scale=[1.0],
        weight_buffer_scale=[1.0], clock_mhz=[100, 200], links=["1000base-t", "10gbase-t"],
    )
    return StudySpec(NETWORK, space, SystemSettings(sensor=SensorSettings(energy_table="timeloop-be27768")))
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "two.py"
    path.write_text(SCRIPT)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_a_study_on_the_tool_says_so(script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in.does("simba_like_00")
    runs = script.parent / "runs"
    options = ("--accelerator-model", "timeloop", "--out", "theirs", "--cache", "memo.db")
    assert run("run", script, *options, "--keep-runs", runs) == 0
    record = result(script.parent / "theirs")
    assert "timeloop-mapper (sha256" in record["provenance"]["sensor_latency_s"]
    assert "counts by timeloop-mapper" in record["provenance"]["sensor_energy_j"]
    assert record["provenance"]["link_latency_s"] == "table"
    question = read_result(script.parent / "theirs").question
    assert question["settings.sensor.accelerator_model"] == "timeloop"
    assert "sha256" in question["versions.sensor"]
    assert len(list(runs.iterdir())) == 1

    assert run("run", script, "--out", "ours", "--cache", "memo.db") == 0
    ours = result(script.parent / "ours")
    assert "timeloop" not in ours["provenance"]["sensor_latency_s"]
    assert "sha256" not in read_result(script.parent / "ours").question["versions.sensor"]

    assert run("importance", "theirs", "--cache", "memo.db", "--json") == 0
    capsys.readouterr()
    assert run("run", script, "--out", "theirs", "--cache", "memo.db") == 2
    assert "accelerator_model" in capsys.readouterr().err
    assert run("run", script, *options) == 0
    assert len(stand_in.folders) == 1, "what is in the memo is not asked again"


def test_a_tool_that_fails_ends_the_study_with_one_line(
    script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("fail_no_accelergy")
    assert run("run", script, "--accelerator-model", "timeloop", "--out", "theirs") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("paretocut: timeloop-mapper exited with status 0 on N=1")
    assert "repeat with: cd " in error


def test_a_run_that_hangs_is_stopped_where_the_command_says(
    script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("hang")
    options = ("--accelerator-model", "timeloop", "--out", "theirs", "--run-limit")
    assert run("run", script, *options, 0.5) == 2
    assert "ran for more than 0.5 s; raise the limit" in capsys.readouterr().err
    assert run("run", script, *options, "nan") == 2
    assert "needs a time limit above 0 s, not nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--accelerator-model", "timeloop"], "timeloop-mapper is not on the PATH"),
        (["--accelerator-model", "timelop"], "did you mean 'timeloop'?"),
        (["--keep-runs", "runs"], "--keep-runs is for runs of Timeloop"),
        (["--run-limit", "5"], "--run-limit is for runs of Timeloop"),
        (["--accelerator-model", "timeloop", "--backend", "dask"], "runs of timeloop are on this machine"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], says: str, script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(script.parent))
    assert run("run", script, *options) == 2
    assert says in capsys.readouterr().err
    assert not (script.parent / "results").exists()
