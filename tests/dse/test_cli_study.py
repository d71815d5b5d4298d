"""`run`, `front`, `compare`, `status` and `new` as a user types them."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dse.cli import main
from dse.console import console
from dse.report import FILES
from dse.run import run_study
from dse.store import read_store
from evaluators.costs import METRICS
from search_spaces import networks
from tests.dse import fakes

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n"


def paretocut(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of one command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, errors = capsys.readouterr()
    return int(ended.value.code or 0), out, errors


def script(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tests/dse/experiment.py"), *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "FAKE_SPACE": "small", "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two studies of one space, with their files."""
    from dse.report import write_results

    for algorithm, budget in (("exact", None), ("random", 30)):
        spec = fakes.spec(algorithm, space=fakes.small_space())
        run_study(spec, tmp_path / algorithm, budget=budget, evaluator=fakes.FakeEvaluator(), finish=write_results)
    return tmp_path


def test_a_script_is_a_command_line(tmp_path: Path) -> None:
    ran = script("--algorithm", "exact", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "exact for this space" in ran.stdout and "all on the sensor, least latency" in ran.stdout
    out = tmp_path / "results" / "experiment-exact-s1"
    assert {path.name for path in out.iterdir()} >= {"study.db", *FILES}
    refused = script("--algorithm", "nsga2", "--out", str(out), cwd=tmp_path)
    assert refused.returncode == 2 and "algorithm: " in refused.stderr and refused.stderr.count("\n") == 1


def test_a_search_can_start_from_another_study_s_front(results: Path, tmp_path: Path) -> None:
    cold, warm = str(results / "random"), str(tmp_path / "warm")
    ran = script("--algorithm", "nsga2", "--warm-start", cold, "--budget", "40", "--out", warm, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    designs = json.loads((results / "random" / "front.json").read_text())
    first = {design["front_point"]: tuple(design["indices"]) for design in reversed(designs)}
    assert f"starting from {len(first)} designs on the front in {cold}\n" in ran.stderr
    store = read_store(Path(warm))
    assert {trial.indices for trial in store.trials()[: len(first)]} == set(first.values())
    store.close()
    without = script("--algorithm", "nsga2", "--budget", "40", "--out", warm, cwd=tmp_path)
    assert without.returncode == 2 and "warm_start: " in without.stderr and without.stderr.count("\n") == 1
    exact = script("--algorithm", "exact", "--warm-start", cold, cwd=tmp_path)
    assert exact.returncode == 0 and "--warm-start is not used" in exact.stderr


def test_files_say_everything_about_every_design(results: Path) -> None:
    folder = results / "exact"
    run = json.loads((folder / "run.json").read_text())
    front = json.loads((folder / "front.json").read_text())
    spec = fakes.spec("exact", space=fakes.small_space())
    evaluator = fakes.FakeEvaluator()
    assert len(front) == run["front_designs"] > run["front_size"]
    for design in front:
        point = spec.space.decode(design["indices"])
        assert {name: design[name] for name in METRICS} == evaluator.metrics(point)
        assert {knob.name: design[knob.name] for knob in spec.space.knobs} == dict(point.knobs)
    assert (folder / "front.png").read_bytes().startswith(PNG)
    with (folder / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["latency_s"]) for row in rows] == [design["latency_s"] for design in front]
    assert run["counts"]["designs"] == run["space_size"] == spec.space.size
    assert run["fingerprint"] and run["versions"]["pymoo"] and run["spec"]["knob cut"] == list(fakes.CUTS)
    assert run["sessions"][0]["new_trials"] == spec.space.size
    assert {b["label"].split(",")[0] for b in run["baselines"]} == {"all on the edge", "all on the sensor"}


def test_front_shows_what_is_in_the_study(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, errors = paretocut(capsys, "front", str(results / "exact"))
    assert status == 0 and not errors
    assert "Pareto front of fakenet" in out and "equal" in out and "cannot exist" in out
    status, out, _ = paretocut(capsys, "front", str(results / "exact"), "--json")
    shown = json.loads(out)
    assert shown["front"] == json.loads((results / "exact" / "front.json").read_text())
    (results / "exact" / "front.json").unlink()
    (results / "exact" / "run.json").unlink()
    assert json.loads(paretocut(capsys, "front", str(results / "exact"), "--json")[1])["front"] == shown["front"]


def test_front_chooses_a_design_and_says_what_others_cost(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(results / "exact")
    status, out, errors = paretocut(
        capsys, "front", folder, "--pick", "knee", "--where", "latency_ms<30 and area_mm2<2"
    )
    assert status == 0 and not errors
    assert "Rule: " in out and "nearest with less sensor energy" in out and "all on the edge" in out
    assert "no objective here" in out, "what filtering the front does not say"
    _, out, _ = paretocut(capsys, "front", folder, "--pick", "min-latency", "--where", "accelerator=='row'", "--json")
    shown = json.loads(out)
    assert {design["accelerator"] for design in shown["front"]} == {"row"}
    assert shown["choice"]["metrics"]["latency_s"] == min(design["latency_s"] for design in shown["front"])
    assert shown["run"]["front_designs"] > len(shown["front"])
    status, out, _ = paretocut(capsys, "front", folder, "--where", "link=='10gbase-t'")
    assert status == 0 and "of the front's" in out and "100base-t" not in out.split("all on the")[0]
    assert "points on the Pareto front of fakenet" in out
    whole = {tuple(d["indices"]): d["front_point"] for d in json.loads((results / "exact" / "front.json").read_text())}
    assert all(design["front_point"] == whole[tuple(design["indices"])] for design in shown["front"])
    assert shown["choice"]["front_point"] == whole[tuple(shown["choice"]["indices"])] > 1
    assert {row.split()[0] for row in out.splitlines() if " 10gbase-t " in row and row.split()[0].isdecimal()} == {
        str(d["front_point"])
        for d in json.loads((results / "exact" / "front.json").read_text())
        if d["link"] == "10gbase-t"
    }, "points are numbered as in the files"
    out = " ".join(paretocut(capsys, "front", folder)[1].split())
    picked = json.loads(paretocut(capsys, "front", folder, "--pick", "knee", "--json")[1])["choice"]["front_point"]
    assert f"Point {picked} is the knee" in out


def test_compare_measures_against_the_exact_front(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [str(results / "exact"), str(results / "random")]
    status, out, _ = paretocut(capsys, "compare", *both, "--plot", str(results / "both.png"), "--json")
    assert status == 0 and (results / "both.png").read_bytes().startswith(PNG)
    (group,) = json.loads(out)["groups"]
    exact, found = group["results"]
    assert exact["hypervolume_share"] == 1.0 and 0 < found["hypervolume_share"] < 1
    assert len(group["reference_point"]) == 2 and group["reference_front"]["exact"] and found["seconds"] > 0
    status, out, _ = paretocut(capsys, "compare", *both, "--csv", str(results / "both.csv"))
    assert "Reference front: the exact front" in out and "100.00 %" in out and "all on the edge" in out
    with (results / "both.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["exact", "random"]
    for option in ("--plot", "--csv"):
        status, _, errors = paretocut(capsys, "compare", *both, option, str(results / "nowhere" / "both"))
        assert status == 2 and f"choose another {option}" in errors
    status, _, errors = paretocut(capsys, "compare", both[0])
    assert status == 2 and "two or more" in errors
    assert json.loads(paretocut(capsys, "compare", str(results), "--json")[1])["groups"] == [group]


def test_compare_says_where_questions_differ(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = fakes.spec("exact", space=fakes.tiny_space(), objectives=("latency_s", "area_mm2"))
    run_study(spec, results / "more" / "exact", evaluator=fakes.FakeEvaluator())
    both = [str(results / "exact"), str(results / "more" / "exact")]
    first, second = json.loads(paretocut(capsys, "compare", *both, "--json")[1])["groups"]
    assert first["differs_from_the_first"] == []
    assert {text.split(":")[0] for text in second["differs_from_the_first"]} >= {"objectives", "knob clock_mhz"}
    assert second["results"][0]["name"] == both[1], "two studies of one name are told apart by their folders"
    assert "not ranked" in paretocut(capsys, "compare", *both)[1]


def test_a_run_says_what_was_left_to_do(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dse.report.table import summary

    spec = fakes.spec("random", space=fakes.small_space())
    again = run_study(spec, results / "random", budget=20, evaluator=fakes.FakeEvaluator())
    assert "earlier runs have used up a budget of 20 designs; a larger --budget goes on" in summary(again)
    spec = fakes.spec("exact", space=fakes.small_space())
    assert "the whole space was visited" in summary(run_study(spec, results / "exact", evaluator=fakes.FakeEvaluator()))
    short = run_study(spec, results / "short", time_limit=1e-9, evaluator=fakes.FakeEvaluator())
    assert "stopped by time limit" in summary(short) and "The same command goes on" in summary(short)


def test_points_too_slow_for_the_camera_are_counted(results: Path) -> None:
    from dataclasses import replace

    from dse.report.table import front_table
    from dse.result import read_result

    result = read_result(results / "exact")
    rates = sorted(result.front.column("throughput_fps"))
    screen = console()
    for rate, slow in ((rates[0] / 2, 0), (rates[-1] * 2, result.front.size)):
        with screen.capture() as captured:
            screen.print(
                front_table(replace(result, question=dict(result.question) | {"settings.frame_rate_fps": rate}))
            )
        shown = " ".join(captured.get().split())
        assert ("cannot keep" in shown) == (slow > 0)
        if slow:
            assert f"{slow} of {slow} points cannot keep {rate:g} fps" in shown
            assert f'--constraint "throughput_fps>={rate:g}"' in shown


def test_a_study_that_starts_anew_is_not_called_infeasible(results: Path) -> None:
    from dataclasses import replace

    from dse.front import FrontStream
    from dse.report.table import summary
    from dse.result import Counts, read_result

    result = read_result(results / "exact")
    empty = FrontStream(result.objectives, result.objectives).front()
    nothing = replace(result, counts=Counts(), exact=False, front=empty)
    assert "Nothing is visited yet: run the study again" in summary(nothing)
    refused = replace(nothing, counts=Counts(5, infeasible={"area_mm2 <= 1": 5}))
    assert "No feasible design was found: loosen a constraint" in summary(refused)


def test_figures_of_a_batch_say_so(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from dse.report.plot import plot_front
    from dse.report.table import front_table
    from dse.result import read_result

    result = read_result(results / "exact")
    batch = replace(result, question=dict(result.question) | {"network.input": [4, 3, 8, 8]})
    screen = console()
    with screen.capture() as captured:
        screen.print(front_table(batch))
    assert "The input is a batch of 4" in captured.get()
    with screen.capture() as captured:
        screen.print(front_table(result))
    assert "The input is a batch" not in captured.get()
    plot_front(batch, results / "batch.png")
    assert (results / "batch.png").read_bytes() != (results / "exact" / "front.png").read_bytes()


def test_status_lists_studies(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dse.report import write_results

    rows: list[dict[str, Any]] = json.loads(
        paretocut(capsys, "status", str(results / "exact"), str(results / "random"), "--json")[1]
    )
    assert [(row["algorithm"], row["state"], row["exact"]) for row in rows] == [
        ("exact", "complete", True),
        ("random", "complete", False),
    ]
    both = json.loads(paretocut(capsys, "status", str(results), "--json")[1])
    assert both == rows, "a folder of studies stands for them"
    status, _, errors = paretocut(capsys, "front", str(results))
    assert status == 2 and f"name one of {results / 'exact'}, {results / 'random'}" in errors
    spec = fakes.spec("memetic", space=fakes.small_space())
    run_study(spec, results / "memetic", budget=3, evaluator=fakes.FakeEvaluator(), finish=write_results)
    (row,) = json.loads(paretocut(capsys, "status", str(results / "memetic"), "--json")[1])
    assert (row["visited"], row["budget_unit"]) == (3, "architectures") and row["designs_visited"] == 3 * 36
    assert "3 architectures" in " ".join(paretocut(capsys, "status", str(results / "memetic"))[1].split())
    monkeypatch.chdir(results)
    assert "no studies" in paretocut(capsys, "status")[1]
    (results / "results").mkdir()
    (results / "exact").rename(results / "results" / "exact")
    (results / "results" / "broken").mkdir()
    (results / "results" / "broken" / "study.db").write_text("x" * 5000)
    status, out, _ = paretocut(capsys, "status")
    assert status == 0 and "fakenet" in out and "damaged" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "nowhere.py"], "no script nowhere.py; make one with"),
        (["run", "empty.py"], "has no function study()"),
        (["run", "broken.py"], "line 1"),
        (["front", "nowhere"], "no study in nowhere"),
        (["front", "torn"], "damaged"),
        (["status", "nowhere"], "no study in nowhere"),
        (["front", "study", "--pick", "best"], "--pick takes knee"),
        (["front", "study", "--where", "latencyms<3"], "did you mean 'latency_s'"),
        (["front", "study", "--where", "latency_ns<3"], "none of the"),
        (["run", "asks.py", "--algorithm", "random", "--budget", "0"], "at least 1, not 0"),
        (["run", "asks.py", "--algorithm", "exact", "--budget", "-1"], "at least 1, not -1"),
        (["compare", "study", "study"], "two or more different folders"),
        (["frnt"], "No such command 'frnt'"),
        (["run", "--sed", "1"], "--sed"),
        (["new", "a b", "--network", "alexnet"], "a script's name is"),
        (["new", "empty.py", "--network", "alexnet"], "exists already"),
        (["new", "mine", "--network", "alexnet", "--input", "wide"], "1x3x224x224"),
        (["new", "mine", "--network", "alxnet"], "did you mean 'alexnet'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("def study(:")
    (tmp_path / "asks.py").write_text("from tests.dse import fakes\ndef study(): return fakes.spec('random')")
    run_study(
        fakes.spec("random", space=fakes.tiny_space()), tmp_path / "study", budget=9, evaluator=fakes.FakeEvaluator()
    )
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "study.db").write_bytes(b"SQLite format 3\0" + bytes(9000))
    before = sorted(tmp_path.iterdir())
    status, out, errors = paretocut(capsys, *arguments)
    assert status == 2 and not out
    assert says in errors and errors.count("\n") == 1 and errors.startswith("paretocut: ")
    assert sorted(tmp_path.iterdir()) == before, "nothing half-written"


def test_new_writes_a_script_that_asks_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, errors = paretocut(capsys, "new", "mine", "--network", "squeezenet1_1", "--input", "1x3x64x64")
    assert status == 0, errors
    assert "paretocut run mine.py" in out
    import runpy

    spec = runpy.run_path("mine.py", run_name="loaded")["study"]()
    assert spec.network == networks.load("squeezenet1_1", (1, 3, 64, 64))
    assert spec.algorithm == "exact" and spec.space.size > 100_000
    assert paretocut(capsys, "new", "other", "--network", "lenet5", "--mode", "tensor")[0] == 0
    assert runpy.run_path("other.py", run_name="loaded")["study"]().network.cut_mode == "tensor"


@pytest.mark.parametrize("name", ["squeezenet", "googlenet", "fcn_resnet50"])
def test_experiments_ask_about_large_spaces_of_both_accelerators(name: str) -> None:
    import runpy

    spec = runpy.run_path(str(ROOT / "experiments" / f"{name}.py"), run_name="loaded")["study"]()
    space = spec.space
    architectures = len(list(space.architectures()))
    assert space.size >= 100_000 and architectures >= 100
    assert set(space.knob("accelerator").values) == {"eyeriss_like", "simba_like"}
    assert len(space.knob("link").values) <= 10
    assert spec.constraints[0].metric == "link_utilisation"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dse.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'pymoo', 'matplotlib', 'moocore', 'pandas', 'sqlalchemy', 'scipy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    for command in ("run", "front", "compare", "status", "new"):
        assert command in ran.stdout


def test_a_study_in_a_storage_is_found_by_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    question = ("--algorithm", "optuna-nsga2", "--budget", "12", "--storage", "journal.log")
    ran = script(*question, "--out", "results/mine", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    monkeypatch.chdir(tmp_path)
    status, text, _ = paretocut(capsys, "status", "--json")
    (row,) = json.loads(text)
    assert status == 0 and row["folder"] == "results/mine" and row["designs_visited"] == 12
    status, text, _ = paretocut(capsys, "front", "results/mine", "--json")
    assert status == 0 and json.loads(text)["front"]
    refused = script(*question, "--adopt", "--out", "results/other", cwd=tmp_path)
    assert refused.returncode == 2 and "nothing to adopt" in refused.stderr and refused.stderr.count("\n") == 1
