"""From graph nodes to `Layer`s: which operator costs a sensor node what (COST_MODEL section 7).

"mac" operators become convolutions for the mapper; activations and batch norms directly after a convolution, linear
layer or addition are fused ("free"), as are views of contiguous memory, dropout and concatenations whose operands are
written in place; everything else reads its inputs and writes its output ("move"). Operators that this table does not
know are run on meta tensors and costed by the primitive operators they are made of, or as a move, and reported.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import fx, nn

from search_spaces.networks._kinds import operator_kind
from search_spaces.networks._primitives import Primitive, primitives
from search_spaces.networks._shapes import conv_shape, linear_shape, matmul_shape
from search_spaces.networks._trace import Trace
from search_spaces.types import INPUT, ConvShape, CostClass, Layer

__all__ = ["Lowered", "attribute", "kind", "lower"]


@dataclass
class Lowered:
    """Layers in order, and for every node the layers it became (the last of them stands for its result)."""

    layers: list[Layer] = field(default_factory=list)
    of_node: dict[fx.Node, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def kind(node: fx.Node, module: nn.Module) -> tuple[str, str]:
    """(operator name, kind) of a node; the kind of an operator that is not known is "unknown"."""
    if node.op == "call_module":
        target = module.get_submodule(str(node.target))
        name = type(target).__name__
        if not type(target).__module__.startswith("torch.nn."):
            return name, "unknown"
    else:
        name = str(getattr(node.target, "__name__", node.target))
    return operator_kind(name)


def lower(trace: Trace) -> Lowered:
    """The layers of a traced network."""
    return _Lowering(trace).run()


class _Lowering:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.out = Lowered()
        self.kinds = {node: kind(node, trace.module) for node in trace.nodes}
        self.names: Counter[str] = Counter()
        self.taken: set[str] = set()
        self.counted_parameters: set[int] = set()
        self.reported: dict[str, Counter[str]] = {"move": Counter(), "primitives": Counter()}
        self.consumers: dict[fx.Node, int] = Counter(i for n in trace.nodes for i in trace.inputs(n))
        self.consumers.update(Counter(trace.outputs))
        self.fusable: set[fx.Node] = set()

    def run(self) -> Lowered:
        for node in self.trace.nodes:
            operator, kind_ = self.kinds[node]
            start = len(self.out.layers)
            if kind_ in ("composite", "unknown"):
                self._lower_composite(node, operator, kind_)
            elif kind_ == "attention":
                self._lower_attention(node)
            else:
                shape = self._mac_shape(node, kind_)
                cost: CostClass = "mac" if shape is not None else "free" if self._is_free(node, kind_) else "move"
                self._append(self._name(node), operator, cost, self._inputs(node), _elements_in(node, kind_),
                             _elements(node), self._parameters(node), shape)  # fmt: skip
                passes = cost == "free" and kind_ in ("activation", "batch_norm", "identity")
                if kind_ in ("conv", "linear", "add") or (passes and self._producer(node) in self.fusable):
                    self.fusable.add(node)
            self.out.of_node[node] = tuple(range(start, len(self.out.layers)))
        self.out.notes = tuple(
            f"operator {name} (×{count}) is not known: costed {how}"
            for key, how in (("move", "as one read and write"), ("primitives", "by the primitive operators in it"))
            for name, count in sorted(self.reported[key].items())
        )
        return self.out

    def _is_free(self, node: fx.Node, kind_: str) -> bool:
        if kind_ == "identity":
            return True
        if kind_ == "view":
            return bool(node.meta["dense"]) and _elements(node) <= max(map(_elements, self.trace.inputs(node)))
        if kind_ in ("activation", "batch_norm"):
            return self._producer(node) in self.fusable
        return kind_ == "cat" and self._is_written_in_place(node)

    def _producer(self, node: fx.Node) -> fx.Node | None:
        inputs = self.trace.inputs(node)
        return inputs[0] if len(inputs) == 1 else None

    def _is_written_in_place(self, node: fx.Node) -> bool:
        """A concatenation whose operands lie one after the other and are each written for it alone."""
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        operands = node.args[0] if node.args else node.kwargs["tensors"]
        if not isinstance(dim, int) or not isinstance(operands, (list, tuple)):
            return False
        value = node.meta["val"]
        outer = value.shape[: dim % value.dim()]
        return prod(outer) == 1 and len(set(operands)) == len(operands) and all(map(self._is_fresh, operands))

    def _is_fresh(self, node: Any) -> bool:
        """Whether a tensor is the whole result of a costed operator that nobody else reads."""
        while isinstance(node, fx.Node) and node in self.kinds and self.consumers[node] == 1:
            last = self.out.layers[self.out.of_node[node][-1]]
            if last.cost != "free" or self.kinds[node][1] == "cat":
                return True
            source = self._producer(node)
            if source is None or _elements(source) != _elements(node):
                return False
            node = source
        return False

    def _mac_shape(self, node: fx.Node, kind_: str) -> ConvShape | None:
        if kind_ == "conv":
            return conv_shape(node, self.trace.module)
        if kind_ == "linear":
            source = self.trace.inputs(node)[0].meta["val"]
            return linear_shape(tuple(source.shape), node.meta["val"].shape[-1])
        if kind_ == "matmul":
            first, second = (n.meta["val"] for n in node.args[:2] if isinstance(n, fx.Node))
            return matmul_shape(tuple(first.shape), tuple(second.shape))
        return None

    def _lower_attention(self, node: fx.Node) -> None:
        """Projections, query × key, softmax, weights × value: the two products are one group per head and image."""
        name, inputs, parameters = self._name(node), self._inputs(node), self._parameters(node)
        query, key, value = (n.meta["val"] for n in node.args[:3] if isinstance(n, fx.Node))
        sources = [self._final(n) for n in node.args[:3] if isinstance(n, fx.Node)]
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
                projected = self._append(f"{name}.in_proj", "linear", "mac", inputs, query.numel(),
                                         3 * query.numel(), parameters - out, shape)  # fmt: skip
                sources = [projected] * 3
            else:
                for i, (tensor, part) in enumerate(zip((query, key, value), "qkv", strict=True)):
                    shape = linear_shape((images, lengths[i], tensor.shape[-1]), width)
                    sources[i] = self._append(
                        f"{name}.{part}_proj", "linear", "mac", (sources[i],), tensor.numel(),
                        images * lengths[i] * width, parameters - out if i == 0 else 0, shape)  # fmt: skip
            batch, depth, depth_v = images * heads, width // heads, width // heads
        else:
            out = 0
            batch, depth, depth_v = prod(query.shape[:-2]), query.shape[-1], value.shape[-1]
            lengths = [query.shape[-2], key.shape[-2], value.shape[-2]]
        rows, columns = lengths[0], lengths[1]
        scores = batch * rows * columns
        qk = self._append(f"{name}.query_key", "matmul", "mac", _distinct(sources[:2]),
                          batch * depth * (rows + columns), scores, 0,
                          matmul_shape((batch, rows, depth), (batch, depth, columns)))  # fmt: skip
        soft = self._append(f"{name}.softmax", "softmax", "move", (qk,), scores, scores)
        result = self._append(f"{name}.weights_value", "matmul", "mac", _distinct([soft, sources[2]]),
                              scores + batch * columns * depth_v, batch * rows * depth_v, 0,
                              matmul_shape((batch, rows, columns), (batch, columns, depth_v)))  # fmt: skip
        if node.op == "call_module":
            self._append(f"{name}.out_proj", "linear", "mac", (result,), query.numel(), query.numel(), out,
                         linear_shape((images, rows, width), width))  # fmt: skip

    def _lower_composite(self, node: fx.Node, operator: str, kind_: str) -> None:
        """Cost an operator by the primitive operators that run inside it."""
        found: list[Primitive] = primitives(node, self.trace)
        name, parameters = self._name(node), self._parameters(node)
        outside = self._inputs(node)
        if not any(p.shape is not None for p in found):
            if kind_ == "unknown":
                self.reported["move"][operator] += 1
            cost: CostClass = "move" if found or kind_ == "unknown" else "free"
            self._append(name, operator, cost, outside, _elements_in(node, kind_), _elements(node), parameters)
            return
        if kind_ == "unknown":
            self.reported["primitives"][operator] += 1
        made: list[int] = []
        for p in found:
            inputs = _distinct([made[i] if i >= 0 else outside[-1 - i] for i in p.inputs]) or outside
            cost = "mac" if p.shape is not None else "move"
            own = parameters if cost == "mac" else 0  # all of them at the first product
            parameters -= own
            label = name if len(found) == 1 else f"{name}.{p.operator}"
            made.append(
                self._append(label, p.operator, cost, inputs, p.input_elements, p.output_elements, own, p.shape)
            )

    def _append(
        self, name: str, operator: str, cost: CostClass, inputs: tuple[int, ...], input_elements: int,
        output_elements: int, parameters: int = 0, shape: ConvShape | None = None,
    ) -> int:  # fmt: skip
        unique, n = name, 0
        while unique in self.taken:
            n += 1
            unique = f"{name}_{n}"
        self.taken.add(unique)
        layer = Layer(unique, operator, cost, inputs, input_elements, output_elements, parameters, shape)
        self.out.layers.append(layer)
        return len(self.out.layers) - 1

    def _name(self, node: fx.Node) -> str:
        return str(node.target) if node.op == "call_module" else node.name

    def _final(self, node: fx.Node) -> int:
        """The index that stands for an activation: the last layer its node became."""
        return INPUT if node is self.trace.placeholder else self.out.of_node[node][-1]

    def _inputs(self, node: fx.Node) -> tuple[int, ...]:
        return _distinct([self._final(n) for n in self.trace.inputs(node)])

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


def attribute(module: nn.Module, path: str) -> Any:
    """A module, parameter or buffer by its dotted path."""
    *parents, name = path.split(".")
    return getattr(module.get_submodule(".".join(parents)), name)


def _distinct(items: list[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(items))


def _elements(node: fx.Node) -> int:
    value = node.meta["val"]
    values = value if isinstance(value, (tuple, list)) else [value]
    return sum(v.numel() for v in values if isinstance(v, torch.Tensor))


def _elements_in(node: fx.Node, kind_: str) -> int:
    """Elements read: every distinct activation, and constants too where they are operands and no weights."""
    weights = kind_ in ("conv", "linear", "batch_norm", "norm")
    return sum(_elements(n) for n in dict.fromkeys(node.all_input_nodes) if n.meta["active"] or not weights)
