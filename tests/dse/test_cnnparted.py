"""`paretocut import cnnparted` on every form of its configurations, and its published points beside a front."""

from __future__ import annotations

import json
import math
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dse.cnnparted import read_config, script_text
from dse.published import Beside, PublishedPoint, PublishedSystem, beside, read_published
from dse.run import run_study
from evaluators.edge import accelerator as edge_accelerator
from evaluators.memo import Memo
from search_spaces import accelerators
from search_spaces.errors import UserError
from tests.dse import fakes
from tests.dse.test_cli_timeloop import run
from tests.reference import recorded

MAPPER = {"algorithm": "linear-pruned", "num-threads": 8, "optimization-metrics": ["energy", "delay"]}
TIMELOOP = {"accelerator": "simba_like", "frequency": 500_000_000, "layer": "conv2d", "mapper": MAPPER}
ETHERNET = {"eth_mode": "10GBASE-T", "cable_len_m": 3, "enable_eee": True, "eee_lmi_ratio": 0.1}
LINK = {"data_bit_width": 8, "fps": 30, "max_out_size": 1000}
NETWORK = {"name": "lenet5", "input-size": [1, 1, 32, 32]}

FORMS: dict[str, dict[str, Any]] = {
    "sensor, link, edge (2022)": {
        "neural-network": NETWORK,
        "sensor": {"timeloop": TIMELOOP},
        "link": {**LINK, "ethernet": ETHERNET},
        "edge": {"device": "cpu", "max_threads": 2, "num_runs": 5},
    },
    "components by simulator (2023)": {
        "neural-network": NETWORK,
        "components": [
            {"id": 2, "timeloop": {**TIMELOOP, "accelerator": "eyeriss_like", "frequency": 2e8}},
            {"id": 1, **LINK, "ethernet": ETHERNET},
            {"id": 0, "timeloop": TIMELOOP, "name": "sensor"},
        ],
    },
    "components with a measured edge (2023)": {
        "neural-network": NETWORK,
        "components": [
            {"id": 2, "name": "edge", "device": "cpu", "max_threads": 2, "num_runs": 5},
            {"id": 1, **LINK, "ethernet": ETHERNET},
            {"id": 0, "timeloop": TIMELOOP, "name": "sensor"},
        ],
    },
    "workload of one network (2024)": {
        "workload": NETWORK,
        "components": [
            {"id": 0, "timeloop": TIMELOOP},
            {"id": 1, **LINK, "ethernet": ETHERNET},
            {"id": 2, "timeloop": TIMELOOP},
        ],
    },
    "components with evaluation (2025)": {
        "workload": [NETWORK],
        "components": [
            {"id": 0, "bits": 8, "evaluation": {**TIMELOOP, "simulator": "timeloop"}},
            {"id": 1, **LINK, "ethernet": ETHERNET},
            {"id": 2, "bits": 8, "evaluation": {**TIMELOOP, "simulator": "timeloop"}},
        ],
    },
    "system (2025)": {
        "workload": [NETWORK],
        "system": {
            "compute": [{"id": 0, "evaluation": {**TIMELOOP, "simulator": "timeloop"}}],
            "link": [{"id": 1, **LINK, "ethernet": ETHERNET}],
        },
    },
}


def written(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "lenet.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str, tmp_path: Path) -> None:
    found = read_config(written(tmp_path, FORMS[form]))
    assert (found.network, found.input_shape) == ("lenet5", (1, 1, 32, 32))
    assert (found.accelerator, found.clock_mhz, found.mapping) == ("simba_like", 500.0, "energy")
    assert found.link == "10gbase-t"
    assert found.max_cut_elements == 1000
    settings = {"tensor_bits": 8, "frame_rate_fps": 30.0, "cable_m": 3.0, "phy_energy": "frame"}
    assert settings.items() <= found.settings.items()
    if "2022" in form or "measured" in form:
        assert found.edge == "measured:cpu"
        assert (found.settings["edge_runs"], found.settings["edge_threads"]) == (5, 2)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_dropped_in_silence(form: str, tmp_path: Path) -> None:
    """An entry that is neither used nor known is listed wherever it stands."""

    def with_extra(data: Any, path: str = "") -> list[str]:
        added = []
        if isinstance(data, dict):
            for key, value in data.items():
                added += with_extra(value, f"{path}.{key}".lstrip("."))
            data["surprise"] = 1
            added.append(f"{path}.surprise".lstrip("."))
        elif isinstance(data, list):
            for i, item in enumerate(data):
                added += with_extra(item, f"{path}[{i}]")
        return added

    data = json.loads(json.dumps(FORMS[form]))
    wanted = with_extra(data)
    listed = {entry.path for entry in read_config(written(tmp_path, data)).unused}
    for path in wanted:
        assert any(path == known or path.startswith((f"{known}.", f"{known}[")) for known in listed), path


def test_what_has_no_counterpart_says_why(tmp_path: Path) -> None:
    data = json.loads(json.dumps(FORMS["components with evaluation (2025)"]))
    data |= {"accuracy": {"retraining": {"epochs": 0}}, "general": {"num_jobs": 1}}
    data["components"][1].pop("ethernet")
    data["components"][1]["noi"] = {"noi_mode": "UCIe"}
    data["components"].append({"id": 3, "mnsim": {"accelerator": "MRAM_area"}})
    data["components"][0]["evaluation"]["accelerator"] = "eyeriss_like2"
    data["components"][0]["max_memory_size"] = 600_000
    found = read_config(written(tmp_path, data))
    reasons = {entry.path: entry.reason for entry in found.unused}
    assert reasons["accuracy"] == "accuracy is not modelled"
    assert "no such link here" in reasons["components[1].noi"]
    assert reasons["components[3]"] == "a sensor and an edge node are asked about"
    assert "exhaustive" in reasons["components[0].evaluation.mapper.algorithm"]
    assert found.link == "1000base-t"
    assert found.accelerator == "eyeriss_like"
    assert found.max_memory_bytes == 600_000
    for words in (
        "eyeriss_like2 is eyeriss_like with the sizes",
        "components[1] is no Ethernet",
        "600,000 bytes",
        "computes with 16 bits",
    ):
        assert any(words in note for note in found.notes), words


def test_the_first_node_of_timeloop_is_the_sensor(tmp_path: Path) -> None:
    data = json.loads(json.dumps(FORMS["components by simulator (2023)"]))
    data["components"][0] = {"id": -1, "mnsim": {"accelerator": "MRAM_area"}}
    data["components"][1] = {"id": 1, "memory": "DDR3"}
    data["optimization-objective"] = {"device": "sensor", "metric": "energy"}
    found = read_config(written(tmp_path, data))
    reasons = {entry.path: entry.reason for entry in found.unused}
    assert found.accelerator == "simba_like"
    assert "components[0] has no counterpart here; components[2] is the sensor node" in found.notes
    assert reasons["components[0]"] == "only nodes of Timeloop have a counterpart"
    assert "no such link here" in reasons["components[1].memory"]
    assert "sensor energy and end-to-end latency" in reasons["optimization-objective"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eyeriss_like1", (80, 512, 32)),
        ("eyeriss_like2", (32, 256, 64)),
        ("eyeriss_like3", (32, 320, 24)),
        ("eyeriss_like4", (48, 384, 64)),
    ],
)
def test_its_other_accelerators_have_their_sizes(name: str, words: tuple[int, ...], tmp_path: Path) -> None:
    data = json.loads(json.dumps(FORMS["workload of one network (2024)"]))
    for node in (0, 2):
        data["components"][node]["timeloop"]["accelerator"] = name
    found = read_config(written(tmp_path, data))
    built = accelerators.build("eyeriss_like", found.knobs)
    assert tuple(level.words for level in built.levels[:3]) == words
    at_the_edge, parameters, clock_mhz, _ = edge_accelerator.parse(found.edge.removeprefix("accelerator:"))
    assert (accelerators.build(at_the_edge, parameters), clock_mhz) == (built, 500.0)
    assert any("total_energy_j" in note for note in found.notes)
    assert f"accum_buffer_scale=({found.knobs['accum_buffer_scale']!r},)," in script_text(found, "study")


def test_a_network_of_ones_own_takes_the_place_of_an_unknown_one(tmp_path: Path) -> None:
    path = written(tmp_path, FORMS["system (2025)"] | {"workload": [{**NETWORK, "name": "mine"}]})
    with pytest.raises(UserError, match="--network module:factory"):
        read_config(path)
    for known in ("mine:make", "mine.onnx", "mine.pt2", "lenet5"):
        assert read_config(path, known).network == known
    with pytest.raises(UserError, match="no network 'lenet6'"):
        read_config(path, "lenet6")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"neural-network": {"name": "lenet6", "input-size": [1, 1, 32, 32]}}, "no network 'lenet6'; did you mean"),
        ({"neural-network": {"name": "lenet5", "input-size": "1x1x32x32"}}, "should be a list such as"),
        ({"sensor": {"timeloop": {**TIMELOOP, "frequency": "fast"}}}, "should be a finite number above 0, not fast"),
        ({"sensor": {"timeloop": {**TIMELOOP, "frequency": math.inf}}}, "frequency should be a finite number"),
        ({"sensor": {"timeloop": TIMELOOP, "max_memory_size": math.inf}}, "max_memory_size should be a finite number"),
        ({"sensor": {"timeloop": TIMELOOP, "max_memory_size": 10**400}}, "max_memory_size should be a finite number"),
        ({"link": {**LINK, "fps": math.nan}}, "fps should be a finite number"),
        ({"link": {**LINK, "data_bit_width": math.inf}}, "data_bit_width should be a finite number"),
        ({"link": {**LINK, "data_bit_width": 0.5}}, "data_bit_width should be a whole number, not 0.5"),
        ({"link": {**LINK, "ethernet": {**ETHERNET, "eth_mode": ["a"]}}}, "no Ethernet mode"),
        ({"neural-network": {"name": "lenet5", "input-size": []}}, "should be a list such as"),
        ({"neural-network": {"name": "lenet5", "input-size": [True, 1, 32, 32]}}, "should be a list such as"),
        ({"sensor": {"timeloop": {"accelerator": "simba_like"}}}, "has no frequency in Hz"),
        ({"sensor": {"timeloop": {**TIMELOOP, "accelerator": "tpu"}}}, "no accelerator 'tpu'"),
        ({"sensor": {"zigzag": {}}}, "only nodes of Timeloop can be imported"),
        ({"sensor": {"evaluation": "timeloop"}}, "sensor.evaluation should hold entries"),
        ({"neural-network": None, "workload": 7}, "workload should hold entries"),
        ({"sensor": 7}, "should hold entries"),
        ({"link": {**LINK, "ethernet": {**ETHERNET, "eth_mode": "BASE10"}}}, "no Ethernet mode 'BASE10'"),
        ({"link": {**LINK, "max_out_size": 1.5}}, "should be a whole number"),
        ({"sensor": None}, "neither sensor nor components"),
        ({"neural-network": None}, "names no network"),
    ],
)
def test_bad_files_get_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says) as error:
        read_config(written(tmp_path, FORMS["sensor, link, edge (2022)"] | change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("form", "part"), [("components by simulator (2023)", "components"), ("system (2025)", "system")]
)
@pytest.mark.parametrize("number", ["b", None, [1], 1.5])
def test_an_id_that_is_no_number_gets_one_line(form: str, part: str, number: object, tmp_path: Path) -> None:
    data = json.loads(json.dumps(FORMS[form]))
    (data[part]["compute"] if part == "system" else data[part])[0]["id"] = number
    with pytest.raises(UserError, match=r"\.?(components|compute)\[0\]\.id should be a whole number"):
        read_config(written(tmp_path, data))


@pytest.mark.parametrize("text", ["a: [1,2", "- 1\n- 2\n", "just words", ""])
def test_foreign_files_get_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "foreign.yaml").write_text(text)
    with pytest.raises(UserError):
        read_config(tmp_path / "foreign.yaml")


def test_the_script_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    config = written(tmp_path, FORMS["system (2025)"])
    assert run("import", "cnnparted", config) == 0
    text = capsys.readouterr().out
    assert "lenet.py asks about lenet5 on simba_like at 500 MHz behind 10gbase-t" in text
    assert "not used: system.compute[0].evaluation.mapper: algorithm=linear-pruned, num-threads=8 (our" in text
    spec = runpy.run_path("lenet.py")["study"]()
    assert spec.settings.sensor.energy_table == "timeloop-be27768"
    cuts = [str(value) for value in spec.space.knob("cut").values]
    assert cuts == [
        c.name for c in spec.network.cuts if c.elements < 1000 or c in (spec.network.cuts[0], spec.network.cuts[-1])
    ]
    result = run_study(spec, tmp_path / "out", memo=Memo())
    assert len(result.front) > 0
    assert run("import", "cnnparted", config) == 2
    assert "lenet.py exists already" in capsys.readouterr().err
    assert run("import", "cnnparted", config, "--name", "other", "--json") == 0
    assert json.loads(capsys.readouterr().out)["clock_mhz"] == 500.0


@pytest.mark.parametrize(
    ("file", "script"),
    [("my net 1.1.yaml", "my_net_1_1.py"), ("2023.yaml", "study_2023.py"), ("dse.yml", "study_dse.py")],
)
def test_any_file_name_gives_a_script(
    file: str, script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, FORMS["system (2025)"]).rename(file)
    assert run("import", "cnnparted", file) == 0
    assert f"next: paretocut run {script}" in capsys.readouterr().out
    assert Path(script).is_file()


def test_quotes_in_a_file_make_no_other_script(tmp_path: Path) -> None:
    """What a file says goes into the script as text that Python reads back, whatever it is."""
    path = tmp_path / 'odd"""name.yaml'
    path.write_text(yaml.safe_dump(FORMS["system (2025)"]))
    text = script_text(read_config(path), "odd")
    compile(text, "odd.py", "exec")
    assert "lenet5 as odd'''name.yaml has it" in text


# published points


def test_published_points_are_read_in_si_units() -> None:
    points = read_published(recorded("cnnparted_2022/squeezenet1_1_all.csv"))
    points = tuple(point for point in points if isinstance(point, PublishedPoint))
    assert len(points) == 17
    first, last = points[0], points[-1]
    assert (first.cut, first.sensor_energy_j, first.link_latency_s) == ("Identity", 0, pytest.approx(2.516478e-3))
    assert first.elements == 3 * 227 * 227
    assert first.energy_j == pytest.approx(1.5098868e-3)
    assert last.cut == "AdaptiveAvgPool2d: 2-17"
    assert last.to_the_edge_s == pytest.approx(last.sensor_latency_s + last.link_latency_s)


RESULT = "0,0,/conv1/Conv,1,2,10.0,3.0,100.0,4096.0,154587.0,2865984.0,nondom\n"
DOMINATED = "1,0,output,1,2,16.0,3.5,58.9,0.0,2865984.0,0.0,dom\n"
SEVERAL = (
    "0,0,2,0.0,2.3,5.0,1.0,0.0,0.7,8.1,2.0,0.0,0.1,0.2,0.0,0.0,0.1,0.3,0.0,input,/a/Conv,/b/Relu,1,2,1,3,"
    "306.2,77.3,3.3,1.1,0.1,0.79,nondom\n"
)
HEADED = (
    "idx,Schedule_ID,PPs,Design_ID0,Latency_0,Latency_1,Energy_0,Energy_1,PartitioningPoint_0,Platform_0,Platform_1,"
    "Latency,Energy,Throughput,Area,Link_Latency,Link_Energy,Type\n"
    "0,0,0,1,4.0,6.0,1.0,2.0,/conv1/Conv,1,2,10.0,3.0,100.0,4.2,0.1,0.1,nondom\n"
)
OBJECTIVES = "idx,latency,energy,throughput,area,link_latency,link_energy,accuracy,type\n0,10.0,3.0,9,4,0,0,0,nondom\n"


@pytest.mark.parametrize(
    ("text", "cuts", "ms", "mj"),
    [
        (
            RESULT + RESULT.replace("0,0", "7,3", 1).replace("10.0", "10.000000000000002") + DOMINATED,
            ("/conv1/Conv",),
            10.0,
            3.0,
        ),
        (RESULT.replace("/conv1/Conv", "input"), ("input",), 10.0, 3.0),
        ("\n" + RESULT + "\n", ("/conv1/Conv",), 10.0, 3.0),
        (SEVERAL, ("/a/Conv", "/b/Relu"), 306.2, 77.3),
        (SEVERAL.replace("1,2,1,3,", "1,2,2,3,"), ("/b/Relu",), 306.2, 77.3),
        (HEADED, ("/conv1/Conv",), 10.0, 3.0),
        (OBJECTIVES, (), 10.0, 3.0),
    ],
)
def test_systems_published_since_2024_are_read(
    text: str, cuts: tuple[str, ...], ms: float, mj: float, tmp_path: Path
) -> None:
    (tmp_path / "table.csv").write_text(text)
    (system,) = read_published(tmp_path / "table.csv")
    assert isinstance(system, PublishedSystem)
    assert system.cuts == cuts
    assert (system.latency_s, system.energy_j) == (pytest.approx(ms * 1e-3), pytest.approx(mj * 1e-3))


@pytest.mark.parametrize(
    "text",
    [
        DOMINATED,
        RESULT.replace("10.0", "nan"),
        "0,nondom\n",
        "0,input,Conv_0,output\n",
        "No.;Layer;Latency [ms];Energy [mJ]\n1;Conv_0;0.3;0.1\n",
        "",
        "a;b\n1;2\n",
        "No.;Layer;Sensor Latency;Sensor Energy;Link Latency;Link Energy;Edge Latency\n1;x;1;2\n",
    ],
)
def test_other_tables_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(UserError):
        read_published(tmp_path / "table.csv")


def test_compare_shows_published_points_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = json.loads(json.dumps(FORMS["system (2025)"]))
    spec_file = written(tmp_path, config)
    assert run("import", "cnnparted", spec_file) == 0
    spec = runpy.run_path("lenet.py")["study"]()
    result = run_study(spec, Path("ours"), memo=Memo())
    cuts = [str(value) for value in spec.space.knob("cut").values]
    design = result.front.row(0)
    cut = cuts[int(result.front.indices[0][0])]
    ms, mj = design["latency_s"] * 1e3, design["sensor_energy_j"] * 1e3
    header = "No.;Layer;Output Size;Sensor Latency;Sensor Energy;Link Latency;Link Energy;Edge Latency\n"
    rows = [
        (cut, ms, mj * 1.01, 0, 0, 0.001),
        (cut, ms / 2, mj / 2, 0, 0, 0.001),
        (cuts[1], ms, mj, 0, 0, 0),
        ("x", *[1] * 5),
    ]
    lines = [";".join(map(str, (i, layer, "", *figures))) for i, (layer, *figures) in enumerate(rows)]
    Path("table.csv").write_text(header + "\n".join(lines) + "\n")
    capsys.readouterr()
    assert run("compare", "ours", "--published", "table.csv", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["published"].values()
    assert [row["beaten"] for row in shown][:3] == [True, False, None]
    assert [row["ours"]["known"] for row in shown] == [True, True, True, False]
    assert shown[0]["ours"]["designs"] >= 1
    assert shown[0]["ours"]["energy_j"] <= design["sensor_energy_j"]
    assert run("compare", "ours", "--published", "table.csv") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "not asked" in text
    assert "published points with an edge latency are beaten by a design of ours" in text
    Path("table.csv").write_text(header + "1;elsewhere;;1;1;1;1;1\n")
    assert run("compare", "ours", "--published", "table.csv") == 2
    assert "no published point after the input is a cut" in capsys.readouterr().err
    for row, said in (
        ("1;Identity;(1, 1, 32, 32);1;1;1;1;1", "no published point after the input is a cut"),
        (f"1;{cuts[1]};[];1;1;1;1;1\n2;Identity;(1, 1, 28, 28);1;1;1;1;1", "after Identity 784 elements cross"),
        (f"1;{cuts[1]};[1, 7];1;1;1;1;1", f"after {cuts[1]} 7 elements cross"),
    ):
        Path("table.csv").write_text(header + row + "\n")
        assert run("compare", "ours", "--published", "table.csv") == 2
        assert said in capsys.readouterr().err
    assert run("compare", "ours") == 2
    slower, faster = design["latency_s"] * 2e3, result.front.column("latency_s").min() * 0.5e3
    energy = design["total_energy_j"] * 2e3
    rows = [f"0,0,/a/Conv,1,2,{ms_:.9g},{energy:.9g},1,0,0,0,nondom" for ms_ in (slower, faster)]
    Path("table.csv").write_text("\n".join(rows))
    assert run("compare", "ours", "--published", "table.csv", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)["published"].values()
    assert [row["beaten"] for row in shown] == [True, False]
    assert shown[0]["ours"]["energy_j"] <= design["total_energy_j"]
    assert shown[1]["ours"]["energy_j"] is None
    assert run("compare", "ours", "--published", "table.csv") == 0
    assert "1 of 2 published systems are beaten" in " ".join(capsys.readouterr().out.split())


def test_of_a_network_without_a_name_of_its_own_only_the_input_is_known(tmp_path: Path) -> None:
    small = fakes.spec("exact", space=fakes.tiny_space())
    result = run_study(small, tmp_path / "fake", evaluator=fakes.FakeEvaluator())
    traced = {"network.name": "fakenet", "network.input": [1, 3, 8, 8], "network.cut_mode": "block"}
    result = replace(result, question={**result.question, **traced})
    at_pool = PublishedPoint("pool1", 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, elements=7)
    (row,) = beside((at_pool,), result)
    assert isinstance(row, Beside) and row.known
    with pytest.raises(UserError, match="after Identity 5 elements cross in the published table and 192 in"):
        beside((replace(at_pool, cut="Identity", elements=5), at_pool), result)
