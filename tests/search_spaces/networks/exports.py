"""ONNX files for tests: torch modules exported for real, and graphs put together by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
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
