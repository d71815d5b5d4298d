"""A network's graph of operators with concrete shapes, traced by torch.fx on meta tensors (no weights, no arithmetic).

Beside the graph the tracer keeps the tree of module calls, which the block cuts and their torchinfo-style names
need. Shape arithmetic is folded into constants, so uses of a tensor's *shape* keep no tensor alive.
"""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg
from torch.utils import _pytree as pytree

from search_spaces.errors import UserError
from search_spaces.networks._graph import Numbering, Scope

__all__ = ["Call", "Trace", "attribute", "trace"]


@dataclass(eq=False)
class Call:
    """One call of a module: what its forward did directly, in order (calls of children, and function nodes)."""

    path: str
    type_name: str
    depth: int
    index: int
    inputs: tuple[fx.Node, ...] = ()
    outputs: tuple[fx.Node, ...] = ()
    events: list[Call | fx.Node] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Trace:
    """A concrete graph: `nodes` are the operators that depend on the input, in execution order.

    Every node of the graph that makes tensors has `meta["val"]` (its value on the meta device, contiguous) and
    `meta["dense"]` (whether the operator's result was contiguous before that, so that a slice or view moved nothing).
    Nodes that are not in `nodes` compute constants from parameters; `constants` are tensors that forward made while it
    was traced, by the names that they have in the graph. `root` is the tree of module calls; a program made
    by torch.export has none, but `scopes` of its nodes.
    """

    module: nn.Module
    graph: fx.Graph
    root: Call | None
    scopes: Mapping[fx.Node, Scope]
    placeholder: fx.Node
    nodes: tuple[fx.Node, ...]
    outputs: tuple[fx.Node, ...]
    constants: Mapping[str, torch.Tensor]

    def inputs(self, node: fx.Node) -> tuple[fx.Node, ...]:
        """The distinct activations that a node reads (the network's input included, constants not)."""
        return tuple(n for n in dict.fromkeys(node.all_input_nodes) if n.meta["active"])


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self.root_call = Call("", "", 0, 1)
        self._numbering = Numbering()
        self._stack = [self.root_call]

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        path = self.path_of_module(m)
        call = Call(path, type(m).__name__, *self._numbering.next(path), _nodes((args, kwargs)))
        self._stack[-1].events.append(call)
        self._stack.append(call)
        try:
            result = super().call_module(m, forward, args, kwargs)
        finally:
            self._stack.pop()
        call.outputs = _nodes(result)
        return result

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
        """What has a default keeps it: forward may branch on it, and it is no input of the network."""
        forward, given = super().create_args_for_root(*args, **kwargs)
        for i, value in enumerate(given):
            if isinstance(value, fx.Proxy) and value.node.args:
                given[i] = value.node.args[0]
                self.graph.erase_node(value.node)
        return forward, given

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self._stack[-1].events.append(node)
        return node


class _ShapeRun(fx.Interpreter):
    """Runs the graph on meta tensors and keeps each node's value."""

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "output":
            return result
        tensors = _tensors(result)
        n.meta["dense"] = all(t.is_contiguous() for t in tensors)
        result = pytree.tree_map_only(torch.Tensor, lambda t: t.contiguous(), result)
        n.meta["val"] = result
        return result


def trace(module: nn.Module, input_shape: tuple[int, ...], name: str) -> Trace:
    """Trace a module that lies on the meta device; raises UserError if it cannot be, or cannot take the input."""
    root: Call | None = None
    if isinstance(module, fx.GraphModule) and _is_exported(module.graph):
        graph = copy.deepcopy(module.graph)
    else:
        tracer = _Tracer()
        root = tracer.root_call
        root.type_name = type(module).__name__
        try:
            graph = tracer.trace(module)
        except Exception as error:  # fx raises many types; all mean the same to the user
            raise UserError(
                f"{name} cannot be traced by torch.fx: {_first_line(error)}; a .pt2 of torch.export may do"
            ) from error
    _check_inputs(graph, name)
    constants = _to_meta(module, graph)
    text = "x".join(map(str, input_shape))
    run = _ShapeRun(module, graph=graph)
    run.extra_traceback = False
    try:
        with torch.inference_mode(False), torch.no_grad():
            run.run(torch.empty(input_shape, device="meta"))
    except Exception as error:  # any operator may refuse the shape, each with its own type
        said = _first_line(error)
        if re.search("meta tensor|register_meta", said):  # it needs values, and a tensor without storage has none
            raise UserError(
                f"{name} computes shapes from its data or branches on it, so what runs is not known beforehand: {said}"
            ) from error
        raise UserError(
            f"{name} does not take an input of {text}: {said} (leave the input out for its default)"
        ) from error
    _fold_shapes(graph)
    placeholder = next(n for n in graph.nodes if n.op == "placeholder")
    for node in graph.nodes:
        node.meta["active"] = node is placeholder or any(n.meta["active"] for n in node.all_input_nodes)
    output = next(n for n in graph.nodes if n.op == "output")
    outputs = tuple(n for n in dict.fromkeys(output.all_input_nodes) if n.meta["active"])
    if outputs == (placeholder,):
        raise UserError(f"{name} gives back its input: it has no operator that could be cut")
    if len(outputs) != 1:
        raise UserError(
            f"{name} gives {len(outputs)} tensors that are computed from its input, in tuples, lists and dictionaries; "
            "a network with one output is needed: wrap it in a module that returns the one you want"
        )
    if root is not None:
        root.inputs, root.outputs = (placeholder,), outputs
    nodes = tuple(n for n in graph.nodes if n.meta["active"] and n.op not in ("placeholder", "output"))
    return Trace(module, graph, root, {n: _scope(n) for n in nodes}, placeholder, nodes, outputs, constants)


def attribute(module: nn.Module, path: str) -> Any:
    """A module, parameter or buffer by its dotted path."""
    parents, _, name = path.rpartition(".")
    return getattr(module.get_submodule(parents), name)


def _to_meta(module: nn.Module, graph: fx.Graph) -> dict[str, torch.Tensor]:
    """Let what forward makes lie on the meta device too; gives the tensors that are no parameters as they were."""
    constants: dict[str, torch.Tensor] = {}
    for node in graph.nodes:
        node.args, node.kwargs = (map_aggregate(given, _meta_device) for given in (node.args, node.kwargs))
        if isinstance(node.kwargs.get("device"), str):
            node.kwargs = {**node.kwargs, "device": torch.device("meta")}
        if node.op == "get_attr":
            parents, _, name = str(node.target).rpartition(".")
            owner = module.get_submodule(parents)
            value = getattr(owner, name)
            if isinstance(value, torch.Tensor) and not value.is_meta:
                constants[str(node.target)] = value
                setattr(owner, name, value.to("meta"))
    return constants


def _meta_device(value: Any) -> Any:
    return torch.device("meta") if isinstance(value, torch.device) else value


def _is_exported(graph: fx.Graph) -> bool:
    """Whether a graph came out of torch.export: made of torch's own operators, not of modules."""
    return any(isinstance(node.target, torch._ops.OpOverload) for node in graph.nodes)


def _check_inputs(graph: fx.Graph, name: str) -> None:
    """One input without a default; others keep theirs."""
    needed = [n for n in graph.nodes if n.op == "placeholder" and not n.args]
    unbounded = any(str(n.target).startswith("*") for n in needed)
    if len(needed) != 1 or unbounded:
        listed = ", ".join(str(n.target) for n in needed) or "none"
        raise UserError(
            f"{name} takes {'any number of' if unbounded else len(needed)} inputs ({listed}); a network with one input "
            "is needed: wrap it in a module that fills in the others"
        )


def _scope(node: fx.Node) -> Scope:
    """The module calls around a node of an exported program."""
    stack = node.meta.get("nn_module_stack") or {}
    calls = []
    for path, kind in stack.values():
        type_name = kind if isinstance(kind, str) else kind.__name__
        calls.append((path.removeprefix("L['self']").lstrip("."), type_name.rpartition(".")[2]))
    return tuple(calls)


def _fold_shapes(graph: fx.Graph) -> None:
    """Replace nodes that make no tensor (sizes, their arithmetic, checks of them) by their values; drop dead code."""
    folded = {n for n in graph.nodes if n.op not in ("placeholder", "output") and not _tensors(n.meta["val"])}
    for node in graph.nodes:
        if node.op != "placeholder" and not folded.isdisjoint(node.all_input_nodes):
            node.args = map_arg(node.args, lambda n: n.meta["val"] if n in folded else n)
            node.kwargs = map_arg(node.kwargs, lambda n: n.meta["val"] if n in folded else n)
    for node in reversed(list(graph.nodes)):
        if node in folded:
            graph.erase_node(node)
    for node in reversed(list(graph.nodes)):  # eliminate_dead_code would keep what looks impure, in-place ReLU too
        if node.op not in ("placeholder", "output") and not node.users and node.target is not operator.setitem:
            graph.erase_node(node)


def _nodes(value: Any) -> tuple[fx.Node, ...]:
    return tuple(dict.fromkeys(leaf.node for leaf in pytree.tree_leaves(value) if isinstance(leaf, fx.Proxy)))


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
