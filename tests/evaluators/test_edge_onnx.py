"""An ONNX network measured by onnxruntime, here and as a board would; what is checked is never a speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from dse.cli import application
from evaluators import edge
from evaluators.edge import board, files, onnx_board
from evaluators.edge.measured import measure, plan, runtime, script
from evaluators.memo import Memo
from search_spaces.errors import UserError
from search_spaces.networks import build_module, load
from search_spaces.networks.onnx_split import OnnxSplitter
from search_spaces.types import CutMode, Network
from tests.evaluators.test_edge_measured import OLD_PYTHONS, STUB
from tests.search_spaces.networks.exports import NODE, export, onnx_file, with_blanks


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    export(build_module("lenet5"), folder / "net.onnx", (1, 1, 32, 32), True)
    return folder


@pytest.fixture
def network(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    monkeypatch.chdir(exported)
    return load("net.onnx")


@pytest.mark.parametrize("method", board.METHODS)
def test_the_cuts_are_those_of_torch_and_the_last_costs_nothing(network: Network, method: str) -> None:
    found = measure(network, method=method, runs=3, threads=1)
    assert [cut["name"] for cut in found["cuts"]] == [cut.name for cut in load("lenet5").cuts]
    seconds = [cut["latency_s"] for cut in found["cuts"]]
    assert all(s > 0 for s in seconds[:-1]) and seconds[-1] == 0
    profile = files.edge_profile(json.loads(json.dumps(found)), network, "here")
    assert (profile.provenance, profile.latency_s) == ("measured", tuple(seconds))
    said = " ".join((profile.device, *profile.notes))
    for fact in ("cpu", "median of 3 runs", "onnxruntime 1.", "graph optimisation all", "1 threads", method):
        assert fact in said
    assert "torch" not in said and "torch" not in found["environment"]


@pytest.mark.parametrize("mode", ["tensor", "frontier"])
def test_the_sections_one_after_the_other_are_the_whole(mode: CutMode, tmp_path: Path) -> None:
    file = export(build_module("squeezenet1_1"), tmp_path / "net.onnx", (1, 3, 35, 35), False)
    network = load(file, None, mode)
    splitter = OnnxSplitter(network)
    import onnxruntime

    found = plan(network, splitter)
    sections = onnx_board._Network(splitter.prepared, found, "cpu", 1, onnxruntime)
    source = np.random.default_rng(0).random((1, 3, 35, 35), np.float32)
    session = onnxruntime.InferenceSession(splitter.whole.SerializeToString(), providers=["CPUExecutionProvider"])
    (whole,) = session.run(None, {session.get_inputs()[0].name: source})
    values = board._crossing(sections, onnxruntime.OrtValue.ortvalue_from_numpy(source))
    assert np.allclose(values[session.get_outputs()[0].name].numpy(), whole, rtol=1e-4, atol=1e-6)
    for cut, entry in list(zip(network.cuts, found["cuts"], strict=True))[::6]:
        rest = sections.part(set(entry["tail"]))
        assert [tuple(values[name].shape()) for name in rest.inputs] == [tensor.shape for tensor in cut.tensors]
        (result,) = rest.run(*[values[name] for name in rest.inputs])
        assert np.allclose(result.numpy(), whole, rtol=1e-4, atol=1e-6), cut.name


def test_the_whole_is_timed_on_its_own_too(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions one after the other are not what one session takes: it fuses operators across sections."""
    parts: list[set[int]] = []
    alone = board._alone
    monkeypatch.setattr(board, "_alone", lambda *args: parts.append(args[2]) or alone(*args))
    measure(network, runs=3, threads=1)
    tails = [set(cut["tail"]) for cut in plan(network)["cuts"]]
    assert parts[0] == tails[0] == max(tails, key=len) and all(tail in tails for tail in parts)


def test_sessions_are_pinned_and_measured_once(network: Network) -> None:
    asked = {"threads": 2, "graph_optimisation": "all", "execution": "sequential"}
    assert asked.items() <= runtime(network, "cpu", 2).items() and "onnxruntime" in runtime(network, "cpu", 2)
    assert runtime(network, "cpu", None)["threads"] == onnx_board.default_threads() >= 1
    with Memo() as memo:
        first = edge.measure(network, "cpu", runs=2, threads=1, memo=memo)
        assert edge.measure(network, "cpu", runs=2, threads=1, memo=memo) == first
        (cut, *_), (again, *_) = first["cuts"], edge.measure(network, "cpu", runs=3, threads=1, memo=memo)["cuts"]
        assert (cut["runs"], again["runs"]) == (2, 3)
    options = onnx_board._Network(
        OnnxSplitter(network).prepared, plan(network), "cpu", 2, onnx_board.check_runtime("cpu")
    ).options
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_profiles_of_torch_and_onnxruntime_are_not_joined(network: Network) -> None:
    ours = measure(network, runs=1, threads=1)
    other = {**ours, "environment": {**ours["environment"], "onnxruntime": "1.0"}}
    with pytest.raises(UserError, match=r"these differ in onnxruntime \(1\..* and 1\.0\)"):
        files.merge([ours, other])


def test_what_is_missing_comes_with_the_way_to_get_it(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no CUDA device to measure on: onnxruntime here has none.*measured:cpu"):
        edge.profile(network, "measured:cuda", runs=1)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"needs onnxruntime: pip install 'paretocut\[onnx\]'$"):
        edge.profile(network, "measured:cpu", runs=1)


def test_another_file_of_the_same_layers_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may come back with other types, such as 16-bit floats, and has the same layers."""
    monkeypatch.chdir(tmp_path)
    nodes = [NODE("Relu", ["x"], ["a"]), NODE("Sigmoid", ["a"], ["y"])]
    onnx_file(Path("net.onnx"), nodes, {"x": [1, 8]}, ["y"])
    network = load("net.onnx", None, "tensor")
    with Memo() as memo:
        edge.measure(network, "cpu", runs=1, memo=memo)
        model = onnx.load("net.onnx")
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
        onnx.save(model, "net.onnx")
        assert load("net.onnx", None, "tensor") == network
        edge.measure(network, "cpu", runs=1, memo=memo)
        assert memo.info().entries == {"edge-profile": 2}


def test_results_and_operands_that_are_left_out_are_not_asked_for(tmp_path: Path) -> None:
    found = measure(load(with_blanks(tmp_path / "lstm.onnx"), None, "tensor", merge=False), runs=1)
    assert [cut["latency_s"] > 0 for cut in found["cuts"]] == [True, True, True, False]


def test_an_input_that_has_no_room_is_one_line(tmp_path: Path) -> None:
    nodes = [NODE("Relu", ["x"], ["a"]), NODE("Sigmoid", ["a"], ["y"])]
    file = onnx_file(tmp_path / "net.onnx", nodes, {"x": ["batch", 8]}, ["y"])
    with pytest.raises(UserError, match="cannot run the network: Unable to allocate"):
        measure(load(file, (10**15, 8), "tensor"), runs=1)


def test_an_operator_that_onnxruntime_lacks_is_one_line(tmp_path: Path) -> None:
    nodes = [NODE("Relu", ["x"], ["a"]), NODE("Fancy", ["a"], ["b"], domain="my.domain"), NODE("Relu", ["b"], ["y"])]
    file = onnx_file(tmp_path / "fancy.onnx", nodes, {"x": [1, 8]}, ["y"], stated={"a": [1, 8], "b": [1, 8]})
    with pytest.raises(UserError, match=r"onnxruntime 1\..* cannot run the network: .*Fancy") as caught:
        measure(load(file, None, "tensor"), runs=1)
    assert "\n" not in str(caught.value)


# on a board


def test_the_archive_profiles_without_paretocut_and_torch(network: Network, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        application(), ["profile", "net.onnx", "--script", str(tmp_path / "there.pyz")], catch_exceptions=False
    )
    assert "needs Python 3.8, onnx and onnxruntime" in done.stdout and "python3 there.pyz --out" in done.stdout
    blocked = STUB.replace('"numpy", "dse", "evaluators", ', '"torch", "dse", ')
    blocked += "import runpy; sys.argv = ['there.pyz', '--runs', '2', '--threads', '1', '--out', 'b.json']\n"
    blocked += "runpy.run_path('there.pyz', run_name='__main__')\n"
    ran = subprocess.run(
        [sys.executable, "-c", blocked], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "2 of 2" in ran.stderr
    profile = edge.profile(network, f"profile:{tmp_path / 'b.json'}")
    assert profile.latency_s[0] > 0 == profile.latency_s[-1]


@pytest.mark.skipif(not OLD_PYTHONS, reason="no Python 3.8 in ~/.pyenv/versions")
def test_the_archive_loads_and_answers_on_python_3_8(network: Network, tmp_path: Path) -> None:
    (tmp_path / "there.pyz").write_bytes(script(network))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [str(OLD_PYTHONS[-1]), "there.pyz", *arguments]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env={})

    assert "--precision" in run("--help").stdout
    refused = run("--runs", "0", "--out", "b.json")
    assert (refused.returncode, refused.stderr) == (2, "measuring an edge node needs at least 1 run, not 0\n")
    bare = run("--out", "b.json")
    assert (bare.returncode, bare.stderr) == (
        2, "measuring an ONNX network needs onnxruntime: pip install onnx onnxruntime\n",
    )  # fmt: skip


def test_the_archive_holds_the_network_itself(network: Network, tmp_path: Path) -> None:
    (tmp_path / "there.pyz").write_bytes(script(network))
    names = zipfile.ZipFile(tmp_path / "there.pyz").namelist()
    assert {"__main__.py", "network.onnx", "plan.json", "evaluators/edge/board.py"} <= set(names)
