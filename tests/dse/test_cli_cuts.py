"""`paretocut cuts` as a user meets it: a table, JSON, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dse.cli.networks import parse_shape, register
from search_spaces.errors import UserError


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)  # with a single command typer would drop its name
    register(app)
    return CliRunner().invoke(app, ["cuts", *arguments])


def test_json_has_the_agreed_fields() -> None:
    result = run("squeezenet1_1", "--input", "1x3x227x227", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert len(rows) == 17
    assert list(rows[1])[:5] == ["name", "shape", "elements", "macs_before", "parameters_before"]
    assert rows[0] == {
        "name": "Identity", "shape": [1, 3, 227, 227], "elements": 154_587, "macs_before": 0, "parameters_before": 0,
        "bytes": 309_174, "aliases": [],
    }  # fmt: skip
    assert rows[-1]["macs_before"] == 387_747_520
    assert rows[-1]["parameters_before"] == 1_235_496


def test_table_shows_every_point_and_how_many_were_merged() -> None:
    result = run("squeezenet1_1", "--mode", "tensor", "--tensor-bits", "8")
    assert result.exit_code == 0
    assert "23 partitioning points, 12 merged" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "features.3.squeeze " in line]
    for cell in ("1x16x56x56", "50,176", "25,276,096", "2,832"):
        assert cell in line


def test_every_point_when_nothing_is_merged() -> None:
    assert len(json.loads(run("squeezenet1_1", "--mode", "tensor", "--no-merge", "--json").stdout)) == 35


def test_frontier_shows_what_crosses_and_how_many_cuts_there_are() -> None:
    result = run("squeezenet1_1", "--mode", "frontier", "--tensors", "2", "--bits", "8")
    assert result.exit_code == 0
    assert "47 cuts with up to 2 crossing tensors" in result.stdout
    line = next(line for line in result.stdout.splitlines() if "features.3.squeeze +" in line)
    assert "1x16x56x56 + 1x64x56x56" in line and f"{80 * 56 * 56:,}" in line


def test_notes_are_shown_and_keep_out_of_json() -> None:
    arguments = ("lraspp_mobilenet_v3_large", "--input", "1x3x64x64")
    assert "note: only 2 partitioning points" in run(*arguments).stdout
    result = run(*arguments, "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "only 2 partitioning points" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["squeezenet"], "did you mean"),
        (["alexnet", "--input", "3"], "sizes joined by x"),
        (["alexnet", "--input", "1x3x-4x4"], "sizes joined by x"),
        (["alexnet", "--input", "1x3x8x8"], "does not take an input of 1x3x8x8"),
        (["alexnet", "--mode", "blocks"], "no cut mode 'blocks'; did you mean 'block'"),
        (["alexnet", "--mode", "frontier", "--tensors", "0"], "at least 1 tensor"),
        (["model.onnx"], "cannot read the network model.onnx: no such file"),
        (["nowhere:net"], "no module nowhere"),
        (["alexnet", "--bits", "0"], "at least 1 bit"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, UserError)
    assert words in str(error)
    assert "\n" not in str(error)


def test_shapes() -> None:
    assert parse_shape("1x3x227x227") == (1, 3, 227, 227)
    with pytest.raises(UserError):
        parse_shape("1x3x2a")
