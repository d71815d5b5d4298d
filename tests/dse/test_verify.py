"""`paretocut verify` on a stand-in that replays what the real tool said of this very study, and of altered ones."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.judges import Asked, model_rows
from dse.result import read_result
from dse.run import run_study
from dse.verification import Verification
from dse.verify import verify
from evaluators.memo import Memo
from evaluators.sensor import SensorSettings
from evaluators.timeloop import Timeloop
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape
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
        "mappings_judged": 1,
        "mappings_equal": 1,
        "mappings_with_remainders": 0,
        "remainders_tool_cycles_over_ours": None,
        "remainders_tool_energy_over_ours": None,
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


REMAINDERS = """
from search_spaces.types import ConvShape, Cut, Layer, Network, Tensor

IMAGE, MAPS = Tensor("input", (1, 4, 15, 15)), Tensor("conv", (1, 21, 13, 13))
LAYER = Layer("conv", "conv2d", "mac", (-1,), 4 * 15 * 15, 21 * 13 * 13, 777, ConvShape(1, 4, 21, 13, 13, 3, 3))
CUTS = (Cut("input", frozenset(), (IMAGE,)), Cut("all", frozenset({0}), (MAPS,)))
NETWORK = Network("thirteen", IMAGE, (LAYER,), CUTS, "block")
"""


@pytest.fixture
def ragged(script: Path, stand_in: StandIn) -> Path:
    """A study of one layer of 21 × 13 × 13 outputs, mapped as P13Q7;;/;;C4/R3S3;;/;;M4/;M6;/Q2;;|M21Q13."""
    text = script.read_text().replace("from tests.evaluators.timeloop.test_layers import NETWORK", REMAINDERS)
    text = text.replace("space(\n        NETWORK,", 'space(\n        NETWORK, cuts=["all"],')
    script.write_text(text.replace("SensorSettings(", 'SensorSettings(factors="imperfect", '))
    with Memo(script.parent / "memo.db") as memo:
        run_study(runpy.run_path(str(script))["study"](), script.parent / "ours", memo=memo)
    return script


def test_remainders_are_judged_with_every_tile_full(
    ragged: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    """24 × 13 × 14 outputs, equal in every count; with the remainders the tool's 14 × 13 × 9 steps are 13 × 13 × 9.

    1.0554 µJ by the tool's rule and 1.0224 µJ by ours; its mapper, of perfect factors, takes 21 padded to 24 too.
    """
    stand_in.does("remainders")
    assert verified(ragged, "--json") == 0
    found = as_json(capsys)
    (row,) = found["model"]
    assert (row["cycles"], row["tool_cycles"], row["remainders"]) == (1521, 1638, ["M=21", "Q=13"])
    assert row["differences"] == []
    assert found["summary"]["mappings_with_remainders"] == 1
    assert found["summary"]["remainders_tool_energy_over_ours"] == [pytest.approx(1.0554082 / 1.0223745, rel=1e-6)] * 2
    assert found["summary"]["ratio_worst"] == pytest.approx(1.1388962 / 1.0223745, rel=1e-6)
    assert verified(ragged) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 equal" in text
    assert "1.077 to 1.077 times our cycles and 1.032 to 1.032 times our energy" in text
    assert "timeloop-mapper, perfect factors only: 0 of 1 layers better" in text


def test_other_counts_with_full_tiles_fail(ragged: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in.does("remainders", instead={b"<item>864</item>": b"<item>865</item>"})
    assert verified(ragged, "--no-search") == 1
    assert "DRAM reads of W: ours 864, timeloop-model's 865" in " ".join(capsys.readouterr().out.split())


def test_tiles_that_fit_only_with_the_remainder_are_not_judged(stand_in: StandIn) -> None:
    """13 × 13 sums in 175 words, 13 × 14 not: the tool has room for full tiles alone and is not asked."""
    chip = accelerators.build("simba_like", {"accum_buffer_words": 175})
    asked = Asked(ConvShape(1, 4, 4, 13, 13, 3, 3), chip, "lpddr4", "P13Q7;;/Q2;;C4/R3S3;;/;;M4/;;/;;|Q13")
    settings = SensorSettings(factors="imperfect")
    (row,) = model_rows({asked: "conv"}, Timeloop(Memo()), settings, "lpddr4", 1, None)
    assert "PEAccuBuffer: tiles of 182 words, it holds 175" in row.unjudged
    assert (row.tool_cycles, row.differences) == (None, ())
    found = Verification("ours", 1, 1, (row,), (), ())
    assert (found.judged, found.holds) == ([], False)  # nothing that could be compared is no proof
    assert not stand_in.folders


OWN = """
from pathlib import Path
from dse import StudySpec
from evaluators.system import SystemSettings
from search_spaces.space import sensor_edge_space
from tests.evaluators.timeloop.test_layers import NETWORK
from tests.evaluators.timeloop.test_own import own_files, settings

def study():
    space = sensor_edge_space(
        NETWORK, cuts=["all"], accelerators=["simba_like"], pe_cols=[4], pe_rows=[4], glb_kib=[64],
        input_buffer_scale=[1.0], weight_buffer_scale=[1.0], clock_mhz=[100, 200], links=["1000base-t"],
    )
    files = own_files(Path(), (("GlobalBuffer.entries", "glb_kib*1024"),))
    return StudySpec(NETWORK, space, SystemSettings(sensor=settings(files, "all")))
"""


@pytest.fixture
def own(script: Path, stand_in: StandIn) -> Path:
    """A study on files of the user's own, in the folder of the test."""
    stand_in.does("simba_like_00")
    script.write_text(OWN)
    assert run("run", script, "--out", "ours", "--cache", "memo.db") == 0
    return script


def test_own_files_are_judged_on_the_tools_mappings(
    own: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = len(stand_in.folders)
    capsys.readouterr()
    assert verified(own, "--json") == 0
    found = as_json(capsys)
    assert found["own_files"] == ["arch.yaml", "map.yaml", "energy.yaml"]
    assert (found["summary"]["mappings_equal"], found["summary"]["layers_searched"]) == (1, 0)
    (row,) = found["model"]
    assert (row["layer"], row["cycles"], row["tool_cycles"]) == ("conv", 110889, 110889)
    assert "PEWeightBuffer temporal R3S3; " in row["mapping"]
    assert len(stand_in.folders) == asked + 1
    assert verified(own) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "the mappings that timeloop-mapper found for the study: 1 of 1 equal" in text
    assert "nothing to search against" in text


def test_own_files_that_the_model_counts_otherwise_fail(
    own: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("simba_like_00", instead={b"<item>149187</item>": b"<item>149188</item>"})
    assert verified(own) == 1
    assert "GlobalBuffer reads of I: timeloop-mapper's 149,187" in " ".join(capsys.readouterr().out.split())


def test_own_files_must_be_what_they_were(own: Path) -> None:
    files = Path("map.yaml")
    with Memo(Path("memo.db")) as memo:
        files.write_text(files.read_text() + "# other\n")
        with pytest.raises(UserError, match=r"map.yaml.*: not what they were when the study was run"):
            verify(read_result(Path("ours")), memo, network=NETWORK)
        files.unlink()
        with pytest.raises(UserError, match=r"cannot read map.yaml.*go to where the study was run"):
            verify(read_result(Path("ours")), memo, network=NETWORK)


def test_a_run_that_hangs_is_stopped(
    folder: Path, script: Path, stand_in: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in.does("hang")
    assert verified(script, "--run-limit", "0.3", "--keep-runs", "runs") == 2
    error = capsys.readouterr().err
    assert "it ran for more than 0.3 s; raise the limit (--run-limit)" in error
    assert len(list(Path("runs").iterdir())) == 1


def test_figures_of_another_evaluator_are_not_judged(folder: Path, stand_in: StandIn) -> None:
    result = read_result(folder)
    question = {**result.question, "versions.sensor": "sensor 0"}
    with Memo() as memo, pytest.raises(UserError, match="the study's figures are of sensor 0, here is sensor "):
        verify(replace(result, question=question), memo, network=NETWORK)


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
