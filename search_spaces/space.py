"""The design space of a sensor node, a link and an edge node: the knobs, and the chain a choice stands for.

A `SearchSpace` is a fixed, ordered tuple of knobs; a design point is one index per knob. Indices are what
algorithms work on, values are what people read, and the position in the space (`index_of`) is one whole
number, last knob fastest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import isfinite, prod

from search_spaces.accelerators import DRAMS, MEMORIES, TEMPLATE
from search_spaces.accelerators import names as known_accelerators
from search_spaces.errors import UserError, unknown
from search_spaces.links import get as known_link
from search_spaces.types import Knob, KnobValue, Network

__all__ = [
    "ARCHITECTURE_KNOBS",
    "KNOBS",
    "LEAST_CLOCK_MHZ",
    "DesignPoint",
    "Node",
    "SearchSpace",
    "cut_named",
    "sensor_edge_space",
]

ARCHITECTURE_KNOBS = (
    "accelerator",
    "pe_cols",
    "pe_rows",
    "glb_kib",
    "input_buffer_scale",
    "weight_buffer_scale",
    "accum_buffer_scale",
    *MEMORIES,
)
"""The knobs that make an architecture; the others can change without mapping a layer again."""

LEAST_CLOCK_MHZ = 1e-3
"""Below 1 kHz no accelerator runs, and far below no latency is a finite number."""

KNOBS = ("cut", *ARCHITECTURE_KNOBS, "clock_mhz", "dram", "link", "tensor_bits")
"""All knobs of a sensor-edge space, in the order in which its indices are written; those of `MEMORIES` are left out of
a space in which every buffer is made of what its template has."""


@dataclass(frozen=True)
class Node:
    """One computer of the chain: its role and the knobs that are its own (none: the settings say)."""

    role: str
    knobs: tuple[tuple[str, KnobValue], ...] = ()

    def __getitem__(self, name: str) -> KnobValue:
        return dict(self.knobs)[name]


@dataclass(frozen=True)
class DesignPoint:
    """One choice for every knob: a chain of nodes joined by links, with one cut per link."""

    indices: tuple[int, ...]
    knobs: tuple[tuple[str, KnobValue], ...]

    def __getitem__(self, name: str) -> KnobValue:
        """The value of one knob."""
        for knob, value in self.knobs:
            if knob == name:
                return value
        raise unknown("knob", name, (knob for knob, _ in self.knobs))

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The chain's computers, sensor first; the knobs that belong to no link or cut are the sensor's."""
        own = tuple((name, value) for name, value in self.knobs if name not in ("cut", "link", "tensor_bits"))
        return Node("sensor", own), Node("edge")

    @property
    def links(self) -> tuple[str, ...]:
        """Names of the links, one fewer than there are nodes."""
        return (str(self["link"]),)

    @property
    def cuts(self) -> tuple[str, ...]:
        """Names of the cuts, one per link."""
        return (str(self["cut"]),)


@dataclass(frozen=True)
class SearchSpace:
    """Knobs of fixed number and order.

    >>> space = SearchSpace((Knob("cut", ("input", "conv1")), Knob("clock_mhz", (100, 200, 400))))
    >>> space.size, space.encode({"cut": "conv1", "clock_mhz": 200})
    (6, (1, 1))
    >>> space.index_of((1, 1)), space.indices_of(4)
    (4, (1, 1))
    """

    knobs: tuple[Knob, ...]

    def __post_init__(self) -> None:
        names = [knob.name for knob in self.knobs]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"a search space needs knobs of different names, not {names}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of every knob."""
        return tuple(len(knob.values) for knob in self.knobs)

    @property
    def size(self) -> int:
        """Number of design points, legal or not."""
        return prod(self.shape)

    def knob(self, name: str) -> Knob:
        """The knob of this name."""
        for knob in self.knobs:
            if knob.name == name:
                return knob
        raise unknown("knob", name, (knob.name for knob in self.knobs))

    def decode(self, indices: Sequence[int]) -> DesignPoint:
        """The design point at one index per knob."""
        checked = self._checked(indices)
        return DesignPoint(
            checked,
            tuple((knob.name, knob.values[i]) for knob, i in zip(self.knobs, checked, strict=True)),
        )

    def encode(self, values: Mapping[str, KnobValue]) -> tuple[int, ...]:
        """The indices of a choice by names and values; knobs with a single value may be left out."""
        known = [knob.name for knob in self.knobs]
        for name in values:
            if name not in known:
                raise unknown("knob", name, known)
        missing = [knob.name for knob in self.knobs if knob.name not in values and len(knob.values) > 1]
        if missing:
            raise UserError(f"a design point needs a value for every knob; missing: {', '.join(missing)}")
        return tuple(_position(knob, values[knob.name]) if knob.name in values else 0 for knob in self.knobs)

    def index_of(self, indices: Sequence[int]) -> int:
        """The position of a design point in the space: 0 … size − 1, the last knob fastest."""
        position = 0
        for i, n in zip(self._checked(indices), self.shape, strict=True):
            position = position * n + i
        return position

    def indices_of(self, position: int) -> tuple[int, ...]:
        """The indices of the design point at a position; the inverse of `index_of`."""
        if not 0 <= position < self.size:
            raise UserError(f"this space has design points 0 to {self.size - 1}, not {position}")
        indices = []
        for n in reversed(self.shape):
            position, i = divmod(position, n)
            indices.append(i)
        return tuple(reversed(indices))

    @property
    def architecture_knobs(self) -> tuple[Knob, ...]:
        """Those of the `ARCHITECTURE_KNOBS` that this space has."""
        return tuple(knob for knob in self.knobs if knob.name in ARCHITECTURE_KNOBS)

    def architectures(self) -> Iterator[tuple[int, ...]]:
        """Index tuples over the `architecture_knobs`, in the order of the space."""
        return product(*(range(len(knob.values)) for knob in self.architecture_knobs))

    def architecture_values(self, arch_indices: Sequence[int]) -> dict[str, KnobValue]:
        """Names and values of one choice of the `architecture_knobs`."""
        return {knob.name: knob.values[i] for knob, i in zip(self.architecture_knobs, arch_indices, strict=True)}

    def _checked(self, indices: Sequence[int]) -> tuple[int, ...]:
        if len(indices) != len(self.knobs):
            raise UserError(f"a design point of this space has {len(self.knobs)} indices, not {len(indices)}")
        for knob, i in zip(self.knobs, indices, strict=True):
            if not 0 <= i < len(knob.values):
                raise UserError(f"knob {knob.name!r} has indices 0 to {len(knob.values) - 1}, not {i}")
        return tuple(int(i) for i in indices)


def _position(knob: Knob, value: KnobValue) -> int:
    """Where a value stands among a knob's values."""
    if value in knob.values:
        return knob.values.index(value)
    numbers = [v for v in knob.values if not isinstance(v, str)]
    if isinstance(value, str) or not numbers:
        raise unknown(f"value of knob {knob.name!r}", value, map(str, knob.values))
    closest = min(numbers, key=lambda v: abs(v - value))
    raise UserError(
        f"knob {knob.name!r} takes {', '.join(map(str, knob.values))}, not {value}; the closest is {closest}"
    )


def cut_named(network: Network, name: str) -> str:
    """The cut of a network that goes by this name or has it as an alias."""
    for cut in network.cuts:
        if name == cut.name or name in cut.aliases:
            return cut.name
    raise unknown(f"cut of {network.name} in cut mode {network.cut_mode!r}", name, _cut_names(network))


def _cut_names(network: Network) -> list[str]:
    return [name for cut in network.cuts for name in (cut.name, *cut.aliases)]


def sensor_edge_space(
    network: Network,
    *,
    cuts: Sequence[str] | None = None,
    accelerators: Sequence[str] = ("eyeriss_like", "simba_like"),
    pe_cols: Sequence[int] = (2, 4, 8, 14),
    pe_rows: Sequence[int] = (4, 12),
    glb_kib: Sequence[int] = (64, 128),
    input_buffer_scale: Sequence[float] = (0.25, 1.0),
    weight_buffer_scale: Sequence[float] = (0.25, 1.0),
    accum_buffer_scale: Sequence[float] = (1.0,),
    input_buffer: Sequence[str] = (TEMPLATE,),
    weight_buffer: Sequence[str] = (TEMPLATE,),
    accum_buffer: Sequence[str] = (TEMPLATE,),
    glb: Sequence[str] = (TEMPLATE,),
    clock_mhz: Sequence[float] = (25, 50, 75, 100, 125, 150, 175, 200, 225, 250, 300, 350, 400, 450, 500, 600),
    drams: Sequence[str] = ("lpddr4",),
    links: Sequence[str] = ("100base-t", "1000base-t", "10gbase-t"),
    tensor_bits: Sequence[int] = (),
) -> SearchSpace:
    """The space of a sensor node, a link and an edge node for a network; all its cuts if none are named.

    The defaults hold the templates' own sizes (eyeriss_like 14 × 12 PEs with 128 KiB, simba_like 4 × 4 with 64 KiB)
    and sizes whose memories are in the SRAM table. `*_buffer_scale` multiplies the template's own buffer; simba_like's
    are so large that a quarter is the better choice for small networks. They give 128 architectures × 16 clocks × 3
    links for every cut: 104,448 design points for the 17 cuts of SqueezeNet V1.1.

    `input_buffer`, `weight_buffer`, `accum_buffer` and `glb` say what a buffer is made of: "regfile", "sram" or what
    its "template" has.

    `tensor_bits` are widths of the elements that cross the link, such as (32, 16, 8, 4); none: the settings' one, and
    no knob. What a width does to accuracy is not modelled.

    A combination that cannot exist (a clock above what a memory allows, an SRAM of a few words) has its place in the
    space; evaluating it raises `IllegalDesign`, and studies count it.
    """
    values: dict[str, Sequence[KnobValue]] = {
        "cut": [cut.name for cut in network.cuts] if cuts is None else cuts,
        "accelerator": accelerators,
        "pe_cols": pe_cols,
        "pe_rows": pe_rows,
        "glb_kib": glb_kib,
        "input_buffer_scale": input_buffer_scale,
        "weight_buffer_scale": weight_buffer_scale,
        "accum_buffer_scale": accum_buffer_scale,
        "input_buffer": input_buffer,
        "weight_buffer": weight_buffer,
        "accum_buffer": accum_buffer,
        "glb": glb,
        "clock_mhz": clock_mhz,
        "dram": drams,
        "link": links,
        "tensor_bits": tensor_bits,
    }
    for name, choices in values.items():
        if isinstance(choices, str | int | float):
            raise UserError(f"knob {name!r} takes a tuple of values, not {choices!r}; write ({choices!r},)")
        for value in choices:
            _check_value(name, value)
    values["cut"] = list(dict.fromkeys(cut_named(network, str(name)) for name in values["cut"]))
    try:
        knobs = tuple(Knob(name, tuple(values[name])) for name in KNOBS if name != "tensor_bits" or tensor_bits)
        return SearchSpace(tuple(knob for knob in knobs if knob.name not in MEMORIES or knob.values != (TEMPLATE,)))
    except ValueError as error:
        raise UserError(str(error)) from None


def _check_value(name: str, value: KnobValue) -> None:
    """Refuse what no design point of a sensor-edge space can have, whatever its other knobs."""
    if name == "accelerator" and value not in known_accelerators():
        raise unknown(name, value, known_accelerators(), add="search_spaces/accelerators/<name>.py")
    if name == "dram" and value not in DRAMS:
        raise unknown(name, value, DRAMS)
    if name in MEMORIES and value not in (kinds := ("regfile", "sram", TEMPLATE)):
        raise unknown(f"memory for {name}", value, kinds)
    if name == "link":
        known_link(str(value))
    if name == "tensor_bits" and not (type(value) is int and 1 <= value <= 64):
        raise UserError(f"knob {name!r} takes 1 to 64 bits for an element on the link, not {value!r}")
    if name in ("pe_cols", "pe_rows", "glb_kib") and not (type(value) is int and value >= 1):
        raise UserError(f"knob {name!r} takes whole numbers of at least 1, not {value!r}")
    if name.endswith("_scale") or name == "clock_mhz":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and isfinite(value) and value > 0):  # type: ignore[arg-type, operator]  # a number here
            raise UserError(f"knob {name!r} takes numbers above 0, not {value!r}")
        if name == "clock_mhz" and value < LEAST_CLOCK_MHZ:  # type: ignore[operator]
            raise UserError(f"a clock is at least {LEAST_CLOCK_MHZ:g} MHz, not {value!r}")
