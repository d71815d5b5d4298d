"""Where a traced network may be cut: every single tensor, or the blocks of the founding paper."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import fx

from search_spaces.networks._operators import Lowered, kind
from search_spaces.networks._trace import Call, Trace
from search_spaces.types import Cut, Layer, Tensor

__all__ = ["IDENTITY", "block_cuts", "merge_cuts", "tensor_cuts"]

IDENTITY = "Identity"
"""The name of the first cut, the network's input."""

_TAIL_KINDS = ("pool", "view", "interpolate", "identity")
_BETWEEN_KINDS = (*_TAIL_KINDS, "activation", "batch_norm", "norm", "add", "elementwise", "cat", "copy")
_DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


def tensor_cuts(trace: Trace, lowered: Lowered, input_tensor: Tensor) -> tuple[Cut, ...]:
    """Every point of the execution order at which exactly one tensor is alive."""
    return tuple(_single_tensor_points(trace, lowered, input_tensor).values())


def _single_tensor_points(trace: Trace, lowered: Lowered, input_tensor: Tensor) -> dict[fx.Node, Cut]:
    readers = dict.fromkeys((trace.placeholder, *trace.nodes), 0)
    for node in trace.nodes:
        for source in trace.inputs(node):
            readers[source] += 1
    for node in trace.outputs:
        readers[node] += 1
    points = {trace.placeholder: Cut(IDENTITY, frozenset(), (input_tensor,))}
    alive, layers = {trace.placeholder}, set[int]()
    for node in trace.nodes:
        layers.update(lowered.of_node[node])
        for source in trace.inputs(node):
            readers[source] -= 1
            if not readers[source]:
                alive.discard(source)
        alive.add(node)
        value = node.meta["val"]
        if alive == {node} and isinstance(value, torch.Tensor):
            name = lowered.layers[lowered.of_node[node][-1]].name
            points[node] = Cut(name, frozenset(layers), (Tensor(name, tuple(value.shape)),))
    return points


def merge_cuts(cuts: tuple[Cut, ...], layers: list[Layer]) -> tuple[Cut, ...]:
    """Join neighbours that carry equally many elements with only free operators between them.

    The joined point has the name of the first (the operator that is paid for) and ends after the last: what is
    fused or moves nothing is done on the sensor node. Only the input keeps an empty set of layers.
    """
    merged: list[Cut] = []
    for cut in cuts:
        if merged and merged[-1].elements == cut.elements:
            before = merged[-1]
            if all(layers[i].cost == "free" for i in cut.layers - before.layers):
                joined = before if not before.layers else replace(cut, name=before.name)
                merged[-1] = replace(joined, aliases=(*before.aliases, cut.name))
                continue
        merged.append(cut)
    return tuple(merged)


@dataclass(frozen=True)
class _Step:
    """A link of the chain: a module that stays whole, or a function called between modules."""

    call: Call | None
    node: fx.Node


def block_cuts(trace: Trace, lowered: Lowered, input_tensor: Tensor) -> tuple[tuple[Cut, ...], tuple[str, ...]]:
    """One cut after each module of the paper's rule, and notes about what is left or missing.

    A module is expanded if its forward is a chain of its children, each called once; Dropout is no point. A function
    of one activation that is called between children belongs to the module before it (pooling, mean, reshaping and
    interpolation as in the rule; also DenseNet's ReLU and what ViT does with its class token and positions, which
    would otherwise have 2 points). At a chain's end only the former do; anything else there keeps the module whole.
    What costs nothing (flatten) moves no point, and interpolation after the last module stays on the edge node.
    """
    points = _single_tensor_points(trace, lowered, input_tensor)
    steps = _expand(trace.root, trace)
    cuts = [points[trace.placeholder]]
    last = max((i for i, step in enumerate(steps) if _is_block(step)), default=-1)
    left_over = False
    for i, step in enumerate(steps):
        if not _is_block(step):
            continue
        assert step.call is not None
        end = step.node
        following = steps[i + 1 :]
        while following and not _is_block(following[0]):
            costed = any(lowered.layers[j].cost != "free" for j in lowered.of_node[following[0].node])
            final_upsampling = i == last and kind(following[0].node, trace.module)[1] == "interpolate"
            if final_upsampling:
                left_over = True
                break
            end = following[0].node if costed else end
            following = following[1:]
        cut = points[end]
        if cut.layers != cuts[-1].layers:
            cuts.append(replace(cut, name=step.call.name))
    notes: list[str] = []
    if left_over:
        notes.append("the upsampling after the last block is no partitioning point: it stays on the edge node")
    if len(cuts) < 5:
        notes.append(
            f"only {len(cuts)} partitioning points in block mode, because the network is no chain of its blocks; "
            "mode tensor may have more"
        )
    return tuple(cuts), tuple(notes)


def _is_block(step: _Step) -> bool:
    return step.call is not None and step.call.type_name not in _DROPOUTS


def _expand(call: Call, trace: Trace) -> list[_Step]:
    """The steps a call consists of if it is a chain of its children, else the call itself."""
    steps: list[_Step] = []
    (current,) = call.inputs if len(call.inputs) == 1 else (None,)
    whole = [_Step(call, call.outputs[0])] if call.outputs else []
    if current is None or len(call.outputs) != 1:
        return whole
    seen: set[str] = set()
    trailing: list[fx.Node] = []
    active = set(trace.nodes)
    for event in call.events:
        if isinstance(event, Call):
            inputs = {n for n in event.inputs if n in active or n is trace.placeholder}
            if inputs != {current} or len(event.outputs) != 1 or event.path in seen:
                return whole
            if event.outputs[0] is not current:  # an empty Sequential hands its input through
                current = event.outputs[0]
                steps += _expand(event, trace)
            seen.add(event.path)
            trailing = []
        elif event in active:
            if set(trace.inputs(event)) != {current} or kind(event, trace.module)[1] not in _BETWEEN_KINDS:
                return whole
            current = event
            steps.append(_Step(None, event))
            trailing.append(event)
    tail_is_plain = all(kind(node, trace.module)[1] in _TAIL_KINDS for node in trailing)
    return steps if seen and tail_is_plain and current is call.outputs[0] else whole
