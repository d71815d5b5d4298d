"""Head, then tail, of an ONNX file is the whole network, run by onnxruntime: for every cut, number for number."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization
from torch import nn
from typer.testing import CliRunner

from dse.cli import application, run_application
from search_spaces.errors import UserError
from search_spaces.networks import build_module, load, parts
from search_spaces.networks.onnx_split import OnnxSplitter
from search_spaces.networks.parts import write_parts
from search_spaces.types import CutMode, Network
from tests.search_spaces.networks.exports import NODE, export, onnx_file, with_blanks

MODES: tuple[CutMode, ...] = ("tensor", "frontier")


class Hard(nn.Module):
    """Its input is read again later, a filter serves twice, and its end asks for sizes of what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.conv(x))
        z = self.conv(y) + x
        a, b = z.chunk(2, 1)
        joined = torch.cat([b, torch.sigmoid(a)], 1) * y
        return self.linear(joined.view(joined.size(0), -1))


def check(file: str, shape: tuple[int, ...] | None = None, step: int = 1, modes: tuple[CutMode, ...] = MODES) -> int:
    """Split at every `step`th cut of some modes, and compare with the whole file; the number of cuts."""
    seen: set[frozenset[int]] = set()
    for mode in modes:
        network = load(file, shape, mode, max_cuts=60)
        splitter = OnnxSplitter(network)
        source = parts._random(network.input.shape, np.dtype(np.float32))
        (whole,) = run(splitter.whole, [source])
        assert np.abs(whole.astype(float)).max() > 0
        for cut in network.cuts[::step]:
            if cut.layers in seen:
                continue
            seen.add(cut.layers)
            head, tail = splitter.split(cut)
            crossing = [source] if head is None else run(head, [source])
            assert [value.shape for value in crossing] == [tensor.shape for tensor in cut.tensors], cut.name
            (result,) = crossing if tail is None else run(tail, crossing)
            assert np.array_equal(result, whole), cut.name
    return len(seen)


def run(model: onnx.ModelProto, values: list[np.ndarray]) -> list[np.ndarray]:
    onnx.checker.check_model(model)
    return list(parts._onnx_runner(model.SerializeToString())(*values))


@pytest.mark.parametrize("dynamo", [True, False])
def test_every_cut_of_a_network_with_all_that_is_hard(dynamo: bool, tmp_path: Path) -> None:
    file = export(Hard(), tmp_path / "hard.onnx", (1, 4, 6, 6), dynamo)
    assert check(file) >= 7
    sent = [[tensor.name for tensor in cut.tensors] for cut in load(file, None, "frontier").cuts]
    assert any(names[0] == "Identity" and len(names) > 1 for names in sent)  # the input crosses with another


def test_sizes_that_are_asked_for_at_run_time_are_known_to_the_tail(tmp_path: Path) -> None:
    """With an open batch the older exporter asks for shapes with operators; they are written in for the input given."""
    options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    file = export(Hard(), tmp_path / "hard.onnx", (1, 4, 6, 6), False, **options)
    assert "Shape" in {node.op_type for node in onnx.load(file).graph.node}
    assert check(file, (2, 4, 6, 6)) >= 7


@pytest.mark.parametrize(
    ("name", "shape", "dynamo", "step"),
    [
        ("squeezenet1_1", (1, 3, 35, 35), False, 3),
        ("mobilenet_v3_small", (1, 3, 32, 32), False, 9),
        pytest.param("googlenet", (1, 3, 32, 32), True, 2, marks=pytest.mark.slow),
        pytest.param("resnet18", (1, 3, 32, 32), False, 1, marks=pytest.mark.slow),
        pytest.param("fcn_resnet50", (1, 3, 32, 32), True, 5, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", (1, 3, 32, 32), False, 5, marks=pytest.mark.slow),
    ],
)
def test_cuts_of_families(name: str, shape: tuple[int, ...], dynamo: bool, step: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = export(build_module(name), tmp_path / "net.onnx", shape, dynamo)
    assert check(file, step=step) > 5


def test_another_input_than_the_files(tmp_path: Path) -> None:
    torch.manual_seed(0)
    file = export(build_module("squeezenet1_1"), tmp_path / "net.onnx", (1, 3, 64, 64), False)
    assert check(file, (1, 3, 35, 35), 5, ("tensor",)) > 2


@pytest.mark.parametrize("kind", ["qdq", "operators", "dynamic"])
def test_quantised_files(kind: str, tmp_path: Path) -> None:
    """They have the products of the network that they were made of; what is not costed, or not known, is said."""
    torch.manual_seed(0)
    shape, quantised = (1, 4, 6, 6), tmp_path / "quantised.onnx"
    file = export(Hard(), tmp_path / "hard.onnx", shape, False, input_names=["x"], opset_version=17)

    class Inputs(quantization.CalibrationDataReader):
        left = 2

        def get_next(self) -> dict[str, np.ndarray] | None:
            self.left -= 1
            return {"x": parts._random(shape, np.dtype(np.float32))} if self.left >= 0 else None

    if kind == "dynamic":
        quantization.quantize_dynamic(file, quantised, weight_type=quantization.QuantType.QUInt8)
    else:
        form = {"qdq": quantization.QuantFormat.QDQ, "operators": quantization.QuantFormat.QOperator}[kind]
        quantization.quantize_static(file, quantised, Inputs(), quant_format=form, per_channel=kind == "qdq")
    ours, theirs = load(str(quantised), None, "tensor"), load(file, None, "tensor")
    products = [[layer.shape for layer in n.layers if layer.cost == "mac"] for n in (ours, theirs)]
    assert products[0] == products[1] != []
    said = " ".join(ours.notes)
    if kind == "dynamic":
        assert "operator DynamicQuantizeLinear (×3) is not known" in said
    else:
        assert "not known" not in said and "are not costed: hardware for whole numbers" in said
        weights = [sum(layer.parameters for layer in n.layers) for n in (ours, theirs)]
        assert weights[0] - weights[1] in (0, 4)  # the shared bias may be there twice, for the scale of either input
        assert [cut.elements for cut in ours.cuts] == [cut.elements for cut in theirs.cuts]
    assert check(str(quantised)) >= 7
    if kind == "qdq":  # what is sent is whole numbers; the tail makes floats of them
        heads = [OnnxSplitter(ours).split(cut)[0] for cut in ours.cuts[1:-1]]
        types = {head.graph.output[0].type.tensor_type.elem_type for head in heads if head is not None}
        assert types == {TensorProto.INT8}


def by_hand(path: Path, ir_version: int = 10) -> onnx.ModelProto:
    """x → my.domain.Double → Conv with a filter → Double, where Double is a function of the file's own."""
    double = helper.make_function(
        "my.domain", "Double", ["a"], ["b"], [NODE("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    nodes = [
        NODE("Double", ["x"], ["d"], domain="my.domain"),
        NODE("Conv", ["d", "w"], ["c"]),
        NODE("Double", ["c"], ["y"], domain="my.domain"),
    ]
    weight = np.arange(36, dtype=np.float32).reshape(4, 1, 3, 3)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 6, 6])]
    if ir_version < 4:  # then a file lists its weights among its inputs
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 1, 3, 3]))
        nodes = [NODE("Add", ["x", "x"], ["d"]), nodes[1], NODE("Relu", ["c"], ["y"])]
    graph = helper.make_graph(
        nodes, "by hand", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    functions = [double] if ir_version >= 4 else []
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=ir_version)


@pytest.mark.parametrize("kind", ["functions", "external", "old"])
def test_local_functions_external_weights_and_old_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(
        by_hand(path, 3 if kind == "old" else 10), path,
        save_as_external_data=kind == "external", location="weights.bin", size_threshold=0,
    )  # fmt: skip
    assert (tmp_path / "weights.bin").exists() == (kind == "external")
    assert check(str(path)) == (3 if kind == "old" else 4)
    if kind == "external":
        (tmp_path / "weights.bin").unlink()
        with pytest.raises(UserError, match=r"the weights of .* cannot be read") as caught:
            OnnxSplitter(load(str(path), None, "tensor"))
        assert "\n" not in str(caught.value)


def test_small_weights_in_another_file_may_be_sizes(tmp_path: Path) -> None:
    """A bias of 2 KiB, and what the operators of the shape arithmetic read, lie in a file beside the network."""
    nodes = [
        NODE("Conv", ["x", "w", "b"], ["c"]), NODE("NonZero", ["b"], ["n"]), NODE("Shape", ["n"], ["s"]),
        NODE("Gather", ["s", "last"], ["t"]), NODE("Concat", ["some", "t"], ["sizes"], axis=0),
        NODE("Reshape", ["c", "sizes"], ["y"]),
    ]  # fmt: skip
    held: dict[str, np.ndarray] = {"w": np.ones((512, 3, 1, 1), np.float32), "b": np.ones(512, np.float32)}
    held |= {"last": np.array([1]), "some": np.array([-1])}
    graph = helper.make_graph(
        nodes, "by hand", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert load(str(tmp_path / "net.onnx"), None, "tensor", merge=False).cuts[-1].tensors[0].shape == (64, 512)
    assert check(str(tmp_path / "net.onnx")) == 2
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(UserError, match=r"does not take an input of 2x3x8x8: .*external"):
        load(str(tmp_path / "net.onnx"), (2, 3, 8, 8), "tensor")


def test_results_and_operands_that_are_left_out_do_not_cross(tmp_path: Path) -> None:
    file = with_blanks(tmp_path / "lstm.onnx")
    assert [cut.name for cut in load(file, None, "tensor", merge=False).cuts] == ["Identity", "h", "a", "y"]
    assert check(file) == 4


@pytest.fixture(scope="module")
def lenet5(tmp_path_factory: pytest.TempPathFactory) -> str:
    return export(build_module("lenet5"), tmp_path_factory.mktemp("onnx") / "net.onnx", (1, 1, 32, 32), True)


@pytest.fixture
def small(lenet5: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.chdir(tmp_path)
    for file in Path(lenet5).parent.iterdir():  # the weights may lie beside it
        shutil.copy(file, tmp_path)
    return load("net.onnx")


def test_the_command_writes_onnx_files_and_says_why_no_others(
    small: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["split", "net.onnx", "--cut", "MaxPool2d: 1-3", "--out", "parts"]
    done = CliRunner().invoke(application(), command, catch_exceptions=False).stdout
    assert sorted(path.name for path in Path("parts").iterdir()) == ["head.onnx", "split.json", "tail.onnx"]
    assert "1x6x14x14 crosses" in done and "difference 0 in outputs" in done and "(onnxruntime)" in done
    assert "no programs of torch.export: torch cannot read an ONNX file" in done
    told = json.loads(Path("parts/split.json").read_text())
    assert (told["difference"], told["onnx_difference"], told["crossing"]) == (None, 0.0, [[1, 6, 14, 14]])
    tail = load("parts/tail.onnx")  # a network itself, with its modules
    assert [cut.name for cut in tail.cuts][1].startswith("Conv2d")
    assert run_application(application(), [*command, "--no-onnx"], "paretocut") == 2
    assert "leave out --no-onnx" in capsys.readouterr().err


def test_without_onnxruntime_the_reference_evaluator_checks(small: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = write_parts(small, small.cuts[4], Path("parts"))
    assert found.onnx_runtime == "ONNX's reference evaluator" and found.onnx_difference == 0


def test_an_operator_that_nothing_runs_is_one_line(tmp_path: Path) -> None:
    nodes = [NODE("Relu", ["x"], ["a"]), NODE("Fancy", ["a"], ["b"], domain="my.domain"), NODE("Relu", ["b"], ["y"])]
    file = onnx_file(tmp_path / "fancy.onnx", nodes, {"x": [1, 8]}, ["y"], stated={"a": [1, 8], "b": [1, 8]})
    network = load(file, None, "tensor")
    with pytest.raises(UserError, match=r"the whole network of .* cannot be run: .*Fancy") as caught:
        write_parts(network, network.cuts[1], tmp_path / "parts")
    assert "\n" not in str(caught.value) and not (tmp_path / "parts").exists()


def test_parts_that_are_not_the_network_are_refused(small: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = parts._difference
    monkeypatch.setattr(parts, "_difference", lambda runs, source, whole: honest(runs, source, whole * np.float32(2)))
    with pytest.raises(UserError, match="is not what it was: the ONNX files of head then tail differ by up to"):
        write_parts(small, small.cuts[3], Path("parts"))


def test_a_file_that_changed_since_it_was_cut_is_refused(small: Network) -> None:
    shutil.copy(export(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), Path("o.onnx"), (1, 1, 32, 32), False), "net.onnx")
    with pytest.raises(UserError, match=r"the layers of net\.onnx are not those read now"):
        OnnxSplitter(small)
