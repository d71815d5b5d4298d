"""A user's own Timeloop files: knobs in their attributes, figures as the tool gives them, errors in one line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evaluators.mapper.energy import price
from evaluators.memo import Memo
from evaluators.sensor import Operators, SensorModel, SensorSettings
from evaluators.system import System, SystemSettings
from evaluators.timeloop.evaluate import MAPPER
from evaluators.timeloop.front_end import FrontEnd, find
from evaluators.timeloop.output import Output
from evaluators.timeloop.own import OwnFiles, OwnSensor
from evaluators.timeloop.render import SearchSettings, mapper_input, to_yaml
from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.errors import UserError
from search_spaces.space import sensor_edge_space
from tests.evaluators.timeloop.test_layers import NETWORK, SHAPE, SIMBA
from tests.timeloop import StandIn

BIND = (("PEAccuBuffer.entries", "accum_buffer_words"), ("GlobalBuffer.entries", "glb_kib*1024"))


def own_files(folder: Path, bind: tuple[tuple[str, str], ...] = BIND, chip: Architecture = SIMBA) -> OwnFiles:
    """What we write for a template, as somebody's own files; the problem in them belongs to another layer."""
    document = mapper_input(price(chip, "timeloop-be27768"), SHAPE, "lpddr4", SearchSettings())
    document["problem"]["instance"]["P"] = 7
    parts = {"arch.yaml": ("architecture",), "map.yaml": ("mapspace_constraints",), "energy.yaml": ("ERT", "ART")}
    for name, keys in parts.items():
        (folder / name).write_text(to_yaml({key: document[key] for key in keys}))
    return OwnFiles(tuple(str(folder / name) for name in parts), bind)


def settings(files: OwnFiles, operators: Operators = "conv") -> SensorSettings:
    return SensorSettings(operators=operators, dvfs="off", accelerator_model="timeloop", timeloop_files=files)


def input_of(stand_in: StandIn, runs: Path) -> dict[str, Any]:
    return yaml.safe_load((sorted(runs.iterdir())[-1] / "in.yaml").read_text())


def test_figures_are_the_tools(stand_in: StandIn, tmp_path: Path) -> None:
    """Two groups of the recorded layer; area from the files' table: components × instances."""
    stand_in.does("simba_like_00")
    sensor = OwnSensor(settings(own_files(tmp_path)), Memo())
    costs = sensor.layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert costs.energy_j[0] == pytest.approx(2 * 186642533.76706752e-12, rel=1e-9)
    assert costs.dram_j[0] == pytest.approx(2 * 60125696e-12)
    assert costs.latency_s[0] == 2 * 110889 / 200e6
    assert costs.energy_j[1] == 0, "convolutions only"
    sizes = "PEAccuBuffer.entries, GlobalBuffer.entries"
    assert costs.provenance == f"own table (does not follow {sizes})", "a larger buffer is free with a fixed table"
    assert costs.energy_provenance([0]).startswith(f"{costs.provenance}, counts by timeloop-mapper (sha256 ")
    assert sensor.area_mm2(SIMBA, 200e6) == pytest.approx(price(SIMBA, "timeloop-be27768").area_mm2, rel=1e-9)
    assert len(stand_in.folders) == 1
    grid = sensor.layer_grid(NETWORK, SIMBA, [(200e6, "lpddr4"), (100e6, "lpddr4")])
    assert np.array_equal(grid.latency_s[1], 2 * grid.latency_s[0])
    assert np.array_equal(grid.energy_j, [costs.energy_j] * 2)
    assert np.array_equal(sensor.layer_costs(NETWORK, SIMBA, 100e6, "lpddr4").latency_s, grid.latency_s[1])
    assert grid.area_mm2[0] == sensor.area_mm2(SIMBA, 200e6)


def test_operators_without_macs_cost_what_they_do_on_the_template(stand_in: StandIn, tmp_path: Path) -> None:
    """The same chip through both doors: GlobalBuffer and DRAM rows at the same energies; the tool is not asked."""
    stand_in.does("simba_like_00")
    own = OwnSensor(settings(own_files(tmp_path), "all"), Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    template = SensorSettings(dvfs="off", energy_table="timeloop-be27768")
    ours = SensorModel(template, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert own.cycles[1] == ours.cycles[1] == -(-128 * 111 * 111 // 32)
    for name in ("energy_j", "dram_j", "dynamic_j", "latency_s"):
        assert getattr(own, name)[1] == pytest.approx(getattr(ours, name)[1], rel=1e-12), name
    assert len(stand_in.folders) == 1


def test_the_buffer_that_words_stream_through_can_be_named(stand_in: StandIn, tmp_path: Path) -> None:
    """16 input buffers side by side, each a row of 8 words per cycle at 97.18672 pJ."""
    stand_in.does("simba_like_00")
    files = replace(own_files(tmp_path), outermost_buffer="PEInputBuffer")
    costs = OwnSensor(settings(files, "all"), Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    words_in, words_out = 128 * 111 * 111, 128 * 5 * 5
    assert costs.cycles[1] == -(-words_in // (16 * 8))
    assert costs.dynamic_j[1] == pytest.approx((words_in // 8 + words_out // 8) * 97.18672e-12)
    assert costs.dram_j[1] == pytest.approx((words_in // 8 + words_out // 8) * 512e-12)


@pytest.mark.parametrize(
    ("buffer", "row", "says"),
    [
        ("GlobalBufer", "GlobalBuffer", "no component of the architecture 'GlobalBufer'; did you mean 'GlobalBuffer'?"),
        ("DRAM", "GlobalBuffer", "no on-chip storage level 'DRAM'"),
        (None, "Other", 'the energy table has no GlobalBuffer.*or cost convolutions only: operators="conv"'),
    ],
)
def test_what_cannot_stream_gets_one_line(
    buffer: str | None, row: str, says: str, stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in.does("simba_like_00")
    files = own_files(tmp_path)
    energies = tmp_path / "energy.yaml"
    energies.write_text(energies.read_text().replace("system.GlobalBuffer", f"system.{row}"))
    files = OwnFiles(files.files, outermost_buffer=buffer)
    with pytest.raises(UserError, match=says):
        OwnSensor(settings(files, "all"), Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")


def test_a_constraint_that_the_tool_dropped_is_said(stand_in: StandIn, tmp_path: Path) -> None:
    """Of the layer that it is about, in what every figure names as its source; the pool never reached the tool."""
    stand_in.does("simba_like_00")
    own = settings(own_files(tmp_path), "all")
    template = SensorSettings(dvfs="off", accelerator_model="timeloop")
    for model in (OwnSensor(own, Memo()), SensorModel(template, Memo())):
        costs = model.layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
        for says in (costs.energy_provenance([0, 1]), costs.time_provenance([0, 1])):
            assert says.endswith(", which warned of conv: Constraint C=4 exceeds problem dimension C=3, ignoring")
        assert "warned" not in costs.energy_provenance([1])


def test_knobs_go_where_they_are_bound(stand_in: StandIn, tmp_path: Path) -> None:
    from evaluators.timeloop import Timeloop

    stand_in.does("simba_like_00")
    memo, runs = Memo(), tmp_path / "runs"
    sensor = OwnSensor(settings(own_files(tmp_path)), memo, Timeloop(memo, runs=runs))
    larger = accelerators.build("simba_like", {"glb_kib": 128, "accum_buffer_words": 256})
    sensor.prepare(NETWORK, [larger])
    written = input_of(stand_in, runs)
    (system,) = written["architecture"]["subtree"]
    entries = {part["name"]: part["attributes"].get("entries") for part in system["local"]}
    assert (entries["GlobalBuffer"], entries["PEAccuBuffer"]) == (128 * 1024, 256)
    assert written["problem"]["instance"]["P"] == 111, "the problem is ours"
    assert written["mapper"]["num-threads"] == 1
    sensor.prepare(NETWORK, [SIMBA, larger])
    assert len(stand_in.folders) == 2, "another design is another run, the same one is not"


def test_ranges_in_names_are_instances(tmp_path: Path) -> None:
    tree = {"subtree": [{"name": "chip", "subtree": [{"name": "PE[0..167]", "local": [{"name": "spad[0..1]"}]}]}]}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump({"architecture": tree}))
    bind = (("PE.instances", "pe_cols*pe_rows"), ("spad.meshX", "pe_cols"), ("chip.technology", "node"))
    files = OwnFiles((str(tmp_path / "arch.yaml"),), bind)
    knobs = {"pe_cols": 4, "pe_rows": 3, "node": "40nm"}
    (chip,) = files.document(knobs)["architecture"]["subtree"]
    (pe,) = chip["subtree"]
    assert chip["attributes"] == {"technology": "40nm"}
    assert pe["name"] == "PE[0..11]"
    assert pe["local"] == [{"name": "spad[0..1]", "attributes": {"meshX": 4}}]


@pytest.mark.parametrize(("name", "fails"), [("system.PE[0..167].adder", True), ("system.DRAM", False)])
def test_a_made_up_area_is_an_error(name: str, fails: bool, stand_in: StandIn, tmp_path: Path) -> None:
    """But DRAM's, which is not on the chip."""
    stand_in.does("simba_like_00", instead={})
    row = {"name": name, "area": 1.0, "primitive_estimations": "dummy_table"}
    summary = tmp_path / "altered" / "simba_like_00" / f"{MAPPER}.ART_summary.yaml"
    summary.write_text(yaml.safe_dump({"ART_summary": {"table_summary": [row]}}))
    sensor = OwnSensor(settings(own_files(tmp_path)), Memo())
    if not fails:
        assert sensor.area_mm2(SIMBA, 200e6) > 0
        return
    with pytest.raises(UserError, match=r"knows no area of system\.PE\[0\.\.167\]\.adder"):
        sensor.area_mm2(SIMBA, 200e6)


def test_a_layer_that_does_not_divide_does_not_map(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("fail_simba_M21")
    costs = OwnSensor(settings(own_files(tmp_path)), Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert "not divisible" in costs.unmapped[0]
    assert np.isnan(costs.energy_j[0])


def test_changed_files_are_another_question(stand_in: StandIn, tmp_path: Path) -> None:
    first = own_files(tmp_path)
    (tmp_path / "map.yaml").write_text((tmp_path / "map.yaml").read_text() + "# other\n")
    assert OwnFiles(first.files, first.bind) != first
    system = System(NETWORK, SystemSettings(sensor=settings(first)), Memo())
    stored = system.fingerprint()["settings"]["sensor"]["timeloop_files"]
    assert stored["content"] == first.content


def test_answers_are_looked_up_once_for_all_clocks(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.does("simba_like_00")
    sensor = OwnSensor(settings(own_files(tmp_path)), Memo())
    first = sensor.layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    sensor.area_mm2(SIMBA, 200e6)
    monkeypatch.setattr(sensor, "_run", lambda *_: pytest.fail("looked up again"))
    sensor.layer_grid(NETWORK, SIMBA, [(1e6 * n, "lpddr4") for n in range(1, 50)])
    assert np.array_equal(2 * sensor.layer_costs(NETWORK, SIMBA, 400e6, "hbm2").latency_s, first.latency_s)


def test_a_table_follows_numbers_of_instances(stand_in: StandIn, tmp_path: Path) -> None:
    """Only sizes need another table."""
    stand_in.does("simba_like_00")
    files = own_files(tmp_path, (("PEAccuBuffer.instances", "pe_cols"), ("PEAccuBuffer.meshX", "pe_cols")))
    assert OwnSensor(settings(files), Memo()).layer_costs(NETWORK, SIMBA, 1e8, "lpddr4").provenance == "own table"


def test_files_are_read_once(tmp_path: Path) -> None:
    """A file edited while a study runs would mix two accelerators under one digest."""
    files = own_files(tmp_path)
    before = files.document(dict(SIMBA.parameters))
    (tmp_path / "arch.yaml").write_text("architecture: {}\n")
    (tmp_path / "map.yaml").unlink()
    assert files.document(dict(SIMBA.parameters)) == before
    other = files.document({"accum_buffer_words": 1, "glb_kib": 1})
    assert other != before == files.document(dict(SIMBA.parameters))


def test_attributes_may_be_empty_or_shared(tmp_path: Path) -> None:
    text = """
    architecture:
      subtree:
        - {name: a, attributes: &shared {depth: 1}}
        - {name: b, attributes: *shared}
        - name: c
          attributes:
    """
    (tmp_path / "arch.yaml").write_text(text)
    files = OwnFiles((str(tmp_path / "arch.yaml"),), (("a.depth", "x"), ("c.depth", "x")))
    parts = files.document({"x": 5})["architecture"]["subtree"]
    assert [part["attributes"] for part in parts] == [{"depth": 5}, {"depth": 1}, {"depth": 5}]
    (tmp_path / "arch.yaml").write_text("architecture: {subtree: [{name: a, attributes: [1]}, {name: c}]}")
    with pytest.raises(UserError, match="attributes of a should be names and values"):
        OwnFiles(files.files, files.bind).document({"x": 5})


@pytest.mark.parametrize("value", ["sixteen", 2.5, 0])
def test_instances_are_a_number(value: Any, tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text("architecture: {subtree: [{name: 'PE[0..7]'}]}")
    files = OwnFiles((str(tmp_path / "arch.yaml"),), (("PE.instances", "pes"),))
    with pytest.raises(UserError, match=r"PE\.instances is a number of instances, 1 or more, not"):
        files.document({"pes": value})


def test_a_whole_study_runs_on_own_files(stand_in: StandIn, tmp_path: Path) -> None:
    from dse import StudySpec
    from dse.run import run_study

    stand_in.does("simba_like_00")
    space = sensor_edge_space(
        NETWORK, accelerators=["simba_like"], pe_cols=[4], pe_rows=[4], glb_kib=[64, 128], input_buffer_scale=[1.0],
        weight_buffer_scale=[1.0], clock_mhz=[100, 200], links=["1000base-t"],
    )  # fmt: skip
    files = own_files(tmp_path, (("GlobalBuffer.entries", "glb_kib*1024"),))
    spec = StudySpec(NETWORK, space, SystemSettings(sensor=settings(files)))
    result = run_study(spec, tmp_path / "out", memo=Memo())
    assert len(result.front) > 0
    assert any("own table" in says for says in result.provenance.values())
    assert len(stand_in.folders) == 2


@pytest.mark.parametrize(
    ("bind", "says"),
    [
        ((("GlobalBuffer.entries", "glb_mib*1024"),), "no knob for GlobalBuffer.entries 'glb_mib'; did you mean"),
        ((("Globalbuffer.entries", "glb_kib"),), "no component of the architecture 'Globalbuffer'; did you mean"),
        ((("entries", "glb_kib"),), "COMPONENT.ATTRIBUTE"),
    ],
)
def test_bad_bindings_get_one_line(bind: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        own_files(tmp_path, bind).document(dict(SIMBA.parameters))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("map.yaml", "architecture: {}\n", "has architecture again"),
        ("arch.yaml", "other: 1\n", "has an architecture"),
        ("arch.yaml", "architecture: {{ include }}\n", "is no YAML of Timeloop"),
        ("arch.yaml", "architecture: 2024-99-99\n", "is no YAML of Timeloop"),
        ("map.yaml", "components: [1]\n", "has components again"),
        ("arch.yaml", "- 1\n", "should hold entries"),
        ("energy.yaml", "ERT: {}\n", "need an ART"),
    ],
)
def test_bad_files_get_one_line(name: str, text: str, says: str, stand_in: StandIn, tmp_path: Path) -> None:
    files = own_files(tmp_path, ())
    (tmp_path / "more.yaml").write_text("components: {classes: []}\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=says):
        OwnSensor(settings(OwnFiles((str(tmp_path / "more.yaml"), *files.files))), Memo())


def test_what_own_files_need_is_said(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        OwnFiles((str(tmp_path / "nothing.yaml"),))
    files = own_files(tmp_path, ())
    with pytest.raises(UserError, match='dvfs="off"'):
        SensorSettings(accelerator_model="timeloop", timeloop_files=files)
    (tmp_path / "energy.yaml").write_text("components: []\n")
    with pytest.raises(UserError, match="accelergy is not on the PATH"):
        OwnSensor(settings(OwnFiles(files.files)), Memo())


@pytest.mark.timeloop
@pytest.mark.skipif(shutil.which(MAPPER) is None, reason=f"no {MAPPER} on the PATH")
@pytest.mark.parametrize("accelerator", accelerators.names())
def test_the_real_tool_gives_what_it_gives_for_our_own_input(accelerator: str, tmp_path: Path) -> None:
    """The same architecture through both doors: as our template, and as somebody's files; the pool's words as well."""
    chip = accelerators.build(accelerator)
    sensor = OwnSensor(settings(own_files(tmp_path, (), chip), "all"), Memo())
    own = sensor.layer_costs(NETWORK, chip, 200e6, "lpddr4")
    template = SensorSettings(dvfs="off", energy_table="timeloop-be27768", accelerator_model="timeloop")
    ours = SensorModel(template, Memo()).layer_costs(NETWORK, chip, 200e6, "lpddr4")
    assert np.array_equal(own.cycles, ours.cycles)
    assert own.energy_j == pytest.approx(ours.energy_j, rel=1e-9)
    assert own.dram_j == pytest.approx(ours.dram_j, rel=1e-9)
    (found,) = sensor.found([(SHAPE, chip)])
    (again,) = sensor.model([(SHAPE, chip)], [found["mapping"]])
    model, mapper = (Output.from_json(answer["output"]) for answer in (again, found))
    assert model.levels == mapper.levels, "its model on what its mapper found"


@pytest.mark.timeloop
@pytest.mark.skipif(shutil.which("accelergy") is None or shutil.which(MAPPER) is None, reason="no accelergy, no tool")
def test_the_real_accelergy_prices_own_files(tmp_path: Path) -> None:
    """A DRAM, an SRAM and a MAC; 512 pJ per 64-bit LPDDR4 access and 2.2 pJ per 16-bit MAC are Accelergy's own."""
    if isinstance(find(), FrontEnd):
        pytest.skip("an installation of v0.4, whose Accelergy knows no actions of v0.3 components")
    dram = {
        "name": "DRAM",
        "class": "DRAM",
        "attributes": {"type": "LPDDR4", "width": 64, "block-size": 4, "word-bits": 16},
    }
    sram = {"width": 64, "depth": 16384, "n_banks": 32, "n_rdwr_ports": 2, "block-size": 4, "word-bits": 16}
    local = [
        {"name": "buffer", "class": "SRAM", "attributes": sram},
        {"name": "mac", "class": "intmac", "attributes": {"datawidth": 16}},
    ]
    chip = {"name": "chip", "attributes": {"technology": "45nm"}, "local": local}
    tree = {"version": 0.3, "subtree": [{"name": "system", "local": [dram], "subtree": [chip]}]}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump({"architecture": tree}, sort_keys=False))
    (tmp_path / "map.yaml").write_text(yaml.safe_dump({"mapspace_constraints": {"targets": []}}))
    files = OwnFiles(tuple(str(tmp_path / name) for name in ("arch.yaml", "map.yaml")))
    sensor = OwnSensor(settings(files), Memo())
    (answer,) = sensor.found([(SHAPE, SIMBA)])
    levels = {level["name"]: level for level in answer["output"]["levels"]}
    assert levels["DRAM"]["energy_pj"] == pytest.approx(512 * levels["DRAM"]["accesses"])
    assert answer["output"]["mac_energy_pj"] == pytest.approx(2.20035 * SHAPE.one_group.macs, rel=1e-6)
    assert 1 < sensor.area_mm2(SIMBA, 200e6) < 3
    moved = OwnSensor(settings(files, "all"), Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    rows = 128 * 111 * 111 // 4 + 128 * 5 * 5 // 4
    assert moved.dram_j[1] == pytest.approx(512e-12 * rows)
    assert moved.dynamic_j[1] / rows == pytest.approx(75e-12, rel=0.05), "an SRAM's row, as the template's tables say"
