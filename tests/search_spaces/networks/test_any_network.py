"""Networks that users bring: their own code, programs of torch.export, ONNX files; and what each is refused for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from onnx import helper
from torch import nn

from search_spaces.errors import UserError
from search_spaces.networks import build_module, load, store
from search_spaces.networks._kinds import operator_kind
from search_spaces.networks._operators import lower
from search_spaces.networks.parts import write_parts
from search_spaces.networks.split import Splitter
from search_spaces.types import Cut, Layer, Network
from tests.search_spaces.networks.exports import NODE, export, onnx_file
from tests.search_spaces.networks.tiny import traced

FAMILIES = {
    "alexnet": (1, 3, 224, 224),  # 6 × 6 pooling that ONNX has only where it divides
    "efficientnet_b0": (1, 3, 64, 64),
    "fcn_resnet50": (1, 3, 64, 64),
    "googlenet": (1, 3, 64, 64),
    "mobilenet_v2": (1, 3, 64, 64),
    "mobilenet_v3_large": (1, 3, 64, 64),
    "resnet18": (1, 3, 64, 64),
    "resnet50": (1, 3, 64, 64),
    "squeezenet1_1": (1, 3, 64, 64),
    "vgg16": (1, 3, 224, 224),
}
QUICK = ("mobilenet_v3_large",)
USERS_CODE = """
import torch
from torch import nn

INPUT = (1, 3, 16, 16)


class Branching(nn.Module):
    def forward(self, x):
        return x + 1 if x.sum() > 0 else x


class Two(nn.Module):
    def forward(self, x, y):
        return x + y


class Any(nn.Module):
    def forward(self, *inputs):
        return inputs[0] + 1


class Nothing(nn.Module):
    def forward(self, x):
        return x


class Both(nn.Module):
    def forward(self, x):
        return x + 1, x * 2


def small():
    conv = nn.Conv2d(3, 4, 3)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(784, 2))


class Makes(nn.Module):
    # makes tensors in forward, has one that is no buffer, and settings with defaults
    def __init__(self):
        super().__init__()
        self.conv, self.scale = nn.Conv2d(3, 4, 3), torch.full((14,), 0.5)

    def forward(self, x, flip=False, *, factor=2.0):
        y = self.conv(x) * torch.arange(14, device=x.device) * self.scale
        if flip:
            y = -y
        return torch.matmul(input=y, other=torch.ones(14, 5)) * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]) * factor


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.rows, self.gru = nn.Conv2d(3, 1, 1), nn.Flatten(1, 2), nn.GRU(16, 8, batch_first=True)
        self.end = nn.Linear(8, 2)

    def forward(self, x):
        return self.end(self.gru(self.rows(self.conv(x)))[0])


def number():
    return 3


def leaves():
    raise SystemExit("done")


def takes(n):
    return Nothing()


def broken():
    raise RuntimeError("no weights here")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the user's code in it."""
    (tmp_path / "users_code.py").write_text(USERS_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_code", raising=False)
    return tmp_path


def comparable(layers: tuple[Layer, ...]) -> list[tuple[object, ...]]:
    """Layers without names and parameters, and without what an export folds away."""
    kinds = [operator_kind(layer.operator)[1] for layer in layers]
    return [
        (kind, layer.cost, layer.shape, layer.input_elements, layer.output_elements)
        for layer, kind in zip(layers, kinds, strict=True)
        if kind not in ("batch_norm", "identity")
    ]


def sends(cuts: tuple[Cut, ...], network: Network) -> list[tuple[object, ...]]:
    return [(cut.elements, network.macs_before(cut)) for cut in cuts]


def same_in_all_modes(from_file: str, original: str, shape: tuple[int, ...]) -> None:
    for mode in ("tensor", "frontier"):
        ours, theirs = (load(name, shape, mode) for name in (from_file, original))  # type: ignore[arg-type]
        assert comparable(ours.layers) == comparable(theirs.layers)
        assert sends(ours.cuts, ours) == sends(theirs.cuts, theirs)


@pytest.mark.parametrize("name", QUICK)
def test_an_onnx_file_has_the_layers_and_cuts_of_its_torch_model(name: str, tmp_path: Path) -> None:
    export(build_module(name), tmp_path / "net.onnx", FAMILIES[name], dynamo=False)
    same_in_all_modes(str(tmp_path / "net.onnx"), name, FAMILIES[name])
    with pytest.raises(UserError, match="says nothing about modules"):
        load(str(tmp_path / "net.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_ten_families_are_the_same_from_onnx(name: str, dynamo: bool, tmp_path: Path) -> None:
    export(build_module(name), tmp_path / "net.onnx", FAMILIES[name], dynamo)
    same_in_all_modes(str(tmp_path / "net.onnx"), name, FAMILIES[name])


@pytest.mark.parametrize("dynamo", [True, False])
def test_convolutions_over_one_dimension_and_transposed_ones_are_the_same_from_onnx(
    dynamo: bool, tmp_path: Path
) -> None:
    modules = {
        (1, 4, 40): nn.Sequential(
            nn.Conv1d(4, 6, 5, 2, dilation=2, groups=2), nn.ReLU(), nn.ConvTranspose1d(6, 4, 4, 2)
        ),
        (1, 4, 7, 9): nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 3), 2, 1, (0, 1), groups=2), nn.ReLU()),
    }
    for shape, module in modules.items():
        file = export(module, tmp_path / "n.onnx", shape, dynamo)
        ours, theirs = load(file, None, "tensor"), lower(traced(module, shape))
        assert comparable(ours.layers) == comparable(theirs.layers)
        assert [layer.operator for layer in ours.layers] == [layer.operator for layer in theirs.layers]
        assert not ours.notes and {layer.cost for layer in ours.layers} == {"mac", "free"}


def test_an_onnx_file_that_keeps_scopes_has_blocks(tmp_path: Path) -> None:
    """SqueezeNet has no batch norm; after its dropout, which no export keeps, modules have another number."""
    shape = (1, 3, 64, 64)
    export(build_module("squeezenet1_1"), tmp_path / "net.onnx", shape, dynamo=True)
    ours, theirs = load(str(tmp_path / "net.onnx"), shape), load("squeezenet1_1", shape)
    assert [cut.elements for cut in ours.cuts] == [cut.elements for cut in theirs.cuts]
    names = [[cut.name for cut in network.cuts] for network in (ours, theirs)]
    assert names[0][:14] == names[1][:14]
    assert (names[0][14:], names[1][14:]) == (
        ["Conv2d: 2-14", "ReLU: 2-15", "AdaptiveAvgPool2d: 2-16"],
        ["Conv2d: 2-15", "ReLU: 2-16", "AdaptiveAvgPool2d: 2-17"],
    )
    same_in_all_modes(str(tmp_path / "net.onnx"), "squeezenet1_1", shape)
    assert load(str(tmp_path / "net.onnx")) == load(str(tmp_path / "net.onnx"), shape)
    smaller = load(str(tmp_path / "net.onnx"), (1, 3, 48, 48), "tensor")
    assert comparable(smaller.layers) == comparable(load("squeezenet1_1", (1, 3, 48, 48), "tensor").layers)


def exported(name: str, path: Path, shape: tuple[int, ...]) -> str:
    torch.export.save(torch.export.export(build_module(name), (torch.rand(shape),)), path)
    return str(path)


@pytest.mark.parametrize("name", ["squeezenet1_1", pytest.param("mobilenet_v2", marks=pytest.mark.slow)])
def test_an_exported_program_has_the_layers_cuts_and_halves_of_its_model(name: str, tmp_path: Path) -> None:
    shape = FAMILIES[name]
    file = exported(name, tmp_path / "net.pt2", shape)
    ours, theirs = load(file), load(name, shape)
    assert comparable(ours.layers) == comparable(theirs.layers)
    assert [(cut.name, cut.elements) for cut in ours.cuts] == [(cut.name, cut.elements) for cut in theirs.cuts]
    same_in_all_modes(file, name, shape)
    module = build_module(file)
    splitter, source = Splitter(ours, module), torch.rand(shape)
    with torch.inference_mode():
        whole = module(source)
        for cut in ours.cuts[:: len(ours.cuts) // 3]:
            halves = splitter.split(cut)
            crossing = halves.head(source)
            assert torch.equal(halves.tail(*crossing)[0] if halves.tail else crossing[0], whole)


def test_an_exported_program_refuses_another_input(tmp_path: Path) -> None:
    file = exported("lenet5", tmp_path / "net.pt2", (1, 1, 32, 32))
    with pytest.raises(UserError, match="does not take an input of 1x3x32x32"):
        load(file, (1, 3, 32, 32))


def test_another_program_under_the_same_name_is_read_anew(tmp_path: Path) -> None:
    file = exported("lenet5", tmp_path / "net.pt2", (1, 1, 32, 32))
    assert load(file).input.shape == (1, 1, 32, 32)
    exported("lenet5", tmp_path / "net.pt2", (2, 1, 32, 32))
    assert load(file).input.shape == (2, 1, 32, 32)


def test_an_onnx_file_needs_no_torch(tmp_path: Path) -> None:
    nodes = [NODE("Conv", ["x", "w"], ["c"]), NODE("Relu", ["c"], ["y"])]
    onnx_file(tmp_path / "net.onnx", nodes, {"x": [1, 3, 8, 8]}, ["y"], {"w": [4, 3, 3, 3]})
    code = (
        "import sys; from search_spaces.networks import load; n = load('net.onnx', None, 'frontier');"
        "assert 'torch' not in sys.modules; print(n.layers[0].macs)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{4 * 27 * 36}\n"


def test_the_users_own_function_is_traced_and_never_cached(here: Path) -> None:
    network = load("users_code:small")
    assert network.input.shape == (1, 3, 16, 16)
    assert [cut.name for cut in network.cuts] == [
        "Identity", "Conv2d: 1-1", "BatchNorm2d: 1-2", "ReLU: 1-3", "Flatten: 1-5", "Linear: 1-6",
    ]  # fmt: skip
    assert build_module("users_code:small")(torch.rand(1, 3, 16, 16)).shape == (1, 2)
    assert not list(store.folder().glob("users_code*"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("users_code:Branching", "cannot be traced by torch.fx: symbolically traced variables"),
        ("users_code:Two", r"takes 2 inputs \(x, y\)"),
        ("users_code:Any", r"takes any number of inputs \(\*inputs\)"),
        ("users_code:Both", "gives 2 tensors"),
        ("users_code:Nothing", "has no operator that could be cut"),
        ("users_code:leaves", "fails: SystemExit: done"),
        ("users_code:takes", "missing 1 required positional argument: 'n'"),
        ("users_code:takes(3)", "a function without arguments that returns it, not 'users_code:takes"),
        ("ends:small", "importing ends fails: SystemExit: over"),
        ("wrong_input:small", r"INPUT is sizes of at least 1, batch first, such as \(1, 3, 224, 224\), not 224"),
        ("users_code:number", "must return a torch.nn.Module, not int"),
        ("users_code:broken", "fails: RuntimeError: no weights here"),
        ("users_code:smal", "did you mean 'small'"),
        ("not_there:small", "no module not_there"),
        ("gone.onnx", "cannot read the network gone.onnx: no such file"),
        ("gone.pt2", "cannot read the network gone.pt2: no such file"),
        ("text.onnx", "is no ONNX file"),
        ("empty.onnx", "is no ONNX file"),
        ("text.pt2", "is no program saved by torch.export.save"),
        ("cut_short.pt2", "is no program saved by torch.export.save"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name: str, words: str, here: Path) -> None:
    (here / "ends.py").write_text("raise SystemExit('over')")
    (here / "wrong_input.py").write_text("INPUT = 224")
    for file in ("text.onnx", "text.pt2"):
        (here / file).write_text("no network\n" * 100)
    (here / "empty.onnx").touch()
    if name == "cut_short.pt2":
        whole = Path(exported("lenet5", here / "whole.pt2", (1, 1, 32, 32))).read_bytes()
        (here / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=words) as caught:
        load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("as_file", [False, True])
def test_tensors_made_in_forward_and_settings_with_defaults_are_no_inputs(as_file: bool, here: Path) -> None:
    name, source = "users_code:Makes", torch.rand(1, 3, 16, 16)
    if as_file:
        torch.export.save(torch.export.export(build_module(name), (source,)), here / "makes.pt2")
        name = "makes.pt2"
    network, module = load(name, None, "tensor", merge=False), build_module(name)
    assert sum(layer.macs for layer in network.layers) == 4 * 27 * 14 * 14 + 4 * 14 * 14 * 5
    splitter = Splitter(network, module)
    with torch.inference_mode():
        whole = module(source)
        for cut in network.cuts:
            halves = splitter.split(cut)
            crossing = halves.head(source)
            assert torch.equal(halves.tail(*crossing)[0] if halves.tail else crossing[0], whole), cut.name


def test_a_module_that_gives_a_tuple_ends_no_block(here: Path) -> None:
    network = load("users_code:Recurrent")
    names = ["Identity", "Conv2d: 1-1", "Flatten: 1-2", "GRU: 1-3", "Linear: 1-4"]
    assert [cut.name for cut in network.cuts] == names
    assert network.cuts[3].shape == (1, 16, 8)
    assert "operator GRU (×1) is not known: costed by the primitive operators in it" in network.notes


def test_programs_that_need_the_data_and_damaged_ones_are_refused_without_a_trace(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Depends(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))

    torch.export.save(torch.export.export(Depends(), (torch.rand(2, 3),)), here / "depends.pt2")
    with pytest.raises(UserError, match="computes shapes from its data or branches on it"):
        load("depends.pt2", None, "tensor")
    whole = Path(exported("lenet5", here / "whole.pt2", (1, 1, 32, 32))).read_bytes()
    half = len(whole) // 2
    (here / "hole.pt2").write_bytes(whole[:300] + bytes(half) + whole[300 + half :])
    torch.save({"weight": torch.rand(3)}, here / "weights.pt2")
    capfd.readouterr()
    for name in ("hole.pt2", "weights.pt2"):
        with pytest.raises(UserError, match=r"is no program saved by torch\.export\.save: "):
            load(name)
    assert capfd.readouterr().err == ""


def test_a_program_with_dynamic_sizes_takes_any_of_them(here: Path) -> None:
    class Any(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.interpolate(torch.relu(self.conv(x)), scale_factor=2.0).flatten(2).mean(-1)

    sizes = ({i: torch.export.Dim(name, min=1 if i == 0 else 8, max=64) for i, name in ((0, "n"), (2, "h"), (3, "w"))},)
    program = torch.export.export(Any().eval(), (torch.rand(2, 3, 16, 20),), dynamic_shapes=sizes)
    torch.export.save(program, here / "dynamic.pt2")
    assert load("dynamic.pt2").input.shape == (2, 3, 16, 20)
    for shape in ((2, 3, 16, 20), (1, 3, 32, 24)):
        network, module = load("dynamic.pt2", shape, "tensor"), build_module("dynamic.pt2")
        assert network.layers[0].macs == shape[0] * 8 * 27 * (shape[2] - 2) * (shape[3] - 2)
        splitter, source = Splitter(network, module), torch.rand(shape)
        with torch.inference_mode():
            for cut in network.cuts:
                halves = splitter.split(cut)
                crossing = halves.head(source)
                assert torch.equal(halves.tail(*crossing)[0] if halves.tail else crossing[0], module(source))


def test_pairs_of_operators_are_torchs_single_ones(tmp_path: Path) -> None:
    nodes = [
        NODE("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        NODE("Sigmoid", ["c"], ["s"]),
        NODE("Mul", ["c", "s"], ["silu"]),
        NODE("Flatten", ["silu"], ["flat"]),
        NODE("MatMul", ["flat", "v"], ["p"]),
        NODE("Add", ["p", "b"], ["y"]),
    ]
    file = onnx_file(
        tmp_path / "pairs.onnx", nodes, {"x": [1, 3, 6, 6]}, ["y"], {"w": [8, 3, 3, 3], "v": [128, 10], "b": [10]}
    )
    network = load(file, None, "tensor", merge=False)
    assert [(layer.operator, layer.cost, layer.parameters) for layer in network.layers] == [
        ("conv2d", "mac", 216), ("silu", "free", 0), ("flatten", "free", 0), ("linear", "mac", 1290),
    ]  # fmt: skip
    assert [layer.macs for layer in network.layers] == [216 * 16, 0, 0, 1280]
    assert len(network.cuts) == 5


def test_unknown_operators_are_counted_named_and_paid_for(tmp_path: Path) -> None:
    nodes = [
        NODE("Fancy", ["x"], ["a"], domain="my.domain"),
        NODE("Fancy", ["a"], ["b"], domain="my.domain"),
        NODE("CumSum", ["b", "axis"], ["y"]),
    ]
    file = onnx_file(
        tmp_path / "fancy.onnx", nodes, {"x": [1, 8]}, ["y"], constants={"axis": [1]}, stated={"a": [1, 8], "b": [1, 8]}
    )
    network = load(file, None, "tensor")
    assert [layer.cost for layer in network.layers] == ["move"] * 3
    assert network.notes == (
        "operator CumSum (×1) is not known: costed as one read and write",
        "operator my.domain.Fancy (×2) is not known: costed as one read and write",
    )


def test_views_move_something_only_where_they_have_to(tmp_path: Path) -> None:
    nodes = [
        NODE("Transpose", ["x"], ["a"], perm=[1, 0, 2, 3]),  # a batch of one: stays where it is
        NODE("Transpose", ["a"], ["b"], perm=[1, 2, 3, 0]),
        NODE("Slice", ["b", "one", "three", "one"], ["c"]),
        NODE("Slice", ["c", "one", "three", "two"], ["d"]),
        NODE("Reshape", ["d", "flat"], ["y"]),
    ]
    file = onnx_file(
        tmp_path / "views.onnx", nodes, {"x": [1, 4, 5, 6]}, ["y"],
        constants={"one": [1], "two": [2], "three": [3], "flat": [1, -1]},
    )  # fmt: skip
    assert [layer.cost for layer in load(file, None, "tensor").layers] == ["free", "move", "free", "move", "free"]


def test_a_batch_of_unknown_size_is_one_and_any_other_has_to_be_given(tmp_path: Path) -> None:
    nodes = [NODE("Relu", ["x"], ["y"])]
    file = onnx_file(tmp_path / "batch.onnx", nodes, {"x": ["n", 4]}, ["y"])
    assert load(file, None, "tensor").input.shape == (1, 4)
    file = onnx_file(tmp_path / "size.onnx", nodes, {"x": ["n", 3, "h", "w"]}, ["y"])
    with pytest.raises(UserError, match="is 1x3x\\?x\\?; say which size with --input"):
        load(file, None, "tensor")
    assert load(file, (1, 3, 8, 8), "tensor").layers[0].output_elements == 192


def wrong_files(folder: Path) -> dict[str, tuple[str, tuple[int, ...] | None]]:
    relu, conv = NODE("Relu", ["x"], ["y"]), NODE("Conv", ["x", "w"], ["y"])
    body = helper.make_graph([NODE("Identity", ["x"], ["z"])], "branch", [], [])
    branch = NODE("If", ["x"], ["y"], then_branch=body, else_branch=body)
    weights = {"w": [8, 3, 3, 3]}
    fixed = [NODE("Reshape", ["x", "size"], ["y"])]
    ends = [NODE("Relu", ["x"], ["y"]), NODE("Relu", ["x"], ["z"])]
    return {
        "takes 2 inputs (x, u)": (
            onnx_file(folder / "a.onnx", [NODE("Add", ["x", "u"], ["y"])], {"x": [1, 4], "u": [1, 4]}, ["y"]), None,
        ),
        "gives 2 tensors (y, z)": (onnx_file(folder / "b.onnx", ends, {"x": [1, 4]}, ["y", "z"]), None),
        "takes 3 channels, not an input of 1x4x8x8": (
            onnx_file(folder / "c.onnx", [conv], {"x": [1, 3, 8, 8]}, ["y"], weights), (1, 4, 8, 8),
        ),
        "exported for one input shape only": (
            onnx_file(folder / "d.onnx", fixed, {"x": [1, 4]}, ["y"], constants={"size": [1, 4]}), (2, 4),
        ),
        "what runs depends on data": (onnx_file(folder / "e.onnx", [branch], {"x": [1]}, ["y"]), None),
        "is not computed from its input": (
            onnx_file(folder / "f.onnx", [relu], {"x": [1, 4]}, ["w"], {"w": [4]}), None,
        ),
        "cannot be inferred for an input of 1x4": (
            onnx_file(folder / "g.onnx", [NODE("Odd", ["x"], ["y"], domain="my.domain")], {"x": [1, 4]}, ["y"]), None,
        ),
        "y convolves over 3 dimensions": (
            onnx_file(folder / "h.onnx", [conv], {"x": [1, 3, 8, 8, 8]}, ["y"], {"w": [8, 3, 3, 3, 3]}), None,
        ),
    }  # fmt: skip


@pytest.mark.parametrize("case", range(8))
def test_onnx_files_that_cannot_be_cut_say_why(case: int, tmp_path: Path) -> None:
    words, (file, shape) = list(wrong_files(tmp_path).items())[case]
    with pytest.raises(UserError) as caught:
        load(file, shape, "tensor")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_without_the_package_onnx_its_files_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = onnx_file(tmp_path / "net.onnx", [NODE("Relu", ["x"], ["y"])], {"x": [1, 4]}, ["y"])
    network = load(file, None, "tensor")
    monkeypatch.setitem(sys.modules, "onnx", None)
    for ask in (lambda: load(file, (2, 4), "tensor"), lambda: write_parts(network, network.cuts[0], tmp_path / "p")):
        with pytest.raises(UserError, match=r"needs the package onnx: pip install 'paretocut\[onnx\]'"):
            ask()


def test_torch_makes_no_module_of_an_onnx_file(tmp_path: Path) -> None:
    file = onnx_file(tmp_path / "net.onnx", [NODE("Relu", ["x"], ["y"])], {"x": [1, 4]}, ["y"])
    with pytest.raises(UserError, match="is an ONNX file, of which torch makes no module"):
        build_module(file)


def test_modules_called_twice_stay_whole(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 3, 1), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(self.conv(self.act(self.conv(x))))

    torch.export.save(torch.export.export(Twice().eval(), (torch.rand(1, 3, 8, 8),)), tmp_path / "twice.pt2")
    network = load(str(tmp_path / "twice.pt2"))
    assert [cut.name for cut in network.cuts] == ["Identity", "Twice: 0-1"]
    assert len(load(str(tmp_path / "twice.pt2"), None, "tensor", merge=False).cuts) == 5
