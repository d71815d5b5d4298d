"""Probes on stand-ins: what works says so, and what is missing, broken or makes figures up does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from evaluators.timeloop.probe import probe_accelergy, probe_tool
from tests.timeloop import StandIn

TOOLS = ("timeloop-mapper", "timeloop-model")


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_that_answers_right_works(name: str, stand_in: StandIn) -> None:
    """The replayed run is the real tool's on the probe's own layer."""
    stand_in.does("probe")
    probe = probe_tool(name)
    assert probe.works, probe.says
    assert "counts a test layer as we do" in probe.says


@pytest.mark.parametrize("name", TOOLS)
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no_library", "library of the tool is missing"),
        ("silent", "exited with status 0"),
        ("simba_like_00", "its result has the levels"),
    ],
)
def test_a_tool_that_fails_does_not(case: str, says: str, name: str, stand_in: StandIn) -> None:
    stand_in.does(case)
    probe = probe_tool(name)
    assert not probe.works
    assert says in probe.says


def test_a_tool_that_counts_otherwise_does_not(stand_in: StandIn) -> None:
    stand_in.does("probe", instead={b"<random_computes_>": b"<random_computes_>1"})
    probe = probe_tool("timeloop-model")
    assert not probe.works
    assert "version other than be27768" in probe.says


ACCELERGY = """
import sys
from pathlib import Path
assert "a_intmac" in Path(sys.argv[1]).read_text() and sys.argv[2:] == ["-o", "."]
rows = "".join(
    f"    - name: system.a_{kind}\\n      primitive_estimation(s):\\n        - estimator: {who}\\n"
    for kind, who in zip(("DRAM", "SRAM", "regfile", "intmac"), WHO)
)
Path("ERT_summary.yaml").write_text("ERT_summary:\\n  table_summary:\\n" + rows)
"""


@pytest.mark.parametrize(
    ("who", "works", "says"),
    [
        (["CACTI", "CACTI", "Aladdin_table", "Aladdin_table"], True, "plug-ins Aladdin_table, CACTI"),
        (["CACTI", "CACTI", "dummy_table", "dummy_table"], False, "regfile, intmac (1 pJ made up); plug-ins: CACTI"),
        (None, False, "gave no energies: "),
    ],
)
def test_accelergy_works_where_nothing_is_made_up(
    who: list[str] | None, works: bool, says: str, stand_in: StandIn, tmp_path: Path
) -> None:
    tool = tmp_path / "bin" / "accelergy"
    tool.write_text(
        f"#!{sys.executable}\n" + (f"WHO = {who}\n{ACCELERGY}" if who else "raise SystemExit('no plug-in')")
    )
    tool.chmod(0o755)
    probe = probe_accelergy()
    assert probe.works == works
    assert says in probe.says
    assert not list(tmp_path.glob("timeloop-*"))


def test_an_accelergy_that_answers_something_else_is_one_line(stand_in: StandIn, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "accelergy"
    rows = "{name: system.a_DRAM, primitive_estimation(s): [1]}"
    tool.write_text(f"#!/bin/sh\necho 'ERT_summary: {{table_summary: [{rows}]}}' > ERT_summary.yaml\n")
    tool.chmod(0o755)
    probe = probe_accelergy()
    assert not probe.works and "gave no energies" in probe.says


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for probe in (*map(probe_tool, TOOLS), probe_accelergy()):
        assert not probe.works
        assert "is not on the PATH" in probe.says
