"""The edge node measured: what is left after each cut, really executed and timed (by `board`) on this computer."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.edge import board, onnx_board
from search_spaces.errors import UserError
from search_spaces.networks.onnx_split import OnnxSplitter
from search_spaces.types import Network

if TYPE_CHECKING:
    from search_spaces.networks.split import Splitter

__all__ = ["DEVICES", "METHODS", "device_name", "measure", "plan", "runtime", "script"]

DEVICES, METHODS = board.DEVICES, board.METHODS


def device_name(network: Network, device: str) -> str:
    """What the machine calls its processor; raises UserError where what runs the network finds no such device."""
    try:
        _check(network, device, "segments", 1, None, None)
    except board.ProfileError as error:
        raise UserError(_ours(error)) from None
    return board.device_name(device)


def _check(network: Network, device: str, *options: Any) -> None:
    board.check(device, *options)
    if _is_onnx(network):
        onnx_board.check_runtime(device)
    else:
        board.check_cuda(device)


def runtime(network: Network, device: str, threads: int | None) -> dict[str, Any]:
    """What runs a network here: names and versions, how many threads it gets, and the computer's power mode."""
    mode = {"power_mode": board.power_mode()}
    if _is_onnx(network):
        return {**onnx_board.versions(), "threads": threads or onnx_board.default_threads(), **mode}
    import torch

    versions = {"torch": torch.__version__, "torchvision": version("torchvision"), **board.cuda(device)}
    return {**versions, "threads": threads if threads is not None else torch.get_num_threads(), **mode}


def measure(
    network: Network,
    *,
    device: str = "cpu",
    method: str = "segments",
    runs: int = 1000,
    threads: int | None = None,
    precision: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """The profile of a network on this computer, as `board.measure` describes it: random weights, 32-bit floats.

    A network of an ONNX file is run by onnxruntime, with its own weights and types. A cut that leaves nothing takes
    0 s. Raises UserError.
    """
    options = (device, method, runs, threads, precision)
    try:
        _check(network, *options)
        splitter, module = _splitter(network)
        run = onnx_board.measure if _is_onnx(network) else board.measure
        return run(module, plan(network, splitter), *options, progress)
    except board.ProfileError as error:
        raise UserError(_ours(error)) from None


def plan(network: Network, splitter: Splitter | OnnxSplitter | None = None) -> dict[str, Any]:
    """Which operators lie between which cuts: sections in execution order, which every cut has whole or not at all."""
    splitter = splitter or _splitter(network)[0]
    segments: list[list[str]] = []
    before: list[tuple[bool, ...]] = []
    for name, layers in splitter.operators:
        inside = tuple(cut.layers.issuperset(layers) for cut in network.cuts)
        if not before or before[-1] != inside:
            before.append(inside)
            segments.append([])
        segments[-1].append(name)
    return {
        "network": network.name,
        "input": list(network.input.shape),
        "cut_mode": network.cut_mode,
        "segments": segments,
        "cuts": [
            {
                "name": cut.name,
                "elements": cut.elements,
                "tail": [j for j, inside in enumerate(before) if not inside[i]],
            }
            for i, cut in enumerate(network.cuts)
        ],
    }


def script(network: Network) -> bytes:
    """What Python runs to profile this network where paretocut is not: `board` with the network's plan in it.

    Of an ONNX network it is an archive, with the network itself and `onnx_board`.
    """
    if _is_onnx(network):
        splitter, model = _splitter(network)
        return onnx_board.archive(model, plan(network, splitter))
    from search_spaces.networks import recipe

    whole = {**plan(network), "build": recipe(network.name)}
    source = Path(board.__file__).read_text(encoding="utf-8")
    empty = "PLAN: Plan | None = None\n"
    if source.count(empty) != 1:
        raise AssertionError("board.py must hold one empty PLAN")
    return source.replace(empty, f"PLAN: Plan | None = {whole!r}\n").encode()


def _is_onnx(network: Network) -> bool:
    return network.name.endswith(".onnx")


def _ours(error: board.ProfileError) -> str:
    """A board's words, with the extra that brings what it lacks."""
    return str(error).replace("pip install onnx onnxruntime", "pip install 'paretocut[onnx]'")


def _splitter(network: Network) -> tuple[Splitter | OnnxSplitter, Any]:
    """What splits a network, and the module or model that is split."""
    if _is_onnx(network):
        onnx_splitter = OnnxSplitter(network)
        return onnx_splitter, onnx_splitter.prepared
    import torch

    from search_spaces.networks import build_module
    from search_spaces.networks.split import Splitter

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_module(network.name)
    return Splitter(network, module), module
