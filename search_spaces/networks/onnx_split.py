"""The two halves of an ONNX network at a cut as ONNX models of their own. Needs the package onnx, no torch."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.errors import UserError
from search_spaces.networks import _onnx, store
from search_spaces.types import Cut, Network

if TYPE_CHECKING:
    import onnx

__all__ = ["OnnxSplitter"]


class OnnxSplitter:
    """Splits a network of an ONNX file, with its weights, at any of its cuts.

    `whole` is the network for its one input shape. `prepared` is the same with the type of every tensor stated and the
    shapes that its operators ask for written in, so that any part of it is a model: what onnx.utils.Extractor needs.
    """

    def __init__(self, network: Network) -> None:
        path = Path(network.name)
        found = _onnx.reading(path, network.input.shape, network.name)  # says where onnx is not installed
        import onnx
        from onnx import external_data_helper, utils

        if found.graph.layers != network.layers:
            raise UserError(
                f"the layers of {network.name} are not those read now; delete {store.folder()} and load it again"
            )
        try:
            external_data_helper.load_external_data_for_model(found.model, str(path.parent))
        except Exception as error:  # of the file system, and onnx's own
            raise UserError(f"the weights of {network.name} cannot be read: {_first_line(error)}") from None
        self.whole = found.model
        self.prepared = onnx.ModelProto()
        self.prepared.CopyFrom(found.model)
        self.prepared.ir_version = max(self.prepared.ir_version, 4)  # before, weights had to be inputs too
        _prepare(self.prepared.graph, found)
        self._network = network
        self._found = found
        self._parts = utils.Extractor(self.prepared)
        self._source = self.prepared.graph.input[0].name
        self._output = self.prepared.graph.output[0].name

    @property
    def operators(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The network's nodes in order: the name of the first result, and the layers its operator became."""
        both = zip(self._found.results, self._found.graph.layers_of, strict=True)
        return tuple((name, layers) for names, layers in both for name in names)

    def split(self, cut: Cut) -> tuple[onnx.ModelProto | None, onnx.ModelProto | None]:
        """Head and tail at a cut of this network, None where there is no operator; what crosses is in one order."""
        inside = {name for name, layers in self.operators if cut.layers.issuperset(layers)}
        outside = {name for name, _ in self.operators} - inside
        made, needed = [self._source], {self._output}
        for node in self.prepared.graph.node:
            if not inside.isdisjoint(node.output):
                made += node.output
            elif not outside.isdisjoint(node.output):
                needed.update(node.input)
        crossing = [name for name in made if name and name in needed]  # "" is a result or operand left out
        return (
            self._part([self._source], crossing) if inside else None,
            self._part(crossing, [self._output]) if outside else None,
        )

    def _part(self, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
        part = self._parts.extract_model(inputs, outputs)
        del part.graph.value_info[:]
        return part


def _prepare(graph: onnx.GraphProto, found: _onnx.Reading) -> None:
    from onnx import numpy_helper

    def shape(node: onnx.NodeProto) -> list[int]:
        dims = found.types[node.input[0]].type.tensor_type.shape.dim
        return [dim.dim_value for dim in dims]

    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    nodes = []
    for node in graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type in ("Shape", "Size") and node.input[0] in found.types:
            limits = {a.name: a.i for a in node.attribute}
            sizes = shape(node)
            value = sizes[limits.get("start", 0) : limits.get("end")] if node.op_type == "Shape" else prod(sizes)
            graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), node.output[0]))
        else:
            nodes.append(node)
    _replace(graph.node, nodes)
    _replace(graph.input, inputs)
    _replace(graph.output, [found.types[graph.output[0].name]])
    _replace(graph.value_info, [value for value in found.types.values() if value.name not in weights])
    del graph.quantization_annotation[:]


def _replace(field: object, values: Iterable[object]) -> None:
    """Give a repeated field of a message other entries."""
    copies = list(values)
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
