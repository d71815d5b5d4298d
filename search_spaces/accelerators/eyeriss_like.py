"""Row-stationary accelerator after Eyeriss (Chen et al., ISCA 2016), as Timeloop's `eyeriss_like` template has it.

A global buffer for inputs and partial sums, a mesh of PE columns, three scratchpads per PE. Filter rows lie along a
column, so a layer whose filter is higher than the column cannot be mapped. `input_buffer` is the ifmap_spad,
`weight_buffer` the weights_spad, `accum_buffer` the psum_spad. The template's 12 and 16 words are too few for an SRAM:
`accum_buffer=sram` needs an `accum_buffer_scale` of 2.
"""

from __future__ import annotations

from search_spaces.accelerators.architecture import Architecture, Component, Level, Spatial
from search_spaces.accelerators.parameters import Parameters

__all__ = ["DEFAULTS", "architecture"]

DEFAULTS: dict[str, int | float | str] = {
    "pe_cols": 14,
    "pe_rows": 12,
    "glb_kib": 128,
    "input_buffer_scale": 1.0,
    "weight_buffer_scale": 1.0,
    "accum_buffer_scale": 1.0,
    "ifmap_spad_words": 12,
    "weights_spad_words": 192,
    "psum_spad_words": 16,
    "word_bits": 16,
    "glb_width_bits": 64,
    "glb_banks": 32,
    "input_buffer": "regfile",
    "weight_buffer": "regfile",
    "accum_buffer": "regfile",
    "glb": "sram",
    "technology_nm": 45,
}


def architecture(p: Parameters) -> Architecture:
    word_bits, glb_width_bits = p.whole("word_bits"), p.whole("glb_width_bits")
    glb_block = p.quotient("glb_width_bits", "word_bits")
    dram_block = max(64 // word_bits, 1)
    glb_words = p.words("glb_kib", word_bits)

    psum = p.scaled("psum_spad_words", "accum_buffer_scale")
    weights = p.scaled("weights_spad_words", "weight_buffer_scale")
    ifmap = p.scaled("ifmap_spad_words", "input_buffer_scale")

    def scratchpad(name: str, role: str, keeps: str, words: int, order: str = "") -> Level:
        memory, ports = p.buffer(role, word_bits, words, smart=True), 2.0
        return Level(
            name, keeps, memory, words, orders=(order,), read_words_per_cycle=ports, write_words_per_cycle=ports
        )

    return p.architecture(
        scratchpad("psum_spad", "accum_buffer", "O", psum, "M"),
        scratchpad("weights_spad", "weight_buffer", "W", weights, "RC"),
        scratchpad("ifmap_spad", "input_buffer", "I", ifmap),
        Level(
            "column",
            "",
            # the tool's template spends one small register file per column on its stand-in buffer
            Component("none"),
            tool=Component("regfile", width_bits=16, depth=16),
            spatial=(Spatial("S", "Y"), Spatial("C", "Y"), Spatial("M", "Y")),
            mesh_y=p.whole("pe_rows"),
        ),
        Level(
            "shared_glb",
            "IO",
            p.buffer("glb", glb_width_bits, glb_words // glb_block, banks=p.whole("glb_banks"), smart=True),
            glb_words,
            block=glb_block,
            orders=("CPNM",),
            spatial=(Spatial("M", "X"), Spatial("Q", "X")),
            mesh_x=p.whole("pe_cols"),
            read_words_per_cycle=16.0,
            write_words_per_cycle=16.0,
        ),
        Level("DRAM", "WIO", Component("dram", width_bits=64), block=dram_block, orders=("CMNQ",)),
    )
