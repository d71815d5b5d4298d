"""`paretocut evaluate` and `paretocut list`, as a user types them."""

import json
import os

import pytest

from dse.cli import main
from search_spaces import accelerators, devices, links, networks


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("memo") / "memo.db"


@pytest.fixture
def run(capsys, cache, monkeypatch):
    monkeypatch.setenv("PARETOCUT_CACHE", os.fspath(cache))

    def typed(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        shown = capsys.readouterr()
        return left.value.code or 0, shown.out, shown.err

    return typed


def test_one_design_point_as_json_adds_up(run):
    status, out, _ = run(
        "evaluate", "lenet5", "--cut", "3", "--accelerator", "simba_like", "--set", "pe_cols=2",
        "--set", "weight_buffer_scale=0.25", "--clock-mhz", "150", "--link", "100base-t", "--json",
    )  # fmt: skip
    assert status == 0
    found = json.loads(out)
    metrics = found["metrics"]
    assert metrics["accelerator_energy_j"] == pytest.approx(sum(layer["energy_j"] for layer in found["layers"]))
    assert metrics["sensor_latency_s"] == pytest.approx(sum(layer["latency_s"] for layer in found["layers"]))
    assert metrics["phy_energy_j"] == found["links"][0]["energy_j"]
    assert metrics["edge_latency_s"] == found["nodes"][1]["latency_s"]
    for layer in found["layers"]:
        parts = layer["dynamic_j"] + layer["dram_j"] + layer["leakage_j"]
        assert layer["energy_j"] == pytest.approx(parts, rel=1e-9, abs=1e-30)
    assert found["knobs"]["pe_cols"] == 2 and found["knobs"]["clock_mhz"] == 150
    assert found["links"][0]["cut"] == networks.load("lenet5").cuts[2].name
    assert found["provenance"]["edge_latency_s"] == "simulated"
    assert set(metrics) == set(found["units"]) == set(found["provenance"])


def test_the_screen_shows_every_part_with_units(run):
    status, out, _ = run("evaluate", "lenet5", "--cut", networks.load("lenet5").cuts[2].name)
    assert status == 0
    for word in ("eyeriss_like", "1000base-t", "jetson-tx2", "mJ", "mm²", "provenance", "sensor_energy_j", "µJ"):
        assert word in out, word


def test_the_supply_voltage_is_shown(run):
    asked = ("evaluate", "lenet5", "--cut", "3", "--accelerator", "simba_like", "--set", "pe_cols=2", "--set",
             "glb_kib=64", "--set", "input_buffer_scale=0.25", "--set", "weight_buffer_scale=0.25")  # fmt: skip
    slow, fast = (json.loads(run(*asked, "--clock-mhz", mhz, "--json")[1])["supply_v"] for mhz in ("25", "600"))
    assert slow == pytest.approx(0.70245)  # 0.2 V above threshold
    assert slow < fast <= 1.1
    assert f"supply is {fast:.3f} V" in run(*asked, "--clock-mhz", "600")[1]
    assert json.loads(run(*asked, "--dvfs", "off", "--json")[1])["supply_v"] == 1.1


def test_any_parameter_of_the_template_can_be_set(run):
    few, many = (
        json.loads(run("evaluate", "lenet5", "--cut", "3", "--set", f"glb_banks={banks}", "--json")[1])
        for banks in (8, 32)
    )
    assert few["knobs"]["glb_banks"] == 8
    assert few["metrics"]["area_mm2"] != many["metrics"]["area_mm2"]


def test_every_component_is_shown_with_its_area_and_source(run):
    arguments = ("evaluate", "lenet5", "--cut", "3", "--set", "accum_buffer=sram", "--set", "accum_buffer_scale=6")
    found = json.loads(run(*arguments, "--json")[1])
    parts = {part["name"]: part for part in found["components"]}
    assert parts["psum_spad"]["made_of"] == "sram 96 × 16 bits" and parts["psum_spad"]["provenance"] == "interpolated"
    assert parts["shared_glb"]["made_of"] == "sram 16384 × 64 bits, 32 banks" and parts["DRAM"]["area_mm2"] is None
    area = sum(part["area_mm2"] or 0 for part in parts.values())
    assert area == pytest.approx(found["metrics"]["area_mm2"], rel=1e-9)
    energy = sum(part["dynamic_j"] + part["leakage_j"] for part in parts.values())
    assert energy == pytest.approx(found["metrics"]["accelerator_energy_j"], rel=1e-9)
    shown = run(*arguments)[1]
    for text in ("sram 96 × 16 bits", "regfile 192 × 16 bits", "16-bit MAC", "CACTI 7", "Aladdin", "(interpolated)"):
        assert text in shown


def test_a_link_that_cannot_carry_the_frame_rate_is_said_so(run):
    slow = ("evaluate", "lenet5", "--cut", "2", "--link", "100base-t", "--fps", "2000")
    assert "100base-t cannot carry this: it is busy for" in run(*slow)[1]
    assert json.loads(run(*slow, "--json")[1])["breaks"] == ["link_utilisation <= 1"]
    assert "cannot carry" not in run(*slow[:-1], "25")[1]
    assert json.loads(run(*slow[:-1], "25", "--json")[1])["breaks"] == []
    assert "edge cannot keep 2000 frames/s" in run(*slow)[1]
    assert "sensor_power_w" in run(*slow)[1] and "mW at 2000 frames/s" in run(*slow)[1]
    assert json.loads(run(*slow, "--json")[1])["cannot_keep_the_frame_rate"] == ["edge"]
    assert "cannot keep" not in run(*slow[:-1], "25")[1]


def test_a_batch_is_not_called_a_frame(run):
    shown = run("evaluate", "lenet5", "--cut", "3", "--input", "4x1x32x32")[1]
    assert "25 batches of 4/s" in shown and "mJ per batch of 4" in shown and "frame" not in shown.split("framing")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet6", "--cut", "1"), "no network 'lenet6'; did you mean 'lenet5'?"),
        (("lenet5", "--cut", "Conv"), "no cut of lenet5"),
        (("lenet5", "--cut", "99"), "has the cuts 1 to"),
        (("lenet5", "--cut", "2", "--accelerator", "simba"), "no accelerator 'simba'; did you mean 'simba_like'?"),
        (("lenet5", "--cut", "2", "--link", "100baset"), "no link '100baset'; did you mean '100base-t'?"),
        (("lenet5", "--cut", "2", "--edge", "jetson-tx1"), "no edge node 'jetson-tx1'; did you mean 'jetson-tx2'?"),
        (("lenet5", "--cut", "2", "--set", "pe_cols=0"), "knob 'pe_cols' takes whole numbers of at least 1, not 0"),
        (("lenet5", "--cut", "2", "--set", "pe_colls=4"), "did you mean 'pe_cols'?"),
        (("lenet5", "--cut", "2", "--set", "clock_mhz=4"), "give it as --clock-mhz"),
        (("lenet5", "--cut", "2", "--clock-mhz", "1e6"), "slowest memory allows"),
        (("lenet5", "--cut", "2", "--set", "pe_rows=4"), "column has a mesh of 4 on Y, the layer needs 5"),
        (("lenet5", "--cut", "2", "--fps", "0"), "frame rate must be above 0"),
        (("lenet5", "--cut", "2", "--metric", "pareto"), "add --mapping-point N"),
        (("lenet5", "--cut", "2", "--mapping-point", "3"), "add --metric pareto"),
    ],
)
def test_what_a_user_does_wrong_is_one_line_and_exit_status_2(run, arguments, message):
    status, out, err = run("evaluate", *arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("networks", networks.names),
        ("accelerators", accelerators.names),
        ("links", links.names),
        ("devices", devices.names),
    ],
)
def test_lists_name_everything(run, kind, names):
    status, out, _ = run("list", kind)
    assert status == 0
    assert all(name in out for name in names())
    status, out, _ = run("list", kind, "--json")
    assert status == 0
    assert {entry["name"] for entry in json.loads(out)} >= set(names())


def test_a_point_of_the_front_over_mappings_is_itemised(run):
    """What `map --metric pareto` lists can be evaluated; its accelerator energy and latency are the same."""
    chip = ("--accelerator", "simba_like", "--set", "pe_cols=2", "--set", "glb_kib=8")
    at = ("--cut", "Linear: 1-12", "--clock-mhz", "100")
    code, text, errors = run("map", "lenet5", *chip, *at, "--metric", "pareto", "--json")
    assert code == 0, errors
    front = json.loads(text)["front"]
    for point in front:
        chosen = ("--metric", "pareto", "--mapping-point", str(point["point"]), "--json")
        code, text, errors = run("evaluate", "lenet5", *chip, *at, *chosen)
        assert code == 0, errors
        metrics = json.loads(text)["metrics"]
        assert metrics["accelerator_energy_j"] == point["energy_j"]
        assert metrics["sensor_latency_s"] == point["latency_s"]
    code, _, errors = run("evaluate", "lenet5", *chip, *at, "--metric", "pareto")
    assert code == 2 and "many costs" in errors and errors.count("\n") == 1


USERS_CODE = """
import torch
from torch import nn


INPUT = (1, 3, 8, 8)


class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.erf(self.conv(x))
"""


def test_operators_that_are_not_known_are_said_wherever_they_are_costed(run, tmp_path, monkeypatch):
    (tmp_path / "odd_code.py").write_text(USERS_CODE)
    script = tmp_path / "question.py"
    script.write_text(
        "from dse import StudySpec\n"
        "from evaluators.system import SystemSettings\n"
        "from search_spaces import networks\n"
        "from search_spaces.space import sensor_edge_space\n"
        "network = networks.load('odd_code:Odd')\n"
        "def study():\n"
        "    space = sensor_edge_space(network, accelerators=('simba_like',), pe_cols=(2,), clock_mhz=(100,))\n"
        "    return StudySpec(network, space, SystemSettings())\n"
    )
    monkeypatch.chdir(tmp_path)
    said = "operator erf (×1) is not known: costed as one read and write"
    shown = run("evaluate", "odd_code:Odd", "--cut", "2")[1]
    assert f"note: {said}" in shown
    assert said in json.loads(run("evaluate", "odd_code:Odd", "--cut", "2", "--json")[1])["network_notes"]
    status, _, error = run("run", "question.py", "--out", "results")
    assert (status, f"odd_code:Odd: {said}" in error) == (0, True), error
