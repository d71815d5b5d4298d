"""`paretocut verify` on a stand-in that replays what the real tool said of this very study, and of altered ones."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.result import read_result
from dse.run import run_study
from dse.verify import verify
from evaluators.memo import Memo
from search_spaces.errors import UserError
from tests.dse.test_cli_timeloop import run, script
from tests.evaluators.timeloop.test_layers import NETWORK
from tests.timeloop import StandIn

__all__ = ["script"]  # a fixture

LAYER_CYCLES = b"<cycles>110889</cycles>"


@pytest.fixture
def folder(script: Path) -> Path:
    """Results of the small study, found by our mapper."""
    with Memo(script.parent / "memo.db") as memo:
        run_study(runpy.run_path(str(script))["study"](), script.parent / "ours", memo=memo)
    return script.parent / "ours"


def verified(script: Path, *options: str) -> int:
    return run("verify", "ours", "--script", script, "--cache", "memo.db", *options)


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_equal_counts_and_no_better_mapping_hold(
    folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify")
    assert verified(script, "--json") == 0
    found = as_json(capsys)
    assert found["holds"]
    assert found["summary"] == {
        "mappings": 1,
        "mappings_equal": 1,
        "layers_searched": 1,
        "layers_tool_better": 0,
        "ratio_median": pytest.approx(1.0),
        "ratio_worst": pytest.approx(1.0),
    }
    (row,) = found["model"]
    assert (row["layer"], row["cycles"], row["tool_cycles"], row["differences"]) == ("conv", 110889, 110889, [])
    assert row["tool_energy_j"] == pytest.approx(row["energy_j"], rel=1e-12)
    assert verified(script) == 0
    text = capsys.readouterr().out
    assert "timeloop-model on our mappings: 1 of 1 equal" in text
    assert "0 of 1 layers better than ours" in text
    assert len(stand_in.folders) == 2, "both tools ran once, then the memo knew"


def test_other_counts_are_named_and_fail(
    folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify", instead={b"<item>332667</item>": b"<item>332668</item>"})
    assert verified(script, "--no-search") == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "0 of 1 equal" in text
    assert "PEInputBuffer reads of I: ours 332,667, timeloop-model's 332,668" in text
    assert len(stand_in.folders) == 1


@pytest.mark.parametrize(("cycles", "differs"), [(b"110890", False), (b"110891", True)])
def test_one_cycle_of_rounding_is_allowed(
    cycles: bytes, differs: bool, folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify", instead={LAYER_CYCLES: b"<cycles>" + cycles + b"</cycles>"})
    assert verified(script, "--no-search", "--json") == int(differs)
    assert bool(as_json(capsys)["model"][0]["differences"]) == differs


def test_a_better_mapping_of_the_tool_fails(
    folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify", instead={LAYER_CYCLES: b"<cycles>100000</cycles>", b">110889<": b">100000<"})
    assert verified(script, "--json") == 1
    found = as_json(capsys)
    assert found["summary"]["layers_tool_better"] == 1
    assert found["search"][0]["ratio"] == pytest.approx(100000 / 110889, rel=1e-3)


def test_no_mapping_of_the_tool_is_shown(
    folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify")
    assert verified(script, "--no-search") == 0
    stand_in.does("fail_eyeriss_S13")
    capsys.readouterr()
    assert verified(script) == 0, "finding none is not finding a better one"
    assert "none" in capsys.readouterr().out


def test_a_study_on_the_tool_is_verified_too(
    script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mapping is the tool's; our counts for it are those of timeloop-model."""
    stand_in.does("verify")
    options = ("--accelerator-model", "timeloop", "--out", "ours", "--cache", "memo.db")
    assert run("run", script, *options) == 0
    capsys.readouterr()
    assert verified(script, "--json") == 0
    assert as_json(capsys)["summary"]["mappings_equal"] == 1


def test_a_front_without_layers_on_the_sensor_has_nothing_to_judge(
    script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("verify")
    only = 'sensor_edge_space(NETWORK, cuts=["input"], '
    script.write_text(script.read_text().replace("sensor_edge_space(\n        NETWORK,", only))
    with Memo(script.parent / "memo.db") as memo:
        run_study(runpy.run_path(str(script))["study"](), script.parent / "ours", memo=memo)
    assert verified(script) == 0
    assert "nothing to judge" in capsys.readouterr().out
    assert not stand_in.folders


def test_figures_of_zigzag_have_no_mapping_to_judge(folder: Path, stand_in: StandIn) -> None:
    stand_in.does("verify")
    result = read_result(folder)
    question = {**result.question, "settings.sensor.accelerator_model": "zigzag"}
    with Memo() as memo, pytest.raises(UserError, match="this study's figures are ZigZag's"):
        verify(replace(result, question=question), memo, network=NETWORK)
    assert not stand_in.folders


def test_what_cannot_be_verified_is_one_line(
    folder: Path, script: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("silent")
    assert verified(script) == 2
    assert "timeloop-model exited with status 0" in capsys.readouterr().err
    assert run("verify", "elsewhere", "--cache", "memo.db") == 2
    other = script.parent / "other.py"
    other.write_text(
        script.read_text()
        .replace("def study", "from dataclasses import replace\ndef study")
        .replace(
            "NETWORK\n",
            "NETWORK as N\nNETWORK = N.__class__(**{**vars(N), 'layers': N.layers[:1], 'cuts': N.cuts[:1]})\n",
        )
    )
    assert run("verify", "ours", "--script", other, "--cache", "memo.db") == 2
    assert "other layers or cuts" in capsys.readouterr().err
    other.write_text("def study():\n    return None\n")
    assert run("verify", "ours", "--script", other, "--cache", "memo.db") == 2
    assert "study() must return a StudySpec, not NoneType" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(script.parent))
    assert verified(script) == 2
    assert "not on the PATH" in capsys.readouterr().err
