"""A network's operators as plain values, whatever they were read from: what is costed and cut. No torch.

"mac" operators become convolutions for the mapper; activations and batch norms directly after a convolution, linear
layer or addition are fused ("free"), as are views of contiguous memory, dropout and concatenations whose operands are
written in place; everything else reads its inputs and writes its output ("move"; COST_MODEL section 7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

from search_spaces.types import INPUT, ConvShape, CostClass, Layer, Tensor

__all__ = ["INPUT_NAME", "Call", "Graph", "Numbering", "Op", "Part", "assemble", "calls_from_scopes"]

INPUT_NAME = "Identity"
"""The name of a network's input, and of the cut that leaves everything to the edge node."""

Scope = tuple[tuple[str, str], ...]
"""The module calls around an operator, outermost first: (path, type's name), the whole network ("", …) included."""


@dataclass(frozen=True)
class Part:
    """One layer of an operator that becomes several; `inputs`: earlier parts, or -1 - i for the operator's i-th."""

    label: str
    operator: str
    cost: CostClass
    inputs: tuple[int, ...]
    input_elements: int
    output_elements: int
    parameters: int = 0
    shape: ConvShape | None = None


@dataclass(frozen=True)
class Op:
    """One operator that depends on the network's input.

    `inputs` are the distinct operators whose results it reads (INPUT for the network's own), `result` the shape of
    what it gives, None where that is not one tensor. `dense` says whether the result lies in memory as the
    operator's input does, so that a view moves nothing. `cost` None follows the rules of this module. A
    concatenation has its `axis` and `operands`, in order (None for a constant).
    """

    name: str
    operator: str
    kind: str
    inputs: tuple[int, ...]
    input_elements: int
    output_elements: int
    result: tuple[int, ...] | None
    parameters: int = 0
    shape: ConvShape | None = None
    dense: bool = True
    cost: CostClass | None = None
    axis: int | None = None
    operands: tuple[int | None, ...] = ()
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module: what its forward did directly, in order (calls of children, and operators by index)."""

    path: str
    type_name: str
    depth: int
    index: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    events: tuple[Call | int, ...]

    @property
    def name(self) -> str:
        """`Type: depth-index`, counted in execution order at each depth, as torchinfo prints it."""
        return f"{self.type_name}: {self.depth}-{self.index}"


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in execution order, the layers each became (the last stands for its result), and the result's index.

    `root` is the tree of module calls, None where the source does not know one.
    """

    input: Tensor
    ops: tuple[Op, ...]
    output: int
    layers: tuple[Layer, ...]
    layers_of: tuple[tuple[int, ...], ...]
    root: Call | None
    notes: tuple[str, ...]

    def tensor(self, op: int) -> Tensor | None:
        """What an operator gives, named after its last layer; None where that is not one tensor."""
        if op == INPUT:
            return self.input
        shape = self.ops[op].result
        return None if shape is None else Tensor(self.layers[self.layers_of[op][-1]].name, shape)


class Numbering:
    """Depth and index of module calls in execution order; containers that are never called count as entered."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._inside: dict[int, str] = {}  # depth -> path of the module or container we are in

    def next(self, path: str) -> tuple[int, int]:
        """(depth, index at that depth) of the call that begins now."""
        parts = path.split(".")
        for depth in range(1, len(parts)):
            container = ".".join(parts[:depth])
            if self._inside.get(depth) != container:
                self._inside[depth] = container
                self._counts[depth] += 1
        self._inside = {depth: inside for depth, inside in self._inside.items() if depth < len(parts)}
        self._inside[len(parts)] = path
        self._counts[len(parts)] += 1
        return len(parts), self._counts[len(parts)]


@dataclass
class _Open:
    """A call that is being put together."""

    path: str
    type_name: str
    depth: int
    index: int
    events: list[_Open | int] = field(default_factory=list)

    def members(self) -> Iterator[int]:
        for event in self.events:
            if isinstance(event, _Open):
                yield from event.members()
            else:
                yield event


def calls_from_scopes(ops: Sequence[Op], scopes: Sequence[Scope], output: int) -> Call:
    """The tree of module calls from the scopes that an exported network keeps for its operators.

    Modules without an operator of their own (dropout and folded batch norms, after an export) are not in it and
    have no number.
    """
    numbering = Numbering()
    root = _Open("", scopes[0][0][1] if scopes and scopes[0] else "Network", 0, 1)
    stack: list[_Open] = [root]
    for i, scope in enumerate(scopes):
        inner = scope[1:]
        same = 0
        while same < min(len(stack) - 1, len(inner)) and stack[same + 1].path == inner[same][0]:
            same += 1
        del stack[same + 1 :]
        for path, type_name in inner[same:]:
            call = _Open(path, type_name, *numbering.next(path.partition("@")[0]))
            stack[-1].events.append(call)
            stack.append(call)
        stack[-1].events.append(i)
    readers: dict[int, set[int]] = {}
    for i, op in enumerate(ops):
        for j in op.inputs:
            readers.setdefault(j, set()).add(i)
    readers.setdefault(output, set()).add(len(ops))

    def closed(call: _Open) -> Call:
        members = sorted(call.members())
        inside = set(members)
        read = tuple(dict.fromkeys(j for i in members for j in ops[i].inputs if j not in inside))
        given = tuple(i for i in members if readers.get(i, set()) - inside)
        events = tuple(closed(event) if isinstance(event, _Open) else event for event in call.events)
        return Call(call.path, call.type_name, call.depth, call.index, read, given, events)

    return closed(root)


def assemble(
    source: Tensor, ops: Sequence[Op], output: int, root: Call | None = None, notes: tuple[str, ...] = ()
) -> Graph:
    """The layers that operators become."""
    assembly = _Assembly(source, ops, output)
    for i in range(len(ops)):
        assembly.add(i)
    return Graph(source, tuple(ops), output, tuple(assembly.layers), tuple(assembly.layers_of), root, notes)


class _Assembly:
    def __init__(self, source: Tensor, ops: Sequence[Op], output: int) -> None:
        self.source = source
        self.ops = ops
        self.layers: list[Layer] = []
        self.layers_of: list[tuple[int, ...]] = []
        self.readers = Counter(j for op in ops for j in op.inputs)
        self.readers[output] += 1
        self.fusable: set[int] = set()
        self.taken: set[str] = set()

    def add(self, i: int) -> None:
        op = self.ops[i]
        start = len(self.layers)
        inputs = tuple(dict.fromkeys(INPUT if j == INPUT else self.layers_of[j][-1] for j in op.inputs))
        if op.parts:
            for part in op.parts:
                own = [start + j if j >= 0 else self._final(op.inputs[-1 - j]) for j in part.inputs]
                self._append(op.name + part.label, part.operator, part.cost, tuple(dict.fromkeys(own)) or inputs,
                             part.input_elements, part.output_elements, part.parameters, part.shape)  # fmt: skip
        else:
            cost = op.cost or self._cost(op)
            self._append(op.name, op.operator, cost, inputs, op.input_elements, op.output_elements,
                         op.parameters, op.shape)  # fmt: skip
            passes = cost == "free" and op.kind in ("activation", "batch_norm", "identity")
            if op.kind in ("conv", "linear", "add") or (passes and self._producer(op) in self.fusable):
                self.fusable.add(i)
        self.layers_of.append(tuple(range(start, len(self.layers))))

    def _cost(self, op: Op) -> CostClass:
        if op.shape is not None:
            return "mac"
        if op.kind == "identity":
            return "free"
        if op.kind == "view":
            return "free" if op.dense and op.output_elements <= max(map(self._elements, op.inputs)) else "move"
        if op.kind in ("activation", "batch_norm"):
            return "free" if self._producer(op) in self.fusable else "move"
        return "free" if op.kind == "cat" and self._is_written_in_place(op) else "move"

    def _producer(self, op: Op) -> int | None:
        return op.inputs[0] if len(op.inputs) == 1 else None

    def _is_written_in_place(self, op: Op) -> bool:
        """A concatenation whose operands lie one after the other and are each written for it alone."""
        if op.axis is None or op.result is None or not op.operands:
            return False
        outer = op.result[: op.axis % len(op.result)]
        distinct = len(set(op.operands)) == len(op.operands)
        return prod(outer) == 1 and distinct and all(map(self._is_fresh, op.operands))

    def _is_fresh(self, i: int | None) -> bool:
        """Whether a tensor is the whole result of a costed operator that nobody else reads."""
        while i is not None and i != INPUT and self.readers[i] == 1:
            if self.layers[self.layers_of[i][-1]].cost != "free" or self.ops[i].kind == "cat":
                return True
            before = self._producer(self.ops[i])
            if before is None or self._elements(before) != self._elements(i):
                return False
            i = before
        return False

    def _elements(self, i: int) -> int:
        return self.source.elements if i == INPUT else self.ops[i].output_elements

    def _final(self, i: int) -> int:
        """The index that stands for an activation: the last layer its operator became."""
        return INPUT if i == INPUT else self.layers_of[i][-1]

    def _append(
        self, name: str, operator: str, cost: CostClass, inputs: tuple[int, ...], input_elements: int,
        output_elements: int, parameters: int, shape: ConvShape | None,
    ) -> None:  # fmt: skip
        unique, n = name, 0
        while unique in self.taken:
            n += 1
            unique = f"{name}_{n}"
        self.taken.add(unique)
        self.layers.append(Layer(unique, operator, cost, inputs, input_elements, output_elements, parameters, shape))
