"""The edge node measured: what is left after each cut, really executed and timed (by `board`) on this computer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.edge import board
from search_spaces.errors import UserError
from search_spaces.types import Network

if TYPE_CHECKING:
    from search_spaces.networks.split import Splitter

__all__ = ["DEVICES", "METHODS", "device_name", "measure", "plan", "script"]

DEVICES, METHODS = board.DEVICES, board.METHODS


def device_name(device: str) -> str:
    """What the machine calls its processor; raises UserError for CUDA where there is none."""
    try:
        board.check(device, "segments", 1, None, None)
    except board.ProfileError as error:
        raise UserError(str(error)) from None
    return board.device_name(device)


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

    A cut that leaves nothing takes 0 s. Raises UserError.
    """
    try:
        board.check(device, method, runs, threads, precision)
        splitter, module = _splitter(network)
        return board.measure(module, plan(network, splitter), device, method, runs, threads, precision, progress)
    except board.ProfileError as error:
        raise UserError(str(error)) from None


def plan(network: Network, splitter: Splitter | None = None) -> dict[str, Any]:
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


def script(network: Network) -> str:
    """A Python file that profiles this network where paretocut is not: `board` with the network's plan in it."""
    from search_spaces.networks import recipe

    whole = {**plan(network), "build": recipe(network.name)}
    source = Path(board.__file__).read_text(encoding="utf-8")
    empty = "PLAN: Plan | None = None\n"
    if source.count(empty) != 1:
        raise AssertionError("board.py must hold one empty PLAN")
    return source.replace(empty, f"PLAN: Plan | None = {whole!r}\n")


def _splitter(network: Network) -> tuple[Splitter, Any]:
    import torch

    from search_spaces.networks import build_module
    from search_spaces.networks.split import Splitter

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_module(network.name)
    return Splitter(network, module), module
