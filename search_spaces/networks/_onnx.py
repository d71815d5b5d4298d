"""ONNX files as operators; reads shapes only, needs the package onnx and no torch.

Shapes come from ONNX's own inference; constants and shape arithmetic are folded away, as are the pairs of operators
that stand for one of torch's (x · sigmoid(x) is SiLU, a product with a constant and its bias a linear layer).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.errors import UserError
from search_spaces.networks._graph import INPUT_NAME, Graph, Op, Scope, assemble, calls_from_scopes
from search_spaces.networks._kinds import operator_kind
from search_spaces.networks._shapes import conv_shape_of, linear_shape, matmul_shape
from search_spaces.types import INPUT, ConvShape, Tensor

if TYPE_CHECKING:
    import onnx

__all__ = ["Reading", "input_shape", "read", "reading"]

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
    "Dropout": "dropout", "Identity": "identity", "QuantizeLinear": "quantize", "DequantizeLinear": "dequantize",
}  # fmt: skip
"""ONNX operators and what torch calls them; any other is costed as a move and reported."""

_SETTINGS = ("Clip", "Pad", "Resize", "Upsample", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze", "Expand",
             "Tile", "ReduceMean", "Dropout", "Pow")  # fmt: skip
"""Operators whose constant inputs are settings, neither parameters nor operands."""

_DATA: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "QuantizeLinear": ("QuantizeLinear", (0,)), "DequantizeLinear": ("DequantizeLinear", (0,)),
    "QLinearConv": ("Conv", (0, 3, 8)), "ConvInteger": ("Conv", (0, 1)),
    "QLinearMatMul": ("MatMul", (0, 3)), "MatMulInteger": ("MatMul", (0, 1)),
    "com.microsoft.QGemm": ("Gemm", (0, 3, 6)), "com.microsoft.FusedConv": ("Conv", (0, 1, 2, 3)),
    "com.microsoft.FusedGemm": ("Gemm", (0, 1, 2)),
    "com.microsoft.QLinearAdd": ("Add", (0, 3)), "com.microsoft.QLinearMul": ("Mul", (0, 3)),
    "com.microsoft.QLinearConcat": ("Concat", tuple(range(2, 300, 3))),
    "com.microsoft.QLinearAveragePool": ("AveragePool", (0,)),
    "com.microsoft.QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "com.microsoft.QLinearSigmoid": ("Sigmoid", (0,)), "com.microsoft.QLinearLeakyRelu": ("LeakyRelu", (0,)),
}  # fmt: skip
"""Operators on whole numbers, and fused ones of onnxruntime: the plain operator, and which inputs are its own; the
others are scales and zero points."""

_READS_NO_VALUE = ("Shape", "Size")

_BIG = 4096
"""Constants with more elements are weights: their values are dropped before shapes are inferred."""


@dataclass(frozen=True, eq=False)
class Reading:
    """An ONNX file for one input shape.

    `model` has that input and no local functions; the values of large weights in external files are not loaded.
    `results` are for every operator of the graph the first results of the nodes that it was made of, in order, and
    `types` the element type and shape of all tensors that inference knows.
    """

    graph: Graph
    model: onnx.ModelProto
    results: tuple[tuple[str, ...], ...]
    types: Mapping[str, onnx.ValueInfoProto]


def read(path: Path, shape: tuple[int, ...] | None, name: str) -> Graph:
    """The operators of an ONNX file for one input shape (None: the file's own); raises UserError as `reading`."""
    return reading(path, shape, name).graph


def reading(path: Path, shape: tuple[int, ...] | None, name: str) -> Reading:
    """The operators of an ONNX file, and the nodes that they stand for.

    Raises UserError for what is no ONNX file, for several inputs or outputs, control flow, and wrong shapes.
    """
    model = _load(path, name)  # says where onnx is not installed
    import onnx

    source = _input(model, name)
    own = _dims(source)
    wanted = shape if shape is not None else input_shape(path, name, model)
    if own != list(wanted):
        _resize(model, source, wanted)
    outputs = [output.name for output in model.graph.output]
    if len(outputs) != 1:
        raise UserError(f"{name} gives {len(outputs)} tensors ({', '.join(outputs)}); a network with one is needed")
    types = _types(model, wanted, name)
    model.graph.output[0].CopyFrom(types[outputs[0]])
    reader = _Reader(onnx, model, source.name, wanted, types, name)
    reader.run()
    if outputs[0] not in reader.made or reader.made[outputs[0]] == INPUT:
        raise UserError(f"{name}: its output {outputs[0]!r} is not computed from its input {source.name!r}")
    output = reader.made[outputs[0]]
    used = _needed(reader.ops, output)
    place = {old: new for new, old in enumerate(used)} | {INPUT: INPUT}
    ops, items = [_moved(reader.ops[i], place) for i in used], [reader.items[i] for i in used]
    scopes = [group[0].scope for group in items]
    root = calls_from_scopes(ops, scopes, place[output]) if all(scopes) else None
    notes = tuple(
        f"operator {operator} (×{count}) is not known: costed as one read and write"
        for operator, count in sorted(reader.unknown.items())
    )
    conversions = sum(op.operator in ("quantize", "dequantize") for op in ops)
    if conversions:
        notes += (
            f"quantize and dequantize (×{conversions}) are not costed: hardware for whole numbers does them in the "
            "operators around them",
        )
    graph = assemble(Tensor(INPUT_NAME, tuple(wanted)), ops, place[output], root, notes)
    return Reading(graph, model, tuple(tuple(item.gives[0] for item in group) for group in items), types)


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
        from onnx import external_data_helper, inliner
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
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _BIG and external_data_helper.uses_external_data(tensor):
            with suppress(Exception):  # without the file shapes may do; weights are asked for where they are needed
                external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
                tensor.data_location = onnx.TensorProto.DEFAULT
                del tensor.external_data[:]
    if model.functions:
        try:
            model = inliner.inline_local_functions(model)
        except Exception as error:  # it has several types of its own
            raise UserError(f"{name} is no sound ONNX file: {_reason(error)}") from None
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


def _resize(model: onnx.ModelProto, source: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    """Give a model another input; what it states of other tensors was for the input before."""
    from onnx import helper

    source.CopyFrom(helper.make_tensor_value_info(source.name, source.type.tensor_type.elem_type, list(shape)))
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _types(model: onnx.ModelProto, shape: Sequence[int], name: str) -> dict[str, onnx.ValueInfoProto]:
    """Element types and shapes of all tensors but weights, inferred by ONNX."""
    import onnx
    from onnx import shape_inference

    found: dict[str, onnx.ValueInfoProto] = {}
    try:
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        foreign = [node for node in bare.graph.node if f"{node.domain}.{node.op_type}" in _DATA]
        for node in foreign:  # of these ONNX knows nothing; their plain operators may not take their types
            plain, own = _DATA[f"{node.domain}.{node.op_type}"]
            inputs = [node.input[i] for i in own if i < len(node.input)]
            node.op_type, node.domain = plain, ""
            del node.input[:]
            node.input.extend(inputs)
        for tensor in bare.graph.initializer:
            if prod(tensor.dims) > _BIG:
                for values in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data"):
                    tensor.ClearField(values)
                tensor.data_location = onnx.TensorProto.DEFAULT
        while True:
            inferred = shape_inference.infer_shapes(
                bare, check_type=not foreign, strict_mode=True, data_prop=True
            ).graph
            found |= {value.name: value for value in (*inferred.input, *inferred.value_info, *inferred.output)}
            if not _compute_sizes(bare, found):
                return found
    except Exception as error:  # inference has several types of its own
        text = "x".join(map(str, shape))
        raise UserError(f"{name} does not take an input of {text}: {_reason(error)}") from None


def _compute_sizes(model: onnx.ModelProto, types: dict[str, onnx.ValueInfoProto]) -> bool:
    """Write in what is computed from sizes and constants alone, where inference knew too little; whether any was."""
    graph = model.graph
    if all(_is_known(types.get(tensor)) for node in graph.node for tensor in node.output if tensor):
        return False
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    opsets = {opset.domain: opset.version for opset in model.opset_import}
    small = [t for t in graph.initializer if prod(t.dims) <= _BIG and t.data_location != t.EXTERNAL]
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in small}
    before, left = len(held), []
    for node in graph.node:
        results: Sequence[Any] | None = None
        if node.op_type in _READS_NO_VALUE:
            if _is_known(types.get(node.input[0])):
                sizes = [size or 0 for size in _dims(types[node.input[0]])]
                limits = {attribute.name: attribute.i for attribute in node.attribute}
                part = sizes[limits.get("start", 0) : limits.get("end")]
                results = [np.array(part if node.op_type == "Shape" else prod(sizes), np.int64)]
        elif node.domain in ("", "ai.onnx") and all(tensor in held for tensor in node.input if tensor):
            feeds = {tensor: held[tensor] for tensor in node.input if tensor}
            with suppress(Exception):  # what the evaluator cannot compute stays unknown
                results = ReferenceEvaluator(node, opsets=opsets).run(None, feeds)  # type: ignore[assignment]
        if results is None or any(np.size(value) > _BIG for value in results):
            left.append(node)
            continue
        for tensor, value in zip(node.output, results, strict=True):
            held[tensor] = np.asarray(value)
            graph.initializer.append(numpy_helper.from_array(held[tensor], tensor))
            element = helper.np_dtype_to_tensor_dtype(held[tensor].dtype)
            types[tensor] = helper.make_tensor_value_info(tensor, element, held[tensor].shape)
    del graph.node[:]
    graph.node.extend(left)
    return len(held) > before


def _is_known(value: onnx.ValueInfoProto | None) -> bool:
    return value is not None and value.type.tensor_type.HasField("shape") and None not in _dims(value)


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
        types: Mapping[str, onnx.ValueInfoProto], name: str,
    ) -> None:  # fmt: skip
        self.onnx = onnx_
        self.name = name
        self.graph = model.graph
        self.shape = tuple(shape)
        self.sizes = {tensor.name: tuple(tensor.dims) for tensor in self.graph.initializer}
        for tensor, stated in types.items():
            if _is_known(stated):
                self.sizes[tensor] = tuple(size or 0 for size in _dims(stated))
        self.sizes[source] = self.shape
        self.made: dict[str, int] = {source: INPUT}  # the operator that gives a tensor which depends on the input
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer}
        self.constants: dict[str, _Item] = {}  # what gives a tensor that does not depend on the input
        self.ops: list[Op] = []
        self.items: list[tuple[_Item, ...]] = []  # what each operator was made of
        self.unknown: Counter[str] = Counter()
        self.counted: set[str] = set()

    def run(self) -> None:
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
            if item.kind in _READS_NO_VALUE or not any(tensor in self.made for tensor in item.reads):
                self.constants |= dict.fromkeys(item.gives, self._plain(item))
            elif item.gives[0] not in skipped:
                self._add(self._plain(item), fused.get(item.gives[0]))

    def _plain(self, item: _Item) -> _Item:
        """An operator on whole numbers as the plain one, without the scales and zero points that are constants."""
        if item.kind not in _DATA:
            return item
        kind, own = _DATA[item.kind]
        reads = tuple(tensor for i, tensor in enumerate(item.reads) if i in own or tensor in self.made)
        return replace(item, kind=kind, reads=reads)

    def _items(self) -> Iterator[_Item]:
        for node in self.graph.node:
            facts = {entry.key: entry.value for entry in node.metadata_props}
            names, types = (_listed(facts.get(f"pkg.torch.onnx.{key}", "")) for key in _SCOPE_KEYS)
            scope = tuple(zip(names, (t.rpartition(".")[2] for t in types), strict=False))[:-1]
            leaf = len(types) > 1 and types[-2].startswith("torch.nn.modules")
            attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
            known = node.domain in ("", "ai.onnx")
            gives = tuple(tensor for tensor in node.output if tensor)
            yield _Item(
                kind=node.op_type if known else f"{node.domain}.{node.op_type}",
                name=(names[-2] if leaf else names[-1]) if len(names) > 1 else node.name or gives[0],
                reads=tuple(tensor for tensor in node.input if tensor),
                gives=gives,
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
        others = [t for t in item.gives[1:] if item.kind == "Split" or self.readers[t]] if pair is None else []
        shapes = [self._size(tensor) for tensor in (result, *others)]
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
        self.items.append((item,) if pair is None else (item, pair))

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
        if held is None or held.data_location == held.EXTERNAL:
            return None
        return [int(n) for n in self.onnx.numpy_helper.to_array(held).flatten()]

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
            elif tensor in self.constants and self.constants[tensor].kind not in _READS_NO_VALUE:
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
