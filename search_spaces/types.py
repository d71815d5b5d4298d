"""The values that flow through a study: layers, networks, cuts and knobs. Frozen, checked when made, no torch.

Sizes are counted in elements (a tensor's numbers) because the word width belongs to the node or link that moves
them; MACs are multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import Literal

__all__ = ["INPUT", "ConvShape", "CostClass", "Cut", "CutMode", "Knob", "KnobValue", "Layer", "Network", "Tensor"]

KnobValue = int | float | str
CostClass = Literal["mac", "move", "free"]
CutMode = Literal["block", "tensor", "frontier"]

INPUT = -1
"""The index that stands for the network's input among a layer's predecessors."""


@dataclass(frozen=True)
class ConvShape:
    """A convolution as seven loop bounds, without a name: what the mapper needs and the memo is keyed by.

    N batch, M output channels, C input channels (both of the whole layer, all groups together), P × Q output
    width × height, R × S filter width × height. A linear layer is P = Q = R = S = 1.

    >>> ConvShape(N=1, C=3, M=64, P=111, Q=111, R=3, S=3, stride_w=2, stride_h=2).macs
    21290688
    """

    N: int
    C: int
    M: int
    P: int
    Q: int
    R: int
    S: int
    stride_w: int = 1
    stride_h: int = 1
    dilation_w: int = 1
    dilation_h: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{f.name} of a layer shape is a whole number of at least 1, not {value!r}")
        if self.C % self.groups or self.M % self.groups:
            raise ValueError(f"groups={self.groups} must divide C={self.C} and M={self.M}")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole layer, padding of the feature map included as the hardware runs it."""
        return self.N * self.M * (self.C // self.groups) * self.P * self.Q * self.R * self.S

    @property
    def one_group(self) -> ConvShape:
        """The shape of a single group; a grouped layer costs `groups` times this."""
        if self.groups == 1:
            return self
        return replace(self, C=self.C // self.groups, M=self.M // self.groups, groups=1)


@dataclass(frozen=True)
class Tensor:
    """An activation by name and shape (batch first)."""

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Layer:
    """One operator of a network in plain integers.

    `cost` says how a sensor node pays for it: "mac" has a `shape` and goes through the mapper, "move" only reads
    its inputs and writes its output, "free" is fused into its predecessor or moves nothing. `inputs` are indices
    of the producing layers in the network's order, `INPUT` for the network's own input.
    """

    name: str
    operator: str
    cost: CostClass
    inputs: tuple[int, ...]
    input_elements: int
    output_elements: int
    parameters: int = 0
    shape: ConvShape | None = None

    def __post_init__(self) -> None:
        if (self.cost == "mac") != (self.shape is not None):
            raise ValueError(f"layer {self.name!r}: a shape goes with cost 'mac' and with nothing else")

    @property
    def macs(self) -> int:
        return self.shape.macs if self.shape is not None else 0


@dataclass(frozen=True)
class Cut:
    """A partitioning point: the set of layers computed before it, closed under predecessors, and what crosses it.

    `aliases` are the names of points merged into this one because they carry the same tensors with nothing
    costed in between.
    """

    name: str
    layers: frozenset[int]
    tensors: tuple[Tensor, ...]
    aliases: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """Elements that cross the link for one frame."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def shape(self) -> tuple[int, ...] | tuple[tuple[int, ...], ...]:
        """The crossing tensor's shape; a tuple of shapes where several cross."""
        if len(self.tensors) == 1:
            return self.tensors[0].shape
        return tuple(tensor.shape for tensor in self.tensors)


@dataclass(frozen=True)
class Network:
    """Layers in topological order and the legal cuts, by growing numbers of layers.

    Each cut contains the one before it, but for the mode "frontier". The first is the input itself (everything on
    the edge), the last leaves nothing, or only free operators, to the edge. `merged` counts the single-tensor points
    that were merged into others.
    """

    name: str
    input: Tensor
    layers: tuple[Layer, ...]
    cuts: tuple[Cut, ...]
    cut_mode: CutMode
    merged: int = 0
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for i, layer in enumerate(self.layers):
            if any(not INPUT <= j < i for j in layer.inputs):
                raise ValueError(f"layer {layer.name!r} of {self.name} comes before one of its inputs")
        before: frozenset[int] = frozenset()
        for cut in self.cuts:
            if self.cut_mode != "frontier" and not before <= cut.layers:
                raise ValueError(f"cut {cut.name!r} of {self.name} drops layers of the cut before it")
            for i in cut.layers:
                if any(j != INPUT and j not in cut.layers for j in self.layers[i].inputs):
                    raise ValueError(f"cut {cut.name!r} of {self.name} holds a layer without its predecessors")
            before = cut.layers
        if not self.cuts or self.cuts[0].layers:
            raise ValueError(f"the first cut of {self.name} must be its input")

    def macs_before(self, cut: Cut) -> int:
        return sum(self.layers[i].macs for i in cut.layers)

    def parameters_before(self, cut: Cut) -> int:
        return sum(self.layers[i].parameters for i in cut.layers)


@dataclass(frozen=True)
class Knob:
    """One decision variable: a name and its finite, ordered values."""

    name: str
    values: tuple[KnobValue, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"knob {self.name!r} needs at least one value")
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"knob {self.name!r} lists a value twice: {self.values}")
