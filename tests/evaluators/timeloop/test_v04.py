"""v0.4 input on stand-ins for the tool and its front end: what is written, which format is taken, every way to fail.

The runs `v04_*` were recorded from the tool of 2025-03 (4cf6d4c) with timeloopfe of 2025-01 (5603893).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluators.mapper.counts import count
from evaluators.mapper.energy import price
from evaluators.mapper.mapping import Mapping
from evaluators.mapper.result import best_mappings
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from evaluators.timeloop import InputFormat, Searched, SearchSettings, Timeloop, TimeloopError, v04
from evaluators.timeloop.evaluate import MAPPER
from evaluators.timeloop.front_end import FrontEnd, find
from evaluators.timeloop.output import Broken, Output, read_output
from evaluators.timeloop.own import OwnFiles, OwnSensor
from evaluators.timeloop.render import mapper_input, model_input
from search_spaces import accelerators
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape
from tests.evaluators.timeloop.test_layers import NETWORK, SIMBA
from tests.evaluators.timeloop.test_wrapper import alive, wait_until
from tests.timeloop import StandIn

LAYER = ConvShape(N=1, C=3, M=64, P=111, Q=111, R=3, S=3, stride_w=2, stride_h=2)
SHAPES = (LAYER, ConvShape(N=2, C=16, M=21, P=8, Q=6, R=1, S=1, dilation_w=2))


def search(memo: Memo, input_format: InputFormat = "auto", **options: Any) -> Searched | IllegalDesign:
    (found,) = Timeloop(memo, input_format=input_format, **options).search([(LAYER, SIMBA)], SearchSettings())
    return found


# what is written


def said_in_v03(document: dict[str, Any]) -> tuple[list[tuple[str, str, dict[str, Any]]], dict[tuple[str, str], Any]]:
    """Components outermost first and targets of a v0.4 document, put together again as v0.3 says them."""
    names = {"datawidth": "word-bits", "block_size": "block-size", "cluster_size": "cluster-size"}
    components: list[tuple[str, str, dict[str, Any]]] = []
    targets: dict[tuple[str, str], Any] = {}
    mesh_x, instances, last = 1, 1, ""
    for node in document["architecture"]["nodes"]:
        constraints = node.get("constraints", {})
        if node.tag == "!Container":
            mesh = node.get("spatial", {"meshX": 1, "meshY": 1})
            mesh_x, instances = mesh_x * mesh["meshX"], instances * mesh["meshX"] * mesh["meshY"]
            if "spatial" in constraints:
                assert v04.level_above(f"inter_{node['name']}_spatial") == last
                targets[last, "spatial"] = constraints["spatial"]
            continue
        last = node["name"]
        attributes = {names.get(key, key): value for key, value in node["attributes"].items()}
        if node["class"] == "intmac":
            attributes["datawidth"] = attributes.pop("word-bits")
        else:
            rows = attributes.pop("depth")
            if last != "DRAM":
                attributes["entries"] = rows * attributes["block-size"]
            targets[last, "temporal"] = constraints["temporal"]
            targets[last, "bypass"] = constraints["dataspace"]
        components.append((last, node["class"], attributes | {"instances": instances, "meshX": mesh_x}))
    return components, targets


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("accelerator", accelerators.names())
def test_it_says_what_our_v03_input_says(accelerator: str, shape: ConvShape) -> None:
    """Every component, how many there are of it, and every constraint or loop, for the mapper and for the model."""
    architecture = accelerators.build(accelerator)
    priced = price(architecture)
    mapping = best_mappings(shape, architecture, Memo())[0].mapping
    for document in (
        mapper_input(priced, shape, "lpddr4", SearchSettings()),
        model_input(priced, shape, "lpddr4", mapping),
    ):
        written = v04.read(v04.to_yaml(v04.translated(document)))
        components, targets = said_in_v03(written)
        (system,) = document["architecture"]["subtree"]
        assert components == [(part["name"], part["class"], part["attributes"]) for part in system["local"]]
        expected = document["mapping"] if "mapping" in document else document["mapspace_constraints"]["targets"]
        assert len(targets) == len(expected)
        for target in expected:
            found = targets[target["target"], target["type"]]
            if target["type"] == "bypass":
                assert (found["keep"], found["bypass"]) == (target["keep"], target["bypass"])
                continue
            assert " ".join(found["factors"]) == target.get("factors", "")
            assert "".join(found["permutation"]) == target["permutation"]
            assert found.get("split") == target.get("split")
        assert written["problem"]["instance"] == document["problem"]["instance"]
        assert [space["name"] for space in written["problem"]["shape"]["data_spaces"]] == [
            "Weights",
            "Inputs",
            "Outputs",
        ]
        energies = {row["name"]: {a["name"]: a["energy"] for a in row["actions"]} for row in written["ERT"]["tables"]}
        assert energies["system.MAC"] == {"compute": priced.mac.read_pj}
        assert ("mapper" in written) == ("mapper" in document)


def test_a_buffer_of_half_rows_is_refused() -> None:
    document = mapper_input(price(SIMBA), LAYER, "lpddr4", SearchSettings())
    (system,) = document["architecture"]["subtree"]
    (buffer,) = [part for part in system["local"] if part["name"] == "GlobalBuffer"]
    buffer["attributes"]["entries"] += 1
    with pytest.raises(UserError, match=r"no whole number of rows of 32, in which v0\.4 counts; take v0\.3"):
        v04.translated(document)


def test_tags_come_through() -> None:
    text = "nodes:\n- !Parallel\n  nodes:\n  - !Component {name: a, attributes: {depth: 1e-9}}\n  - !Nothing\n"
    read = v04.read(text)
    assert [node.tag for node in read["nodes"][0]["nodes"]] == ["!Component", "!Nothing"]
    assert v04.read(v04.to_yaml(read)) == read
    with pytest.raises(yaml.YAMLError):
        v04.read("a: !include other.yaml\n")


# which format


def test_what_is_installed_chooses(stand_in: StandIn, front_end: Path) -> None:
    stand_in.does("simba_like_00")
    found = find()
    assert isinstance(found, FrontEnd)
    assert (found.package, found.python) == ("timeloopfe", (sys.executable,))
    assert Timeloop(Memo()).says("timeloop-mapper").endswith(f", v0.4 input by timeloopfe sha256 {found.digest[:12]})")
    assert Timeloop(Memo(), input_format="0.3").says("timeloop-mapper").endswith(", v0.3 input)")


def test_without_a_front_end_it_is_v03(stand_in: StandIn) -> None:
    assert Timeloop(Memo()).front_end() is None
    with pytest.raises(
        UserError, match=r"needs its front end: neither pytimeloop nor timeloopfe .* install it \(https"
    ):
        Timeloop(Memo(), input_format="0.4").front_end()
    with pytest.raises(UserError, match=r"no input format of Timeloop '0\.5'"):
        Timeloop(Memo(), input_format="0.5")  # type: ignore[arg-type]


def test_the_python_of_the_timeloop_command_is_asked(
    stand_in: StandIn, front_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front end lives in the tool's own environment, not in ours."""
    monkeypatch.setattr("evaluators.timeloop.front_end.find_spec", lambda _: None)
    command = tmp_path / "bin" / "timeloop"
    command.write_text(f"#!{sys.executable} -s\n")
    command.chmod(0o755)
    found = find()
    assert isinstance(found, FrontEnd)
    assert found.python == (sys.executable, "-s")
    stand_in.does("simba_like_00")
    assert isinstance(search(Memo()), Searched)
    command.write_bytes(b"#!/nobody's/python \xff\n")
    assert "/nobody's/python" in str(find())
    (tmp_path / "bin" / "python").write_bytes(b"#!/bin/sh\nprintf '\\377' >&2; exit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    command.write_text(f"#!{tmp_path}/bin/python\n")
    assert find() == "\ufffd"


def test_answers_of_formats_are_kept_apart(stand_in: StandIn, front_end: Path) -> None:
    stand_in.does("simba_like_00")
    memo = Memo()
    for _ in range(2):
        for input_format in ("auto", "0.3", "0.4"):
            assert isinstance(search(memo, input_format), Searched)  # type: ignore[arg-type]
    assert len(stand_in.folders) == 2
    (front_end / "v4.py").write_text((front_end / "v4.py").read_text() + "# another version\n")
    search(memo)
    assert len(stand_in.folders) == 3, "another front end may write another input"


def test_figures_and_studies_name_the_format(stand_in: StandIn, front_end: Path) -> None:
    stand_in.does("simba_like_00")
    models = [
        SensorModel(SensorSettings(dvfs="off", accelerator_model=model), Memo())  # type: ignore[arg-type]
        for model in ("timeloop", "timeloop-v0.4", "timeloop-v0.3")
    ]
    says = [model.layer_costs(NETWORK, SIMBA, 200e6, "lpddr4").time_provenance([0]) for model in models]
    assert says[0] == says[1]
    assert "v0.4 input by timeloopfe sha256" in says[0]
    assert "v0.3 input" in says[2]
    assert models[0].version == models[1].version != models[2].version


# what fails


def test_a_run_can_be_repeated_in_its_folder(stand_in: StandIn, front_end: Path, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    runs = tmp_path / "runs"
    found = search(Memo(), runs=runs)
    assert isinstance(found, Searched)
    assert found.mapping.to_text() == "Q111;;/;;C3/R3S3;;/;;M4/;M16;/P111;;"
    (folder,) = runs.iterdir()
    assert {"in.yaml", "run_v04.py", "parsed-processed-input.yaml", "run.log"} <= {
        file.name for file in folder.iterdir()
    }
    assert "for_model: False" in (folder / "parsed-processed-input.yaml").read_text()


@pytest.mark.parametrize(
    ("case", "ended", "cause"),
    [
        ("fail_no_accelergy", "exited with status 0", "Accelergy is not installed"),
        ("fail_bad_target", "exited with status 1", "names a level"),
        ("fail_bad_algo", "exited with status 255", "algorithm is misspelt"),
        ("fail_garbage", "was ended by SIGABRT", "not well-formed YAML"),
        ("silent", "exited with status 0", "unknown to us"),
        ("cut_off", "exited with status 0", "cut off or damaged"),
    ],
)
def test_a_failed_tool_is_seen_through_the_front_end(
    case: str, ended: str, cause: str, stand_in: StandIn, front_end: Path
) -> None:
    stand_in.does(case)
    with pytest.raises(TimeloopError, match=f"timeloop-mapper {ended}") as caught:
        search(Memo())
    assert cause in str(caught.value)
    assert f"{sys.executable} run_v04.py" in str(caught.value)


def test_a_hanging_tool_is_stopped(stand_in: StandIn, front_end: Path) -> None:
    stand_in.does("hang")
    with pytest.raises(TimeloopError, match="it ran for more than 3 s"):
        search(Memo(), limit_s=3.0)
    wait_until(lambda: not any(alive(pid) for pid in stand_in.pids))


def test_what_the_front_end_refuses_is_an_error(
    stand_in: StandIn, front_end: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.does("simba_like_00")
    monkeypatch.setenv("STANDIN_REFUSES", "1")
    with pytest.raises(TimeloopError, match=r"front end does not take this v0\.4 input") as caught:
        search(Memo())
    assert "Missing required key depth" in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert not stand_in.folders


def test_no_mapping_is_an_answer(stand_in: StandIn, front_end: Path) -> None:
    stand_in.does("fail_eyeriss_S13")
    assert isinstance(search(Memo()), IllegalDesign)


# what the tool answers


EYERISS = accelerators.build("eyeriss_like")
PROBED = ConvShape(N=1, C=4, M=8, P=6, Q=6, R=3, S=3)


def test_levels_for_fan_outs_are_left_out(stand_in: StandIn, front_end: Path) -> None:
    """The mapper's real answer: its loops over PEs stand at levels of their own, ours belong to the level above."""
    stand_in.does("v04_search")
    (found,) = Timeloop(Memo()).search([(PROBED, EYERISS)], SearchSettings())
    assert isinstance(found, Searched)
    ours = count(EYERISS, PROBED, found.mapping)
    assert found.mapping.to_text() == "M2;;/R3C4;;/;;/;;S3M4/P6;Q6;/;;"
    assert found.output.compute_cycles == ours.compute_cycles == 144
    assert [level.name for level in found.output.levels] == [level.name for level in EYERISS.levels]
    for theirs, mine in zip(found.output.levels, ours.levels, strict=True):
        assert theirs.instances_used == mine.instances_used
        assert theirs.reads == tuple(mine.tensors[t].reads if t in mine.tensors else 0 for t in "WIO")
    assert found.output.warnings == ()


def test_a_document_without_its_end_is_whole(
    stand_in: StandIn, front_end: Path, recorded: Callable[[str], Path]
) -> None:
    """timeloop-model leaves out the last tag; what is cut off before that is still seen."""
    stand_in.does("v04_model")
    mapping = Mapping.from_text("M8;;/R3C4;;/;;/;;S3/P6;;/Q6;;")
    (found,) = Timeloop(Memo()).model([(PROBED, EYERISS, mapping)])
    assert not isinstance(found, IllegalDesign)
    assert found.compute_cycles == 3456
    folder = recorded("v04_model")
    for name, says in (("map+stats.xml", "cut off or damaged"), ("stats.txt", r"^\S+stats\.txt is cut off")):
        path = folder / f"timeloop-model.{name}"
        whole = path.read_bytes()
        for size in (0, len(whole) // 2):
            path.write_bytes(whole[:size])
            with pytest.raises(Broken, match=says):
                read_output(folder, "timeloop-model")
        path.write_bytes(whole)
    path.unlink()
    with pytest.raises(Broken, match=r"stats\.txt cannot be read"):
        read_output(folder, "timeloop-model")


def test_leakage_is_in_the_energy(recorded: Callable[[str], Path]) -> None:
    """Accelergy's tables of v0.4 have leakage: 335.26 pJ of the scratchpads, 309.39 pJ of the buffer."""
    folder = recorded("v04_own")
    output = read_output(folder, MAPPER)
    assert output is not None
    text = (folder / f"{MAPPER}.stats.txt").read_text()
    total = float(text.partition("Energy: ")[2].split()[0])
    assert output.energy_pj * 1e-6 == pytest.approx(total, abs=0.005)
    path = folder / f"{MAPPER}.stats.txt"
    path.write_text(text.replace("335.26 pJ", "0.00 pJ").replace("309.39 pJ", "0.00 pJ"))
    without = read_output(folder, MAPPER)
    assert without is not None
    assert output.energy_pj - without.energy_pj == pytest.approx(335.26 + 309.39, rel=1e-6)
    assert output.level("spad").energy_pj - without.level("spad").energy_pj == pytest.approx(335.26, rel=1e-6)


# own files


def own_files(folder: Path, bind: tuple[tuple[str, str], ...] = ()) -> OwnFiles:
    """What we write for simba_like in v0.4, as somebody's own files."""
    document = v04.translated(mapper_input(price(SIMBA), LAYER, "lpddr4", SearchSettings()))
    parts = {"arch.yaml": ("architecture",), "energy.yaml": ("ERT", "ART")}
    for name, keys in parts.items():
        (folder / name).write_text(v04.to_yaml({key: document[key] for key in keys}))
    return OwnFiles(tuple(str(folder / name) for name in parts), bind)


def settings(files: OwnFiles) -> SensorSettings:
    return SensorSettings(operators="conv", dvfs="off", accelerator_model="timeloop", timeloop_files=files)


def test_own_files_in_v04(stand_in: StandIn, front_end: Path, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    bind = (("GlobalBuffer.depth", "glb_kib*32"), ("below_GlobalBuffer.meshX", "pe_cols*pe_rows"))
    files = own_files(tmp_path, bind)
    assert files.input_format == "0.4"
    memo, runs = Memo(), tmp_path / "runs"
    sensor = OwnSensor(settings(files), memo, Timeloop(memo, runs=runs))
    larger = accelerators.build("simba_like", {"glb_kib": 128, "pe_cols": 8, "pe_rows": 4})
    costs = sensor.layer_costs(NETWORK, larger, 200e6, "lpddr4")
    assert "v0.4 input by timeloopfe sha256" in costs.time_provenance([0])
    assert costs.provenance == "own table (does not follow GlobalBuffer.depth)"
    (folder,) = runs.iterdir()
    written = v04.read((folder / "in.yaml").read_text())
    nodes = {node["name"]: node for node in written["architecture"]["nodes"]}
    assert nodes["GlobalBuffer"].tag == "!Component"
    assert nodes["GlobalBuffer"]["attributes"]["depth"] == 128 * 32
    assert nodes["below_GlobalBuffer"]["spatial"] == {"meshX": 32, "meshY": 1}
    assert written["problem"]["version"] == 0.4
    assert written["mapper"]["num_threads"] == 1


def test_components_of_fan_outs_have_no_price(
    stand_in: StandIn, front_end: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accelergy makes up an area for them, 1 µm²: that is no error, and not on the chip."""
    stand_in.does("v04_own")
    accelergy = tmp_path / "bin" / "accelergy"
    accelergy.write_text("#!/bin/sh\n")
    accelergy.chmod(0o755)
    own_files(tmp_path)
    sensor = OwnSensor(settings(OwnFiles((str(tmp_path / "arch.yaml"),))), Memo())
    assert sensor.area_mm2(SIMBA, 200e6) == pytest.approx((257502.0 + 8 * (845.98 + 1726.5)) * 1e-6)
    assert sensor.layer_costs(NETWORK, SIMBA, 200e6, "lpddr4").provenance == "Accelergy"


def test_quotes_come_through(tmp_path: Path) -> None:
    """To the front end a text without quotes is an expression."""
    text = 'architecture: {version: 0.4, nodes: [!Component {name: a, attributes: {technology: "45nm", depth: 2*4}}]}'
    (tmp_path / "arch.yaml").write_text(text)
    files = OwnFiles((str(tmp_path / "arch.yaml"),), (("a.type", "dram"),))
    written = v04.to_yaml(files.document({"dram": "LPDDR4"}))
    for line in ('technology: "45nm"', "depth: 2*4", 'type: "LPDDR4"'):
        assert line in written


def test_own_files_need_the_front_end(stand_in: StandIn, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"v0\.4 input of Timeloop needs its front end"):
        OwnSensor(settings(own_files(tmp_path)), Memo())


def test_component_classes_may_be_in_several_files(tmp_path: Path) -> None:
    arch = "architecture: {version: 0.4, nodes: [!Component {name: mac, class: intmac}]}\n"
    classes = [f"components: {{version: 0.4, classes: [{{name: {name}}}]}}\n" for name in ("a", "b")]
    for name, text in zip("xyz", (arch, *classes), strict=True):
        (tmp_path / f"{name}.yaml").write_text(text)
    document = OwnFiles(tuple(str(tmp_path / f"{name}.yaml") for name in "xyz")).document({})
    assert [one["name"] for one in document["components"]["classes"]] == ["a", "b"]


def test_what_the_front_end_wrote_is_read_as_it_is(tmp_path: Path) -> None:
    text = "dumped_by_timeloop_front_end: true\narchitecture: {version: '0.4', subtree: []}\n"
    (tmp_path / "parsed.yaml").write_text(text)
    assert OwnFiles((str(tmp_path / "parsed.yaml"),)).input_format == "0.3"


@pytest.mark.parametrize(
    ("target", "knobs", "says"),
    [
        ("PE.instances", {"x": 4}, "v0.4 counts by meshX and meshY; bind PE.meshX or PE.meshY"),
        ("PE.meshX", {"x": 0.5}, "PE.meshX is a whole number, 1 or more, not 0.5"),
        ("pe.meshX", {"x": 4}, "no component of the architecture 'pe'; known: PE"),
    ],
)
def test_bad_bindings_get_one_line(target: str, knobs: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "arch.yaml").write_text("architecture: {version: 0.4, nodes: [!Container {name: PE}]}\n")
    files = OwnFiles((str(tmp_path / "arch.yaml"),), ((target, "x"),))
    with pytest.raises(UserError, match=says):
        files.document(knobs)


@pytest.mark.timeloop
@pytest.mark.skipif(shutil.which(MAPPER) is None, reason=f"no {MAPPER} on the PATH")
@pytest.mark.skipif(shutil.which("accelergy") is None, reason="no accelergy on the PATH")
def test_the_real_accelergy_prices_own_files(tmp_path: Path) -> None:
    """A DRAM, an SRAM with a register file per PE, and MACs, written as the front end's own examples are."""
    if not isinstance(found := find(), FrontEnd):
        pytest.skip(found)
    (tmp_path / "arch.yaml").write_text(OWN)
    bind = (("PE.meshX", "pe_cols"), ("PE.meshY", "pe_rows"), ("buffer.depth", "glb_kib*128"))
    files = OwnFiles((str(tmp_path / "arch.yaml"),), bind)
    memo, runs = Memo(), tmp_path / "runs"
    sensor = OwnSensor(settings(files), memo, Timeloop(memo, runs=runs))
    design = accelerators.build("eyeriss_like", {"pe_cols": 4, "pe_rows": 2, "glb_kib": 64})
    pairs = [(ConvShape(N=1, C=16, M=32, P=14, Q=14, R=3, S=3), design)]
    (answer,) = sensor.found(pairs)
    (folder,) = runs.iterdir()
    (modelled,) = sensor.model(pairs, [answer["mapping"]])
    assert Output.from_json(modelled["output"]) == Output.from_json(answer["output"]), "as the mapper said"
    text = (folder / f"{MAPPER}.stats.txt").read_text()
    total = float(text.partition("Energy: ")[2].split()[0])
    assert answer["output"]["energy_pj"] * 1e-6 == pytest.approx(total, abs=0.006), "leakage included"
    levels = {level["name"]: level for level in answer["output"]["levels"]}
    assert list(levels) == ["spad", "buffer", "DRAM"]
    assert levels["spad"]["instances"] == answer["output"]["mac_units"] == 8
    assert levels["DRAM"]["energy_pj"] == pytest.approx(512 * levels["DRAM"]["accesses"])
    assert 0.05 < sensor.area_mm2(design, 200e6) < 1


OWN = """
architecture:
  version: 0.4
  nodes:
  - !Container {name: system}
  - !Component
    name: DRAM
    class: DRAM
    attributes: {type: "LPDDR4", width: 64, datawidth: 16, depth: 1048576}
  - !Container {name: chip, attributes: {technology: "45nm"}}
  - !Component
    name: buffer
    class: SRAM
    attributes: {depth: 1, width: 64, n_banks: 32, n_rdwr_ports: 2, datawidth: 16}
    constraints: {dataspace: {keep: [Inputs, Outputs], bypass: [Weights]}}
  - !Container
    name: PE
    spatial: {meshX: 1, meshY: 1}
    constraints: {spatial: {factors: [R=1, S=1, P=1, Q=1, N=1], permutation: [M, C, R, S, P, Q, N], split: 1}}
  - !Component
    name: spad
    class: regfile
    attributes: {depth: 64, width: 16, datawidth: 16}
    constraints: {dataspace: {keep: [Weights], bypass: [Inputs, Outputs]}}
  - !Component {name: mac, class: intmac, attributes: {datawidth: 16, width: 16}}
variables: {version: 0.4, global_cycle_seconds: 1e-9, technology: "45nm"}
"""
