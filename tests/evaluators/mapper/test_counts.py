"""The counting rules against a walk through the loops that keeps every tile's words in sets and knows no formula."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from evaluators.mapper.counts import RELEVANT, TensorCounts, count
from evaluators.mapper.mapping import FACTORS, Factors, LevelLoops, Mapping
from evaluators.mapper.mapspace import mapspace
from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.types import ConvShape
from tests.evaluators.mapper.oracle import steps, walk

DIMS = "NMCPQRS"


@st.composite
def cases(draw: st.DrawFn, name: str, factors: Factors) -> tuple[Architecture, ConvShape, Mapping]:
    """A tiny layer and any mapping of it, whether it fits or not."""

    def small(*values: int) -> int:
        return draw(st.sampled_from(values))

    shape = ConvShape(
        N=small(1, 1, 2), C=small(1, 2, 4, 5), M=small(1, 2, 4, 5), P=small(1, 2, 3, 4, 5, 6, 7), Q=small(1, 2, 3, 5),
        R=small(1, 2, 3), S=small(1, 1, 2),
        stride_w=small(1, 2, 3), stride_h=small(1, 2), dilation_w=small(1, 2), dilation_h=small(1, 2),
    )  # fmt: skip
    assume(shape.macs <= 600)
    architecture = accelerators.build(name)
    space = mapspace(architecture, shape, factors)
    space = draw(st.sampled_from(space.variants))
    rows = {dim: draw(st.integers(0, len(space.factors[dim]) - 1)) for dim in DIMS}
    return architecture, shape, space.mapping(rows, draw(st.integers(0, len(space.orders) - 1)))


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("name", accelerators.names())
def test_counts_are_what_a_walk_counts_but_for_the_rules_listed(name: str, factors: Factors, slow: bool) -> None:
    """With perfect factors weights, outputs and steps always agree. Of inputs the tool never counts less than really
    moves, and more only where (1) an irrelevant loop inside the first relevant one makes it forget the overlap
    (`seen`), or (2) a loop around the first relevant one starts that over: the tool takes all of the new round's first
    tile for new, and sees that a loop along the same axis only goes on if the inner one has two steps (the n = 2 case).

    With remainders the same, and more is counted (4) where an irrelevant loop repeats a relevant one that was cut
    short to a single step: what was repeated is still there. Again never less, in any instance.
    """
    different: Counter[str] = Counter()

    @settings(
        max_examples=400 if slow else 40,
        deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    @given(cases(name, factors))
    def run(case: tuple[Architecture, ConvShape, Mapping]) -> None:
        architecture, shape, mapping = case
        counts = count(architecture, shape, mapping)
        truth = walk(architecture, shape, mapping)
        assert counts.compute_cycles == steps(mapping)
        assert factors == "perfect" or counts.macs == shape.macs
        at_most = counts.mac_units_used * counts.compute_cycles  # with remainders some units wait now and then
        assert counts.macs == at_most if factors == "perfect" else counts.macs <= at_most
        assert counts.mac_units_used <= architecture.instances(-1)
        kept = {(level.name, tensor) for level in counts.levels for tensor in level.tensors}
        assert kept == truth.keys()
        for k, level in enumerate(counts.levels):
            for tensor, busiest in level.tensors.items():
                moved = truth[level.name, tensor]
                assert len(moved) == level.instances_used, level.name
                ours = _three(level.all_instances[tensor])
                theirs = tuple(sum(part) for part in zip(*moved, strict=True))
                for instance in moved:
                    assert all(a >= b for a, b in zip(_three(busiest), instance, strict=True)), (level.name, tensor)
                assert all(a >= b for a, b in zip(ours, theirs, strict=True)), (level.name, tensor)
                assert sum(_three(busiest)) * len(moved) >= sum(ours)
                if ours != theirs or _three(busiest) != moved[0]:
                    why = _why_more_is_counted(tensor, mapping, level_of_tile(architecture, mapping, tensor, k))
                    assert why is not None, (level.name, tensor)
                    different[why] += 1

    run()
    print(f"{name}, {factors}: counts above the walk's, by the rule that explains them: {dict(different)}")


def _three(counted: TensorCounts) -> tuple[int, int, int]:
    return counted.reads, counted.fills, counted.updates


def level_of_tile(architecture: Architecture, mapping: Mapping, tensor: str, level: int) -> int:
    """The innermost level whose tiles can make a level's counts differ: the next one inside that keeps the tensor."""
    keeps = [
        lv.keeps if loops.keeps is None else loops.keeps
        for lv, loops in zip(architecture.levels, mapping.levels, strict=True)
    ]
    return max((k for k in range(level) if tensor in keeps[k]), default=level)


def _why_more_is_counted(tensor: str, mapping: Mapping, level: int) -> str | None:
    outside = [dim for loops in mapping.levels[level + 1 :] for dim, n in loops.temporal if n > 1]
    relevant = [i for i, dim in enumerate(outside) if dim in RELEVANT[tensor]]
    if {outside[i] for i in relevant} & {dim for dim, _ in mapping.ragged}:
        return "cut short"
    if tensor == "I" and relevant and "M" in outside[: relevant[0]]:
        return "seen"
    unrolled = {dim for loops in mapping.levels for dim, n in loops.spatial if n > 1}
    if tensor == "I" and (unrolled >= {"P", "R"} or unrolled >= {"Q", "S"}):
        return "diagonal"
    return "starts over" if tensor == "I" and relevant and len(outside) > relevant[0] + 1 else None


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
