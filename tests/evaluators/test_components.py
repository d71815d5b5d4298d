"""Component figures against the recorded tables they come from, and refusals outside them."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.components import dram_access_pj, figures, mac
from evaluators.mapper.energy import price
from search_spaces import accelerators
from search_spaces.accelerators import DRAMS, Component
from search_spaces.errors import IllegalDesign, UserError

# width, depth, read pJ, area µm², idle pJ: rows of Accelergy 0.4's Aladdin tables at 45 nm
REGISTER_FILES = [
    (8, 2, 0.073813, 52.215, 0.002968),
    (16, 16, 0.20203, 235.68, 0.006162),
    (16, 192, 1.53672, 3455.68, 0.011733),
    (24, 16, 0.27403, 283.52, 0.009122),
    (64, 8192, 97.13792, 233342.72, 0.426701),
]


@pytest.mark.parametrize(("width", "depth", "pj", "area", "idle_pj"), REGISTER_FILES)
def test_register_files_follow_the_table(width: int, depth: int, pj: float, area: float, idle_pj: float) -> None:
    found = figures(Component("regfile", width_bits=width, depth=depth))
    assert found.read_pj == pytest.approx(pj, abs=2e-6)
    assert found.leakage_w == pytest.approx(idle_pj * 1e-12 / 5e-9, rel=2e-3)
    assert found.area_um2 == pytest.approx(area, abs=0.01)


# bits, clock, pJ, area µm², idle pJ per period: rows of Accelergy 0.4's Aladdin tables at 45 nm
MACS = [
    (16, None, 2.20035, 1239.5, 0.06595, 5e-9),
    (16, 2e8, 2.20035, 1239.5, 0.06595, 5e-9),
    (16, 5e8, 2.4304, 1374.5, 0.0274, 2e-9),
    (16, 1e9, 3.275, 1726.5, 0.02115, 1e-9),
    (8, None, 0.5608, 332.25, 0.017975, 5e-9),
    (32, 5e8, 9.6358, 5319.0, 0.1048, 2e-9),
    (32, 1e9, 12.89, 6628.0, 0.0823, 1e-9),
]


@pytest.mark.parametrize(("bits", "clock_hz", "pj", "area", "idle_pj", "period_s"), MACS)
def test_macs_follow_the_table(
    bits: int, clock_hz: float | None, pj: float, area: float, idle_pj: float, period_s: float
) -> None:
    found = mac(Component("intmac", width_bits=bits), clock_hz)
    assert (found.read_pj, found.area_um2) == (pytest.approx(pj, rel=1e-9), pytest.approx(area, rel=1e-9))
    assert found.leakage_w == pytest.approx(idle_pj * 1e-12 / period_s, rel=1e-9)


def test_a_clock_between_rows_takes_the_row_that_meets_it() -> None:
    unit = Component("intmac", width_bits=16)
    assert mac(unit, 501e6) == mac(unit, 1e9)
    with pytest.raises(IllegalDesign, match="up to 1000 MHz, not 1001 MHz"):
        mac(unit, 1001e6)


def test_sram_rows_are_the_tables_and_marked_so() -> None:
    found = figures(Component("sram", width_bits=64, depth=16384, banks=32, smart=True))
    assert (found.read_pj, found.write_pj) == (pytest.approx(74.1442), pytest.approx(75.2148))
    assert found.provenance == "table"


@given(st.integers(8 * 128, 2048 * 128), st.sampled_from([1, 4, 32]))
def test_interpolated_sram_lies_between_its_neighbours(depth: int, banks: int) -> None:
    from evaluators.components import _sram_table

    component = Component("sram", width_bits=64, depth=depth, banks=banks)
    rows = _sram_table(45)[64, banks]
    found = figures(component)
    below = max((r for r in rows if r.kib <= component.kib), key=lambda r: r.kib)
    above = min((r for r in rows if r.kib >= component.kib), key=lambda r: r.kib)
    for figure in ("read_pj", "write_pj", "area_um2"):
        low, high = sorted((getattr(below, figure), getattr(above, figure)))
        assert low * (1 - 1e-12) <= getattr(found, figure) <= high * (1 + 1e-12)
    assert (found.provenance == "table") == (below is above)


@pytest.mark.parametrize(
    ("component", "says"),
    [
        (Component("sram", width_bits=64, depth=7), "make it larger, or a regfile"),
        (Component("sram", width_bits=64, depth=64, banks=4), "has 1 to 2048 KiB as 4-bank arrays"),
        (Component("sram", width_bits=48, depth=4096), "no SRAM of 48 bits"),
        (Component("sram", width_bits=64, depth=1 << 20), "outside the 45 nm table"),
    ],
)
def test_sram_outside_the_table_is_refused(component: Component, says: str) -> None:
    with pytest.raises(IllegalDesign, match=says):
        figures(component)


def test_an_sram_below_1_kib_is_in_the_table_too() -> None:
    """16 × 192 is the scratchpad of Timeloop's simple_output_stationary: 0.727133 and 1.08538 pJ, 3087.39 µm²."""
    spad = figures(Component("sram", width_bits=16, depth=192, smart=True))
    assert (spad.read_pj, spad.write_pj) == (pytest.approx(0.727133, abs=1e-9), pytest.approx(1.08538, abs=1e-9))
    assert spad.area_um2 == pytest.approx(3087.39)
    one_kib = figures(Component("sram", width_bits=32, depth=256))
    smaller = figures(Component("sram", width_bits=32, depth=128))
    assert (smaller.read_pj, smaller.write_pj) == (0.977453, 2.15817)
    assert smaller.area_um2 < one_kib.area_um2 and smaller.leakage_w < one_kib.leakage_w
    between = figures(Component("sram", width_bits=32, depth=90))
    assert 0.762037 < between.read_pj < 0.977453
    assert [f.provenance for f in (spad, smaller, between, one_kib)] == ["table", "table", "interpolated", "table"]


# width, depth, read and write pJ: what Accelergy 0.4 charges small SRAM at 45 nm, recorded elsewhere
TINY = [
    (8, 64, 0.533213, 0.59359),
    (16, 64, 0.613664, 0.847378),
    (16, 192, 0.678333, 1.03658),
    (32, 192, 1.35544, 2.07194),
    (64, 64, 1.67141, 2.83219),
    (64, 16, 1.67141, 2.83219),
    (64, 192, 2.24487, 5.80697),
]


@pytest.mark.parametrize(("width", "depth", "read_pj", "write_pj"), TINY)
def test_tiny_arrays_made_here_are_those_recorded_elsewhere(
    width: int, depth: int, read_pj: float, write_pj: float
) -> None:
    found = figures(Component("sram", width_bits=width, depth=depth))
    assert (found.read_pj, found.write_pj) == (pytest.approx(read_pj, rel=1e-6), pytest.approx(write_pj, rel=1e-6))


def test_a_buffer_outside_the_tables_is_named_with_the_way_out() -> None:
    with pytest.raises(IllegalDesign, match=r"psum_spad of eyeriss_like: an SRAM of 16 × 16 bits .* or a regfile"):
        price(accelerators.build("eyeriss_like", {"accum_buffer": "sram"}))
    fits = price(accelerators.build("eyeriss_like", {"accum_buffer": "sram", "accum_buffer_scale": 2}))
    assert fits.provenance == "table"
    between = price(accelerators.build("simba_like", {"buffers": "sram", "accum_buffer_scale": 0.75}))
    assert between.provenance == "interpolated: PEAccuBuffer"
    as_the_tool = price(accelerators.build("simple_output_stationary", {"accum_buffer": "sram"})).levels[3]
    assert (as_the_tool.read_pj, as_the_tool.write_pj) == pytest.approx((0.727133, 1.08538), abs=1e-9)


def test_other_technologies_are_refused_not_guessed() -> None:
    with pytest.raises(IllegalDesign, match="technology_nm=45 and 40, not 32"):
        figures(Component("regfile", width_bits=8, depth=4), 32)


def test_every_dram_charges_its_bits() -> None:
    assert [dram_access_pj(Component("dram", width_bits=64), d) for d in DRAMS] == pytest.approx(
        [512.0, 2560.0, 4480.0, 896.0, 249.6]
    )
    with pytest.raises(UserError, match="did you mean 'lpddr4'"):
        dram_access_pj(Component("dram", width_bits=64), "lpdr4")


@pytest.mark.parametrize("name", accelerators.names())
def test_every_template_is_priced_and_has_area(name: str) -> None:
    priced = price(accelerators.build(name))
    assert priced.area_mm2 > 0 and priced.leakage_w > 0
    assert all(f.read_pj > 0 for f, lv in zip(priced.levels[:-1], priced.architecture.levels, strict=False) if lv.keeps)


@pytest.mark.parametrize("name", accelerators.names())
def test_every_template_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(UserError, match="did you mean 'pe_cols'"):
        accelerators.build(name, {"pe_col": 4})
    with pytest.raises(UserError, match="must be greater than 0"):
        accelerators.build(name, {"glb_kib": 0})
    with pytest.raises(UserError, match="whole number"):
        accelerators.build(name, {"pe_rows": 2.5})


def test_tool_energies_are_those_behind_the_recorded_runs() -> None:
    from tests.reference import SHARED

    path = SHARED / "timeloop" / "ert_max_art.csv"
    known = {
        "psum_spad": 0.25083, "weights_spad": 1.58552, "ifmap_spad": 0.236322, "PEAccuBuffer": 1.00522,
        "PEWeightBuffer": 44.75984, "PEInputBuffer": 97.18672, "shared_glb": 74.1442, "GlobalBuffer": 167.0908,
    }  # fmt: skip
    if path.is_file():
        with path.open(newline="") as file:
            rows = [r for r in csv.DictReader(file) if r["kind"].startswith("ERT") and r["action"] == "read"]
        known |= {n: float(r["value"]) for r in rows for n in known if r["component"].split(".")[-1].startswith(n)
                  and r["arch"] in ("eyeriss_like", "simba_like")}  # fmt: skip
    for name in ("eyeriss_like", "simba_like"):
        priced = price(accelerators.build(name), "timeloop-be27768")
        for level, found in zip(priced.architecture.levels, priced.levels, strict=True):
            if level.name in known:
                assert found.read_pj == known[level.name], level.name


# words, read and write pJ, µm²: Accelergy 0.4's tables of the tool's template with other depths; the first by its rule
# for less than 64 bytes, the row of a register file
SCRATCHPADS = [
    (16, 0.25083, 0.25083, 414.68),
    (64, 0.662464, 0.896178, 2319.32),
    (192, 0.727133, 1.08538, 3087.39),
    (256, 0.87788, 1.36067, 4118.55),
    (1024, 2.37552, 2.21287, 15008.2),
]


@pytest.mark.parametrize(("words", "read_pj", "write_pj", "area"), SCRATCHPADS)
def test_the_tool_charges_a_scratchpad_of_any_depth_as_accelergy_does(
    words: int, read_pj: float, write_pj: float, area: float
) -> None:
    architecture = accelerators.build("simple_output_stationary", {"pe_spad_words": words})
    found = price(architecture, "timeloop-be27768").levels[3]
    assert (found.read_pj, found.write_pj) == (read_pj, write_pj)
    assert found.area_um2 == pytest.approx(area, rel=1e-6)


def test_40_nm_arrays_are_those_of_the_tool() -> None:
    """The two that its gemmini_like was recorded with elsewhere, and another."""
    accumulator = figures(Component("sram", width_bits=32, depth=1024, banks=2), 40)
    assert (accumulator.read_pj, accumulator.write_pj) == pytest.approx((4.23756, 4.04234))
    assert accumulator.area_um2 == pytest.approx(31396.1)
    scratchpad = figures(Component("sram", width_bits=128, depth=16384, banks=4), 40)
    assert (scratchpad.read_pj, scratchpad.write_pj) == pytest.approx((135.602, 131.53))
    assert scratchpad.area_um2 == pytest.approx(1416710.0)
    other = Component("sram", width_bits=32, depth=2048, banks=2)
    assert figures(other, 40).provenance == "table"
    assert 0.80 < figures(other, 40).read_pj / figures(other, 45).read_pj < 0.83
