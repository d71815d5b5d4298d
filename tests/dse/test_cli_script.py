"""What a user's script does wrong: one line with file and line where it calls us wrongly, its own trace where not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dse.cli import main

ROOT = Path(__file__).parents[2]

SCRIPT = """\
from dse import Constraint, StudySpec, launch
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space


def own(value):
    return value + 1


def study():
    network = networks.load("lenet5")
    space = sensor_edge_space(network)
    settings = SystemSettings()
    return StudySpec(network, space, settings)


if __name__ == "__main__":
    launch(study)
"""


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))  # running a script adds its folder


def write(tmp_path: Path, old: str, new: str) -> Path:
    assert old in SCRIPT
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("space(network)", "space(network, clock=(100,))", 13, "parameter of sensor_edge_space 'clock'; did you mean"),
        ("space(network)", "space(network, dram=('hbm2',))", 13, "did you mean 'drams'?"),
        ("Settings()", "Settings(frame_rate=30)", 14, "parameter of SystemSettings 'frame_rate'; did you mean 'frame_"),
        ("Settings()", "Settings(frame_rate_fps='30')", 14, "SystemSettings: must be real number, not str"),
        ("Spec(network, space, settings)", "Spec(network)", 15, "StudySpec missing 2 required positional arguments"),
        ("space(network)", "space()", 13, "sensor_edge_space missing 1 required positional argument: 'network'"),
        ("networks.load", "networks.lode", 12, "search_spaces.networks has no 'lode'; did you mean 'load'?"),
        ('("lenet5")', '("lenet5", mode="block")', 12, "parameter of load 'mode'; did you mean 'cut_mode'?"),
        ("import sensor_edge_space", "import sensor_edge_spaces", 4, "did you mean 'sensor_edge_space'?"),
        ("search_spaces.space import", "search_spaces.spaces import", 4, "No module named 'search_spaces.spaces'"),
    ],
)
def test_a_wrong_call_is_one_line_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    path = write(tmp_path, old, new)
    with pytest.raises(SystemExit) as left:
        main(["run", str(path)])
    _, errors = capsys.readouterr()
    assert left.value.code == 2
    assert f"{path}:{line}: " in errors and says in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        ("own('a')", TypeError),
        ("own(value=1, other=2)", TypeError),
        ("own.nothing", AttributeError),
        ("nothing", NameError),
    ],
)
def test_an_error_of_the_script_itself_keeps_its_trace(tmp_path: Path, new: str, kind: type[Exception]) -> None:
    path = write(tmp_path, "SystemSettings()", new)
    with pytest.raises(kind):
        main(["run", str(path)])


def test_a_script_run_by_itself_ends_alike(tmp_path: Path) -> None:
    for new, status, lines in (("SystemSettings(fps=3)", 2, 1), ("own('a')", 1, None)):
        path = write(tmp_path, "SystemSettings()", new)
        ran = subprocess.run(
            [sys.executable, path.name],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ran.returncode == status, ran.stderr
        if lines:
            assert ran.stderr.count("\n") == lines and "mine.py:14: " in ran.stderr
        else:
            assert "Traceback" in ran.stderr and "in own" in ran.stderr
