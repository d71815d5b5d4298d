"""`--where`: which designs to look at, as a comparison of metrics and knobs such as "latency_ms<20 and area_mm2<3".

Python's own grammar, of which only names, numbers, texts, comparisons, `and`, `or`, `not`, `in` and + - * / mean
anything here; nothing is executed. Names are checked before any design is looked at.
"""

from __future__ import annotations

import ast
import operator
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from search_spaces.errors import UserError, unknown
from search_spaces.types import KnobValue

__all__ = ["Condition", "parse_where", "unit_factor"]

Design = Mapping[str, Any]
Kind = Literal["number", "text", "truth"]

UNIT_FAMILIES: tuple[Mapping[str, float], ...] = (
    {"j": 1.0, "mj": 1e-3, "uj": 1e-6, "nj": 1e-9},
    {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    {"w": 1.0, "mw": 1e-3, "uw": 1e-6},
    {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
    {"bytes": 1.0, "kib": 1024.0, "mib": 1024.0**2},
)
"""Units that a name may end in instead of its own; small letters, so mj is millijoule."""

COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
LONGEST = 1000
EXAMPLE = 'latency_ms<20 and area_mm2<3 and accelerator=="simba_like"'


@dataclass(frozen=True)
class _Part:
    """One checked piece: what kind of value it has, and how to get it from a design; a knob's `values` if it is one."""

    kind: Kind
    of: Callable[[Design], Any]
    values: tuple[KnobValue, ...] = ()
    knob: str = ""


@dataclass(frozen=True)
class Condition:
    """A checked condition; `names` are the metrics and knobs it looks at, by their own names."""

    text: str
    names: tuple[str, ...]
    _test: Callable[[Design], bool]

    def __call__(self, design: Design) -> bool:
        """Whether a design (knobs and metrics by name) meets it."""
        try:
            return self._test(design)
        except ZeroDivisionError:
            raise UserError(f"--where divides by zero: {self.text!r}") from None


def parse_where(text: str, metrics: Sequence[str], knobs: Mapping[str, Sequence[KnobValue]]) -> Condition:
    """Check a condition against the metrics and knobs there are. Raises UserError, one line with the closest name.

    >>> meets = parse_where("latency_ms < 20 and cut != 'conv1'", ["latency_s"], {"cut": ["input", "conv1"]})
    >>> meets({"latency_s": 0.01, "cut": "input"}), meets({"latency_s": 0.01, "cut": "conv1"})
    (True, False)
    """
    if len(text) > LONGEST:
        raise UserError(f"--where takes at most {LONGEST} characters, not {len(text)}")
    names: list[str] = []
    try:
        with warnings.catch_warnings(action="ignore"):  # of Python's own, as for 20and
            tree = ast.parse(text.strip(), mode="eval")
        part = _Checker(metrics, knobs, names).check(tree.body)
    except SyntaxError as error:
        raise UserError(f"--where does not read as a condition: {error.msg} in {text!r}{_hint(text)}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"--where does not read as a condition; for example {EXAMPLE}") from None
    if part.kind != "truth":
        raise UserError(f"--where needs a comparison, not {text!r}; for example {EXAMPLE}")
    return Condition(text, tuple(dict.fromkeys(names)), part.of)


def _hint(text: str) -> str:
    for wrong, right in (("&&", "and"), ("||", "or"), ("≤", "<="), ("≥", ">=")):
        if wrong in text:
            return f"; write {right} for {wrong}"
    bare = text.replace("==", "").replace("<=", "").replace(">=", "").replace("!=", "")
    return "; write == for equal" if "=" in bare else f"; for example {EXAMPLE}"


class _Checker:
    """Turns a syntax tree into functions of a design."""

    def __init__(self, metrics: Sequence[str], knobs: Mapping[str, Sequence[KnobValue]], names: list[str]) -> None:
        self._metrics = metrics
        self._knobs = knobs
        self._names = names

    def check(self, node: ast.expr) -> _Part:
        match node:
            case ast.BoolOp(op, values):
                parts = [self._of_kind(value, "truth") for value in values]
                tests = [part.of for part in parts]
                if isinstance(op, ast.And):
                    return _Part("truth", lambda design: all(test(design) for test in tests))
                return _Part("truth", lambda design: any(test(design) for test in tests))
            case ast.UnaryOp(ast.Not(), operand):
                inner = self._of_kind(operand, "truth").of
                return _Part("truth", lambda design: not inner(design))
            case ast.UnaryOp(ast.USub(), operand):
                value = self._of_kind(operand, "number").of
                return _Part("number", lambda design: -value(design))
            case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
                a, b, apply = self._of_kind(left, "number").of, self._of_kind(right, "number").of, ARITHMETIC[type(op)]
                return _Part("number", lambda design: apply(a(design), b(design)))
            case ast.Compare(left, ops, comparators):
                return self._chain(left, ops, comparators)
            case ast.Name(name):
                return self._name(name)
            case ast.Constant(value) if isinstance(value, str):
                return _Part("text", lambda design: value)
            case ast.Constant(value) if isinstance(value, int | float) and not isinstance(value, bool):
                return _number(value)
        raise UserError(
            f"--where takes comparisons of metrics and knobs, not {ast.unparse(node)!r}; for example {EXAMPLE}"
        )

    def _chain(self, left: ast.expr, ops: list[ast.cmpop], comparators: list[ast.expr]) -> _Part:
        tests = []
        for op, right in zip(ops, comparators, strict=True):
            tests.append(self._compare(left, op, right))
            left = right
        return _Part("truth", lambda design: all(test(design) for test in tests))

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Callable[[Design], bool]:
        a = self.check(left)
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.Tuple | ast.List):
                raise UserError(f"--where: in takes a list, as in cut in ('a', 'b'), not {ast.unparse(right)!r}")
            members = [self._comparable(a, item, left) for item in right.elts]
            wanted = isinstance(op, ast.In)
            return lambda design: any(a.of(design) == member.of(design) for member in members) == wanted
        b = self._comparable(a, right, left)
        if type(op) not in COMPARISONS:
            raise UserError(f"--where compares with < <= > >= == != and in, not as in {ast.unparse(right)!r}")
        if a.kind == "text" and not isinstance(op, ast.Eq | ast.NotEq):
            raise UserError(f"--where: {ast.unparse(left)} is a text; it can be == or != or in a list")
        apply = COMPARISONS[type(op)]
        return lambda design: apply(a.of(design), b.of(design))

    def _comparable(self, a: _Part, right: ast.expr, left: ast.expr) -> _Part:
        """The right side, which must be of the left side's kind, and a value of its knob if it is a text."""
        b = self.check(right)
        if a.kind != b.kind or a.kind == "truth":
            raise UserError(
                f"--where cannot compare {ast.unparse(left)}, a {a.kind}, with {ast.unparse(right)}, a {b.kind}"
            )
        for knob, other in ((a, right), (b, left)):
            if knob.kind == "text" and knob.knob and isinstance(other, ast.Constant) and other.value not in knob.values:
                raise unknown(f"value of knob {knob.knob!r}", other.value, map(str, knob.values))
        return b

    def _of_kind(self, node: ast.expr, kind: Kind) -> _Part:
        part = self.check(node)
        if part.kind != kind:
            raise UserError(f"--where needs a {kind} where {ast.unparse(node)!r} stands, which is a {part.kind}")
        return part

    def _name(self, name: str) -> _Part:
        found = [(known, unit_factor(known, name)) for known in (*self._metrics, *self._knobs)]
        known, factor = next(((known, f) for known, f in found if f is not None), ("", 1.0))
        if not known:
            raise unknown("metric or knob", name, (*self._metrics, *self._knobs))
        self._names.append(known)
        values = tuple(self._knobs.get(known, ()))
        if any(isinstance(value, str) for value in values):
            return _Part("text", lambda design: design[known], values, known)
        return _Part("number", lambda design: design[known] * factor)


def _number(written: int | float) -> _Part:
    try:
        value = float(written)
    except OverflowError:
        raise UserError(f"--where takes numbers up to {sys.float_info.max:.1e}, and one has more digits") from None
    return _Part("number", lambda design: value)


def unit_factor(known: str, name: str) -> float | None:
    """What turns `known` into `name`, 1 or another unit (latency_s into latency_ms: 1000); None for another name."""
    if known == name:
        return 1.0
    stem, _, unit = known.rpartition("_")
    other_stem, _, other = name.rpartition("_")
    if stem and stem == other_stem:
        for family in UNIT_FAMILIES:
            if unit in family and other in family:
                return family[unit] / family[other]
    return None
