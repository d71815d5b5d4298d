"""`paretocut map` and `paretocut cache`, as a user types them."""

import json
import sqlite3
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest

from dse.cli import main
from evaluators.memo import Memo

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))

    def typed(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return typed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of the two"),
        (("lenet5", "--input", "wide"), "1x3x224x224"),
        (("lenet5", "conv"), "no layer with multiply-accumulates in lenet5"),
        (("--shape", "C=64,M=²"), "M in --shape is a whole number"),
        (("--shape", "C=64,K=2"), "--shape takes NAME=NUMBER pairs"),
        (("--shape", "C=64,S=13"), "column has a mesh of 12 on Y, the layer needs 13"),
        (("--shape", "C=64", "--set", "pe_cols=inf"), "at most 1e+09, not inf"),
        (("--shape", "C=64", "--set", "input_buffer_scale=1e300"), "at most 1e+09, not 1e+300"),
        (("--shape", "C=64", "--metric", "speed"), "no metric 'speed'"),
        (("--shape", "C=64", "--metric", "area"), "whatever the mapping"),
        (("--shape", "C=64", "--clock-mhz", "100"), "--clock-mhz and --cut are for the front of a whole network"),
        (("lenet5", "--metric", "pareto", "--cut", "middle"), "no cut of lenet5"),
        (("lenet5", "--metric", "pareto", "--clock-mhz", "9e5"), "above the"),
        (("--shape", "C=64", "--factors", "whole"), "no kind of factors 'whole'; known: imperfect, perfect"),
        (("--against", "nowhere.jsonl"), "cannot read mappings from nowhere.jsonl"),
        (("--against", "nowhere.jsonl", "--metric", "delay"), "leave NETWORK, --shape, --metric and --factors out"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(run: Typed, arguments: tuple[str, ...], message: str) -> None:
    status, out, errors = run("map", *arguments)
    assert status == 2 and not out
    assert message in errors and errors.count("\n") == 1


def test_remainders_are_shown_and_do_not_mix_with_perfect_factors(run: Typed) -> None:
    layer = ("map", "--shape", "C=3,M=64,P=113,Q=113,R=3,S=3,stride=2")
    perfect = json.loads(run(*layer, "--json")[1])
    imperfect = json.loads(run(*layer, "--factors", "imperfect", "--json")[1])
    assert (perfect["factors"], perfect["remainders"]) == ("perfect", [])
    # 113 is prime: one column of output height at a time, or several and a last round with fewer
    assert imperfect["cycles"] < 0.7 * perfect["cycles"] and imperfect["energy_j"] < perfect["energy_j"]
    assert imperfect["macs"] == imperfect["useful_macs"] == 64 * 3 * 113 * 113 * 9
    assert {cut["dimension"] for cut in imperfect["remainders"]} == {"Q"}
    assert imperfect["mapping"].endswith("|Q113")
    nest = run(*layer, "--factors", "imperfect")[1]
    assert "(last time 0..0)" in nest and "words of the busiest instance" in nest
    assert json.loads(run(*layer, "--json")[1]) == perfect  # each has a memo entry of its own


def test_a_layers_front_over_mappings_is_numbered_and_drawn(run: Typed, tmp_path: Path) -> None:
    asked = ("map", "--shape", "C=3,M=64,P=113,Q=113,R=3,S=3,stride=2", *SMALL)
    front = json.loads(run(*asked, "--metric", "pareto", "--json")[1])
    plot = tmp_path / "front.png"
    status, out, _ = run(*asked, "--metric", "pareto", "--plot", str(plot))
    assert status == 0 and f"front over mappings: {plot}" in out
    assert plot.read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and line.split()[0].isdecimal()]
    assert [row[0] for row in rows][: len(front)] == [str(number) for number in range(1, len(front) + 1)]
    assert [row[1] for row in rows][: len(front)] == [f"{m['cycles']:,}" for m in front] and len(front) > 1
    assert f"{len(front)} mappings are beaten by none" in out
    assert f"of {front[0]['mapspace_size']:,} with perfect factors" in out
    assert len(json.loads(run("map", "--shape", "C=1", "--metric", "pareto", "--json")[1])) == 1, "a list of one"


def test_the_mac_units_that_work_are_counted(run: Typed) -> None:
    """What Timeloop's own report says of this layer and chip: 96 of 168."""
    asked = ("map", "--shape", "C=3,M=64,P=113,Q=113,R=3,S=3,stride=2")
    found = json.loads(run(*asked, "--json")[1])
    assert (found["mac_units_used"], found["mac_units"]) == (96, 168)
    assert found["mac_units_used"] * found["cycles"] == found["macs"]
    line = next(line for line in run(*asked)[1].splitlines() if line.split()[:1] == ["MAC"])
    assert "96 of 168" in line


def test_the_memo_is_shown_and_emptied(run: Typed, tmp_path: Path) -> None:
    with Memo(tmp_path / "memo.db") as memo:
        memo.put_many("a", [(1, 1), (2, 2)])
        memo.put("b", 1, 1)
    assert json.loads(run("cache", "info", "--json")[1])["entries"] == {"a": 2, "b": 1}
    status, _, errors = run("cache", "clear", "c")
    assert status == 2 and "known: a, b, networks" in errors
    assert json.loads(run("cache", "clear", "a", "--json")[1]) == {"removed": 2}
    assert json.loads(run("cache", "clear", "--json")[1]) == {"removed": 1}
    assert json.loads(run("cache", "info", "--json")[1])["entries"] == {}


def test_traced_networks_are_shown_and_emptied_too(run: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "networks"
    folder.mkdir()
    for name in ("lenet5-1.json", "names-2.json"):
        (folder / name).write_text("{}")
    found = json.loads(run("cache", "info", "--json")[1])["networks"]
    assert found == {"path": str(folder), "files": 2, "size_bytes": 4}
    assert "networks: 2 files" in run("cache", "info")[1]
    with Memo(tmp_path / "other.db") as memo:
        memo.put("a", 1, 1)
    assert json.loads(run("cache", "clear", "--cache", str(tmp_path / "other.db"), "--json")[1]) == {"removed": 1}
    assert len(list(folder.iterdir())) == 2, "another memo's clearing leaves them alone"
    assert json.loads(run("cache", "clear", "networks", "--json")[1]) == {"removed": 2}
    (folder / "lenet5-1.json").write_text("{}")
    assert json.loads(run("cache", "clear", "--json")[1]) == {"removed": 1}
    assert not list(folder.iterdir())


def test_a_plot_that_cannot_be_written_leaves_nothing(run: Typed, tmp_path: Path) -> None:
    shape = ("map", "--shape", "C=8,M=8,P=4,Q=4")
    assert run(*shape, "--plot", str(tmp_path / "levels.png"))[0] == 0
    assert (tmp_path / "levels.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    status, _, errors = run(*shape, "--plot", str(tmp_path / "file" / "levels.png"))
    assert status == 2 and "choose another --plot" in errors and errors.count("\n") == 1
    assert not list(tmp_path.glob(".levels*"))


def test_a_network_shows_what_each_kind_of_layer_gets_out_of_the_array(run: Typed) -> None:
    """Depthwise layers leave a weight-stationary array nearly idle: one channel has nothing to be summed up with."""
    arguments = ("map", "mobilenet_v2", "--input", "1x3x32x32", "--accelerator", "simba_like")
    status, out, _ = run(*arguments)
    assert status == 0
    kinds = {line.split()[0]: line.split() for line in out.splitlines() if line.split()[:1] and "%" in line}
    layers = json.loads(run(*arguments, "--json")[1])
    depthwise = [found for found in layers if found["shape"]["groups"] > 1]
    cycles, macs = (sum(found[name] for found in depthwise) for name in ("cycles", "useful_macs"))
    assert kinds["depthwise"][1] == str(len(depthwise)) == "17"
    assert kinds["depthwise"][-1] == f"{macs / (256 * cycles):.1%}"
    assert macs / (256 * cycles) < 0.05 < 0.5 < cycles / sum(found["cycles"] for found in layers)
    assert kinds["all"][1] == str(len(layers))


def test_padded_macs_are_shown_beside_the_useful_ones(run: Typed) -> None:
    """LeNet's 6 and 10 output channels become 8 and 12 on simba_like, whose lanes come in fours."""
    arguments = ("map", "lenet5", "--accelerator", "simba_like")
    layers = {found["layer"]: found for found in json.loads(run(*arguments, "--json")[1])}
    assert layers["conv1"]["macs"] * 6 == layers["conv1"]["useful_macs"] * 8
    lines = {line.split()[0]: line.split() for line in run(*arguments)[1].splitlines() if line.split()}
    assert lines["conv1"][2] == "+33.3%"
    padded, useful = (sum(found[name] for found in layers.values()) for name in ("macs", "useful_macs"))
    assert lines["all"][4] == f"{padded / useful - 1:+.1%}"


def test_a_damaged_memo_is_cleared_away(run: Typed, tmp_path: Path) -> None:
    (tmp_path / "memo.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    status, _, errors = run("cache", "info")
    assert status == 2 and "paretocut cache clear" in errors and errors.count("\n") == 1
    assert run("cache", "clear")[0] == 0
    assert run("cache", "info")[0] == 0


def test_a_file_that_is_no_memo_is_never_touched(run: Typed, tmp_path: Path) -> None:
    text, database = tmp_path / "thesis.txt", tmp_path / "study.db"
    text.write_text("years of work")
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE trials (id)")
    for path in (text, database):
        before = path.read_bytes()
        for command in ("info", "clear"):
            status, _, errors = run("cache", command, "--cache", str(path))
            assert status == 2 and errors.count("\n") == 1
        assert path.read_bytes() == before


SMALL = ("--accelerator", "simba_like", "--set", "pe_cols=2", "--set", "glb_kib=8")
"""A chip on which two layers of lenet5 have a choice."""


def test_the_front_of_a_network_over_its_mappings(run: Typed, tmp_path: Path) -> None:
    asked = ("map", "lenet5", *SMALL, "--metric", "pareto", "--clock-mhz", "100")
    plot = tmp_path / "front.png"
    code, text, errors = run(*asked, "--plot", str(plot), "--json")
    assert code == 0, errors
    assert plot.read_bytes().startswith(b"\x89PNG")
    found = json.loads(text)
    layers, front = found["layers"], found["front"]
    assert found["combinations"] == prod(len(mappings) for mappings in layers.values()) >= len(front) > 1
    for unit in ("latency_s", "energy_j"):
        sums = [sum(layers[name][number - 1][unit] for name, number in point["mappings"].items()) for point in front]
        for point, total in zip(front, sums, strict=True):
            assert point[unit] - front[0][unit] == pytest.approx(total - sums[0], abs=1e-15)
    best = {name: next(m["mapping"] for m in mappings if m["edp"]) for name, mappings in layers.items()}
    for point in front:
        changed = [name for name, number in point["mappings"].items() if number != best[name]]
        assert point["layers_changed"] == len(changed)
    choices = found["choices"]
    assert choices["delay"]["point"] == 1 and choices["energy"]["point"] == len(front)
    for choice in choices.values():
        no_slower = [p["energy_j"] for p in front if p["latency_s"] <= choice["latency_s"]]
        assert choice["saves_energy_j"] == choice["energy_j"] - min(no_slower) >= 0
        no_dearer = [p["latency_s"] for p in front if p["energy_j"] <= choice["energy_j"]]
        assert choice["saves_latency_s"] == choice["latency_s"] - min(no_dearer) >= 0
    code, text, _ = run(*asked)
    assert code == 0
    assert f"stands for {found['combinations']:,} combinations of the {len(layers)} layers" in text
    assert "best delay in every layer" in text or ", delay in every layer" in text


def test_the_front_of_a_cut_is_of_the_layers_before_it(run: Typed) -> None:
    asked = ("map", "lenet5", *SMALL, "--metric", "pareto", "--json")
    whole, first = (json.loads(run(*asked, *more)[1]) for more in ((), ("--cut", "MaxPool2d: 1-3")))
    assert first["layers"].keys() <= whole["layers"].keys()
    assert first["front"][0]["latency_s"] < whole["front"][0]["latency_s"]
    assert whole["dvfs"] == "off" and whole["clock_mhz"] == 200
