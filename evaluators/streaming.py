"""Operators without multiply-accumulates: their words pass DRAM and the outermost on-chip buffer, each once.

Inputs are read and outputs written at both; nothing is charged for computing. The buffer's read and write ports work
side by side, at its bandwidth or, where none is stated, at one row per cycle; DRAM limits the time only where a
bandwidth is stated for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol

from search_spaces.types import Layer

__all__ = ["Memory", "Streamed", "streamed"]


class Memory(Protocol):
    """What counts of a memory: words per row (one access), and words per cycle where it states them."""

    @property
    def block(self) -> int: ...

    @property
    def read_words_per_cycle(self) -> float | None: ...

    @property
    def write_words_per_cycle(self) -> float | None: ...

    @property
    def shared_words_per_cycle(self) -> float | None: ...


@dataclass(frozen=True)
class Streamed:
    """Rows that one operator reads and writes, the same words at the buffer and at DRAM, and the cycles it takes."""

    cycles: int
    buffer_reads: int
    buffer_writes: int
    dram_reads: int
    dram_writes: int


def streamed(layer: Layer, buffer: Memory, dram: Memory) -> Streamed:
    """What an operator moves through these two memories."""
    words_in, words_out = layer.input_elements, layer.output_elements
    limits = (
        (words_in, buffer.read_words_per_cycle or buffer.block),
        (words_out, buffer.write_words_per_cycle or buffer.block),
        (words_in + words_out, buffer.shared_words_per_cycle),
        (words_in, dram.read_words_per_cycle),
        (words_out, dram.write_words_per_cycle),
        (words_in + words_out, dram.shared_words_per_cycle),
    )
    return Streamed(
        max(1, *(ceil(words / per_cycle) for words, per_cycle in limits if per_cycle)),
        *(ceil(words / memory.block) for memory in (buffer, dram) for words in (words_in, words_out)),
    )
