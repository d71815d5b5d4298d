"""The exhaustive kernel against brute force over the same mapspace, on random small layers and architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isclose

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluators.mapper.counts import count, energies_pj, overflow
from evaluators.mapper.energy import price
from evaluators.mapper.kernel import search
from evaluators.mapper.layer import map_layer
from evaluators.mapper.mapping import FACTORS, Factors
from evaluators.mapper.mapspace import mapspace
from evaluators.mapper.tables import rows_of_m, tables
from search_spaces import accelerators
from search_spaces.accelerators import Architecture, Component
from search_spaces.errors import IllegalDesign
from search_spaces.types import ConvShape
from tests.evaluators.mapper.oracle import mappings, order_count

DEAR = {"simple_output_stationary": 10}
"""Examples in the default run where brute force takes long; --slow tries 300 for every template."""


def on_random_cases(name: str, slow: bool, check: Callable[[ConvShape, Architecture], None]) -> None:
    """Run a check on random small layers on a random small architecture of a template."""

    @settings(
        max_examples=300 if slow else DEAR.get(name, 30),
        deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(shape=shapes(), architecture=small_architectures(name))
    def run(shape: ConvShape, architecture: Architecture) -> None:
        check(shape, architecture)

    run()


@st.composite
def shapes(draw: st.DrawFn) -> ConvShape:
    def small(*values: int) -> int:
        return draw(st.sampled_from(values))

    return ConvShape(
        N=small(1, 1, 1, 2), C=small(1, 2, 3, 4, 5, 6), M=small(1, 2, 4, 5, 6, 7, 8), P=small(1, 2, 4, 5, 6, 7),
        Q=small(1, 2, 3, 4, 5), R=small(1, 1, 2, 3), S=small(1, 1, 2, 3),
        stride_w=small(1, 1, 2, 3), stride_h=small(1, 1, 2), dilation_w=small(1, 1, 2, 4), dilation_h=small(1, 1, 2),
    )  # fmt: skip


@st.composite
def small_architectures(draw: st.DrawFn, name: str) -> Architecture:
    """A template with a few PEs, buffers small enough to overflow, random energies and narrow ports."""
    base = accelerators.build(name, {"pe_cols": draw(st.integers(1, 4)), "pe_rows": draw(st.integers(1, 4))})
    levels = []
    for level in base.levels[:-1]:
        levels.append(
            replace(
                level,
                words=None if level.words is None else draw(st.integers(1, 12 if level.words < 300 else 150)),
                block=draw(st.sampled_from([1, 2, 3, 4, 8])),
                component=Component("figure", access_pj=draw(st.floats(0.01, 9.0))),
                read_words_per_cycle=draw(st.sampled_from([None, None, 1.0, 2.0])),
                write_words_per_cycle=draw(st.sampled_from([None, None, 1.0, 2.0])),
                shared_words_per_cycle=draw(st.sampled_from([None, None, None, 2.5])),
            )
        )
    return replace(base, levels=(*levels, base.levels[-1]))


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("name", accelerators.names())
def test_kernel_keeps_exactly_the_non_dominated_mappings(name: str, factors: Factors, slow: bool) -> None:
    on_random_cases(name, slow, partial(_agrees_with_brute_force, factors=factors))


def _agrees_with_brute_force(shape: ConvShape, architecture: Architecture, factors: Factors) -> None:
    orders = order_count(architecture)
    assume(mapspace(architecture, shape, factors).size <= 1200 * max(1, orders // 4))
    priced = price(architecture)
    size = valid = 0
    points = set()
    for same_factors in mappings(architecture, shape, factors):
        size += orders
        if overflow(architecture, shape, same_factors[0]) is not None:
            continue
        valid += orders
        for mapping in same_factors:
            counts = count(architecture, shape, mapping)
            *on_chip, dram = energies_pj(
                counts, architecture, [*priced.read_pj[:-1], 1.0], [*priced.write_pj[:-1], 1.0], list(priced.clusters)
            )
            points.add((counts.cycles, round(sum(on_chip), 6), int(dram)))
    front = {p for p in points if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)}
    if not valid:
        with pytest.raises(IllegalDesign, match=r"cannot map"):
            map_layer(shape, architecture, factors=factors)
        return
    found = map_layer(shape, architecture, factors=factors)
    assert (found.mapspace_size, found.mapspace_valid) == (size, valid)
    assert {(c.cycles, round(c.on_chip_pj, 6), c.dram_accesses) for c in found.candidates} == front


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("name", accelerators.names())
def test_every_candidate_is_what_its_mapping_counts(name: str, factors: Factors, slow: bool) -> None:
    on_random_cases(name, slow, partial(_counts_as_its_mapping, factors=factors))


def _counts_as_its_mapping(shape: ConvShape, architecture: Architecture, factors: Factors) -> None:
    priced = price(architecture)
    assume(mapspace(architecture, shape, factors).size <= 2_000_000 * order_count(architecture))
    try:
        found = map_layer(shape, architecture, factors=factors)
    except IllegalDesign:
        return
    for candidate in found.candidates:
        mapping = candidate.mapping
        assert overflow(architecture, shape, mapping) is None
        counts = count(architecture, shape, mapping)
        *on_chip, dram = energies_pj(
            counts, architecture, [*priced.read_pj[:-1], 1.0], [*priced.write_pj[:-1], 1.0], list(priced.clusters)
        )
        assert (counts.cycles, counts.compute_cycles, int(dram)) == (
            candidate.cycles, candidate.compute_cycles, candidate.dram_accesses,
        )  # fmt: skip
        assert isclose(sum(on_chip), candidate.on_chip_pj, rel_tol=1e-12)
        assert counts.macs == found.macs >= found.useful_macs == shape.macs


@pytest.mark.parametrize("name", ["simba_like", "simple_output_stationary"])
def test_blocks_of_tilings_change_nothing(name: str) -> None:
    architecture = accelerators.build(name)
    shape = ConvShape(N=2, C=8, M=12, P=9, Q=6, R=3, S=1)
    one = mapspace(architecture, shape, "imperfect").variants[-1]
    laid = tables(one, shape, price(architecture))
    found = {}
    for block in (7, 1 << 15):
        archive, keys = np.empty((64, 3)), np.empty((64, 10), dtype=np.int64)
        fitting, _, archive, _, points = search(laid, rows_of_m(laid), archive, keys, 0, 0, block)
        found[block] = (fitting, sorted(map(tuple, archive[:points].round(6).tolist())))
    assert np.prod([rows for d, rows in enumerate(laid.rows) if laid.tiled_only[d]]) > 7
    assert found[7] == found[1 << 15]


@pytest.mark.parametrize("name", accelerators.names())
def test_remainders_are_never_worse_than_padding(name: str, slow: bool) -> None:
    on_random_cases(name, slow, _nothing_is_lost)


def _nothing_is_lost(shape: ConvShape, architecture: Architecture) -> None:
    """Each mapping with perfect factors has one with imperfect ones that no figure of it betters."""
    assume(mapspace(architecture, shape, "imperfect").size <= 2_000_000 * order_count(architecture))
    try:
        perfect = map_layer(shape, architecture)
    except IllegalDesign:
        return
    imperfect = map_layer(shape, architecture, factors="imperfect")
    assert imperfect.macs == imperfect.useful_macs
    for candidate in perfect.candidates:
        assert any(
            c.cycles <= candidate.cycles
            and c.on_chip_pj <= candidate.on_chip_pj * (1 + 1e-12)
            and c.dram_accesses <= candidate.dram_accesses
            for c in imperfect.candidates
        )


def test_mapspace_sizes_of_squeezenet_are_those_of_the_reference() -> None:
    # COST_MODEL section 7: sums over the 18 distinct convolutions at 224
    import csv

    from tests.reference import recorded

    with recorded("timeloop/mapper_runs_squeezenet1_1_224.csv").open(newline="") as file:
        distinct = {
            ConvShape(**{d: int(r[d]) for d in "NCMPQRS"}, stride_w=int(r["Wstride"]), stride_h=int(r["Hstride"]))
            for r in csv.DictReader(file)
        }
    assert len(distinct) == 18
    eyeriss, simba = accelerators.build("eyeriss_like"), accelerators.build("simba_like")
    assert sum(mapspace(eyeriss, s).size for s in distinct) == 2_449_580
    assert sum(mapspace(simba, s).size for s in distinct) == 4_431_780
    assert sum(map_layer(s, eyeriss).mapspace_valid for s in distinct) == 553_360


def test_a_filter_higher_than_the_column_says_so() -> None:
    tall = ConvShape(N=1, C=1, M=1, P=4, Q=4, R=1, S=13)
    with pytest.raises(IllegalDesign, match=r"column has a mesh of 12 on Y, the layer needs 13") as caught:
        map_layer(tall, accelerators.build("eyeriss_like"))
    assert caught.value.reason == "layer does not map"


def test_channels_that_do_not_divide_are_padded_and_reported() -> None:
    odd = ConvShape(N=1, C=6, M=21, P=4, Q=4, R=1, S=1)
    found = map_layer(odd, accelerators.build("simba_like"))
    assert found.useful_macs == 6 * 21 * 16
    assert found.macs == 8 * 24 * 16
