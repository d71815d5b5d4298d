"""ZigZag as a second opinion: what it is told, how it fails, and where it is installed, that it agrees in the rough."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluators.mapper.energy import price
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from evaluators.zigzag.layers import ZigzagLayers
from evaluators.zigzag.render import OFFERED, hardware, spatial_hints, workload
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape
from tests.evaluators.timeloop.test_layers import NETWORK, SIMBA

LAYER = ConvShape(N=1, C=3, M=21, P=7, Q=5, R=3, S=3, stride_w=2)
SETTINGS = SensorSettings(dvfs="off", accelerator_model="zigzag")

PACKAGE = '''
"""Stands in for the package: checks its files and gives figures made of them."""
import json, os, time, yaml
from pathlib import Path
from types import SimpleNamespace

def get_hardware_performance_zigzag(workload, hardware, mapping, *, opt, lpf_limit, **other):
    with Path(os.environ["ZIGZAG_CALLS"]).open("a") as calls:
        calls.write(f"{Path.cwd()}\\n")
    case = os.environ.get("ZIGZAG_CASE", "")
    if case == "fails":
        raise ValueError("no spatial mapping found")
    if case == "hangs":
        time.sleep(600)
    (layer,) = yaml.safe_load(Path(workload).read_text())
    levels = yaml.safe_load(Path(hardware).read_text())["memories"]
    assert opt in ("EDP", "latency", "energy") and lpf_limit == 6
    found = SimpleNamespace(
        latency_total2=1000.4, ideal_temporal_cycle=900.0, mac_energy=7.0,
        mem_energy_breakdown={"W": [1.0, 2.0, 512.0], "I": [4.0, 512.0], "O": [8.0, 1024.0]},
    )
    return 0.0, 0.0, [(found, None)]
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of that name and release, for this process and the ones it starts; where the calls are counted."""
    (tmp_path / "lib" / "zigzag").mkdir(parents=True)
    (tmp_path / "lib" / "zigzag" / "__init__.py").write_text("")
    (tmp_path / "lib" / "zigzag" / "api.py").write_text(PACKAGE)
    (tmp_path / "lib" / "zigzag_dse-3.9.9.dist-info").mkdir()
    (tmp_path / "lib" / "zigzag_dse-3.9.9.dist-info" / "METADATA").write_text("Name: zigzag-dse\nVersion: 3.9.9\n")
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'lib'}:{root}")
    monkeypatch.setenv("ZIGZAG_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    for name in ("zigzag", "zigzag.api"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield tmp_path / "calls"


def calls(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_figures_are_priced_like_ours(package: Path) -> None:
    """Two groups: 1000 cycles each, 15 pJ on the chip, 2048 pJ of DRAM, which are 4 accesses of 512 pJ."""
    memo = Memo()
    model = SensorModel(SETTINGS, memo)
    costs = model.layer_costs(NETWORK, SIMBA, 200e6, "hbm2")
    assert costs.cycles[0] == 2 * 1000
    assert costs.compute_cycles[0] == 2 * 900
    assert costs.dram_j[0] == pytest.approx(2 * 4 * 64 * 3.9e-12)
    mac_pj = price(SIMBA).mac.read_pj  # three input channels a group are fewer than four: nothing is padded
    assert costs.dynamic_j[0] == pytest.approx((2 * 15 + mac_pj * NETWORK.layers[0].macs) * 1e-12)
    assert costs.time_provenance([0]) == "simulated by zigzag-dse 3.9.9"
    assert "zigzag-dse 3.9.9" in model.version
    SensorModel(SETTINGS, memo).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert len(calls(package)) == 1
    assert memo.info().entries == {"zigzag": 1}
    assert not list(package.parent.glob("timeloop-*"))


def test_another_metric_is_another_question(package: Path) -> None:
    memo = Memo()
    for metric in ("edp", "delay", "energy", "edp"):
        ZigzagLayers(memo, metric).prepare_layers([(LAYER, SIMBA)])  # type: ignore[arg-type]
    assert len(calls(package)) == 3


def test_a_failure_leaves_a_trail(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIGZAG_CASE", "fails")
    memo = Memo()
    with pytest.raises(UserError, match=r"zigzag exited with status 1 on N=1 M=21.*no spatial mapping found") as error:
        ZigzagLayers(memo, "edp").map_layers([(LAYER, SIMBA)])
    (folder,) = calls(package)
    assert f"cd {folder} && " in str(error.value)
    assert (Path(folder) / "hardware.yaml").is_file()
    assert memo.info().entries == {}


def test_a_search_that_hangs_is_stopped(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIGZAG_CASE", "hangs")
    with pytest.raises(UserError, match=r"it ran for more than 1\.5 s"):
        ZigzagLayers(Memo(), "edp", limit_s=1.5).map_layers([(LAYER, SIMBA)])


def test_what_cannot_be_is_refused(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="offered for eyeriss_like and simba_like, not for gemmini_like"):
        ZigzagLayers(Memo(), "edp").map_layers([(LAYER, accelerators.build("gemmini_like"))])
    with pytest.raises(UserError, match="zigzag gives each layer one mapping"):
        SensorSettings(mapping="pareto", accelerator_model="zigzag")
    monkeypatch.setattr("evaluators.zigzag.layers.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'paretocut\[zigzag\]'"):
        ZigzagLayers(Memo(), "edp")


@pytest.mark.parametrize("name", OFFERED)
def test_it_is_told_our_sizes_meshes_and_energies(name: str) -> None:
    architecture = accelerators.build(name)
    priced = price(architecture)
    told = json.loads(json.dumps(hardware(priced, "lpddr4")))
    kept = [(k, level) for k, level in enumerate(architecture.levels) if level.keeps]
    assert [*told["memories"]] == [level.name for _, level in kept]
    array = told["operational_array"]
    sizes = dict(zip(array["dimensions"], array["sizes"], strict=True))
    units = 1
    for size in sizes.values():
        units *= size
    assert units == architecture.instances(-1)
    for k, level in kept:
        memory: dict[str, Any] = told["memories"][level.name]
        shared = 1
        for dimension in memory["served_dimensions"]:
            shared *= sizes[dimension]
        assert architecture.instances(k) * shared == units, "instances × units that each serves"
        for port, way, pj in zip(
            memory["ports"], "rw", (priced.levels[k].read_pj, priced.levels[k].write_pj), strict=True
        ):
            # of a row: the package charges cost × rows moved × narrowest / widest of the port
            charged_pj = memory[f"{way}_cost"] * port["bandwidth_min"] / port["bandwidth_max"]
            assert charged_pj == pytest.approx(512.0 if level.name == "DRAM" else pj), (level.name, way)
        if level.words is not None:
            assert memory["size"] == level.words * architecture.word_bits
        assert {port["type"] for port in memory["ports"]} == {"read", "write"}
    (hints,) = spatial_hints(architecture)
    assert set(hints["spatial_mapping_hint"]) == set(sizes)


def test_it_is_told_the_padded_layer() -> None:
    (told,) = yaml.safe_load(yaml.safe_dump(workload(LAYER, SIMBA)))
    assert dict(zip(told["loop_dims"], told["loop_sizes"], strict=True)) == {
        "B": 1, "K": 24, "C": 3, "OX": 7, "OY": 5, "FX": 3, "FY": 3,
    }  # fmt: skip
    assert told["dimension_relations"] == ["ix=2*ox+1*fx", "iy=1*oy+1*fy"]


@pytest.mark.skipif(find_spec("zigzag") is None, reason="zigzag-dse is not installed")
@pytest.mark.parametrize("name", OFFERED)
def test_the_real_package_is_of_our_opinion_in_the_rough(name: str) -> None:
    """Within a factor of two in cycles and energy on a layer that fills the array: only the rules differ."""
    architecture, shape = accelerators.build(name), ConvShape(N=1, C=16, M=64, P=28, Q=28, R=3, S=3)
    (theirs,) = ZigzagLayers(Memo(), "edp").map_layers([(shape, architecture)]).values()
    assert not isinstance(theirs, Exception)
    from evaluators.mapper.result import best_mappings

    (ours,) = best_mappings(shape, architecture, Memo())
    (candidate,) = theirs.candidates
    pj = candidate.on_chip_pj + candidate.dram_accesses * 512 + theirs.macs * price(architecture).mac.read_pj
    assert 0.5 < candidate.cycles / ours.cycles < 2
    assert 0.5 < pj / (ours.energy_j * 1e12) < 2
