"""The front against a slow, obvious one; ties, order, streaming, hypervolume by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.front import Front, FrontStream, hypervolume, reference_point

COLUMNS = ("area_mm2", "sensor_energy_j", "latency_s", "sensor_power_w")


def front_slow(values: np.ndarray) -> list[int]:
    """Rows that no other row dominates, by the definition."""
    return [i for i, p in enumerate(values) if not any((q <= p).all() and (q < p).any() for q in values)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    objectives = draw(st.sampled_from([COLUMNS[:2], COLUMNS[1:3], COLUMNS[:3], COLUMNS]))
    n = draw(st.integers(0, 40))
    # Few different values, so that there are many ties, and both zeros.
    cell = st.sampled_from([-0.0, 0.0, 1.0, 2.0, 2.5, 3.0])
    metrics = draw(st.lists(st.lists(cell, min_size=4, max_size=4), min_size=n, max_size=n))
    order = draw(st.permutations(range(n)))
    indices = np.array([[i // 7, i % 7] for i in order], dtype=np.int64).reshape(n, 2)
    return objectives, indices, np.array(metrics, dtype=float).reshape(n, 4)


@settings(deadline=None, max_examples=150)
@given(tables(), st.integers(1, 9))
def test_a_streamed_front_equals_the_slow_one(
    table: tuple[tuple[str, ...], np.ndarray, np.ndarray], chunk: int
) -> None:
    objectives, indices, metrics = table
    values = metrics[:, [COLUMNS.index(name) for name in objectives]]
    expected = sorted((tuple(values[i] + 0.0), tuple(int(k) for k in indices[i])) for i in front_slow(values))

    stream = FrontStream(objectives, COLUMNS)
    for i in range(0, len(indices), chunk):
        stream.add(indices[i : i + chunk], metrics[i : i + chunk])
    front = stream.front()

    found = [(tuple(front.values[i] + 0.0), tuple(map(int, front.indices[i]))) for i in range(len(front))]
    assert found == expected
    assert front.size == stream.size == len({value for value, _ in expected})
    assert front.sha256() == Front.of(objectives, COLUMNS, indices, metrics).sha256() or not len(front)
    assert [start for start, _ in front.groups()] == [
        i for i in range(len(found)) if i == 0 or found[i][0] != found[i - 1][0]
    ]


def test_a_front_cannot_be_changed() -> None:
    front = Front.of(COLUMNS[1:3], COLUMNS, np.array([[0, 1]]), np.array([[1.0, 2.0, 3.0, 4.0]]))
    with pytest.raises(ValueError, match="read-only"):
        front.metrics[0, 0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        front.indices[0, 0] = 5
    assert front.row(0) == {"area_mm2": 1.0, "sensor_energy_j": 2.0, "latency_s": 3.0, "sensor_power_w": 4.0}


def test_hypervolume_by_hand() -> None:
    # Points (1, 3) and (2, 1): worst (2, 3), range (1, 2), so the reference is (2.1, 3.2).
    front = Front.of(("a", "b"), ("a", "b"), np.array([[0], [1]]), np.array([[1.0, 3.0], [2.0, 1.0]]))
    reference = reference_point(front.distinct)
    assert reference == pytest.approx([2.1, 3.2])
    # 1.1 × 0.2 for the first point and, below it, 0.1 × 2.0 for the second.
    assert hypervolume(front, reference) == pytest.approx(1.1 * 0.2 + 0.1 * 2.0)


def test_a_reference_point_of_one_point_lies_outside_of_it() -> None:
    front = Front.of(("a", "b"), ("a", "b"), np.array([[0]]), np.array([[4.0, 0.0]]))
    assert (reference_point(front.distinct) > front.values[0]).all()
