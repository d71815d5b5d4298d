"""Row-stationary accelerator after Eyeriss (Chen et al., ISCA 2016), as Timeloop's `eyeriss_like` template has it.

A global buffer for inputs and partial sums, a mesh of PE columns, three scratchpads per PE. Filter rows lie along a
column, so a layer whose filter is higher than the column cannot be mapped.
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
    "spads": "regfile",
    "technology_nm": 45,
}


def architecture(p: Parameters) -> Architecture:
    word_bits, glb_width_bits = p.whole("word_bits"), p.whole("glb_width_bits")
    glb_block = p.quotient("glb_width_bits", "word_bits")
    dram_block = max(64 // word_bits, 1)
    glb_words = p.words("glb_kib", word_bits)

    spads = p.memory("spads")

    def spad(words: int) -> Component:
        return Component(spads, width_bits=word_bits, depth=words, smart=True)

    psum = p.scaled("psum_spad_words", "accum_buffer_scale")
    weights = p.scaled("weights_spad_words", "weight_buffer_scale")
    ifmap = p.scaled("ifmap_spad_words", "input_buffer_scale")

    def scratchpad(name: str, keeps: str, words: int, order: str = "") -> Level:
        ports = 2.0
        return Level(
            name, keeps, spad(words), words, orders=(order,), read_words_per_cycle=ports, write_words_per_cycle=ports
        )

    return Architecture(
        name="eyeriss_like",
        parameters=p.items,
        word_bits=word_bits,
        weight_bits=word_bits,
        technology_nm=p.whole("technology_nm"),
        mac=Component("intmac", width_bits=word_bits),
        levels=(
            scratchpad("psum_spad", "O", psum, "M"),
            scratchpad("weights_spad", "W", weights, "RC"),
            scratchpad("ifmap_spad", "I", ifmap),
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
                Component("sram", glb_width_bits, glb_words // glb_block, p.whole("glb_banks"), smart=True),
                glb_words,
                block=glb_block,
                orders=("CPNM",),
                spatial=(Spatial("M", "X"), Spatial("Q", "X")),
                mesh_x=p.whole("pe_cols"),
                read_words_per_cycle=16.0,
                write_words_per_cycle=16.0,
            ),
            Level(
                "DRAM", "WIO", Component("dram", width_bits=64), block=dram_block, orders=("CMNQ",)
            ),
        ),
    )
