"""ONNX files for tests: torch modules exported for real, and graphs put together by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

NODE = helper.make_node


def export(module: nn.Module, path: Path, shape: tuple[int, ...], dynamo: bool, **options: Any) -> str:
    """Export a module by torch, by its older exporter or the one that keeps scopes; returns the file's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own about versions to come
        torch.onnx.export(module.eval(), (torch.rand(shape),), path, dynamo=dynamo, verbose=False, **options)
    return str(path)


def onnx_file(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: list[str],
    weights: dict[str, list[int]] | None = None,
    constants: dict[str, list[int]] | None = None,
    stated: dict[str, list[int]] | None = None,
) -> str:
    """A graph of float tensors as a file; weights are zeros of these shapes, `stated` the shapes that it tells."""

    def value(name: str, shape: list[int | str] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    held = [
        helper.make_tensor(name, TensorProto.FLOAT, dims, torch.zeros(dims).flatten())
        for name, dims in (weights or {}).items()
    ]
    held += [
        helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in (constants or {}).items()
    ]
    graph = helper.make_graph(
        nodes, "by hand", [value(*item) for item in inputs.items()], [value(name, None) for name in outputs], held,
        value_info=[value(name, list(shape)) for name, shape in (stated or {}).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("my.domain", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return str(path)


def with_blanks(path: Path) -> str:
    """An LSTM whose first result nobody reads, and a Resize without regions: both stand as "" in the file."""
    nodes = [
        NODE("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=4), NODE("Relu", ["h"], ["a"]),
        NODE("Resize", ["a", "", "scales"], ["y"], mode="nearest"),
    ]  # fmt: skip
    held = {"w": torch.ones(1, 16, 3), "r": torch.ones(1, 16, 4), "scales": torch.tensor([1.0, 1.0, 2.0])}
    graph = helper.make_graph(
        nodes, "by hand", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.numpy(), name) for name, value in held.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return str(path)
