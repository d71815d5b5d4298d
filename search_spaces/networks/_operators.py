"""From the nodes of a torch graph to operators as plain values, whose costs `_graph` decides.

Operators that the table of kinds does not know are run on meta tensors and costed by the primitive operators they are
made of, or as a move, and reported.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import Any

import torch
from torch import fx, nn

from search_spaces.networks import _trace
from search_spaces.networks._graph import INPUT_NAME, Call, Graph, Op, Part, assemble, calls_from_scopes
from search_spaces.networks._kinds import operator_kind
from search_spaces.networks._primitives import Primitive, primitives
from search_spaces.networks._shapes import conv_shape_of, linear_shape, matmul_shape
from search_spaces.networks._trace import Trace, attribute
from search_spaces.types import INPUT, ConvShape, CostClass, Tensor

__all__ = ["kind", "lower"]


def kind(node: fx.Node, module: nn.Module) -> tuple[str, str]:
    """(operator name, kind) of a node; the kind of an operator that is not known is "unknown"."""
    if node.op == "call_module":
        target = module.get_submodule(str(node.target))
        name = type(target).__name__
        if not type(target).__module__.startswith("torch.nn."):
            return name, "unknown"
    elif isinstance(node.target, torch._ops.OpOverload):
        name = node.target.overloadpacket.__name__
    else:
        name = str(getattr(node.target, "__name__", node.target))
    return operator_kind(name)


def lower(trace: Trace) -> Graph:
    """The operators and layers of a traced network, one operator per node and in the order of the nodes."""
    return _Lowering(trace).run()


class _Lowering:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.index = {trace.placeholder: INPUT} | {node: i for i, node in enumerate(trace.nodes)}
        self.counted_parameters: set[int] = set()
        self.reported: dict[str, Counter[str]] = {"move": Counter(), "primitives": Counter()}

    def run(self) -> Graph:
        trace = self.trace
        ops = [self._op(node) for node in trace.nodes]
        notes = tuple(
            f"operator {name} (×{count}) is not known: costed {how}"
            for key, how in (("move", "as one read and write"), ("primitives", "by the primitive operators in it"))
            for name, count in sorted(self.reported[key].items())
        )
        output = self.index[trace.outputs[0]]
        if trace.root is not None:
            root: Call | None = self._call(trace.root)
        elif all(trace.scopes.get(node) for node in trace.nodes):
            root = calls_from_scopes(ops, [trace.scopes[node] for node in trace.nodes], output)
        else:
            root = None
        source = Tensor(INPUT_NAME, tuple(trace.placeholder.meta["val"].shape))
        return assemble(source, ops, output, root, notes)

    def _call(self, call: _trace.Call) -> Call:
        index = self.index
        events = tuple(
            self._call(event) if isinstance(event, _trace.Call) else index[event]
            for event in call.events
            if isinstance(event, _trace.Call) or index.get(event, INPUT) != INPUT
        )
        inputs, outputs = ((index[n] for n in nodes if n in index) for nodes in (call.inputs, call.outputs))
        return Call(call.path, call.type_name, call.depth, call.index, tuple(inputs), tuple(outputs), events)

    def _op(self, node: fx.Node) -> Op:
        operator, kind_ = kind(node, self.trace.module)
        value = node.meta["val"]
        parts: tuple[Part, ...] = ()
        shape, cost = None, None
        parameters = self._parameters(node)
        if kind_ in ("composite", "unknown"):
            cost, parts = self._composite(node, operator, kind_, parameters)
        elif kind_ == "attention":
            parts = self._attention(node, parameters)
        else:
            shape = self._mac_shape(node, operator, kind_)
        axis, operands = self._concatenation(node) if kind_ == "cat" else (None, ())
        return Op(
            name=str(node.target) if node.op == "call_module" else node.name,
            operator=operator,
            kind=kind_,
            inputs=tuple(self.index[n] for n in self.trace.inputs(node)),
            input_elements=_elements_in(node, kind_),
            output_elements=_elements(node),
            result=tuple(value.shape) if isinstance(value, torch.Tensor) else None,
            parameters=parameters,
            shape=shape,
            dense=bool(node.meta["dense"]),
            cost=cost,
            axis=axis,
            operands=operands,
            parts=parts,
        )

    def _concatenation(self, node: fx.Node) -> tuple[int | None, tuple[int | None, ...]]:
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        operands = node.args[0] if node.args else node.kwargs["tensors"]
        if not isinstance(dim, int) or not isinstance(operands, (list, tuple)):
            return None, ()
        return dim, tuple(self.index.get(n) if isinstance(n, fx.Node) else None for n in operands)

    def _mac_shape(self, node: fx.Node, operator: str, kind_: str) -> ConvShape | None:
        if kind_ == "conv":
            return _conv_shape(node, self.trace.module, operator)
        if kind_ == "linear":
            source = self.trace.inputs(node)[0].meta["val"]
            return linear_shape(tuple(source.shape), node.meta["val"].shape[-1])
        if kind_ == "matmul":
            given = (*node.args, *(node.kwargs[name] for name in ("input", "other", "mat2") if name in node.kwargs))
            first, second = (n.meta["val"] for n in given if isinstance(n, fx.Node))
            return matmul_shape(tuple(first.shape), tuple(second.shape))
        return None

    def _attention(self, node: fx.Node, parameters: int) -> tuple[Part, ...]:
        """Projections, query × key, softmax, weights × value: the two products are one group per head and image."""
        parts: list[Part] = []

        def part(
            label: str, operator: str, cost: CostClass, inputs: list[int], read: int, written: int,
            own: int = 0, shape: ConvShape | None = None,
        ) -> int:  # fmt: skip
            distinct = tuple(dict.fromkeys(inputs))
            parts.append(Part(f".{label}", operator, cost, distinct, read, written, own, shape))
            return len(parts) - 1

        query, key, value = (n.meta["val"] for n in node.args[:3] if isinstance(n, fx.Node))
        read = self.trace.inputs(node)
        sources = [-1 - read.index(n) for n in node.args[:3] if isinstance(n, fx.Node)]
        if node.op == "call_module":
            attention = self.trace.module.get_submodule(str(node.target))
            assert isinstance(attention, nn.MultiheadAttention)
            images, heads, width = query.numel() // prod(query.shape[-2:]), attention.num_heads, attention.embed_dim
            if not attention.batch_first and query.dim() == 3:
                images = query.shape[1]
            lengths = [t.numel() // images // t.shape[-1] for t in (query, key, value)]
            out = sum(p.numel() for p in attention.out_proj.parameters())
            if len(set(sources)) == 1:
                shape = linear_shape((images, lengths[0], query.shape[-1]), 3 * width)
                projected = part("in_proj", "linear", "mac", sources, query.numel(), 3 * query.numel(),
                                 parameters - out, shape)  # fmt: skip
                sources = [projected] * 3
            else:
                for i, (tensor, name) in enumerate(zip((query, key, value), "qkv", strict=True)):
                    shape = linear_shape((images, lengths[i], tensor.shape[-1]), width)
                    own, written = (parameters - out if i == 0 else 0), images * lengths[i] * width
                    sources[i] = part(
                        f"{name}_proj", "linear", "mac", [sources[i]], tensor.numel(), written, own, shape
                    )
            batch, depth, depth_v = images * heads, width // heads, width // heads
        else:
            out = 0
            batch, depth, depth_v = prod(query.shape[:-2]), query.shape[-1], value.shape[-1]
            lengths = [query.shape[-2], key.shape[-2], value.shape[-2]]
        rows, columns = lengths[0], lengths[1]
        scores = batch * rows * columns
        qk = part("query_key", "matmul", "mac", sources[:2], batch * depth * (rows + columns), scores, 0,
                  matmul_shape((batch, rows, depth), (batch, depth, columns)))  # fmt: skip
        soft = part("softmax", "softmax", "move", [qk], scores, scores)
        product = matmul_shape((batch, rows, columns), (batch, columns, depth_v))
        result = part("weights_value", "matmul", "mac", [soft, sources[2]], scores + batch * columns * depth_v,
                      batch * rows * depth_v, 0, product)  # fmt: skip
        if node.op == "call_module":
            part("out_proj", "linear", "mac", [result], query.numel(), query.numel(), out,
                 linear_shape((images, rows, width), width))  # fmt: skip
        return tuple(parts)

    def _composite(
        self, node: fx.Node, operator: str, kind_: str, parameters: int
    ) -> tuple[CostClass | None, tuple[Part, ...]]:
        """Cost an operator by the primitive operators that run inside it."""
        found: list[Primitive] = primitives(node, self.trace)
        if not any(p.shape is not None for p in found):
            if kind_ == "unknown":
                self.reported["move"][operator] += 1
            return "move" if found or kind_ == "unknown" else "free", ()
        if kind_ == "unknown":
            self.reported["primitives"][operator] += 1
        parts = []
        for p in found:
            cost: CostClass = "mac" if p.shape is not None else "move"
            own = parameters if cost == "mac" else 0  # all of them at the first product
            parameters -= own
            label = "" if len(found) == 1 else f".{p.operator}"
            parts.append(Part(label, p.operator, cost, p.inputs, p.input_elements, p.output_elements, own, p.shape))
        return None, tuple(parts)

    def _parameters(self, node: fx.Node) -> int:
        """Parameters a node brings in; shared ones count where they are first used."""
        found: list[nn.Parameter] = []
        if node.op == "call_module":
            found += self.trace.module.get_submodule(str(node.target)).parameters()
        waiting = [n for n in node.all_input_nodes if not n.meta["active"]]
        while waiting:
            constant = waiting.pop()
            waiting += constant.all_input_nodes
            if constant.op == "get_attr":
                value = attribute(self.trace.module, str(constant.target))
                found += [value] if isinstance(value, nn.Parameter) else []
            elif constant.op == "call_module":
                found += self.trace.module.get_submodule(str(constant.target)).parameters()
        new = [p for p in found if id(p) not in self.counted_parameters]
        self.counted_parameters.update(map(id, new))
        return sum(p.numel() for p in new)


def _elements(node: fx.Node) -> int:
    value = node.meta["val"]
    values = value if isinstance(value, (tuple, list)) else [value]
    return sum(v.numel() for v in values if isinstance(v, torch.Tensor))


def _elements_in(node: fx.Node, kind_: str) -> int:
    """Elements read: every distinct activation, and constants too where they are operands and no weights."""
    weights = kind_ in ("conv", "linear", "batch_norm", "norm")
    return sum(_elements(n) for n in dict.fromkeys(node.all_input_nodes) if n.meta["active"] or not weights)


def _conv_shape(node: fx.Node, module: nn.Module, operator: str) -> ConvShape:
    """The shape of a convolution's node: a module such as Conv2d, or a function such as F.conv2d."""
    name = f"{type(module).__name__}: {node.target if node.op == 'call_module' else node.name}"
    shapes = tuple(node.all_input_nodes[0].meta["val"].shape), tuple(node.meta["val"].shape)
    transposed = "transpose" in operator
    if node.op == "call_module":
        conv = module.get_submodule(str(node.target))
        assert isinstance(conv, nn.modules.conv._ConvNd)
        return conv_shape_of(name, *shapes, conv.kernel_size, conv.stride, conv.dilation, conv.groups, transposed)
    last = ("output_padding", "groups", "dilation") if transposed else ("dilation", "groups")
    names = ("input", "weight", "bias", "stride", "padding", *last)
    given: dict[str, Any] = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    kernel = tuple(given["weight"].meta["val"].shape[2:])
    stride, dilation = (_each(given.get(key, 1), len(kernel)) for key in ("stride", "dilation"))
    return conv_shape_of(name, *shapes, kernel, stride, dilation, int(given.get("groups", 1)), transposed)


def _each(value: int | tuple[int, ...], dimensions: int) -> tuple[int, ...]:
    """One setting per spatial dimension."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values if len(values) == dimensions else values * dimensions
