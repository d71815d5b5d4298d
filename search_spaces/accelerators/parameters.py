"""Reading a template's parameters: defaults filled in, names and values checked, one line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces.accelerators.architecture import Architecture, Component, ComponentKind, Level
from search_spaces.errors import IllegalDesign, UserError, unknown
from search_spaces.types import KnobValue

__all__ = ["MEMORIES", "TEMPLATE", "Parameters"]

MEMORIES = ("input_buffer", "weight_buffer", "accum_buffer", "glb")
"""What each buffer is made of, "regfile" or "sram", by the buffer's role; `buffers` is short for the first three."""

TEMPLATE = "template"
"""Stands for the kind of memory that the template itself has."""

_KINDS: tuple[ComponentKind, ...] = ("regfile", "sram")

_LARGEST = 1e9
"""No parameter is larger: beyond, products of sizes are no numbers any more."""


@dataclass(frozen=True)
class Parameters:
    """The complete parameters of one accelerator, in the template's order."""

    accelerator: str
    items: tuple[tuple[str, KnobValue], ...]

    @staticmethod
    def fill(accelerator: str, defaults: Mapping[str, KnobValue], given: Mapping[str, KnobValue]) -> Parameters:
        """The template's defaults with the given values in their place.

        Raises UserError for a name the template does not have or a value of the wrong type, IllegalDesign for a kind
        of memory for a buffer it does not have.
        """
        given = _memories_spelled_out(accelerator, defaults, given)
        for name, value in given.items():
            if name not in defaults:
                raise unknown(f"parameter of {accelerator}", name, defaults)
            wants = defaults[name]
            if isinstance(wants, str) != isinstance(value, str) or isinstance(value, bool):
                kind = "a word" if isinstance(wants, str) else "a number"
                raise UserError(f"{name} of {accelerator} is {kind} such as {wants!r}, not {value!r}")
            if not isinstance(value, str) and not 0 < value <= _LARGEST:
                rule = "greater than 0" if not value > 0 else f"at most {_LARGEST:g}"
                raise UserError(f"{name} of {accelerator} must be {rule}, not {value!r} (default {wants!r})")
        merged = {name: given.get(name, default) for name, default in defaults.items()}
        # 4.0 and 4 are the same design, so they must be the same value
        return Parameters(
            accelerator,
            tuple((k, int(v) if isinstance(v, float) and v == int(v) else v) for k, v in merged.items()),
        )

    def __getitem__(self, name: str) -> KnobValue:
        return dict(self.items)[name]

    def _number(self, name: str) -> float:
        value = self[name]
        assert not isinstance(value, str)
        return float(value)

    def whole(self, name: str) -> int:
        value = self._number(name)
        if value != int(value):
            raise UserError(f"{name} of {self.accelerator} must be a whole number, not {value:g}")
        return int(value)

    def architecture(self, *levels: Level) -> Architecture:
        """The accelerator of these levels, from the innermost out; activations, weights and MACs are a word wide."""
        word_bits = self.whole("word_bits")
        return Architecture(
            name=self.accelerator,
            parameters=self.items,
            levels=levels,
            mac=Component("intmac", width_bits=word_bits),
            word_bits=word_bits,
            weight_bits=word_bits,
            technology_nm=self.whole("technology_nm"),
        )

    def buffer(
        self, role: str, width_bits: int, depth: int, *, banks: int = 1, smart: bool = False, copies: int = 1
    ) -> Component:
        """The memory of one of the `MEMORIES`, as it was chosen; a register file has no banks."""
        kind = next(kind for kind in _KINDS if kind == self[role])
        return Component(kind, width_bits, depth, banks=banks if kind == "sram" else 1, smart=smart, copies=copies)

    def quotient(self, name: str, by: str) -> int:
        """Words per access: a row must hold a whole number of words."""
        width, word = self.whole(name), self.whole(by)
        if width % word:
            raise UserError(f"{name} of {self.accelerator} must be a multiple of {by}={word}, not {width}")
        return width // word

    def words(self, kib_name: str, word_bits: int) -> int:
        return self._floor(self._number(kib_name) * 8192 / word_bits, kib_name)

    def scaled(self, words_name: str, scale_name: str) -> int:
        return self._floor(self.whole(words_name) * self._number(scale_name), scale_name)

    def registers(self, scale_name: str) -> int:
        """Words of a register that a scale makes deeper; never less than one."""
        return max(int(self._number(scale_name)), 1)

    def scaled_words(self, kib_name: str, scale_name: str, word_bits: int) -> int:
        return self._floor(self._number(kib_name) * self._number(scale_name) * 8192 / word_bits, scale_name)

    def _floor(self, words: float, name: str) -> int:
        if words < 1:
            raise IllegalDesign(
                "buffer too small", f"{name}={self[name]} leaves {self.accelerator} a buffer of less than one word"
            )
        return int(words)


def _memories_spelled_out(
    accelerator: str, defaults: Mapping[str, KnobValue], given: Mapping[str, KnobValue]
) -> dict[str, KnobValue]:
    """The given parameters with `buffers` replaced by what it stands for, and what says "template" left out."""
    for name in (*MEMORIES, "buffers"):
        if given.get(name, TEMPLATE) not in (*_KINDS, TEMPLATE):
            raise unknown(f"kind of memory for {name} of {accelerator}", given[name], (*_KINDS, TEMPLATE))
    spelled_out = {name: value for name, value in given.items() if name not in (*MEMORIES, "buffers")}
    for name in MEMORIES:
        kind = given.get(name, TEMPLATE)
        if kind == TEMPLATE and name in defaults and name != "glb":
            kind = given.get("buffers", TEMPLATE)
        if kind != TEMPLATE:
            if name not in defaults:
                raise IllegalDesign(
                    "no such buffer", f"{accelerator} has no {name} of its own to be made of {kind}; leave {name} out"
                )
            spelled_out[name] = kind
    return spelled_out
