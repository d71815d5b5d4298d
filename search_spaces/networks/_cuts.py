"""Where a network may be cut: every single tensor, or the blocks of the founding paper. No torch.

Cuts through several tensors are in `_frontier`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from search_spaces.errors import UserError
from search_spaces.networks._graph import Call, Graph
from search_spaces.types import INPUT, Cut, Layer

__all__ = ["block_cuts", "merge_cuts", "tensor_cuts"]

_TAIL_KINDS = ("pool", "view", "interpolate", "identity")
_BETWEEN_KINDS = (*_TAIL_KINDS, "activation", "batch_norm", "norm", "add", "elementwise", "cat", "copy")
_DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


def tensor_cuts(graph: Graph) -> tuple[Cut, ...]:
    """Every point of the execution order at which exactly one tensor is alive."""
    return tuple(_single_tensor_points(graph).values())


def _single_tensor_points(graph: Graph) -> dict[int, Cut]:
    readers = dict.fromkeys((INPUT, *range(len(graph.ops))), 0)
    for op in graph.ops:
        for source in op.inputs:
            readers[source] += 1
    readers[graph.output] += 1
    points = {INPUT: Cut(graph.input.name, frozenset(), (graph.input,))}
    alive, layers = {INPUT}, set[int]()
    for i, op in enumerate(graph.ops):
        layers.update(graph.layers_of[i])
        for source in op.inputs:
            readers[source] -= 1
            if not readers[source]:
                alive.discard(source)
        alive.add(i)
        tensor = graph.tensor(i)
        if alive == {i} and tensor is not None:
            points[i] = Cut(tensor.name, frozenset(layers), (tensor,))
    return points


def merge_cuts(cuts: tuple[Cut, ...], layers: tuple[Layer, ...]) -> tuple[Cut, ...]:
    """Join neighbours that carry equally many elements with only free operators between them.

    The joined point has the name of the first (the operator that is paid for) and ends after the last: what is
    fused or moves nothing is done on the sensor node, but whole numbers are sent as such. Only the input keeps an
    empty set of layers.
    """
    merged: list[Cut] = []
    for cut in cuts:
        if merged and merged[-1].elements == cut.elements:
            before = merged[-1]
            if all(layers[i].cost == "free" for i in cut.layers - before.layers):
                stays = not before.layers or layers[max(cut.layers)].operator == "dequantize"
                joined = before if stays else replace(cut, name=before.name)
                merged[-1] = replace(joined, aliases=(*before.aliases, cut.name))
                continue
        merged.append(cut)
    return tuple(merged)


@dataclass(frozen=True)
class _Step:
    """A link of the chain: a module that stays whole, or a function called between modules; `op` gives its result."""

    call: Call | None
    op: int


def block_cuts(graph: Graph) -> tuple[tuple[Cut, ...], tuple[str, ...]]:
    """One cut after each module of the paper's rule, and notes about what is left or missing.

    A module is expanded if its forward is a chain of its children, each called once; Dropout is no point. A function
    of one activation that is called between children belongs to the module before it (pooling, mean, reshaping and
    interpolation as in the rule; also DenseNet's ReLU and what ViT does with its class token and positions, which
    would otherwise have 2 points). At a chain's end only the former do; anything else there keeps the module whole.
    What costs nothing (flatten) moves no point, and interpolation after the last module stays on the edge node.
    Raises UserError where the modules are not known.
    """
    if graph.root is None:
        raise UserError(
            "mode block cuts after modules, and this file says nothing about modules (torch.onnx.export with "
            "dynamo=True would); use the modes tensor or frontier"
        )
    points = _single_tensor_points(graph)
    steps = _expand(graph.root, graph)
    cuts = [points[INPUT]]
    last = max((i for i, step in enumerate(steps) if _is_block(step)), default=-1)
    left_over = False
    for i, step in enumerate(steps):
        if not _is_block(step):
            continue
        assert step.call is not None
        end = step.op
        following = steps[i + 1 :]
        while following and not _is_block(following[0]):
            costed = any(graph.layers[j].cost != "free" for j in graph.layers_of[following[0].op])
            final_upsampling = i == last and graph.ops[following[0].op].kind == "interpolate"
            if final_upsampling:
                left_over = True
                break
            whole = graph.tensor(end) is not None  # an LSTM gives a tuple, of which an operator takes one tensor
            end = following[0].op if costed or not whole else end
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


def _expand(call: Call, graph: Graph) -> list[_Step]:
    """The steps a call consists of if it is a chain of its children, else the call itself."""
    steps: list[_Step] = []
    (current,) = call.inputs if len(call.inputs) == 1 else (None,)
    whole = [_Step(call, call.outputs[0])] if call.outputs else []
    if current is None or len(call.outputs) != 1:
        return whole
    seen: set[str] = set()
    trailing: list[int] = []
    for event in call.events:
        if isinstance(event, Call):
            if set(event.inputs) != {current} or len(event.outputs) != 1 or event.path in seen:
                return whole
            if event.outputs[0] != current:  # an empty Sequential hands its input through
                current = event.outputs[0]
                steps += _expand(event, graph)
            seen.add(event.path)
            trailing = []
        else:
            if set(graph.ops[event].inputs) != {current} or graph.ops[event].kind not in _BETWEEN_KINDS:
                return whole
            current = event
            steps.append(_Step(None, event))
            trailing.append(event)
    tail_is_plain = all(graph.ops[op].kind in _TAIL_KINDS for op in trailing)
    return steps if seen and tail_is_plain and current == call.outputs[0] else whole
