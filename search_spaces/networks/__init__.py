"""Networks by name, traced to layers and legal cuts. torch is imported only when a network is not cached yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from search_spaces.errors import UserError, unknown
from search_spaces.networks import _models, store
from search_spaces.types import CutMode, Network, Tensor

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TRACE_VERSION", "build_module", "default_input", "load", "names"]

TRACE_VERSION = 5
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
    """The torch module in evaluation mode, with random weights, on the CPU; auxiliary classifiers left out."""
    if name not in names():
        raise unknown("network", name, names(), add="search_spaces/networks/own/<name>.py")
    return _models.build(name)


def load(
    name: str,
    input_shape: tuple[int, ...] | None = None,
    cut_mode: CutMode = "block",
    merge: bool = True,
) -> Network:
    """The layers and cuts of a network for one input shape (batch first).

    `block` cuts are the founding paper's partitioning points; `tensor` cuts are all points with a single live
    tensor, where `merge` joins those that carry the same bytes with nothing costed between them. Raises UserError
    for an unknown name or mode, or an input that the network does not take.
    """
    if name not in names():
        raise unknown("network", name, names(), add="search_spaces/networks/own/<name>.py")
    if cut_mode not in get_args(CutMode):
        raise unknown("cut mode", cut_mode, get_args(CutMode))
    shape = _models.default_input(name) if input_shape is None else tuple(input_shape)
    if not shape or any(not isinstance(n, int) or n < 1 for n in shape):
        raise UserError(f"an input shape is whole numbers of at least 1, batch first, not {shape}; try 1x3x224x224")
    identity = {
        "network": name,
        "input": list(shape),
        "cut_mode": cut_mode,
        "merge": merge and cut_mode == "tensor",
        "source": _models.source_version(name),
        "version": TRACE_VERSION,
    }
    network = store.get(identity)
    if network is None:
        network = _traced(name, shape, cut_mode, merge)
        store.put(identity, network)
    return network


def _traced(name: str, shape: tuple[int, ...], cut_mode: CutMode, merge: bool) -> Network:
    from search_spaces.networks._cuts import IDENTITY, block_cuts, merge_cuts, tensor_cuts
    from search_spaces.networks._operators import lower
    from search_spaces.networks._trace import trace

    traced = trace(_models.build(name, device="meta"), shape, name)
    lowered = lower(traced)
    source = Tensor(IDENTITY, shape)
    notes: tuple[str, ...] = ()
    if cut_mode == "block":
        cuts, notes = block_cuts(traced, lowered, source)
        merged = 0
    else:
        every = tensor_cuts(traced, lowered, source)
        cuts = merge_cuts(every, lowered.layers) if merge else every
        merged = len(every) - len(cuts)
    return Network(name, source, tuple(lowered.layers), cuts, cut_mode, merged, lowered.notes + notes)
