"""Indicators by hand and against slow, obvious versions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.history import History
from dse.indicators import Yardstick, attainment, coverage

REFERENCE = np.array([[0.0, 20.0], [1.0, 10.0], [4.0, 0.0]])
"""Range 4 × 20, so the reference point is (4.4, 22)."""


def test_a_yardstick_by_hand() -> None:
    yardstick = Yardstick(REFERENCE)
    assert yardstick.reference_point.tolist() == pytest.approx([4.4, 22.0])
    # Strips of the staircase, from right to left: 0.4 × 22, 3 × 12, 1 × 2.
    assert yardstick.hypervolume == pytest.approx(0.4 * 22 + 3 * 12 + 1 * 2)
    front = np.array([[1.0, 20.0], [4.0, 5.0]])
    assert yardstick.hypervolume_of(front) == pytest.approx(0.4 * 17 + 3 * 2)
    assert yardstick.scaled(front).tolist() == [[0.25, 1.0], [1.0, 0.25]]
    # By how much (0, 1), (0.25, 0.5), (1, 0) are missed, each by the nearer point: 0.25, 0.5 and 0.25.
    assert yardstick.igd_plus(front) == pytest.approx((0.25 + 0.5 + 0.25) / 3)
    assert yardstick.epsilon(front) == pytest.approx(0.5)
    assert yardstick.igd_plus(REFERENCE) == yardstick.epsilon(REFERENCE) == 0


def test_points_beyond_the_reference_point_add_nothing() -> None:
    yardstick = Yardstick(REFERENCE)
    assert yardstick.hypervolume_of(np.array([[4.5, -1.0], [-1.0, 22.0]])) == 0
    assert yardstick.hypervolume_of(np.empty((0, 2))) == 0


def test_a_reference_front_of_one_point_has_a_scale() -> None:
    yardstick = Yardstick(np.array([[2.0, 0.0, 5.0]]))
    assert yardstick.reference_point.tolist() == pytest.approx([2.2, 0.1, 5.5])
    assert yardstick.hypervolume == pytest.approx(0.2 * 0.1 * 0.5)
    assert yardstick.epsilon(np.array([[3.0, 0.0, 5.0]])) == pytest.approx(0.5)


points = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6)


@given(points, points)
def test_coverage_counts_what_is_equalled_or_dominated(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    covered = sum(any(all(x <= y for x, y in zip(p, q, strict=True)) for p in a) for q in b)
    assert coverage(np.array(a, dtype=float), np.array(b, dtype=float)) == covered / len(b)


@settings(deadline=None, max_examples=50)
@given(st.lists(points, min_size=2, max_size=5), st.sampled_from([2, 3]))
def test_attainment_surfaces_bound_what_so_many_runs_attain(drawn: list[list[tuple[int, ...]]], m: int) -> None:
    fronts = [np.array(run, dtype=float)[:, :m] for run in drawn]
    n = len(fronts)
    for surface, needed in zip(attainment(fronts), (1, -(-n // 2), n), strict=True):
        for place in product(range(6), repeat=m):
            runs = sum(bool((front <= place).all(axis=1).any()) for front in fronts)
            assert bool((surface <= place).all(axis=1).any()) == (runs >= needed)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 30)), max_size=12), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
def test_a_share_is_reached_at_the_first_trial_that_has_it(drawn: list[tuple[int, int]], share: float) -> None:
    values = np.array(drawn, dtype=float).reshape(-1, 2)
    values[values[:, 0] == 6] = np.inf  # not feasible
    so_far = np.arange(1, len(values) + 1)
    history = History(values, so_far, so_far // 2, 0.5 * np.arange(len(values)))
    yardstick = Yardstick(REFERENCE)
    first = None
    for n in range(len(values), -1, -1):
        feasible = [value for value in values[:n].tolist() if value[0] < np.inf]
        if yardstick.hypervolume_of(np.array(feasible).reshape(-1, 2)) >= share * yardstick.hypervolume:
            first = n
    effort = history.reaching(yardstick, share)
    assert (None if effort is None else effort.evaluations) == first
    if effort is not None and first:
        assert (effort.architectures, effort.seconds) == ((first) // 2, 0.5 * (first - 1))
