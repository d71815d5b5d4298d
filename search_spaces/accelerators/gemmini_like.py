"""Weight-stationary systolic array after Gemmini (Genc et al., DAC 2021), as Timeloop's `gemmini_like` template has it.

One scratchpad for inputs and weights, one accumulator per column, one weight register per PE. DRAM delivers 8 words
per cycle for reads and writes together, so layers with little reuse stall. There is no buffer for inputs or weights
alone: `input_buffer_scale` and `weight_buffer_scale` are accepted, as in every template, and change nothing.
"""

from __future__ import annotations

from search_spaces.accelerators.architecture import Architecture, Component, Level
from search_spaces.accelerators.parameters import Parameters
from search_spaces.accelerators.systolic import systolic_levels

__all__ = ["DEFAULTS", "architecture"]

DEFAULTS: dict[str, int | float | str] = {
    "pe_cols": 16,
    "pe_rows": 16,
    "glb_kib": 256,
    "input_buffer_scale": 1.0,
    "weight_buffer_scale": 1.0,
    "accum_buffer_scale": 1.0,
    "accumulator_words": 1024,
    "word_bits": 8,
    "accum_bits": 32,
    "glb_width_bits": 128,
    "glb_banks": 4,
    "accumulator_banks": 2,
    "dram_words_per_cycle": 8,
    "dram_width_bits": 512,
    "accum_buffer": "sram",
    "glb": "sram",
    "technology_nm": 40,
}


def architecture(p: Parameters) -> Architecture:
    word_bits = p.whole("word_bits")
    return p.architecture(
        *systolic_levels(p, "Scratchpad", p.words("glb_kib", word_bits)),
        Level(
            "DRAM",
            "WIO",
            Component("dram", width_bits=p.whole("dram_width_bits")),
            block=p.quotient("dram_width_bits", "word_bits"),
            orders=("CSRMQPN",),
            shared_words_per_cycle=float(p.whole("dram_words_per_cycle")),
            # the tool charges an access of 64 words like one of 64 bits
            tool=Component("dram", width_bits=64),
        ),
    )
