"""Energy, area, leakage and cycle time of the circuits an accelerator is made of, at 45 nm and 40 nm.

Register files and integer MACs follow the closed forms of Aladdin's tables (Shao et al., ISCA 2014) as Accelergy 0.4
ships them, SRAM the CACTI 7 sweeps in `data/` (ITRS low-standby-power cells, 300 K), DRAM the energy per bit of
Accelergy's CACTI plug-in. All dynamic energies are those of a 5 ns clock at the nominal supply.

An SRAM outside its table is refused; one between two rows is interpolated, which on 60 random sizes gave the energy
per read that CACTI gives within 0.3 % at the median, 3.3 % in nine of ten and 22 % at worst. A register file's closed
form is taken at any depth; its area counts the cells of one word and a term per row (log2(depth) / 32 × 70 µm²), which
is small for deep files.

`sram_45nm.csv` begins at 1 KiB and was recorded elsewhere; `sram_tiny_45nm.csv`, arrays of one bank from 64 bytes,
and `sram_40nm.csv` were made with the same CACTI 7, asked as Accelergy 0.4's plug-in asks it (it repeats rows of
`sram_45nm.csv` to the last digit). That plug-in has no arrays smaller than 64 words of 4 bytes, so the tiny ones are
as large as those.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from csv import DictReader
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from math import ceil, exp, log, log2
from typing import Literal

from search_spaces.accelerators import DRAMS, Component
from search_spaces.errors import IllegalDesign, unknown

__all__ = [
    "DRAM_PJ_PER_BIT", "TABLE_CLOCK_S", "VERSION", "Figures", "Provenance", "dram_access_pj", "figures", "mac",
]  # fmt: skip

VERSION = 2
"""Bumped by hand whenever a figure here changes; part of every memo key and study fingerprint."""

TABLE_CLOCK_S = 5e-9
"""The clock period that the tables' energies, areas and idle energies belong to."""

Provenance = Literal["table", "interpolated"]

DRAM_PJ_PER_BIT = dict(zip(DRAMS, (8.0, 40.0, 70.0, 14.0, 3.9), strict=True))
"""LPDDR4, LPDDR, DDR3, GDDR5, HBM2 in Accelergy's CACTI plug-in."""

_ALADDIN = "Aladdin table"
_ADDRESS_GENERATION_PJ = 0.0488
_ADDRESS_GENERATION_UM2 = 179.0
_ADDRESS_GENERATION_IDLE_PJ = 0.0119
"""What a "smart" buffer carries beside its cells: a 32-bit adder in Aladdin's table."""

_MAC_BY_PERIOD_NS = {
    5.0: ((0.0857, 8.63), (179.0, 4600.0), (0.0119, 0.24)),
    2.0: ((0.0858, 9.55), (179.0, 5140.0), (0.0048, 0.10)),
    1.0: ((0.21, 12.68), (278.0, 6350.0), (0.0023, 0.08)),
}
"""Per clock period that a MAC is synthesised for, its energy in pJ, area in µm² and idle energy per period in pJ, each
as (adder, multiplier) at 32 bits: the figure of n bits is adder·n/32 + multiplier·(n/32)²."""


@dataclass(frozen=True)
class Figures:
    """One instance of a component: energy per vector access in pJ, area in µm², leakage in W.

    `cycle_s` is the shortest cycle at the nominal supply, None where the component sets no limit. `source` says in
    words where the figures come from.
    """

    read_pj: float
    write_pj: float
    area_um2: float
    leakage_w: float
    cycle_s: float | None = None
    provenance: Provenance = "table"
    source: str = ""


def figures(component: Component, technology_nm: int = 45) -> Figures:
    """Figures of one instance of a component; DRAM is charged by `dram_access_pj` and costs no area here.

    Raises IllegalDesign for a technology or a size the tables do not cover.
    """
    if component.copies > 1:
        one = figures(replace(component, copies=1), technology_nm)
        n = component.copies
        return replace(one, area_um2=one.area_um2 * n, leakage_w=one.leakage_w * n)
    if technology_nm not in _SRAM_FILES:
        raise IllegalDesign(
            "technology not in tables",
            f"component tables exist for technology_nm=45 and 40, not {technology_nm}; other nodes would be dummies",
        )
    if component.kind == "sram":
        return _sram(component, technology_nm)
    return _BY_KIND[component.kind](component)  # Aladdin's tables are the same at 45 and 40 nm


def dram_access_pj(component: Component, dram: str) -> float:
    """Energy of one vector access of a DRAM in pJ. Raises UserError for an unknown DRAM type."""
    if dram not in DRAM_PJ_PER_BIT:
        raise unknown("DRAM", dram, DRAMS)
    return DRAM_PJ_PER_BIT[dram] * component.width_bits


def mac(component: Component, clock_hz: float | None = None) -> Figures:
    """Figures of one integer MAC: the 5 ns row, or the row synthesised for a faster clock.

    >>> round(mac(Component("intmac", width_bits=16)).read_pj, 3)
    2.2
    >>> round(mac(Component("intmac", width_bits=16), clock_hz=1e9).read_pj, 3)
    3.275

    Raises IllegalDesign above 1 GHz, the fastest row there is.
    """
    periods = sorted(_MAC_BY_PERIOD_NS, reverse=True)
    needed_ns = periods[0] if clock_hz is None else 1e9 / clock_hz
    meets = [p for p in periods if p <= needed_ns * (1 + 1e-12)]
    if not meets:
        assert clock_hz is not None
        raise IllegalDesign(
            "clock above MAC table",
            f"MACs are tabulated up to {1e3 / min(periods):g} MHz, not {clock_hz / 1e6:g} MHz; lower clock_mhz",
        )
    n = component.width_bits / 32
    pj, area_um2, idle_pj = (adder * n + multiplier * n * n for adder, multiplier in _MAC_BY_PERIOD_NS[meets[0]])
    source = f"{_ALADDIN}, {meets[0]:g} ns row"
    return Figures(pj, pj, area_um2, idle_pj * 1e-12 / (meets[0] * 1e-9), source=source)


def _regfile(component: Component) -> Figures:
    # Aladdin charges a comparator per row, hence the term in depth
    rows = ceil(log2(component.depth)) / 32 * component.depth if component.depth > 1 else 0.0
    smart = 1 if component.smart else 0
    pj = 0.009 * component.width_bits + 0.029015 * rows + smart * _ADDRESS_GENERATION_PJ
    idle_pj = 0.00037 * component.width_bits + 0.000121 * rows + smart * _ADDRESS_GENERATION_IDLE_PJ
    area_um2 = 5.98 * component.width_bits + 70.0 * rows + smart * _ADDRESS_GENERATION_UM2
    return Figures(pj, pj, area_um2, idle_pj * 1e-12 / TABLE_CLOCK_S, source=_ALADDIN)


@dataclass(frozen=True)
class _SramRow:
    kib: float
    read_pj: float
    write_pj: float
    area_um2: float
    cycle_ns: float
    leakage_mw: float


_SRAM_FILES = {45: ("sram_45nm.csv", "sram_tiny_45nm.csv"), 40: ("sram_40nm.csv",)}
"""Per technology in nm, the files in `data/` that have its arrays."""


@cache
def _sram_table(technology_nm: int) -> dict[tuple[int, int], tuple[_SramRow, ...]]:
    """Rows by (width in bits, banks), in order of size; only rows that CACTI found a solution for."""
    table: dict[tuple[int, int], list[_SramRow]] = {}
    for name in _SRAM_FILES[technology_nm]:
        with (files(__package__) / "data" / name).open() as file:
            for row in DictReader(file):
                if row.get("status", "ok") != "ok":
                    continue
                width_bits, banks = int(row["width_bits"]), int(row["n_banks"])
                table.setdefault((width_bits, banks), []).append(
                    _SramRow(
                        width_bits * int(row["depth"]) / 8192, float(row["read_pJ"]), float(row["write_pJ"]),
                        float(row["area_um2"]), float(row["cycle_ns"]), float(row["leak_mW_per_bank"]) * banks,
                    )
                )  # fmt: skip
    return {key: tuple(sorted(rows, key=lambda row: row.kib)) for key, rows in table.items()}


def _sram(component: Component, technology_nm: int) -> Figures:
    table = _sram_table(technology_nm)
    rows = table.get((component.width_bits, component.banks))
    if rows is None:
        widths, banks = sorted({w for w, _ in table}), sorted({b for _, b in table})
        raise IllegalDesign(
            "SRAM not in table",
            f"no SRAM of {component.width_bits} bits × {component.banks} banks in the {technology_nm} nm table; "
            f"it has widths {widths} and banks {banks}",
        )
    kib = component.kib
    sizes = [row.kib for row in rows]
    if not sizes[0] <= kib <= sizes[-1]:
        way_out = "make it larger, or a regfile" if kib < sizes[0] else "make it smaller"
        raise IllegalDesign(
            "SRAM size outside table",
            f"an SRAM of {component.depth} × {component.width_bits} bits ({kib:.4g} KiB) is outside the "
            f"{technology_nm} nm table, which has {sizes[0]:g} to {sizes[-1]:g} KiB as {component.banks}-bank arrays; "
            f"{way_out}",
        )
    at = bisect_left(sizes, kib)
    high = rows[at]
    low = rows[at - 1] if high.kib != kib else high
    weight = 0.0 if low is high else (log(kib) - log(low.kib)) / (log(high.kib) - log(low.kib))

    def between(figure: Callable[[_SramRow], float]) -> float:
        if low is high:
            return figure(low)
        return exp((1 - weight) * log(figure(low)) + weight * log(figure(high)))

    smart = 1 if component.smart else 0
    return Figures(
        between(lambda r: r.read_pj) + smart * _ADDRESS_GENERATION_PJ,
        between(lambda r: r.write_pj) + smart * _ADDRESS_GENERATION_PJ,
        between(lambda r: r.area_um2) + smart * _ADDRESS_GENERATION_UM2,
        between(lambda r: r.leakage_mw) * 1e-3 + smart * _ADDRESS_GENERATION_IDLE_PJ * 1e-12 / TABLE_CLOCK_S,
        between(lambda r: r.cycle_ns) * 1e-9,
        "table" if low is high else "interpolated",
        "CACTI 7" if low is high else f"CACTI 7, between {low.kib:g} and {high.kib:g} KiB",
    )


_BY_KIND: dict[str, Callable[[Component], Figures]] = {
    "intmac": mac,
    "regfile": _regfile,
    "dram": lambda c: Figures(0.0, 0.0, 0.0, 0.0),
    "figure": lambda c: Figures(
        c.access_pj, c.access_pj if c.write_pj is None else c.write_pj, c.area_um2, 0.0, source="Timeloop be27768"
    ),
    "none": lambda c: Figures(0.0, 0.0, 0.0, 0.0),
}
