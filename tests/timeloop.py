"""Timeloop for tests: recorded runs, and a stand-in under the tools' names on the PATH that replays them."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.reference import EXCERPTS

__all__ = ["RECORDED", "StandIn", "front_end", "recorded", "stand_in"]

RECORDED = EXCERPTS / "timeloop" / "recorded_runs"


class StandIn:
    """What the stand-in does next, and the folders it ran in so far."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self._folder = folder
        self._calls = folder / "calls"

    def does(self, case: str, *, seconds: float | None = None, instead: dict[bytes, bytes] | None = None) -> None:
        """Replay this recorded run, or behave as `timeloop_tool` says; with other text `instead` in its results."""
        self._patch.setenv("STANDIN_CASE", case)
        if seconds is not None:
            self._patch.setenv("STANDIN_SECONDS", str(seconds))
        if instead is None:
            return
        altered = self._folder / "altered"
        shutil.rmtree(altered, ignore_errors=True)
        shutil.copytree(RECORDED / case, altered / case)
        for packed in (altered / case).glob("*.gz"):
            text = gzip.decompress(packed.read_bytes())
            for old, new in instead.items():
                assert old in text
                text = text.replace(old, new)
            packed.write_bytes(gzip.compress(text))
        self._patch.setenv("STANDIN_RECORDED", str(altered))

    @property
    def folders(self) -> list[Path]:
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [Path(line.partition(" ")[2]) for line in lines]

    @property
    def pids(self) -> list[int]:
        """Its own process and the one it started, where it was told to hang."""
        path = Path(f"{self._calls}.pids")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    folder = tmp_path / "bin"
    folder.mkdir()
    source = Path(__file__).with_name("timeloop_tool.py").read_text()
    for name in ("timeloop-mapper", "timeloop-model"):
        tool = folder / name
        tool.write_text(f"#!{sys.executable}\n{source}")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("evaluators.timeloop.front_end.find_spec", lambda _: None)  # one that is installed
    monkeypatch.setenv("STANDIN_RECORDED", str(RECORDED))
    monkeypatch.setenv("STANDIN_CALLS", str(tmp_path / "calls"))
    return StandIn(monkeypatch, tmp_path)


FRONT_END = {
    "__init__.py": "",
    "v4.py": """
from pathlib import Path
class Specification:
    @staticmethod
    def from_yaml_files(path):
        return Path(path).read_text()
""",
    "common/__init__.py": "",
    "common/backend_calls.py": """
import os
def _specification_to_yaml_string(specification, for_model=False):
    assert "nodes:" in specification and "!Component" in specification
    if "STANDIN_REFUSES" in os.environ:
        raise ValueError("the whole input, and then:\\n" + 1000 * " x" + " Missing required key depth")
    tables = specification.partition("\\nERT:")
    return f"dumped_by_timeloop_front_end: true\\nfor_model: {for_model}" + "".join(tables[1:]) + "\\n"
""",
}


@pytest.fixture
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Timeloop's front end: the package's folder, where this Python and those it starts find it."""
    folder = tmp_path / "site" / "timeloopfe"
    for name, text in FRONT_END.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setenv("PYTHONPATH", str(folder.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr("evaluators.timeloop.front_end.find_spec", find_spec)
    return folder


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], Path]:
    """A recorded run's folder with its files unpacked."""

    def unpack(name: str) -> Path:
        folder = tmp_path / "recorded" / name
        shutil.copytree(RECORDED / name, folder)
        for packed in folder.glob("*.gz"):
            packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        return folder

    return unpack
