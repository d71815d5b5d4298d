"""The levels that weight-stationary systolic arrays have in common, from the MAC unit out to the buffer."""

from __future__ import annotations

from search_spaces.accelerators.architecture import Component, Level, Spatial
from search_spaces.accelerators.parameters import Parameters

__all__ = ["systolic_levels"]


def systolic_levels(p: Parameters, buffer: str, words: int, arrays: int = 1) -> tuple[Level, Level, Level]:
    """A weight register per unit, an accumulator per column, and one buffer of inputs and weights by this name.

    Input channels lie on the rows, output channels on the columns; only the accumulator tiles. The buffer is `arrays`
    equal memories side by side; `glb` is its memory, `accum_buffer` that of the accumulators.
    """
    word_bits, block = p.whole("word_bits"), p.quotient("glb_width_bits", "word_bits")
    accums = p.scaled("accumulator_words", "accum_buffer_scale")
    rows = words // block // arrays
    memory = p.buffer("glb", p.whole("glb_width_bits"), rows, banks=p.whole("glb_banks"), copies=arrays)
    return (
        Level("Registers", "W", Component("regfile", width_bits=word_bits, depth=1), 1),
        Level(
            "Accumulator",
            "O",
            p.buffer("accum_buffer", p.whole("accum_bits"), accums, banks=p.whole("accumulator_banks")),
            accums,
            orders=("QPNCSRM",),
            spatial=(Spatial("C", "X"),),
            mesh_x=p.whole("pe_rows"),
        ),
        Level(buffer, "WI", memory, words, block=block, spatial=(Spatial("M", "X"),), mesh_x=p.whole("pe_cols")),
    )
