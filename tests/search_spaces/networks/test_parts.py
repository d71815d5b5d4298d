"""Parts written as files: read back by someone else, head then tail is the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from typer.testing import CliRunner

from dse.cli import application, run_application
from search_spaces.errors import UserError
from search_spaces.networks import build_module, load, parts
from search_spaces.networks.parts import write_parts
from search_spaces.types import CutMode

pytestmark = pytest.mark.usefixtures("one_thread")


def test_programs_and_onnx_files_of_a_cut(tmp_path: Path) -> None:
    network = load("lenet5")
    cut = next(cut for cut in network.cuts if cut.name == "MaxPool2d: 1-3")
    found = write_parts(network, cut, tmp_path / "parts")
    assert found.files == ("head.pt2", "head.onnx", "tail.pt2", "tail.onnx", "split.json")
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == sorted(found.files)
    assert found.difference == 0 and found.largest > 0
    assert found.onnx_difference is not None and found.onnx_difference < 1e-5
    assert json.loads((tmp_path / "parts" / "split.json").read_text())["crossing"] == [[1, 6, 14, 14]]
    graph = onnx.load(str(tmp_path / "parts" / "tail.onnx")).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim] == [1, 6, 14, 14]
    tail = load(str(tmp_path / "parts" / "tail.onnx"), None, "tensor")  # a network itself
    assert sum(layer.macs for layer in tail.layers) == sum(
        layer.macs for i, layer in enumerate(network.layers) if i not in cut.layers
    )


@pytest.mark.parametrize(
    ("mode", "cut", "files"),
    [
        ("block", "Identity", ("tail.pt2", "split.json")),
        ("block", "Linear: 1-12", ("head.pt2", "split.json")),
        ("tensor", "flatten", ("head.pt2", "tail.pt2", "split.json")),
    ],
)
def test_a_part_without_operators_is_not_written(
    mode: CutMode, cut: str, files: tuple[str, ...], tmp_path: Path
) -> None:
    network = load("lenet5", None, mode, merge=False)
    found = write_parts(network, next(c for c in network.cuts if c.name == cut), tmp_path, onnx=False)
    assert (found.files, found.difference, found.onnx_difference) == (files, 0.0, None)


def test_several_tensors_cross(tmp_path: Path) -> None:
    network = load("squeezenet1_1", (1, 3, 35, 35), "frontier")
    cut = next(cut for cut in network.cuts if len(cut.tensors) == 2)
    assert write_parts(network, cut, tmp_path, onnx=False).difference == 0
    head = torch.export.load(tmp_path / "head.pt2").module()
    assert [tuple(t.shape) for t in head(torch.rand(1, 3, 35, 35))] == [t.shape for t in cut.tensors]


def test_parts_that_are_not_the_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail whose programs lose something on the way: its result is doubled here."""
    network = load("lenet5")
    honest = parts._difference
    monkeypatch.setattr(parts, "_difference", lambda runs, source, whole: honest(runs, source, 2 * whole))
    with pytest.raises(UserError, match="is not what it was: head then tail differ by up to"):
        write_parts(network, network.cuts[3], tmp_path, onnx=False)


@pytest.mark.parametrize("broken", [lambda values: 1.01 * values, lambda values: values * float("nan")])
def test_onnx_files_that_are_not_the_network_are_refused(
    broken: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that give something else than torch's programs, which are as they should be."""
    runner = parts._onnx_runner

    def wrong(path: Path) -> parts.Run:
        run = runner(path)
        return lambda *inputs: tuple(map(broken, run(*inputs)))

    monkeypatch.setattr(parts, "_onnx_runner", wrong)
    network = load("lenet5")
    with pytest.raises(
        UserError, match="is not what it was: the ONNX files of head then tail differ by up to"
    ) as caught:
        write_parts(network, network.cuts[-1], tmp_path)
    assert "\n" not in str(caught.value)


def test_files_of_an_earlier_split_do_not_stay(tmp_path: Path) -> None:
    network = load("lenet5", None, "block", merge=False)
    (tmp_path / "notes.txt").write_text("mine")
    write_parts(network, network.cuts[3], tmp_path)
    second = write_parts(network, network.cuts[0], tmp_path, onnx=False)
    assert {path.name for path in tmp_path.iterdir()} == {*second.files, "notes.txt"}


def test_a_part_is_not_written_over_its_network(tmp_path: Path) -> None:
    file = tmp_path / "tail.pt2"
    torch.export.save(torch.export.export(build_module("lenet5"), (torch.rand(1, 1, 32, 32),)), file)
    network, before = load(str(file)), file.read_bytes()
    with pytest.raises(UserError, match="would be written over it; choose another --out"):
        write_parts(network, network.cuts[-1], tmp_path, onnx=False)
    assert file.read_bytes() == before


def test_the_users_own_network_keeps_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_weights.py").write_text(
        "import torch\nfrom torch import nn\n\ndef net():\n    torch.manual_seed(5)\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    network = load("own_weights:net", (1, 3, 8, 8))
    write_parts(network, network.cuts[2], tmp_path / "parts", onnx=False)
    source, values = torch.rand(1, 3, 8, 8), None
    for name in ("head", "tail"):
        values = torch.export.load(tmp_path / "parts" / f"{name}.pt2").module()(source if values is None else values[0])
    assert values is not None and torch.equal(values[0], build_module("own_weights:net")(source))


@pytest.mark.parametrize("last", ["> 0", ".to(torch.bfloat16)"])
def test_a_result_may_be_of_any_type(last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ends_with_bool" if "0" in last else "ends_with_bfloat16"
    (tmp_path / f"{name}.py").write_text(
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)\n\n"
        f"    def forward(self, x):\n        return self.b(torch.relu(self.a(x))){last}\n"
    )
    monkeypatch.chdir(tmp_path)
    network = load(f"{name}:Net", (1, 3, 8, 8), "tensor")
    found = write_parts(network, network.cuts[1], tmp_path / "parts", onnx=False)
    assert found.difference == 0 and found.largest > 0


def test_an_input_that_has_no_room_is_one_line(tmp_path: Path) -> None:
    network = load("lenet5", (10**12, 1, 32, 32))
    with pytest.raises(UserError, match=r"the whole network of lenet5 cannot be run: .*memory") as caught:
        write_parts(network, network.cuts[1], tmp_path / "parts")
    assert "\n" not in str(caught.value)


def test_the_command_says_how_far_off_the_parts_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["split", "lenet5", "--cut", "ReLU: 1-2", "--no-onnx"]
    done = CliRunner().invoke(application(), [*options, "--out", str(tmp_path / "a")], catch_exceptions=False)
    assert "1x6x28x28 crosses" in done.stdout and "largest absolute difference 0 in outputs" in done.stdout
    edge = ["split", "lenet5", "--cut", "1", "--no-onnx", "--out", str(tmp_path / "c")]  # 1 is Identity: no head
    alone = CliRunner().invoke(application(), edge, catch_exceptions=False).stdout
    assert "lenet5 cut after Identity" in alone and "tail against the whole network" in alone and "head" not in alone
    (tmp_path / "file").write_text("in the way")
    for arguments, words in (
        ([*options, "--out", str(tmp_path / "file")], "choose another --out"),
        (["split", "lenet5", "--cut", "ReLU", "--out", str(tmp_path / "b")], "no cut of lenet5"),
        (["split", "lenet5", "--cut", "99", "--out", str(tmp_path / "b")], "lenet5 has the cuts 1 to"),
        (["split", "gone.onnx", "--cut", "x", "--out", str(tmp_path / "b")], "cannot read the network gone.onnx"),
    ):
        assert run_application(application(), arguments, "paretocut") == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 17))
def test_every_block_cut_of_squeezenet_as_files(number: int, tmp_path: Path) -> None:
    network = load("squeezenet1_1", (1, 3, 35, 35))
    found = write_parts(network, network.cuts[number], tmp_path)
    assert found.difference == 0
    assert found.onnx_difference is not None and found.onnx_difference < 1e-5
