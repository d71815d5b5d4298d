"""Output-stationary array as Timeloop's `simple_output_stationary` template has it: registers, a scratchpad per PE.

Input channels lie on the columns and output channels on the rows, as many as there are; a mapping chooses which
tensors the global buffer keeps. `accum_buffer` is the pe_spad; `input_buffer` and `weight_buffer` are registers of one
word, which can be SRAM only where a scale makes them deep. Only channels are unrolled, as the template's own comment
says; its constraints would let the tool unroll N too, a batch. The template leaves loop orders free; searched are the
orders below, because no other moves less:

- Which loop is innermost at a level is all that matters to a tensor whose tile lies inside: loops irrelevant to it
  cost nothing as long as no relevant one came before. M first spares inputs, C first spares outputs, N, P and Q first
  spare weights; beside that, P or Q before the rest keeps neighbouring input tiles overlapping along one axis. Any
  other order moves, tensor by tensor, at least what one of these five moves.
- At `weight_reg` only N, P, Q stand: P first or Q first. At `input_activation_reg` (M, R, S) only outputs lie inside,
  and R, S first spare them. At `pe_spad` R, S, P, Q are innermost by the template, then N, C or M first.
"""

from __future__ import annotations

from itertools import combinations
from math import factorial

from search_spaces.accelerators.architecture import Architecture, Component, Level, Spatial
from search_spaces.accelerators.parameters import Parameters

__all__ = ["DEFAULTS", "architecture"]

DEFAULTS: dict[str, int | float | str] = {
    "pe_cols": 16,
    "pe_rows": 16,
    "glb_kib": 128,
    "input_buffer_scale": 1.0,
    "weight_buffer_scale": 1.0,
    "accum_buffer_scale": 1.0,
    "pe_spad_words": 192,
    "input_buffer": "regfile",
    "weight_buffer": "regfile",
    "accum_buffer": "regfile",
    "glb": "sram",
    "word_bits": 16,
    "glb_width_bits": 64,
    "glb_banks": 32,
    "technology_nm": 45,
}

_FREE = ("PQNCM", "QPNCM", "CMNPQ", "MPQNC", "MQPNC")
_SPAD = ("RSPQNCM", "RSPQCMN", "RSPQMCN")
_KEEPS = tuple("".join(kept) for n in range(4) for kept in combinations("WIO", n))

_TOOL_REGISTER_PJ = 0.9749725188442211
"""What Timeloop be27768 charges a `reg_storage` of 16 bits per access (its own formula)."""

_TOOL_SRAM_BITS = 512
"""A scratchpad of fewer bits is a register file to the tool, a larger one an SRAM."""


def architecture(p: Parameters) -> Architecture:
    word_bits = p.whole("word_bits")
    glb_block = p.quotient("glb_width_bits", "word_bits")
    glb_words = p.words("glb_kib", word_bits)
    spad = p.scaled("pe_spad_words", "accum_buffer_scale")

    tool_spad = Component("sram" if word_bits * spad >= _TOOL_SRAM_BITS else "regfile", word_bits, spad, smart=True)

    def register(name: str, keeps: str, orders: tuple[str, ...], covered: int, role: str | None) -> Level:
        words = p.registers(f"{role}_scale") if role else 1
        component = p.buffer(role, word_bits, words) if role else Component("regfile", word_bits, words)
        tool = Component("figure", access_pj=_TOOL_REGISTER_PJ, area_um2=5.98)
        return Level(name, keeps, component, words, orders=orders, orders_covered=covered, tool=tool)

    return p.architecture(
        register("output_activation_reg", "O", ("C",), 1, None),
        register("input_activation_reg", "I", ("RSM",), factorial(3), "input_buffer"),
        register("weight_reg", "W", ("PQN", "QPN"), factorial(3), "weight_buffer"),
        Level(
            "pe_spad",
            "O",
            p.buffer("accum_buffer", word_bits, spad, smart=True),
            spad,
            orders=_SPAD,
            orders_covered=factorial(3),
            tool=tool_spad,
        ),
        Level(
            "shared_glb",
            "",
            p.buffer("glb", p.whole("glb_width_bits"), glb_words // glb_block, banks=p.whole("glb_banks"), smart=True),
            glb_words,
            block=glb_block,
            orders=_FREE,
            orders_covered=factorial(5),
            spatial=(
                Spatial("C", "X", fixed=p.whole("pe_cols")),
                Spatial("M", "Y", fixed=p.whole("pe_rows")),
            ),
            mesh_x=p.whole("pe_cols"),
            mesh_y=p.whole("pe_rows"),
            read_words_per_cycle=16.0,
            write_words_per_cycle=16.0,
            keeps_choices=_KEEPS,
        ),
        Level(
            "DRAM",
            "WIO",
            Component("dram", width_bits=64),
            block=max(64 // word_bits, 1),
            orders=_FREE,
            orders_covered=factorial(5),
        ),
    )
