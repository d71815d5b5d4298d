"""Profiles that travel: what is read, refused, joined; accelerators as edge nodes; rooflines fitted to measurements."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluators import edge
from evaluators.edge import accelerator, files
from evaluators.edge.board import FORMAT, VERSION
from evaluators.edge.calibrate import calibrate
from evaluators.edge.profile import EdgeProfile
from evaluators.edge.roofline import profile_roofline
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from evaluators.system import System, SystemSettings
from search_spaces import accelerators, devices
from search_spaces.errors import UserError
from search_spaces.networks import load
from search_spaces.space import sensor_edge_space
from search_spaces.types import ConvShape, Network
from tests.fakes import FakeSensor, toy_network


def profile_of(network: Network, **changes: Any) -> dict[str, Any]:
    """A made-up profile: 10 ms, 9 ms, … after the cuts."""
    cuts = [
        {"name": c.name, "elements": c.elements, "latency_s": 1e-3 * (10 - i), "iqr_s": 1e-4, "runs": 50, "outliers": 1}
        for i, c in enumerate(network.cuts)
    ]
    whole = {
        "format": FORMAT, "version": VERSION, "network": network.name, "input": list(network.input.shape),
        "cut_modes": [network.cut_mode], "device": "cpu: made up", "method": "segments", "warm_up_runs": 2,
        "power_w": 4.0, "power_from": "rapl", "environment": {"torch": "2.0.0", "threads": 4, "power_mode": "MAXN"},
        "cuts": cuts,
    }  # fmt: skip
    return {**whole, **changes}


def written(profile: Any, path: Path) -> str:
    path.write_text(profile if isinstance(profile, str) else json.dumps(profile))
    return str(path)


def test_a_profile_is_an_edge_node(tmp_path: Path) -> None:
    network = toy_network()
    name = f"profile:{written(profile_of(network), tmp_path / 'orin.json')}"
    found = edge.profile(network, name)
    assert found.latency_s == pytest.approx([0.010, 0.009, 0.008, 0.007, 0.006, 0.005])
    assert (found.provenance, found.power_w, found.power_provenance) == ("measured", 4.0, "measured")
    system = System(network, SystemSettings(edge=name), Memo(), sensor_model=FakeSensor())
    evaluation = system.evaluate(sensor_edge_space(network).decode((2,) + (0,) * 10))
    assert evaluation.metrics["edge_energy_j"] == pytest.approx(0.008 * 4)
    assert evaluation.provenance["edge_energy_j"] == "measured"


def test_a_question_knows_a_profile_by_what_it_says(tmp_path: Path) -> None:
    network = toy_network()

    def fingerprint(profile: dict[str, Any], name: str) -> dict[str, Any]:
        settings = SystemSettings(edge=f"profile:{written(profile, tmp_path / name)}")
        return System(network, settings, Memo(), sensor_model=FakeSensor()).fingerprint()

    first, other = profile_of(network), profile_of(network, power_w=5.0)
    assert fingerprint(first, "a.json") == fingerprint(first, "b.json") != fingerprint(other, "a.json")


def test_only_the_networks_cuts_are_taken(tmp_path: Path) -> None:
    network = toy_network()
    fewer = replace(network, cuts=network.cuts[::2])
    name = written(profile_of(network), tmp_path / "p.json")
    assert edge.profile(fewer, f"profile:{name}").latency_s == pytest.approx([0.010, 0.008, 0.006])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": "vgg16"}, "it is of vgg16, not toy"),
        ({"input": [1, 3, 8, 8]}, "its input is 1x3x8x8, not 1x3x16x16"),
        ({"cuts": 2}, "it lacks the cuts pool, left+pool, add and 1 more (it has mode block"),
        ({"elements": 7}, "its cut 'conv1' sends 7 elements, not 2048"),
    ],
)
def test_a_profile_that_does_not_fit_says_what_differs(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    network = toy_network()
    profile = profile_of(network)
    if "cuts" in changes:
        profile["cuts"] = profile["cuts"][: changes["cuts"]]
    elif "elements" in changes:
        profile["cuts"][1]["elements"] = changes["elements"]
    else:
        profile |= changes
    with pytest.raises(UserError) as caught:
        edge.profile(network, f"profile:{written(profile, tmp_path / 'p.json')}")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (json.dumps(profile_of(toy_network()))[:200], "is cut short or no JSON"),
        ("[" * 100_000, "is cut short or no JSON"),
        ("[]", "does not say"),
        ('{"format": "other"}', "does not say"),
        (json.dumps(profile_of(toy_network(), version=9)), "its version is 9"),
        (json.dumps(profile_of(toy_network(), device=None)), "its field device"),
        (json.dumps(profile_of(toy_network(), cuts=[])), "has no cuts"),
        (json.dumps(profile_of(toy_network(), cut_modes=[])), "cut_modes is no list of modes"),
        (json.dumps(profile_of(toy_network(), cut_modes=[{}])), "cut_modes is no list of modes"),
        (json.dumps(profile_of(toy_network(), input=[1, "3"])), "input is no list of sizes"),
        (json.dumps(profile_of(toy_network(), cuts=[{"name": "x"}])), "cut 1 lacks one of"),
        (json.dumps(profile_of(toy_network(), power_w=-1)), "its power is -1"),
        (json.dumps(profile_of(toy_network(), power_w=10**400)), "int too large"),
        (json.dumps(profile_of(toy_network())).replace("0.01,", "NaN,", 1), "latency of cut 'Identity'"),
    ],
)
def test_what_is_no_profile_is_refused_in_one_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        SystemSettings(edge=f"profile:{written(text, tmp_path / 'p.json')}")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_profile_names_those_that_come_along() -> None:
    with pytest.raises(UserError, match=r"no profile 'nowhere\.json'"):
        files.read("nowhere.json")


@pytest.mark.parametrize("name", files.shipped())
def test_every_profile_that_comes_along_fits_its_network(name: str) -> None:
    profile = files.read(name)
    network = load(profile["network"], tuple(profile["input"]), profile["cut_modes"][0])
    assert files.differences(profile, network) == []
    seconds = [cut["latency_s"] for cut in profile["cuts"]]
    assert seconds[0] == max(seconds)
    assert profile["environment"]["machine"] in name


def test_profiles_of_two_cut_modes_are_joined() -> None:
    network = toy_network()
    few, many = profile_of(network), profile_of(network, cut_modes=["tensor"])
    few["cuts"], many["cuts"] = few["cuts"][:3], copy.deepcopy(many["cuts"][2:])
    many["cuts"][0] |= {"runs": 100, "latency_s": 0.0085}
    merged = files.merge([few, many])
    assert files.differences(merged, network) == []
    assert merged["cut_modes"] == ["block", "tensor"]
    found = files.edge_profile(merged, network, "merged").latency_s
    assert found == pytest.approx([0.010, 0.009, 0.0085, 0.007, 0.006, 0.005])


def test_profiles_of_different_computers_are_not_joined() -> None:
    network = toy_network()
    other = profile_of(
        network, device="cuda: other", environment={"torch": "2.0.0", "threads": 8, "power_mode": "MAXN"}
    )
    with pytest.raises(UserError, match=r"differ in device \(cpu: made up and cuda: other\), threads \(4 and 8\)"):
        files.merge([profile_of(network), other])
    rounds = profile_of(network, environment={**profile_of(network)["environment"], "tf32": True})
    with pytest.raises(UserError, match=r"differ in tf32 \(None and True\)"):
        files.merge([profile_of(network), rounds])


# an accelerator as edge node


def test_an_accelerator_is_an_edge_node_with_its_own_energy() -> None:
    """Oracle: the layers after every cut, added up one by one."""
    network, settings = load("lenet5"), SensorSettings()
    with Memo() as memo:
        found = edge.profile(network, "accelerator:simba_like,pe_cols=2,clock_mhz=400", memo=memo, settings=settings)
        model = SensorModel(settings, memo)
        architecture = accelerators.build("simba_like", {"pe_cols": 2})
        costs = model.layer_costs(network, architecture, 400e6, accelerator.DEFAULT_DRAM)
        assert found.energy_j is not None
        for cut, seconds, joules in zip(network.cuts, found.latency_s, found.energy_j, strict=True):
            after = [i for i in range(len(network.layers)) if i not in cut.layers]
            assert seconds == pytest.approx(sum(costs.latency_s[i] for i in after), rel=1e-12)
            assert joules == pytest.approx(sum(costs.energy_j[i] for i in after), rel=1e-12)
        system = System(network, SystemSettings(edge="accelerator:simba_like,pe_cols=2,clock_mhz=400"), memo)
        space = sensor_edge_space(network, accelerators=("simba_like",), clock_mhz=(100,))
        metrics = system.metrics(space.decode((1,) + (0,) * 10))
        assert metrics["edge_energy_j"] == found.energy_j[1]
        block = system.architecture_block(space, space.indices_of(0)[1:8])
        assert block.metrics["edge_energy_j"][1, 0, 0, 0] == found.energy_j[1]
        with_power = replace(system.settings, edge_power_w=5.0)
        metrics = System(network, with_power, memo).metrics(space.decode((1,) + (0,) * 10))
        assert metrics["edge_energy_j"] == 5.0 * found.latency_s[1], "a power that is given counts in its place"


@pytest.mark.parametrize("name", accelerators.names())
def test_every_template_can_serve_the_edge(name: str) -> None:
    found = edge.profile(load("lenet5"), f"accelerator:{name},clock_mhz=100")
    assert list(found.latency_s) == sorted(found.latency_s, reverse=True)
    assert found.latency_s[0] > 0 == found.latency_s[-1]


def test_a_question_knows_an_accelerator_by_all_its_parameters() -> None:
    def fingerprint(name: str) -> dict[str, Any]:
        return System(toy_network(), SystemSettings(edge=name), Memo(), sensor_model=FakeSensor()).fingerprint()

    own = fingerprint("accelerator:simba_like")
    assert own == fingerprint("accelerator:simba_like,clock_mhz=500,dram=lpddr4")
    assert own != fingerprint("accelerator:simba_like,pe_cols=2")
    assert own != fingerprint("accelerator:simba_like,clock_mhz=400")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("accelerator:simba", "did you mean 'simba_like'"),
        ("accelerator:simba_like,pe_col=2", "pe_cols"),
        ("accelerator:simba_like,8", "with parameters, as accelerator:simba_like,pe_cols=8"),
        ("accelerator:simba_like,clock_mhz=0", "MHz of at least 0.001"),
        ("accelerator:simba_like,clock_mhz=nan", "MHz of at least 0.001, not nan"),
        ("accelerator:simba_like,clock_mhz=inf", "MHz of at least 0.001, not inf"),
        ("accelerator:simba_like,clock_mhz=1e-320", "MHz of at least 0.001, not 1e-320"),
    ],
)
def test_an_accelerator_that_does_not_exist_is_refused(name: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        SystemSettings(edge=name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_accelerator_that_cannot_run_a_layer_is_no_edge_node() -> None:
    """Filters are at most 12 high on eyeriss_like."""
    network, tall = toy_network(), ConvShape(N=1, C=2, M=2, P=4, Q=4, R=1, S=13)
    layers = (*network.layers[:-1], replace(network.layers[-1], cost="mac", shape=tall))
    with pytest.raises(UserError, match=f"accelerator:eyeriss_like cannot run {network.name}: {layers[-1].name}: "):
        edge.profile(replace(network, layers=layers), "accelerator:eyeriss_like")


def test_a_clock_that_is_too_fast_is_the_users_error() -> None:
    with pytest.raises(UserError, match="accelerator:simba_like,clock_mhz=90000 cannot exist"):
        edge.profile(load("lenet5"), "accelerator:simba_like,clock_mhz=90000")


# rooflines


@pytest.mark.parametrize("name", ["jetson-tx2", "generic-cpu"])
def test_calibration_finds_the_factors_a_profile_was_made_with(name: str) -> None:
    """On this network both compute-bound and memory-bound layers remain, so that all three factors show."""
    network = load("googlenet")
    truth = replace(devices.get(name), compute_efficiency=0.31, bandwidth_efficiency=0.23, launch_overhead_s=21e-6)
    found = calibrate(network, devices.get(name), profile_roofline(network, truth))
    assert found.device.compute_efficiency == pytest.approx(0.31, rel=0.02)
    assert found.device.bandwidth_efficiency == pytest.approx(0.23, rel=0.02)
    assert found.device.launch_overhead_s == pytest.approx(21e-6, rel=0.02)
    assert found.median_error_after < 0.005 < found.median_error_before
    assert [row.cut for row in found.rows] == [cut.name for cut in network.cuts]


def test_calibration_comes_closer_to_what_no_roofline_fits() -> None:
    network, device = load("squeezenet1_1"), devices.get("generic-cpu")
    wild = np.random.default_rng(1).uniform(0.5, 2.0, len(network.cuts)) * profile_roofline(network, device).latency_s
    found = calibrate(network, device, EdgeProfile("wild", tuple(map(float, wild)), 0.0, "measured"))
    shorter = calibrate(network, device, EdgeProfile("wild", tuple(map(float, wild / 3)), 0.0, "measured"))
    assert found.median_error_after < 0.6
    assert shorter.rows[0].after_s < found.rows[0].after_s
    assert json.loads(json.dumps(found.to_json()))["cuts"][0]["cut"] == "Identity"


def test_three_factors_need_three_cuts() -> None:
    network = toy_network()
    two = EdgeProfile("d", (1e-3, 5e-4, 0.0, 0.0, 0.0, 0.0), 0.0, "measured")
    with pytest.raises(UserError, match="at least three cuts"):
        calibrate(network, devices.get("generic-cpu"), two)
