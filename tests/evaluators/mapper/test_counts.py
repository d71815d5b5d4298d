"""The counting rules against a walk through the loops that keeps every tile's words in sets and knows no formula."""

from __future__ import annotations

from collections import Counter
from math import prod

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluators.mapper.counts import count
from evaluators.mapper.mapping import LevelLoops, Mapping
from evaluators.mapper.mapspace import mapspace
from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.types import ConvShape
from tests.evaluators.mapper.oracle import walk

DIMS = "NMCPQRS"


@st.composite
def cases(draw: st.DrawFn, name: str) -> tuple[Architecture, ConvShape, Mapping]:
    """A tiny layer and any mapping of it, whether it fits or not."""

    def small(*values: int) -> int:
        return draw(st.sampled_from(values))

    shape = ConvShape(
        N=small(1, 1, 2), C=small(1, 2, 4), M=small(1, 2, 4), P=small(1, 2, 3, 4, 6), Q=small(1, 2, 3),
        R=small(1, 2, 3), S=small(1, 1, 2),
        stride_w=small(1, 2, 3), stride_h=small(1, 2), dilation_w=small(1, 2), dilation_h=small(1, 2),
    )  # fmt: skip
    assume(shape.macs <= 600)
    architecture = accelerators.build(name)
    space = mapspace(architecture, shape)
    space = draw(st.sampled_from(space.variants))
    rows = {dim: draw(st.integers(0, len(space.factors[dim]) - 1)) for dim in DIMS}
    return architecture, shape, space.mapping(rows, draw(st.integers(0, len(space.orders) - 1)))


@pytest.mark.parametrize("name", accelerators.names())
def test_counts_are_what_a_walk_counts_but_for_two_rules_of_the_tool(name: str, slow: bool) -> None:
    """Weights, outputs and steps always agree. Of inputs the tool never counts less than really moves, and more only
    where (1) an irrelevant loop inside the first relevant one makes it forget the overlap (`seen`), or (2) a loop
    around the first relevant one starts that over: the tool takes all of the new round's first tile for new, and sees
    that a loop along the same axis only goes on if the inner one has two steps (the n = 2 case).
    """
    different: Counter[str] = Counter()

    @settings(
        max_examples=400 if slow else 60,
        deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(cases(name))
    def run(case: tuple[Architecture, ConvShape, Mapping]) -> None:
        architecture, shape, mapping = case
        counts = count(architecture, shape, mapping)
        truth = walk(architecture, shape, mapping)
        assert counts.compute_cycles == prod(n for loops in mapping.levels for _, n in loops.temporal)
        kept = {(level.name, tensor): c for level in counts.levels for tensor, c in level.tensors.items()}
        assert kept.keys() == truth.keys()
        for (level, tensor), ours in kept.items():
            reads, fills, updates = truth[level, tensor]
            if tensor != "I":
                assert (ours.reads, ours.fills, ours.updates) == (reads, fills, updates), (level, tensor)
                continue
            assert ours.updates == 0
            assert ours.fills >= fills and ours.reads >= reads, level
            if ours.fills != fills:
                k = [lv.name for lv in architecture.levels].index(level)
                why = _why_the_tool_counts_more(mapping, k)
                assert why is not None, level
                different[why] += 1

    run()
    print(f"{name}: input fills above the walk's, by the tool's rule that explains them: {dict(different)}")


def _why_the_tool_counts_more(mapping: Mapping, level: int) -> str | None:
    outside = [dim for loops in mapping.levels[level + 1 :] for dim, n in loops.temporal if n > 1]
    relevant = [i for i, dim in enumerate(outside) if dim != "M"]
    if relevant and "M" in outside[: relevant[0]]:
        return "seen"
    return "starts over" if relevant and len(outside) > relevant[0] + 1 else None


def test_the_two_step_case_by_hand() -> None:
    """One input row of 10 words, filter of 3, 8 outputs: P = 2 × 4 in two levels, tile of one output (3 words).

    By the tool's rule the inner loop fetches 3 + 1, the outer, four steps, 4 + 3·(4 − 3 + 1) = 10: every word once.
    With P = 4 × 2 the inner fetches 3 + 3·1 = 6 and the outer forgets the overlap: 12, where 10 would do.
    """
    chip = accelerators.build("simba_like")
    shape = ConvShape(N=1, C=1, M=1, P=8, Q=1, R=3, S=1)

    def fills(inner: int, outer: int) -> int:
        loops = [LevelLoops() for _ in chip.levels]
        loops[2] = LevelLoops((("R", 3),))
        loops[4] = LevelLoops((("P", inner),))
        loops[5] = LevelLoops((("P", outer),))
        counts = count(chip, shape, Mapping(tuple(loops)))
        return counts.levels[3].tensors["I"].fills

    assert fills(2, 4) == 10
    assert fills(4, 2) == 12


def test_depthwise_and_linear_layers_waste_a_weight_stationary_array() -> None:
    """One channel per group leaves 15 of 16 multipliers of every PE idle; a linear layer has no reuse of weights."""
    from evaluators.mapper.layer import map_layer

    chip = accelerators.build("simba_like")
    depthwise = map_layer(ConvShape(N=1, C=32, M=32, P=16, Q=16, R=3, S=3, groups=32), chip)
    dense = map_layer(ConvShape(N=1, C=32, M=32, P=16, Q=16, R=3, S=3), chip)
    units = chip.instances(-1)
    assert max(depthwise.macs / (units * c.cycles) for c in depthwise.candidates) <= 1 / 16
    assert max(dense.macs / (units * c.cycles) for c in dense.candidates) == 1.0
