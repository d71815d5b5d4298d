"""The primitive operators inside a composite one, found by running it on meta tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.networks._shapes import conv_shape_of, matmul_shape
from search_spaces.networks._trace import Trace
from search_spaces.types import ConvShape

__all__ = ["Primitive", "primitives"]


@dataclass(frozen=True)
class Primitive:
    """One primitive operator; `inputs` are positions in the list, -1 - i for the composite's i-th activation."""

    operator: str
    inputs: tuple[int, ...]
    input_elements: int
    output_elements: int
    shape: ConvShape | None


def primitives(node: fx.Node, trace: Trace) -> list[Primitive]:
    """What a node executes, without views and without what touches constants only."""
    active = trace.inputs(node)
    name = f"{type(trace.module).__name__}: {node.name}"
    recorder = _Recorder(name, {id(n.meta["val"]): -1 - i for i, n in enumerate(active)})
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
    with torch.inference_mode(False), torch.no_grad(), recorder:  # inference mode would hide what linear is made of
        if node.op == "call_module":
            trace.module.get_submodule(str(node.target))(*args, **kwargs)
        elif node.op == "call_method":
            getattr(args[0], str(node.target))(*args[1:], **kwargs)
        else:
            node.target(*args, **kwargs)  # type: ignore[operator] # the target of a call_function is callable
    return recorder.found


class _Recorder(TorchDispatchMode):
    def __init__(self, name: str, sources: dict[int, int]) -> None:
        super().__init__()
        self.found: list[Primitive] = []
        self._name = name
        self._sources = sources  # id of a tensor -> who made it; constants are in no entry
        self._kept: list[Any] = []  # so that no id is used twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._kept.append((args, kwargs, result))
        read = [t for t in pytree.tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        made = [t for t in pytree.tree_leaves(result) if isinstance(t, torch.Tensor)]
        inputs = tuple(dict.fromkeys(self._sources[id(t)] for t in read if id(t) in self._sources))
        if not inputs or not made or _reads_no_value(func):
            return result
        if _is_view(func):
            source = inputs[0]
        else:
            name = func.overloadpacket.__name__
            shape = self._shape(name, args, result)
            counted = [t for t in read if shape is None or id(t) in self._sources]  # weights are no activations
            self.found.append(
                Primitive(name.strip("_"), inputs, sum(t.numel() for t in counted), sum(t.numel() for t in made), shape)
            )
            source = len(self.found) - 1
        self._sources.update({id(t): source for t in made})
        return result

    def _shape(self, name: str, args: Any, result: Any) -> ConvShape | None:
        if name in ("mm", "addmm", "bmm", "baddbmm"):
            first, second = args[-2:] if name in ("mm", "bmm") else args[1:3]
            return matmul_shape(tuple(first.shape), tuple(second.shape))
        if name == "convolution":
            source, weight, _, stride, _, dilation, transposed, _, groups = args
            return conv_shape_of(
                self._name, tuple(source.shape), tuple(result.shape), tuple(weight.shape[2:]), tuple(stride),
                tuple(dilation), groups, transposed,
            )  # fmt: skip
        return None


def _is_view(func: Any) -> bool:
    """Whether an operator's result shares its input's memory unchanged."""
    aliases = [r.alias_info for r in func._schema.returns]
    shares = any(a is not None and not a.is_write for a in aliases)
    return shares or func.overloadpacket.__name__ in ("_unsafe_view", "lift_fresh", "alias", "detach")


def _reads_no_value(func: Any) -> bool:
    """Whether an operator looks only at its input's shape, as zeros_like does."""
    name = func.overloadpacket.__name__
    return name.startswith(("new_", "empty_")) or name.endswith("_like")
