"""ONNX files as operators; reads shapes only, needs the package onnx and no torch.

Shapes come from ONNX's own inference; constants and shape arithmetic are folded away, as are the pairs of operators
that stand for one of torch's (x · sigmoid(x) is SiLU, a product with a constant and its bias a linear layer).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import UserError
from search_spaces.networks._graph import INPUT_NAME, Graph, Op, Scope, assemble, calls_from_scopes
from search_spaces.networks._kinds import operator_kind
from search_spaces.networks._shapes import conv_shape_of, linear_shape, matmul_shape
from search_spaces.types import INPUT, ConvShape, Tensor

if TYPE_CHECKING:
    import onnx

__all__ = ["input_shape", "read"]

_NAMES = {
    "Conv": "conv2d", "ConvTranspose": "conv_transpose2d", "Gemm": "linear", "MatMul": "matmul",
    "Relu": "relu", "Clip": "clip", "LeakyRelu": "leaky_relu", "PRelu": "prelu", "Elu": "elu", "Selu": "selu",
    "Celu": "celu", "Gelu": "gelu", "Swish": "silu", "Mish": "mish", "HardSwish": "hardswish",
    "HardSigmoid": "hardsigmoid", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus",
    "BatchNormalization": "batch_norm2d",
    "MaxPool": "max_pool2d", "AveragePool": "avg_pool2d", "GlobalAveragePool": "adaptive_avg_pool2d",
    "GlobalMaxPool": "adaptive_max_pool2d", "ReduceMean": "mean",
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Sqrt": "sqrt", "Exp": "exp", "Neg": "neg",
    "Where": "where", "Max": "maximum", "Min": "minimum",
    "LayerNormalization": "layer_norm", "GroupNormalization": "group_norm", "LRN": "local_response_norm",
    "InstanceNormalization": "instance_norm2d", "Softmax": "softmax", "LogSoftmax": "log_softmax",
    "LpNormalization": "normalize",
    "Concat": "cat", "Resize": "interpolate", "Upsample": "interpolate",
    "Flatten": "flatten", "Reshape": "reshape", "Squeeze": "squeeze", "Unsqueeze": "unsqueeze", "Slice": "getitem",
    "Split": "split", "Transpose": "permute", "Expand": "expand",
    "Pad": "pad", "Tile": "repeat", "DepthToSpace": "pixel_shuffle",
    "Dropout": "dropout", "Identity": "identity",
}  # fmt: skip
"""ONNX operators and what torch calls them; any other is costed as a move and reported."""

_SETTINGS = ("Clip", "Pad", "Resize", "Upsample", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Expand",
             "Tile", "ReduceMean", "Dropout", "Pow")  # fmt: skip
"""Operators whose constant inputs are settings, neither parameters nor operands."""

_BIG = 4096
"""Constants with more elements are weights: their values are dropped before shapes are inferred."""


def read(path: Path, shape: tuple[int, ...] | None, name: str) -> Graph:
    """The operators of an ONNX file for one input shape (None: the file's own).

    Raises UserError for what is no ONNX file, for several inputs or outputs, control flow, and wrong shapes.
    """
    import onnx

    model = _load(path, name)
    source = _input(model, name)
    own = _dims(source)
    wanted = shape if shape is not None else input_shape(path, name, model)
    sizes = _sizes(model, source.name, wanted, name, keep=own == list(wanted))
    outputs = [output.name for output in model.graph.output]
    if len(outputs) != 1:
        raise UserError(f"{name} gives {len(outputs)} tensors ({', '.join(outputs)}); a network with one is needed")
    reader = _Reader(onnx, model, source.name, wanted, sizes, name)
    ops, scopes = reader.run()
    if outputs[0] not in reader.made or reader.made[outputs[0]] == INPUT:
        raise UserError(f"{name}: its output {outputs[0]!r} is not computed from its input {source.name!r}")
    output = reader.made[outputs[0]]
    used = _needed(ops, output)
    if len(used) < len(ops):
        place = {old: new for new, old in enumerate(used)} | {INPUT: INPUT}
        ops, scopes = [_moved(ops[i], place) for i in used], [scopes[i] for i in used]
        output = place[output]
    root = calls_from_scopes(ops, scopes, output) if all(scopes) else None
    notes = tuple(
        f"operator {operator} (×{count}) is not known: costed as one read and write"
        for operator, count in sorted(reader.unknown.items())
    )
    return assemble(Tensor(INPUT_NAME, tuple(wanted)), ops, output, root, notes)


def input_shape(path: Path, name: str, model: onnx.ModelProto | None = None) -> tuple[int, ...]:
    """The input shape that the file states; a batch of unknown size is 1. Raises UserError if another is unknown."""
    source = _input(_load(path, name) if model is None else model, name)
    stated = _dims(source)
    if stated and stated[0] is None:
        stated[0] = 1
    known = tuple(size for size in stated if size is not None)
    if not stated or len(known) < len(stated):
        shown = "x".join("?" if size is None else str(size) for size in stated) or "unknown"
        raise UserError(f"the input {source.name!r} of {name} is {shown}; say which size with --input 1x3x224x224")
    return known


def _load(path: Path, name: str) -> onnx.ModelProto:
    try:
        import onnx
    except ImportError:
        raise UserError(f"reading {name} needs the package onnx: pip install 'paretocut[onnx]'") from None
    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise UserError(f"no file {name}") from None
    except Exception as error:  # protobuf's own errors, and those of the file system
        raise UserError(f"{name} is no ONNX file: {_first_line(error)}") from None
    if not model.graph.node:
        raise UserError(f"{name} is no ONNX file, or one without operators")
    for node in model.graph.node:
        if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute):
            raise UserError(
                f"{name} holds the operator {node.op_type} ({node.name or node.output[0]}): what runs depends on "
                "data, and only networks that always do the same can be cut"
            )
    return model


def _input(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        listed = ", ".join(value.name for value in inputs) or "none"
        raise UserError(f"{name} takes {len(inputs)} inputs ({listed}); a network with one input is needed")
    return inputs[0]


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.WhichOneof("value") == "dim_value" and dim.dim_value > 0 else None for dim in dims]


def _sizes(
    model: onnx.ModelProto, source: str, shape: Sequence[int], name: str, keep: bool
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors, inferred by ONNX for this input; with `keep`, what the file states holds too."""
    import onnx
    from onnx import inliner, shape_inference

    text = "x".join(map(str, shape))
    try:
        small = inliner.inline_local_functions(model) if model.functions else model
        if small is not model:
            model.CopyFrom(small)
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        graph = bare.graph
        for tensor in graph.initializer:
            if prod(tensor.dims) > _BIG:
                for values in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data"):
                    tensor.ClearField(values)
                tensor.data_location = onnx.TensorProto.DEFAULT
        given = next(value for value in graph.input if value.name == source)
        element = given.type.tensor_type.elem_type
        given.CopyFrom(onnx.helper.make_tensor_value_info(source, element, list(shape)))
        if not keep:
            del graph.value_info[:]
            for output in graph.output:
                output.type.tensor_type.ClearField("shape")
        inferred = shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True).graph
    except Exception as error:  # inference has several types of its own
        raise UserError(f"{name} does not take an input of {text}: {_reason(error)}") from None
    sizes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = _dims(value)
        if value.type.tensor_type.HasField("shape") and None not in dims:
            sizes[value.name] = tuple(size for size in dims if size is not None)
    return sizes


@dataclass(frozen=True)
class _Item:
    """A node with its attributes and the names of what it reads and gives."""

    kind: str
    name: str
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: Scope


class _Reader:
    def __init__(
        self, onnx_: Any, model: onnx.ModelProto, source: str, shape: Sequence[int],
        sizes: dict[str, tuple[int, ...]], name: str,
    ) -> None:  # fmt: skip
        self.onnx = onnx_
        self.name = name
        self.graph = model.graph
        self.shape = tuple(shape)
        self.sizes = sizes | {source: self.shape}
        self.made: dict[str, int] = {source: INPUT}  # the operator that gives a tensor which depends on the input
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.constants: dict[str, _Item] = {}  # what gives a tensor that does not depend on the input
        self.ops: list[Op] = []
        self.scopes: list[Scope] = []
        self.unknown: Counter[str] = Counter()
        self.counted: set[str] = set()

    def run(self) -> tuple[list[Op], list[Scope]]:
        waiting = list(self._items())
        self.readers = Counter(tensor for item in waiting for tensor in item.reads)
        self.readers.update(output.name for output in self.graph.output)
        by_input: dict[str, list[_Item]] = {}
        for item in waiting:
            for tensor in item.reads:
                by_input.setdefault(tensor, []).append(item)
        fused: dict[str, _Item] = {}  # name of the first's result -> the second of a pair
        for item in waiting:
            pair = self._pair(item, by_input)
            if pair is not None:
                fused[item.gives[0]] = pair
        skipped = {pair.gives[0] for pair in fused.values()}
        for item in waiting:
            if item.kind == "Shape" or not any(tensor in self.made for tensor in item.reads):
                self.constants |= dict.fromkeys(item.gives, item)
            elif item.gives[0] not in skipped:
                self._add(item, fused.get(item.gives[0]))
        return self.ops, self.scopes

    def _items(self) -> Iterator[_Item]:
        for node in self.graph.node:
            facts = {entry.key: entry.value for entry in node.metadata_props}
            names, types = (_listed(facts.get(f"pkg.torch.onnx.{key}", "")) for key in _SCOPE_KEYS)
            scope = tuple(zip(names, (t.rpartition(".")[2] for t in types), strict=False))[:-1]
            leaf = len(types) > 1 and types[-2].startswith("torch.nn.modules")
            attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
            known = node.domain in ("", "ai.onnx")
            yield _Item(
                kind=node.op_type if known else f"{node.domain}.{node.op_type}",
                name=(names[-2] if leaf else names[-1]) if len(names) > 1 else node.name or node.output[0],
                reads=tuple(tensor for tensor in node.input if tensor),
                gives=tuple(tensor for tensor in node.output if tensor),
                attributes=attributes,
                scope=scope,
            )

    def _pair(self, item: _Item, by_input: Mapping[str, list[_Item]]) -> _Item | None:
        """The node that makes one operator of torch's together with this one."""
        result = item.gives[0]
        if self.readers[result] != 1 or len(by_input.get(result, [])) != 1:
            return None
        (after,) = by_input[result]
        others = [tensor for tensor in after.reads if tensor != result]
        if item.kind in ("Sigmoid", "HardSigmoid") and after.kind == "Mul" and others == [item.reads[0]]:
            return after
        if item.kind == "MatMul" and after.kind == "Add" and len(others) == 1:
            is_bias = others[0] in self.weights and self.sizes[others[0]] == self.sizes.get(result, ())[-1:]
            return after if is_bias and item.reads[1] in self.weights else None
        return None

    def _add(self, item: _Item, pair: _Item | None) -> None:
        result = item.gives[0] if pair is None else pair.gives[0]
        shapes = [self._size(tensor) for tensor in (item.gives if item.kind == "Split" else (result,))]
        active = tuple(dict.fromkeys(self.made[tensor] for tensor in item.reads if tensor in self.made))
        operator, kind = operator_kind(_NAMES.get(item.kind, item.kind))
        shape = self._products(item, shapes[0]) if kind in ("conv", "linear", "matmul") else None
        if kind == "conv":
            operator = operator.replace("2d", f"{len(shapes[0]) - 2}d")
        if kind in ("linear", "matmul"):
            constant = len(item.reads) > 1 and item.reads[1] not in self.made
            operator = kind = "linear" if constant else "matmul"
        if pair is not None and pair.kind == "Mul":
            operator, kind = {"Sigmoid": "silu", "HardSigmoid": "hardswish"}[item.kind], "activation"
        if item.kind not in _NAMES or (kind in ("conv", "linear", "matmul") and shape is None):
            kind = "unknown"
            self.unknown[item.kind] += 1
        if kind == "view":
            self._check_reshape(item, shapes)
        weights = kind in ("conv", "linear", "batch_norm", "norm")
        operands = [t for t in dict.fromkeys(item.reads) if t in self.made or not (weights or item.kind in _SETTINGS)]
        own = Op(
            name=item.name,
            operator=operator,
            kind=kind,
            inputs=active,
            input_elements=sum(n for t in operands if (n := prod(self._size(t))) > 1),
            output_elements=sum(map(prod, shapes)),
            result=shapes[0] if len(shapes) == 1 else None,
            parameters=self._parameters(item) + (self._parameters(pair) if pair is not None else 0),
            shape=shape,
            dense=self._dense(item, shapes),
            axis=int(item.attributes.get("axis", 0)) if kind == "cat" else None,
            operands=tuple(self.made.get(tensor) for tensor in item.reads) if kind == "cat" else (),
        )
        self.made |= dict.fromkeys((*item.gives, result), len(self.ops))
        self.ops.append(own)
        self.scopes.append(item.scope)

    def _size(self, tensor: str) -> tuple[int, ...]:
        if tensor not in self.sizes and tensor in self.constants:
            return ()
        try:
            return self.sizes[tensor]
        except KeyError:
            maker = next((n for n in self.graph.node if tensor in n.output), None)
            what = f" (made by {maker.op_type})" if maker is not None else ""
            text = "x".join(map(str, self.shape))
            raise UserError(
                f"{self.name}: the size of {tensor!r}{what} cannot be inferred for an input of {text}"
            ) from None

    def _products(self, item: _Item, result: tuple[int, ...]) -> ConvShape | None:
        if len(item.reads) < 2:
            return None
        first, second = self._size(item.reads[0]), self._size(item.reads[1])
        if item.kind in ("Conv", "ConvTranspose"):
            groups, transposed = int(item.attributes.get("group", 1)), item.kind == "ConvTranspose"
            channels = second[0] if transposed else second[1] * groups
            if first[1] != channels:
                text = "x".join(map(str, first))
                raise UserError(
                    f"{self.name}: {item.name} takes {channels} channels, not an input of {text}; "
                    "give another --input, or none"
                )
            kernel = second[2:]
            strides, dilations = (
                tuple(item.attributes.get(key, (1,) * len(kernel))) for key in ("strides", "dilations")
            )
            name = f"{self.name}: {item.name}"
            return conv_shape_of(name, first, result, kernel, strides, dilations, groups, transposed)
        if item.kind == "Gemm":
            rows, columns = (first[1], first[0]) if item.attributes.get("transA") else first
            return linear_shape((rows, columns), result[-1])
        return linear_shape(first, result[-1]) if item.reads[1] not in self.made else matmul_shape(first, second)

    def _check_reshape(self, item: _Item, shapes: list[tuple[int, ...]]) -> None:
        """A size that was written into the file for one input makes it wrong for others; inference lets it pass."""
        before, after = prod(self._size(item.reads[0])), sum(map(prod, shapes))
        if item.kind == "Reshape" and before != after:
            raise UserError(
                f"{self.name} reshapes {before} elements to {after} at {item.name}: it was exported for one input "
                "shape only; leave --input out"
            )

    def _dense(self, item: _Item, shapes: list[tuple[int, ...]]) -> bool:
        """Whether a view leaves every element where it is."""
        source = self._size(item.reads[0])
        if item.kind == "Transpose":
            order = item.attributes.get("perm") or range(len(source))[::-1]
            kept = [axis for axis in order if source[axis] > 1]
            return kept == sorted(kept)
        if item.kind in ("Slice", "Split"):
            changed = [axis for axis, size in enumerate(source) if any(shape[axis] != size for shape in shapes)]
            steps = self._values(item.reads[4]) if item.kind == "Slice" and len(item.reads) > 4 else [1]
            return steps is not None and set(steps) <= {1} and prod(source[: max(changed, default=0)]) == 1
        return True

    def _values(self, tensor: str) -> list[int] | None:
        """The whole numbers of a constant; None where the file does not hold them."""
        maker = self.constants.get(tensor)
        held = self.weights.get(tensor) if maker is None else maker.attributes.get("value")
        return None if held is None else [int(n) for n in self.onnx.numpy_helper.to_array(held).flatten()]

    def _parameters(self, item: _Item) -> int:
        """Trained numbers that a node brings in; shared ones count where they are first used."""
        if item.kind in _SETTINGS:
            return 0
        used = item.reads[:3] if item.kind == "BatchNormalization" else item.reads  # mean and variance are no weights
        waiting = [tensor for tensor in used if tensor not in self.made]
        total = 0
        while waiting:
            tensor = waiting.pop()
            if tensor in self.weights and tensor not in self.counted:
                self.counted.add(tensor)
                size = prod(self.weights[tensor].dims)
                total += size if self.weights[tensor].dims else 0
            elif tensor in self.constants and self.constants[tensor].kind != "Shape":
                waiting += self.constants[tensor].reads
        return total


_SCOPE_KEYS = ("name_scopes", "class_hierarchy")


def _listed(text: str) -> list[str]:
    """The strings of a Python list literal, as torch.onnx writes scopes into a node's metadata."""
    try:
        found = ast.literal_eval(text) if text else []
    except (ValueError, SyntaxError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def _needed(ops: Sequence[Op], output: int) -> list[int]:
    """Operators that the output depends on."""
    needed, waiting = set[int](), [output]
    while waiting:
        i = waiting.pop()
        if i != INPUT and i not in needed:
            needed.add(i)
            waiting += ops[i].inputs
    return sorted(needed)


def _moved(op: Op, place: Mapping[int, int]) -> Op:
    operands = tuple(None if i is None else place[i] for i in op.operands)
    return replace(op, inputs=tuple(place[i] for i in op.inputs), operands=operands)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _reason(error: BaseException) -> str:
    """The line of an inference error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
