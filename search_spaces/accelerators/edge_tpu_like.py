"""Weight-stationary systolic array of 64 × 64 8-bit MACs with public figures of Google's Coral Edge TPU.

Published: 4 TOPS of int8, 2 TOPS per watt, one PCIe Gen2 lane to the host (Coral Accelerator Module datasheet v1.4,
2020, sections "Features" and "Peak performance"); some 8 MB of on-chip SRAM (coral.ai, "Edge TPU Compiler", on
parameter caching). Deduced by others: 64 × 64 MACs at 480 MHz, which make up 4 TOPS (qengineering.eu, "Google Coral
Edge TPU explained in depth"); 500 MB/s over the lane, so about one word per cycle at 480 MHz (Kavalerov, "What's
inside the Google Coral Edge TPU?", 2019). From its large relative (Jouppi et al., "In-Datacenter Performance Analysis
of a Tensor Processing Unit", ISCA 2017, section 2): weights stay in the array while inputs stream through it, one
unified buffer on chip, 32-bit accumulators below the array. Not public and assumed like Gemmini's: loops, orders, 1024
accumulator words per column; inputs and weights share the buffer. The memory is arrays of up to 512 KiB side by side,
one of which is accessed; all of it is priced at 45 nm, where the real chip is finer. Weights are fetched for every
frame; the real chip can keep them.
"""

from __future__ import annotations

from math import ceil

from search_spaces.accelerators.architecture import Architecture, Component, Level
from search_spaces.accelerators.parameters import Parameters
from search_spaces.accelerators.systolic import systolic_levels

__all__ = ["DEFAULTS", "architecture"]

DEFAULTS: dict[str, int | float | str] = {
    "pe_cols": 64,
    "pe_rows": 64,
    "glb_kib": 8192,
    "input_buffer_scale": 1.0,
    "weight_buffer_scale": 1.0,
    "accum_buffer_scale": 1.0,
    "accumulator_words": 1024,
    "word_bits": 8,
    "accum_bits": 32,
    "accumulator_banks": 2,
    "glb_width_bits": 128,
    "glb_banks": 16,
    "host_words_per_cycle": 1,
    "accum_buffer": "sram",
    "glb": "sram",
    "technology_nm": 45,
}

_ARRAY_KIB = 512


def architecture(p: Parameters) -> Architecture:
    word_bits = p.whole("word_bits")
    words = p.words("glb_kib", word_bits)
    arrays = ceil(words * word_bits / 8192 / _ARRAY_KIB)
    return p.architecture(
        *systolic_levels(p, "UnifiedBuffer", words, arrays),
        Level(
            "DRAM",
            "WIO",
            Component("dram", width_bits=64),
            block=max(64 // word_bits, 1),
            orders=("CSRMQPN",),
            shared_words_per_cycle=float(p.whole("host_words_per_cycle")),
        ),
    )
