"""The measured edge node, really run on a small network; what is checked is never a speed."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evaluators import edge
from evaluators.edge import board, files
from evaluators.edge.measured import measure, plan, runtime, script
from evaluators.edge.profile import EdgeProfile
from evaluators.memo import Memo
from search_spaces.errors import UserError
from search_spaces.networks import build_module, load
from search_spaces.networks.split import Splitter
from search_spaces.types import CutMode, Network

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    return load("lenet5")


@pytest.mark.parametrize("method", board.METHODS)
def test_every_cut_is_timed_and_the_last_costs_nothing(network: Network, method: str) -> None:
    told: list[tuple[int, int]] = []
    found = measure(network, method=method, runs=3, threads=1, progress=lambda done, total: told.append((done, total)))
    seconds = [cut["latency_s"] for cut in found["cuts"]]
    assert [cut["name"] for cut in found["cuts"]] == [cut.name for cut in network.cuts]
    assert all(s > 0 for s in seconds[:-1]) and seconds[-1] == 0
    assert told[-1][0] == told[-1][1] > 0 and told == sorted(told)
    assert found["method"] == method and found["environment"]["threads"] == 1
    profile = files.edge_profile(json.loads(json.dumps(found)), network, "here")
    assert (profile.provenance, profile.latency_s) == ("measured", tuple(seconds))
    said = " ".join((profile.device, *profile.notes))
    for fact in ("cpu", "median of 3 runs", f"torch {torch.__version__}", "1 threads", "interquartile range", method):
        assert fact in said


@pytest.mark.parametrize(
    ("name", "shape", "mode"),
    [
        ("squeezenet1_1", (1, 3, 35, 35), "block"),
        ("squeezenet1_1", (1, 3, 35, 35), "frontier"),
        ("fcn_resnet50", (1, 3, 32, 32), "tensor"),  # the size of its input is read at the end
        ("mobilenet_v3_small", (1, 3, 32, 32), "frontier"),  # overwrites activations in place
    ],
)
def test_the_sections_one_after_the_other_are_the_whole(name: str, shape: tuple[int, ...], mode: CutMode) -> None:
    """What is timed is the network: its sections give its result, and so does what follows each cut."""
    network, module = load(name, shape, mode), build_module(name)
    found = plan(network, Splitter(network, module))
    assert [n for names in found["segments"] for n in names] == [n for n, _ in Splitter(network, module).operators]
    sections = board._Network(module, found, "cpu")
    source = torch.rand(shape)
    with torch.inference_mode():
        whole = module(source.clone())
        whole = whole["out"] if isinstance(whole, dict) else whole
        values = board._crossing(sections, source)
        output = sections.sections[-1].outputs[-1]
        assert torch.equal(values[output], whole)
        for cut, entry in list(zip(network.cuts, found["cuts"], strict=True))[:: max(1, len(network.cuts) // 5)]:
            if not entry["tail"]:
                continue
            halves, rest = Splitter(network, module).split(cut), board._Part(sections, set(entry["tail"]))
            crossing = halves.head(source.clone())
            given = dict(zip([n for n in rest.inputs if _is_tensor(values[n])], crossing, strict=True))
            results = rest.run(*[given.get(n, values[n]) for n in rest.inputs])
            assert torch.equal(results[-1], whole), cut.name


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def test_what_follows_a_cut_is_the_sum_of_its_sections(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that advances by 1, 2, 4, … per reading, every sum of sections is known."""
    readings = iter(float(2**n) for n in range(1000))
    monkeypatch.setattr(board.time, "perf_counter", lambda: next(readings))
    monkeypatch.setattr(board, "_sizes", lambda middles, largest: [])
    sections = board._Network(build_module("lenet5"), plan(network), "cpu")
    samples, warm_up = board._segments(sections, torch.rand(1, 1, 32, 32), 1, None, lambda done, total: None)
    n = len(network.cuts) - 1
    first = warm_up * (n + 1)  # readings before the run that counts
    expected = [float(2 ** (first + n) - 2 ** (first + i)) for i in range(n + 1)]
    assert [times[0] for times in samples] == expected


def test_an_exported_program_is_timed_like_a_module(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(build_module("lenet5"), (torch.rand(1, 1, 32, 32),)), tmp_path / "net.pt2")
    network = load(str(tmp_path / "net.pt2"), None, "tensor")
    found = files.edge_profile(measure(network, runs=1, threads=1), network, "here")
    assert "its own weights and types, 1 threads" in found.notes[0]
    for method in board.METHODS:
        seconds = [cut["latency_s"] for cut in measure(network, method=method, runs=2, threads=1)["cuts"]]
        assert all(s > 0 for s in seconds[:-1]) and seconds[-1] == 0


def test_remainders_of_each_size_are_timed_alone(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[set[int]] = []
    alone = board._alone
    monkeypatch.setattr(board, "_alone", lambda *args: parts.append(args[2]) or alone(*args))
    measure(network, runs=3, threads=1)
    tails = [set(cut["tail"]) for cut in plan(network)["cuts"]]
    assert parts and all(tail in tails for tail in parts)
    assert len(parts) < len(tails) and max(tails, key=len) not in parts


def test_one_remainder_of_each_size_and_all_the_short_ones_are_chosen() -> None:
    middles = [100.0, 90.0, 60.0, 49.0, 40.0, 24.0, 13.0, 11.0, 4.0, 3.9, 1.0, 0.0]
    assert [middles[i] for i in board._sizes(middles)] == [49.0, 24.0, 11.0, 4.0, 3.9, 1.0]
    assert board._sizes([0.0]) == []


def test_what_lies_between_two_sizes_is_scaled_as_both(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections that take 1 s each in a whole run; what is timed alone takes half of that."""
    readings = iter(range(100_000))
    monkeypatch.setattr(board.time, "perf_counter", lambda: float(next(readings)))
    monkeypatch.setattr(board, "_alone", lambda network, values, tail, *rest: [len(tail) / 2] * 2)
    sections = board._Network(build_module("lenet5"), plan(network), "cpu")
    samples, _ = board._segments(sections, torch.rand(1, 1, 32, 32), 2, None, lambda done, total: None)
    n = len(network.cuts) - 1
    timed = [n - i for i in board._sizes([float(n - i) for i in range(n + 1)])]
    largest = max(timed)
    for i, times in enumerate(samples):
        left = n - i
        beyond = max(0.0, (left - largest) / (n - largest))  # 1 for the whole, which stays as measured
        assert times == pytest.approx([left * (0.5 + 0.5 * beyond)] * 2)
    assert 0 < largest < n


def test_between_two_points_is_linear_and_outside_the_nearest() -> None:
    values = {1.0: 0.5, 3.0: 1.0}
    assert [board._between(values, at) for at in (0.0, 1.0, 2.0, 3.0, 9.0)] == [0.5, 0.5, 0.75, 1.0, 1.0]


def test_it_stops_when_the_medians_are_known(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    """A clock without noise is precise at once, one that doubles from reading to reading never."""
    steady = iter(range(10**6))
    monkeypatch.setattr(board.time, "perf_counter", lambda: float(next(steady)))
    for method in board.METHODS:
        cuts = measure(network, method=method, runs=200, threads=1, precision=0.02)["cuts"]
        assert {cut["runs"] for cut in cuts[:-1]} == {board.LEAST_RUNS}
    noisy = iter(range(10**6))
    monkeypatch.setattr(board.time, "perf_counter", lambda: float(next(noisy)) ** 3)
    cuts = measure(network, method="segments", runs=40, threads=1, precision=0.02)["cuts"]
    assert cuts[0]["runs"] == 40


def test_median_range_and_outliers_by_hand() -> None:
    times = [1.0, 2.0, 3.0, 4.0, 100.0]
    assert board._statistics(times) == {"latency_s": 3.0, "iqr_s": 2.0, "runs": 5, "outliers": 1}
    # of 100 ordered values the 95 % interval of the median has the ranks 50 ± 0.98 × 10
    assert board._half_width(list(range(100))) == (60 - 40) / 2


def test_threads_and_random_state_are_left_as_they_were(network: Network) -> None:
    state = torch.get_rng_state()
    measure(network, runs=1, threads=2)
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), state)


def test_free_operators_that_are_left_are_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SqueezeNet's last block leaves a flatten: a free operator, but something that the edge node executes."""
    monkeypatch.setenv("PARETOCUT_CACHE", str(tmp_path / "memo.db"))
    squeezenet = load("squeezenet1_1", (1, 3, 35, 35))
    assert measure(squeezenet, runs=1, threads=1)["cuts"][-1]["latency_s"] > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for CUDA where there is none")
def test_cuda_where_there_is_none_names_the_way_out(network: Network) -> None:
    with pytest.raises(UserError, match=r"no CUDA device.*measured:cpu"):
        edge.profile(network, "measured:cuda", runs=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here: nothing to measure on")
@pytest.mark.parametrize("method", board.METHODS)
def test_cuda_is_timed_like_the_cpu(network: Network, method: str) -> None:
    found = measure(network, device="cuda", method=method, runs=3)
    assert all(cut["latency_s"] > 0 for cut in found["cuts"][:-1])
    assert torch.cuda.get_device_name() in found["device"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "tpu"}, "cpu or cuda"),
        ({"runs": 0}, "at least 1"),
        ({"threads": 0}, "at least 1"),
        ({"method": "guess"}, "segments or suffix"),
        ({"precision": 2.0}, "between 0 and 1"),
    ],
)
def test_bad_options_get_one_line(network: Network, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        measure(network, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_profile_refuses_what_is_no_latency(value: float) -> None:
    with pytest.raises(ValueError, match="no latency"):
        EdgeProfile("cpu", (0.1, value), 0.0, "measured")


# on a board


OLD_PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))

STUB = """
import sys
ALLOWED = set(sys.builtin_module_names) | {"torch", "torchvision"}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in {"numpy", "dse", "evaluators", "search_spaces", "rich", "typer", "platformdirs"}:
            raise ImportError("a board has no " + name)


sys.meta_path.insert(0, Refuse())
"""


def test_the_script_imports_nothing_but_the_standard_library_and_torch(network: Network, tmp_path: Path) -> None:
    """Of the file as it is written; the names of Python 3.8's library are those of ours less what came later."""
    text = script(load("squeezenet1_1", (1, 3, 35, 35)))
    tree = ast.parse(text, feature_version=(3, 8))
    tops = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            tops |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            tops.add(str(node.module).partition(".")[0])
    assert tops - sys.stdlib_module_names == {"torch"}
    assert not tops & {"tomllib", "zoneinfo", "graphlib"}


def test_the_script_runs_where_everything_else_is_blocked(tmp_path: Path) -> None:
    """In a process that refuses every other package; the result is a profile of this network."""
    network = load("squeezenet1_1", (1, 3, 35, 35))
    (tmp_path / "there.py").write_bytes(script(network))
    blocked = STUB + "import runpy; sys.argv = ['there.py', '--runs', '2', '--threads', '1', '--out', 'b.json']\n"
    blocked += "runpy.run_path('there.py', run_name='__main__')\n"
    blocked = blocked.replace('"numpy", ', "")  # torch itself may want it
    done = subprocess.run(
        [sys.executable, "-c", blocked], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 of 2" in done.stderr
    profile = edge.profile(network, f"profile:{tmp_path / 'b.json'}")
    assert profile.latency_s[0] > profile.latency_s[-1] > 0


@pytest.mark.skipif(not OLD_PYTHONS, reason="no Python 3.8 in ~/.pyenv/versions")
def test_the_script_loads_and_answers_on_python_3_8(tmp_path: Path) -> None:
    """Without torch it can measure nothing; its options, errors and statistics need none."""
    (tmp_path / "there.py").write_bytes(script(load("squeezenet1_1", (1, 3, 35, 35))))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = STUB + f"import runpy; sys.argv = ['there.py', *{arguments!r}]\n"
        code += "runpy.run_path('there.py', run_name='__main__')\n"
        argv = [str(OLD_PYTHONS[-1]), "-c", code]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, env={})

    assert "--precision" in run("--help").stdout
    (tmp_path / "folder").mkdir()
    for options, words in (
        (("--runs", "0"), "measuring an edge node needs at least 1 run, not 0"),
        (("--precision", "often"), "a precision is a share such as 2% or 0.02, not 'often'"),
        (("--precision", "200%"), "a precision is a share between 0 and 1"),
        (("--power-w", "nan"), "a power is a number of watts of at least 0, not nan"),
        (("--out", "folder"), "cannot write folder: is a folder; choose another --out"),
        (("--out", "."), "cannot write .: is a folder; choose another --out"),
        (("--out", "no/folder/b.json"), "cannot write no/folder/b.json: no such file or directory; choose another"),
        (("--precision", "2%"), "this needs torch 2.0 or newer, which cannot be imported: "),
    ):
        refused = run("--out", "b.json", *options)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith(words) and refused.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "there.py"]
    code = "import there; print(there._statistics([1.0, 2.0, 3.0, 4.0, 100.0]), there.device_name('cpu') != '')"
    argv = [str(OLD_PYTHONS[-1]), "-c", code]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True, env={})
    assert done.stdout == "{'latency_s': 3.0, 'iqr_s': 2.0, 'runs': 5, 'outliers': 1} True\n"


def test_a_network_that_differs_on_the_board_is_refused(network: Network) -> None:
    other = {**plan(network), "segments": [["conv1", "no_such_layer"]]}
    with pytest.raises(board.ProfileError, match="has no operator no_such_layer"):
        board.measure(build_module("lenet5"), other, runs=1)


def test_only_what_a_board_can_build_gets_a_script(network: Network) -> None:
    with pytest.raises(UserError, match="lenet5 cannot be built where only torch and torchvision are"):
        script(network)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def make(): raise OSError('no weights here')",
            "network theirs:make here: OSError: no weights here",
        ),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("def other(): pass", "AttributeError: module 'theirs' has no attribute 'make'"),
        ("def make(): return 3", "must return a torch.nn.Module, not int"),
    ],
)
def test_code_that_makes_no_network_on_the_board_is_one_line(
    code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    with pytest.raises(board.ProfileError) as caught:
        board.build({"factory": "theirs:make"})
    sys.modules.pop("theirs", None)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_runs_out_on_the_board_and_ctrl_c_are_one_line(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["there.py", "--runs", "1", "--out", str(tmp_path / "b.json")])
    monkeypatch.setattr(board, "build", lambda recipe: build_module("lenet5"))
    whole = {**plan(network), "build": {}}
    monkeypatch.setattr(board, "PLAN", whole)
    for raised, status, words in (
        (RuntimeError("out of memory\nmore"), 2, "lenet5 does not run here: out of memory\n"),
        (KeyboardInterrupt(), 130, "\nstopped, nothing was written\n"),
    ):

        def fails(*args: Any, error: BaseException = raised) -> None:
            raise error

        monkeypatch.setattr(board, "_segments", fails)
        with pytest.raises(SystemExit) as stopped:
            board.main(whole, board._planned)
        assert (stopped.value.code, capsys.readouterr().err) == (status, words)
        assert not list(tmp_path.glob("b.json*"))


@pytest.mark.parametrize("method", board.METHODS)
def test_everything_follows_the_network_to_another_device(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an exported program that makes tensors where it was exported, and of a module with tensors of its own.

    Device "meta" stands for CUDA: an operator that gets a tensor of the CPU beside one of its own refuses.
    """

    class Makes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.scale = torch.nn.Conv2d(3, 4, 3), torch.ones(6)  # no buffer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return torch.relu(y * torch.arange(6, device=y.device) * self.scale)

    monkeypatch.setattr(board, "DEVICES", ("cpu", "meta"))
    source = torch.rand(1, 3, 8, 8)
    program = torch.export.export(Makes().eval(), (source,))
    torch.export.save(program, tmp_path / "net.pt2")
    network = load(str(tmp_path / "net.pt2"), None, "tensor")
    module = build_module(str(tmp_path / "net.pt2"))
    assert any(isinstance(v, torch.device) for node in module.graph.nodes for v in node.kwargs.values())
    found = board.measure(module, plan(network), "meta", method, runs=1, threads=1)
    assert len(found["cuts"]) == len(network.cuts) > 2


# the computer


@pytest.mark.parametrize(("generation", "rounds"), [(8, True), (7, False)])
def test_what_a_gpu_computes_with_is_recorded(
    generation: int, rounds: bool, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is here: its generation is made up, and the settings are torch's own."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (generation, 0))
    found = measure(network, runs=1, threads=1)
    found["environment"] |= board.cuda("cuda")
    assert found["environment"]["cuda"] == str(torch.version.cuda)
    assert ("(convolutions in TensorFloat-32)" in files.edge_profile(found, network, "here").notes[0]) == rounds
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert not board.cuda("cuda")["tf32"] and board.cuda("cpu") == {}


def test_the_power_mode_is_what_the_board_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\necho 'NV Power Mode: MODE_15W_2CORE'\necho 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert board.environment(2)["power_mode"] == "MODE_15W_2CORE"
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert board.environment(2)["power_mode"].partition(" ")[0] in ("governor", "unknown")


def test_gpus_of_which_torch_knows_nothing_are_named_by_their_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> str:
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setattr(torch.cuda, "get_device_name", fails)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for said, name in (("A100\\nT4\\nT4\\n", "A100 or T4"), ("T4\\n", "T4")):
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{said}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        assert board.device_name("cuda") == name


def test_the_users_code_is_measured_anew_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers do not tell how tensors lie in memory."""
    code = "from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))"
    monkeypatch.chdir(tmp_path)
    with Memo() as memo:
        for changed in ("", ".to(memory_format=torch.channels_last)", ""):
            (tmp_path / "lies_otherwise.py").write_text(f"import torch\n{code}{changed}\n")
            monkeypatch.delitem(sys.modules, "lies_otherwise", raising=False)
            importlib.invalidate_caches()
            edge.measure(load("lies_otherwise:net", (1, 3, 8, 8)), "cpu", runs=1, memo=memo)
        assert memo.info().entries == {"edge-profile": 2}


def test_another_power_mode_is_measured_anew(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    with Memo() as memo:
        for mode in ("MODE_15W_2CORE", "MAXN", "MAXN"):
            monkeypatch.setattr(board, "power_mode", lambda mode=mode: mode)
            edge.measure(network, "cpu", runs=1, memo=memo)
        assert memo.info().entries == {"edge-profile": 2}


def test_a_gpus_rounding_is_part_of_what_was_measured(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    rounded = runtime(network, "cuda", 1)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert runtime(network, "cuda", 1) == {**rounded, "tf32": False} and rounded["tf32"]


def test_an_input_that_has_no_room_is_one_line(network: Network) -> None:
    with pytest.raises(UserError, match=r"lenet5 does not run here: .*memory") as caught:
        measure(load("lenet5", (10**12, 1, 32, 32)), runs=1, threads=1)
    assert "\n" not in str(caught.value)


# sensors


def test_a_counter_that_begins_again_has_counted_its_range(tmp_path: Path) -> None:
    """Of two packages one begins again, after 10 J."""
    for number, microjoules in (("0", 9_000_000), ("1", 1_000_000)):
        folder = tmp_path / f"sys/class/powercap/intel-rapl:{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"package-{number}\n")
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
    energy = board._Energy("cpu", tmp_path)
    assert energy._rapl_j() == pytest.approx(10.0)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("500000\n")
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("1250000\n")
    assert energy._rapl_j() == pytest.approx(10.0 + 1.5 + 0.25)
    (tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj").write_text("700000\n")
    assert energy._rapl_j() == pytest.approx(10.0 + 1.5 + 0.25 + 0.2)


def test_a_counter_whose_range_is_not_known_is_no_longer_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/powercap/intel-rapl:0"
    folder.mkdir(parents=True)
    (folder / "name").write_text("package-0\n")
    (folder / "energy_uj").write_text("9000000\n")
    with board._Energy("cpu", tmp_path) as energy:
        (folder / "energy_uj").write_text("100\n")
    assert energy.power_w is None


def test_a_processor_counts_its_joules(tmp_path: Path) -> None:
    """Its packages' own; what counts their cores, or the whole board, would count joules twice."""
    domains = {"0": ("package-0", 3), "0:0": ("core", 2), "1": ("package-1", 4), "2": ("psys", 20)}
    for number, (name, joules) in domains.items():
        folder = tmp_path / f"sys/class/powercap/intel-rapl:{number}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{joules * 1_000_000}\n")
    with board._Energy("cpu", tmp_path) as energy:
        assert energy._rapl_j() == pytest.approx(7.0)
        (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("9000000\n")
    assert energy.power_w is not None and energy.power_w > 0 and energy.source == "rapl"


@pytest.mark.parametrize(
    ("properties", "gpus", "joules"),
    [({"uuid": "bb"}, 2, 2.5), ({"uuid": "aa"}, 2, 1.5), ({"uuid": "cc"}, 2, None), ({}, 2, None), ({}, 1, 1.5)],
)
def test_a_gpu_counts_its_own_joules(
    properties: dict[str, str], gpus: int, joules: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVML knows all GPUs of the computer, torch maybe only one of them; these are made up.

    An older torch does not say which it runs on, which is no question where there is only one.
    """
    counted = dict([(b"GPU-aa", (1, 1500)), (b"GPU-bb", (2, 2500))][:gpus])  # handle, millijoules

    def handle_by_uuid(uuid: bytes, handle: Any) -> int:
        if uuid in counted:
            handle._obj.value = counted[uuid][0]
        return 0 if uuid in counted else 6  # NVML_ERROR_NOT_FOUND

    def total_energy(handle: Any, millijoules: Any) -> int:
        millijoules._obj.value = dict(counted.values())[handle.value]
        return 0

    def count(number: Any) -> int:
        number._obj.value = gpus
        return 0

    def handle_by_index(index: int, handle: Any) -> int:
        handle._obj.value = list(counted.values())[index][0]
        return 0

    library = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetCount_v2=count,
        nvmlDeviceGetHandleByIndex_v2=handle_by_index,
        nvmlDeviceGetHandleByUUID=handle_by_uuid,
        nvmlDeviceGetTotalEnergyConsumption=total_energy,
    )
    monkeypatch.setattr(board.ctypes, "CDLL", lambda name: library)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(**properties))
    assert board._nvml_j() == joules


@pytest.mark.parametrize("kind", ["hwmon", "iio"])
def test_a_jetson_reads_the_rail_of_the_whole_module(tmp_path: Path, kind: str) -> None:
    """As in sysfs, where the driver's folder holds a link to the device."""
    folder = tmp_path / f"sys/devices/i2c/1-0040/{kind}/{kind}3"
    folder.mkdir(parents=True)
    driver = tmp_path / "sys/bus/i2c/drivers/ina3221"
    driver.mkdir(parents=True)
    (driver / "1-0040").symlink_to(tmp_path / "sys/devices/i2c/1-0040")
    if kind == "hwmon":
        entries = {"in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1500", "in2_label": "VDD_CPU"}
    else:
        entries = {"rail_name_0": "VDD_IN", "in_power0_input": "7500", "rail_name_1": "VDD_CPU"}
    for name, text in entries.items():
        (folder / name).write_text(text + "\n")
    energy = board._Energy("cpu", tmp_path)
    (rail,) = energy._ina_rails()
    assert rail() == pytest.approx(7.5)


def test_without_a_sensor_the_power_is_not_known(network: Network, tmp_path: Path) -> None:
    with board._Energy("cpu", tmp_path) as energy:
        pass
    assert energy.power_w is None
    found = {**measure(network, runs=1, threads=1), "power_w": None, "power_from": None}
    profile = files.edge_profile(found, network, "here")
    assert (profile.power_w, profile.power_provenance) == (0.0, "unknown")
    given = files.edge_profile({**found, "power_w": 7.0, "power_from": "given"}, network, "here")
    assert (given.power_w, given.power_provenance) == (7.0, "given")
    rapl = files.edge_profile({**found, "power_w": 7.0, "power_from": "rapl"}, network, "here")
    assert rapl.power_provenance == "measured" and "power measured by rapl" in rapl.notes
