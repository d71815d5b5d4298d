"""The two halves of a network at a cut as runnable torch modules. Importing this imports torch."""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate

from search_spaces.errors import UserError
from search_spaces.networks import _models, store
from search_spaces.networks._operators import lower
from search_spaces.networks._trace import attribute, trace
from search_spaces.types import Cut, Network

__all__ = ["Halves", "Splitter"]

_OUT_OF_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub}


@dataclass(frozen=True, eq=False)
class Halves:
    """`head` maps the input to a tuple of the crossing tensors, `tail` maps those to a tuple of the outputs.

    `tail` is None where no operator is left to the edge node.
    """

    head: fx.GraphModule
    tail: fx.GraphModule | None


class Splitter:
    """Splits a network at any of its cuts; traced once, all parts share the parameters of `module`."""

    def __init__(self, network: Network, module: nn.Module) -> None:
        self._trace = trace(_models.build(network.name, device="meta"), network.input.shape, network.name)
        graph = lower(self._trace)
        if graph.layers != network.layers:
            raise UserError(
                f"the layers of {network.name} are not those traced now; delete {store.folder()} and load it again"
            )
        self._layers_of = dict(zip(self._trace.nodes, graph.layers_of, strict=True))
        self._module = module
        self._device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))

    @property
    def operators(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The network's operators in order: the name of the torch.fx node, and the layers it became."""
        return tuple((node.name, layers) for node, layers in self._layers_of.items())

    def split(self, cut: Cut) -> Halves:
        """Both halves at a cut of this network."""
        before = {n for n in self._trace.nodes if cut.layers.issuperset(self._layers_of[n])}
        after = {n for n in self._trace.nodes if n not in before}
        inside = {self._trace.placeholder, *before}
        needed = {s for n in after for s in self._trace.inputs(n)} | set(self._trace.outputs)
        crossing = tuple(n for n in (self._trace.placeholder, *self._trace.nodes) if n in inside and n in needed)
        head = self._build((self._trace.placeholder,), before, crossing)
        tail = self._build(crossing, after, self._trace.outputs) if after else None
        return Halves(head, tail)

    def _build(
        self, sources: tuple[fx.Node, ...], wanted: set[fx.Node], results: tuple[fx.Node, ...]
    ) -> fx.GraphModule:
        """A module of the wanted nodes, in their order, and the constants that they need."""
        graph = fx.Graph()
        copied = {node: graph.placeholder(f"crossing_{i}") for i, node in enumerate(sources)}
        root: dict[str, Any] = {}
        for node in self._trace.graph.nodes:
            if node in copied or not (node in wanted or self._is_constant(node)):
                continue
            made = copied[node] = graph.node_copy(node, copied.__getitem__)
            made.args = map_aggregate(made.args, self._on_device)
            made.kwargs = map_aggregate(made.kwargs, self._on_device)
            if node.op in ("call_module", "get_attr"):
                root[str(node.target)] = self._attribute(str(node.target))
            if any(n in sources for n in node.all_input_nodes):
                _keep_inputs(made, root)
        graph.output(tuple(copied[n] for n in results))
        for node in reversed(list(graph.nodes)):  # constants of the other half
            if node.op not in ("placeholder", "output") and not node.users:
                graph.erase_node(node)
        used = {str(n.target) for n in graph.nodes if n.op in ("call_module", "get_attr")}
        return fx.GraphModule({path: value for path, value in root.items() if path in used}, graph).eval()

    def _attribute(self, path: str) -> Any:
        """Of the module that runs; where it has none, a tensor that forward made while it was traced."""
        try:
            return attribute(self._module, path)
        except AttributeError:
            return self._trace.constants[path].to(self._device)

    def _is_constant(self, node: fx.Node) -> bool:
        return node.op not in ("placeholder", "output") and not node.meta["active"]

    def _on_device(self, value: Any) -> Any:
        return self._device if isinstance(value, torch.device) else value


def _keep_inputs(node: fx.Node, root: dict[str, Any]) -> None:
    """Make an operator that would overwrite a crossing tensor write elsewhere, so that runs can be repeated."""
    if node.op == "call_module" and getattr(root[str(node.target)], "inplace", False):
        module = copy.copy(root[str(node.target)])
        module.inplace = False
        node.target = f"{node.target}_kept"
        root[node.target] = module
    elif node.op == "call_function":
        node.target = _OUT_OF_PLACE.get(node.target, node.target)
        if node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
