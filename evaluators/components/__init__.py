"""Energy, area, leakage and cycle time of the circuits an accelerator is made of, at 45 nm and 40 nm.

Register files and integer MACs follow the closed forms of Aladdin's tables (Shao et al., ISCA 2014) as Accelergy 0.4
ships them, SRAM the CACTI 7 sweeps in `data/` (ITRS low-standby-power cells, 300 K), DRAM the energy per bit of
Accelergy's CACTI plug-in. All dynamic energies are those of a 5 ns clock at the nominal supply.

An SRAM outside its table is refused. A register file's closed form is taken at any depth; its area counts the cells of
one word and a term per row (log2(depth) / 32 × 70 µm²), which is small for deep files.

`sram_45nm.csv` begins at 1 KiB. `sram_tiny_45nm.csv` has the energies of arrays of one bank below that, and for one of
them the area; what it lacks (area, leakage, cycle time) is that of the smallest array known that is at least as wide
and as deep, which it does not exceed, and marked `bound`.
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

VERSION = 1
"""Bumped by hand whenever a figure here changes; part of every memo key and study fingerprint."""

TABLE_CLOCK_S = 5e-9
"""The clock period that the tables' energies, areas and idle energies belong to."""

Provenance = Literal["table", "interpolated", "bound"]

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
    if technology_nm == 40 and component.kind == "sram":
        return _sram_at_40_nm(component)
    if technology_nm not in (45, 40):
        raise IllegalDesign(
            "technology not in tables",
            f"component tables exist for technology_nm=45 and 40, not {technology_nm}; other nodes would be dummies",
        )
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
    bound: bool = False


@cache
def _sram_table() -> dict[tuple[int, int], tuple[_SramRow, ...]]:
    """Rows by (width in bits, banks), in order of size; only rows that CACTI found a solution for."""
    table: dict[tuple[int, int], list[_SramRow]] = {}
    with (files(__package__) / "data" / "sram_45nm.csv").open() as file:
        for row in DictReader(file):
            if row["status"] != "ok":
                continue
            banks = int(row["n_banks"])
            table.setdefault((int(row["width_bits"]), banks), []).append(
                _SramRow(
                    float(row["size_KiB"]), float(row["read_pJ"]), float(row["write_pJ"]), float(row["area_um2"]),
                    float(row["cycle_ns"]), float(row["leak_mW_per_bank"]) * banks,
                )
            )  # fmt: skip
    smallest = {width: min(rows, key=lambda row: row.kib) for (width, banks), rows in table.items() if banks == 1}
    with (files(__package__) / "data" / "sram_tiny_45nm.csv").open() as file:
        tiny = [(int(row["width_bits"]), int(row["depth"]), row) for row in DictReader(file)]
    areas = [(bits, depth, float(row["area_um2"])) for bits, depth, row in tiny if row["area_um2"]]
    areas += [(bits, round(row.kib * 8192 / bits), row.area_um2) for bits, row in smallest.items()]
    for bits, depth, row in tiny:
        table.setdefault((bits, 1), []).append(
            replace(
                smallest[min(width for width in smallest if width >= bits)],
                kib=bits * depth / 8192,
                read_pj=float(row["read_pJ"]),
                write_pj=float(row["write_pJ"]),
                area_um2=min(area for b, d, area in areas if b >= bits and d >= depth),
                bound=True,
            )
        )
    return {key: tuple(sorted(rows, key=lambda row: row.kib)) for key, rows in table.items()}


def _sram(component: Component) -> Figures:
    table = _sram_table()
    rows = table.get((component.width_bits, component.banks))
    if rows is None:
        widths, banks = sorted({w for w, _ in table}), sorted({b for _, b in table})
        raise IllegalDesign(
            "SRAM not in table",
            f"no SRAM of {component.width_bits} bits × {component.banks} banks in the 45 nm table; "
            f"it has widths {widths} and banks {banks}",
        )
    kib = component.kib
    sizes = [row.kib for row in rows]
    if not sizes[0] <= kib <= sizes[-1]:
        way_out = "make it larger, or a regfile" if kib < sizes[0] else "make it smaller"
        raise IllegalDesign(
            "SRAM size outside table",
            f"an SRAM of {component.depth} × {component.width_bits} bits ({kib:.4g} KiB) is outside the 45 nm table, "
            f"which has {sizes[0]:g} to {sizes[-1]:g} KiB as {component.banks}-bank arrays; {way_out}",
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
    provenance: Provenance = "bound" if low.bound else "table" if low is high else "interpolated"
    source = "CACTI 7" if low is high else f"CACTI 7, between {low.kib:g} and {high.kib:g} KiB"
    return Figures(
        between(lambda r: r.read_pj) + smart * _ADDRESS_GENERATION_PJ,
        between(lambda r: r.write_pj) + smart * _ADDRESS_GENERATION_PJ,
        between(lambda r: r.area_um2) + smart * _ADDRESS_GENERATION_UM2,
        between(lambda r: r.leakage_mw) * 1e-3 + smart * _ADDRESS_GENERATION_IDLE_PJ * 1e-12 / TABLE_CLOCK_S,
        between(lambda r: r.cycle_ns) * 1e-9,
        provenance,
        source + ("; area and leakage of a larger array" if low.bound else ""),
    )


_SRAM_40_NM = {(32, 2, 4.0): (4.23756, 4.04234, 31396.1), (128, 4, 256.0): (135.602, 131.53, 1416710.0)}
"""(width in bits, banks, KiB) of the two arrays that CACTI 7 was run for at 40 nm: read pJ, write pJ, µm²."""

_FROM_45_TO_40_NM = {"read": 0.8194, "write": 0.8147, "area": (40 / 45) ** 2, "leakage": 1.30}
"""The two 40 nm arrays over the same ones at 45 nm: read 0.8120 and 0.8268, write 0.8072 and 0.8224, area 0.7903 and
0.7901, idle energy 1.296 and 1.304; every other array is scaled by what lies between, its cycle time left as it is.
CACTI takes 40 nm linearly between 45 and 32 nm: arrays below 1 KiB, which it was run for at 32 nm, give 0.79 to 0.82
that way."""


def _sram_at_40_nm(component: Component) -> Figures:
    """A 40 nm array: CACTI's own figures where it was run, else the 45 nm array scaled."""
    at_45 = _sram(replace(component, smart=False))
    scale = _FROM_45_TO_40_NM
    known = _SRAM_40_NM.get((component.width_bits, component.banks, component.kib))
    read_pj, write_pj, area_um2 = known or (
        at_45.read_pj * scale["read"], at_45.write_pj * scale["write"], at_45.area_um2 * scale["area"],
    )  # fmt: skip
    smart = 1 if component.smart else 0
    return Figures(
        read_pj + smart * _ADDRESS_GENERATION_PJ,
        write_pj + smart * _ADDRESS_GENERATION_PJ,
        area_um2 + smart * _ADDRESS_GENERATION_UM2,
        at_45.leakage_w * scale["leakage"] + smart * _ADDRESS_GENERATION_IDLE_PJ * 1e-12 / TABLE_CLOCK_S,
        at_45.cycle_s,
        "table" if known else "bound" if at_45.provenance == "bound" else "interpolated",
        "CACTI 7 at 40 nm" if known else f"{at_45.source}, from 45 nm to 40 nm",
    )


_BY_KIND: dict[str, Callable[[Component], Figures]] = {
    "intmac": mac,
    "regfile": _regfile,
    "sram": _sram,
    "dram": lambda c: Figures(0.0, 0.0, 0.0, 0.0),
    "figure": lambda c: Figures(
        c.access_pj, c.access_pj if c.write_pj is None else c.write_pj, c.area_um2, 0.0, source="Timeloop be27768"
    ),
    "none": lambda c: Figures(0.0, 0.0, 0.0, 0.0),
}
