"""Weight-stationary accelerator after Simba (Shao et al., MICRO 2019), as Timeloop's `simba_like` template has it.

Processing elements of `lanes` × `vector_macs` multipliers: a vector reduces over input channels, lanes hold
different output channels. The template's per-PE buffers are register files (97 pJ per access of the input buffer);
by default those of inputs and weights are SRAM here, `buffers=regfile` brings the template's back. `input_buffer` is
the PEInputBuffer, `weight_buffer` the PEWeightBuffer, `accum_buffer` the PEAccuBuffer, whose words an SRAM keeps in
rows of the next power of two.
"""

from __future__ import annotations

from search_spaces.accelerators.architecture import Architecture, Component, Level, Spatial
from search_spaces.accelerators.parameters import Parameters

__all__ = ["DEFAULTS", "architecture"]

DEFAULTS: dict[str, int | float | str] = {
    "pe_cols": 4,
    "pe_rows": 4,
    "glb_kib": 64,
    "input_buffer_scale": 1.0,
    "weight_buffer_scale": 1.0,
    "accum_buffer_scale": 1.0,
    "lanes": 4,
    "vector_macs": 4,
    "input_buffer_kib": 64,
    "weight_buffer_kib": 32,
    "accum_buffer_words": 128,
    "word_bits": 8,
    "accum_bits": 24,
    "buffer_width_bits": 64,
    "glb_width_bits": 256,
    "glb_banks": 4,
    "input_buffer": "sram",
    "weight_buffer": "sram",
    "accum_buffer": "regfile",
    "glb": "sram",
    "technology_nm": 45,
}

_ORDERS = ("CMNPQ", "CMNQP")
_TOOL_WEIGHT_REGISTER_PJ = 0.489007537688
"""What Timeloop be27768 charges a `reg_storage` of Simba per access, whatever its width (its own formula)."""

_TOOL_CLUSTER = 64
"""Weight registers the tool's template charges as one (its `cluster-size`)."""


def architecture(p: Parameters) -> Architecture:
    word_bits, width = p.whole("word_bits"), p.whole("buffer_width_bits")
    block = p.quotient("buffer_width_bits", "word_bits")
    glb_block = p.quotient("glb_width_bits", "word_bits")
    glb_words = p.words("glb_kib", word_bits)
    inputs = p.scaled_words("input_buffer_kib", "input_buffer_scale", word_bits)
    weights = p.scaled_words("weight_buffer_kib", "weight_buffer_scale", word_bits)
    accums = p.scaled("accum_buffer_words", "accum_buffer_scale")
    lanes, vector = p.whole("lanes"), p.whole("vector_macs")
    accum_bits = p.whole("accum_bits")
    accum_row = accum_bits if p["accum_buffer"] == "regfile" else 1 << (accum_bits - 1).bit_length()

    return p.architecture(
        Level(
            "PEWeightRegs",
            "W",
            Component("regfile", width_bits=word_bits, depth=1),
            1,
            orders=("PQ",),
            tool=Component("figure", access_pj=_TOOL_WEIGHT_REGISTER_PJ, area_um2=5.98),
            tool_cluster=_TOOL_CLUSTER,
        ),
        Level(
            "PEAccuBuffer",
            "O",
            p.buffer("accum_buffer", accum_row, accums, smart=True),
            accums,
            orders=("M",),
            spatial=(Spatial("C", "Y", fixed=vector),),
            mesh_y=vector,
            tool=Component("regfile", width_bits=16, depth=accums, smart=True),
        ),
        Level(
            "PEWeightBuffer",
            "W",
            p.buffer("weight_buffer", width, weights // block, smart=True),
            weights,
            block=block,
            orders=("RSC",),
            tool=Component("regfile", width_bits=16, depth=weights // block, smart=True),
        ),
        Level(
            "PEInputBuffer",
            "I",
            p.buffer("input_buffer", width, inputs // block, smart=True),
            inputs,
            block=block,
            spatial=(Spatial("M", "Y", fixed=lanes),),
            mesh_y=lanes,
            tool=Component("regfile", width_bits=64, depth=inputs // block, smart=True),
        ),
        Level(
            "GlobalBuffer",
            "IO",
            p.buffer("glb", p.whole("glb_width_bits"), glb_words // glb_block, banks=p.whole("glb_banks"), smart=True),
            glb_words,
            block=glb_block,
            orders=_ORDERS,
            spatial=(Spatial("M", "X"), Spatial("C", "X")),
            mesh_x=p.whole("pe_cols") * p.whole("pe_rows"),
        ),
        Level("DRAM", "WIO", Component("dram", width_bits=64), block=max(64 // word_bits, 1), orders=_ORDERS),
    )
