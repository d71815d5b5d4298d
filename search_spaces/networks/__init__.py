"""Networks by name, traced to layers and legal cuts. torch is imported only when a network is not cached yet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from search_spaces.errors import UserError, unknown
from search_spaces.networks import _models, store
from search_spaces.networks._cuts import block_cuts, merge_cuts, tensor_cuts
from search_spaces.networks._frontier import frontier_cuts
from search_spaces.types import CutMode, Network

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.networks._graph import Graph

__all__ = ["TRACE_VERSION", "build_module", "default_input", "load", "names", "recipe", "source_version"]

TRACE_VERSION = 10
"""Part of every cached trace's identity: raise it when tracing, costing or cutting changes."""


def names() -> tuple[str, ...]:
    """Every network that can be loaded: torchvision's classification and segmentation models, and our own."""
    identity = {"names": _models.source_version("torchvision"), "version": TRACE_VERSION}
    listed = store.get_names(identity)
    if listed is None:
        listed = _models.torchvision_names()
        store.put_names(identity, listed)
    return tuple(sorted({*listed, *_models.own_names()}))


def default_input(name: str) -> tuple[int, ...]:
    """The input shape, batch first, that `load` uses when none is given."""
    return _models.default_input(name)


def build_module(name: str) -> nn.Module:
    """The torch module in evaluation mode on the CPU; known networks have random weights, no auxiliary classifiers."""
    _check_name(name)
    return _models.build(name)


def recipe(name: str) -> dict[str, Any]:
    """How a network is built where only torch and torchvision are: JSON-able. Raises UserError where it cannot be."""
    return _models.recipe(name)


def source_version(name: str) -> str | None:
    """What a network's definition depends on: torchvision's version, or a hash of a file.

    Of the user's own code it is the module's file; of what that imports nothing is known.
    """
    return _models.code_version(name) if _models.is_factory(name) else _models.source_version(name)


def load(
    name: str,
    input_shape: tuple[int, ...] | None = None,
    cut_mode: CutMode = "block",
    merge: bool = True,
    max_tensors: int = 4,
    max_cuts: int = 1000,
) -> Network:
    """The layers and cuts of a network for one input shape (batch first; none: its own).

    `name` is one of `names`, the user's own `module:factory`, or the path of an .onnx or .pt2 file. `block` cuts are
    the founding paper's partitioning points; `tensor` cuts are all points with a single live tensor, where `merge`
    joins those that carry the same bytes with nothing costed between them; `frontier` cuts are these and all sets of
    layers that up to `max_tensors` tensors leave, at most `max_cuts` in all. Raises UserError for an unknown name or
    mode, or an input that the network does not take.
    """
    _check_name(name)
    if cut_mode not in get_args(CutMode):
        raise unknown("cut mode", cut_mode, get_args(CutMode))
    shape = None if input_shape is None else tuple(input_shape)
    if shape is None and not _models.is_file(name):
        shape = _models.default_input(name)
    if shape is not None and (not shape or any(not isinstance(n, int) or n < 1 for n in shape)):
        raise UserError(f"an input shape is whole numbers of at least 1, batch first, not {shape}; try 1x3x224x224")
    source = _models.source_version(name)
    identity = {
        "network": name,
        "input": None if shape is None else list(shape),
        "cut_mode": cut_mode,
        "merge": merge and cut_mode != "block",
        "source": source,
        "version": TRACE_VERSION,
    }
    if cut_mode == "frontier":
        if max_tensors < 1 or max_cuts < 2:
            raise UserError(f"a frontier needs at least 1 tensor and 2 cuts, not {max_tensors} and {max_cuts}")
        identity |= {"max_tensors": max_tensors, "max_cuts": max_cuts}
    network = None if source is None else store.get(identity)
    if network is None:
        network = _cut(name, _graph(name, shape), cut_mode, merge, max_tensors, max_cuts)
        if source is not None:
            store.put(identity, network)
    return network


def _check_name(name: str) -> None:
    if not (_models.is_file(name) or _models.is_factory(name)) and name not in names():
        if ":" in name:
            raise UserError(
                f"a network of your own is module:factory, a function without arguments that returns it, not {name!r}"
            )
        raise unknown(
            "network", name, names(), add="search_spaces/networks/own/<name>.py, module:factory, a .onnx or .pt2 file"
        )


def _graph(name: str, shape: tuple[int, ...] | None) -> Graph:
    if name.endswith(".onnx"):
        from search_spaces.networks import _onnx

        return _onnx.read(Path(name), shape, name)
    from search_spaces.networks._operators import lower
    from search_spaces.networks._trace import trace

    return lower(trace(_models.build(name, device="meta"), shape or _models.default_input(name), name))


def _cut(name: str, graph: Graph, cut_mode: CutMode, merge: bool, max_tensors: int, max_cuts: int) -> Network:
    notes: tuple[str, ...] = ()
    merged = 0
    if cut_mode == "block":
        cuts, notes = block_cuts(graph)
    elif cut_mode == "frontier":
        cuts, merged, notes = frontier_cuts(graph, max_tensors, max_cuts, merge)
    else:
        every = tensor_cuts(graph)
        cuts = merge_cuts(every, graph.layers) if merge else every
        merged = len(every) - len(cuts)
    return Network(name, graph.input, graph.layers, cuts, cut_mode, merged, graph.notes + notes)
