"""`paretocut profile`, `profiles` and `calibrate` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dse.cli import application, run_application

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(), list(arguments), catch_exceptions=False)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_application(application(), arguments, "paretocut") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_profile_is_made_shown_checked_joined_and_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = run("profile", "lenet5", "--runs", "3", "--threads", "1", "--power-w", "12", "--out", "block.json")
    assert made.exit_code == 0
    assert "power 12.0 W (given)" in made.stdout and "--edge profile:block.json" in made.stdout
    assert "ReLU: 1-2" in run("profiles", "show", "block.json").stdout
    assert "fits: 13 cuts of lenet5 in mode block" in run("profiles", "check", "block.json", "lenet5").stdout
    fitting = json.loads(run("profiles", "check", "block.json", "lenet5", "--json").stdout)
    assert len(fitting["cuts"]) == len(fitting["latency_s"]) == 13
    assert "it lacks the cuts conv1" in refused(capsys, "profiles", "check", "block.json", "lenet5", "--mode", "tensor")
    run("profile", "lenet5", "--runs", "3", "--threads", "1", "--mode", "tensor", "--out", "tensor.json")
    joined = run("profiles", "merge", "block.json", "tensor.json", "--out", "both.json")
    assert "in mode block, tensor" in joined.stdout
    joined = run("profiles", "merge", "block.json", "tensor.json", "--out", "both.json", "--json")
    assert json.loads(joined.stdout) == json.loads((here / "both.json").read_text())
    for mode in ("block", "tensor"):
        assert run("profiles", "check", "both.json", "lenet5", "--mode", mode).exit_code == 0
    used = run("evaluate", "lenet5", "--cut", "2", "--edge", "profile:block.json", "--json")
    answer = json.loads(used.stdout)
    assert any("median of 3 runs on cpu" in note for note in answer["edge_notes"])
    measured = {cut["name"]: cut for cut in json.loads((here / "block.json").read_text())["cuts"]}
    assert answer["metrics"]["edge_latency_s"] == measured["Conv2d: 1-1"]["latency_s"]
    assert answer["metrics"]["edge_energy_j"] == pytest.approx(12 * measured["Conv2d: 1-1"]["latency_s"])
    assert answer["provenance"]["edge_energy_j"] == "given + measured"


def test_a_device_is_calibrated_and_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("profile", "lenet5", "--runs", "3", "--threads", "1", "--out", "here.json")
    shown = run("calibrate", "generic-cpu", "here.json", "--out", "mine.json")
    assert "launch_overhead_s" in shown.stdout and "median error" in shown.stdout
    assert "mine.json: use it with --edge roofline:mine.json" in shown.stdout
    found = json.loads(run("calibrate", "generic-cpu", "here.json", "--json").stdout)
    assert found["median_error_after"] <= found["median_error_before"]
    used = json.loads(run("evaluate", "lenet5", "--cut", "2", "--edge", "roofline:mine.json", "--json").stdout)
    assert used["metrics"]["edge_latency_s"] == found["cuts"][1]["after_s"]
    assert used["edge_notes"][0].startswith("roofline of generic-cpu fitted to lenet5 on cpu: ")
    again = json.loads(run("calibrate", "mine.json", "here.json", "--json").stdout)  # the file is a device like others
    assert [cut["before_s"] for cut in again["cuts"]] == [cut["after_s"] for cut in found["cuts"]]
    assert again["device"]["compute_efficiency"] == pytest.approx(found["device"]["compute_efficiency"])
    assert again["device"]["name"].count("fitted to") == 1
    wrong = json.loads((here / "mine.json").read_text())
    for changed, words in (
        ({"format": 3}, "it does not say 'paretocut edge device'"),
        ({"compute_efficiency": 2}, "compute_efficiency of device"),
        ({"peak_flops": "many"}, "its field peak_flops is missing or wrong"),
        ({"bytes_per_element": 0}, "a number width above 0"),
        ({"peak_flops": 10**400}, "int too large"),
    ):
        (here / "wrong.json").write_text(json.dumps({**wrong, **changed}))
        assert words in refused(capsys, "evaluate", "lenet5", "--cut", "2", "--edge", "wrong.json")
    for text in ("", "[" * 100_000):
        (here / "wrong.json").write_text(text)
        assert "empty, cut short" in refused(capsys, "calibrate", "wrong.json", "here.json")


def test_a_measurement_can_be_made_again(here: Path) -> None:
    """The memo keeps the first, so that studies that rest on it go on."""
    options = ("profile", "lenet5", "--runs", "2", "--threads", "1", "--json")
    first, same = (json.loads(run(*options).stdout) for _ in range(2))
    again, last = json.loads(run(*options, "--again").stdout), json.loads(run(*options).stdout)
    assert first == same == last != again


def test_measuring_stops_when_it_is_precise(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from itertools import count

    from evaluators.edge import board

    clock = count()
    monkeypatch.setattr(board.time, "perf_counter", lambda: float(next(clock)))
    options = ("profile", "lenet5", "--threads", "1", "--runs", "60", "--json", "--again")
    for share in ("2%", "0.02"):
        cuts = json.loads(run(*options, "--precision", share).stdout)["cuts"]
        assert {cut["runs"] for cut in cuts[:-1]} == {board.LEAST_RUNS}
    edge = ("--edge", "measured:cpu", "--edge-threads", "1", "--edge-runs", "60", "--edge-precision", "2%")
    notes = json.loads(run("evaluate", "lenet5", "--cut", "2", *edge, "--json").stdout)["edge_notes"]
    assert notes[0].startswith(f"median of {board.LEAST_RUNS} runs on cpu")


def test_measurements_that_are_not_steady_are_said_so(here: Path) -> None:
    run("profile", "lenet5", "--runs", "3", "--threads", "1", "--out", "here.json")
    profile = json.loads((here / "here.json").read_text())
    for k, cut in enumerate(profile["cuts"]):
        cut["iqr_s"] = cut["latency_s"] * (23.1 if k == 1 else 0.1)
    (here / "here.json").write_text(json.dumps(profile))
    for command in (("calibrate", "generic-cpu", "here.json"), ("profiles", "show", "here.json")):
        said = run(*command).stderr
        assert "not steady: at 1 of 13 cuts" in said and "idle machine" in said
    profile["cuts"][1]["iqr_s"] = 0.0
    (here / "here.json").write_text(json.dumps(profile))
    shown = run("calibrate", "generic-cpu", "here.json")
    assert not shown.stderr and f"the profile is of {profile['device']}" in " ".join(shown.stdout.split())


def test_a_script_for_a_board_is_written(here: Path) -> None:
    done = run("profile", "squeezenet1_1", "--input", "1x3x35x35", "--script", "there.py")
    assert "python3 there.py --out board.json" in done.stdout
    assert "PLAN: Plan | None = {'network': 'squeezenet1_1'" in (here / "there.py").read_text()
    done = run("profile", "squeezenet1_1", "--input", "1x3x35x35", "--script", "there.py", "--json")
    assert json.loads(done.stdout)["command"] == "python3 there.py --out board.json --device cuda"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("profile", "lenet5", "--precision", "often"), "a share such as 2% or 0.02, not 'often'"),
        (("profile", "lenet5", "--precision", "200%"), "between 0 and 1"),
        (("profile", "lenet5", "--device", "tpu"), "cpu or cuda, not 'tpu'"),
        (("profile", "lenet5", "--runs", "1", "--out", "no/such/folder.json"), "choose another --out"),
        (("profile", "lenet5", "--script", "there.py"), "cannot be built where only torch and torchvision are"),
        (
            ("profile", "lenet5", "--script", "there.py", "--out", "x.json"),
            "measures nothing, so leave out --out",
        ),
        (
            ("profile", "lenet5", "--script", "there.py", "--device", "cuda", "--runs", "5"),
            "leave out --device, --runs;",
        ),
        (("profile", "squeezenet1_1", "--script", "."), "is a folder; choose another --script"),
        (("profile", "lenet5", "--out", "."), "cannot write .: is a folder; choose another --out"),
        (("profile", "lenet5", "--power-w", "nan"), "watts of at least 0, not nan"),
        (("evaluate", "lenet5", "--cut", "2", "--edge-precision", "2%"), "--edge-precision: only for an edge node"),
        (("evaluate", "lenet5", "--cut", "2", "--edge", "measured:cpu", "--edge-precision", "x"), "a share such as 2%"),
        (
            ("evaluate", "lenet5", "--cut", "2", "--edge", "roofline:gone.json"),
            "cannot read the device gone.json: no such file or directory",
        ),
        (("evaluate", "lenet5", "--cut", "2", "--energy-table", "mine"), "no energy table 'mine'"),
        (("calibrate", "generic-cpu", "squeezenet1_1-x86_64", "--out", "x.py"), "is a .json file, not x.py"),
        (("evaluate", "lenet5", "--cut", "2", "--edge-runs", "5"), "--edge-runs: only for an edge node that is"),
        (("cuts", "lenet5", "--tensors", "2"), "are for --mode frontier"),
        (("profiles", "show", "nowhere.json"), "no profile 'nowhere.json'"),
        (("profiles", "merge", "nowhere.json", "--out", "x.json"), "two or more"),
        (("calibrate", "generic-gpu", "nowhere.json"), "no profile 'nowhere.json'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], words: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, *arguments)
    assert list(here.iterdir()) == []


def test_a_study_says_that_it_is_measuring(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    from dse import run as runs
    from dse.study import StudySpec
    from evaluators.memo import Memo
    from evaluators.system import SystemSettings
    from search_spaces.networks import load
    from search_spaces.space import sensor_edge_space

    notes: list[str] = []

    class Noting(runs.Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    monkeypatch.setattr(runs, "NOTE_SECONDS", -1.0)
    network = load("lenet5")
    space = sensor_edge_space(
        network, accelerators=("simba_like",), pe_cols=(2,), pe_rows=(4,), clock_mhz=(100,), tensor_bits=(16, 8)
    )
    settings = SystemSettings(edge="measured:cpu", edge_runs=2, edge_threads=1)
    with Memo() as memo:
        result = runs.run_study(StudySpec(network, space, settings), here / "out", memo=memo, progress=Noting())
    assert "measuring the edge node: 0 of 2" in notes
    designs = [result.design(indices) for indices in result.front.indices]
    # what crosses at these cuts is more than the smallest frame holds, so 16 bits are beaten whatever the times are
    long = {cut.name for cut in network.cuts if cut.elements > 64}
    assert not [design for design in designs if design["cut"] in long and design["tensor_bits"] == 16]
    assert designs


def test_an_objective_needs_the_power_that_a_profile_lacks(here: Path) -> None:
    from dse.run import run_study
    from dse.study import StudySpec
    from evaluators.memo import Memo
    from evaluators.system import SystemSettings
    from search_spaces.errors import UserError
    from search_spaces.networks import load
    from search_spaces.space import sensor_edge_space

    run("profile", "lenet5", "--runs", "1", "--threads", "1", "--power-w", "0", "--out", "here.json")
    network = load("lenet5")
    spec = StudySpec(
        network, sensor_edge_space(network), SystemSettings(edge="profile:here.json"), ("total_energy_j", "latency_s")
    )
    with Memo() as memo, pytest.raises(UserError, match="total_energy_j needs the power of the edge node"):
        run_study(spec, here / "out", memo=memo)
