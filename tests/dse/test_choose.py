"""Picking by hand-computed fronts and by looking at every point; neighbours; conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.choose import choose, knee, restrict
from dse.front import Front
from dse.result import Baseline, Counts, StudyResult
from dse.where import parse_where
from search_spaces.errors import UserError

TWO = ("sensor_energy_j", "latency_s")
THREE = (*TWO, "area_mm2")


def result_of(points: list[tuple[float, ...]], area: list[float] | None = None) -> StudyResult:
    """A study whose front has these points; its one knob `cut` numbers them in the given order."""
    names = THREE[: len(points[0])]
    columns = names if area is None else (*names, "area_mm2")
    metrics = np.array(points) if area is None else np.column_stack([points, area])
    front = Front.of(names, columns, np.arange(len(points)).reshape(-1, 1), metrics)
    question = {"order": ["cut"], "objectives": list(names), "knob cut": list(range(len(points))), "algorithm": "x"}
    baselines = (Baseline("all on the edge", (0,), dict(zip(names, points[0], strict=True))),)
    return StudyResult(Path("results/a"), question, front, Counts(), baselines)


@st.composite
def fronts(draw: st.DrawFn) -> StudyResult:
    m = draw(st.sampled_from([2, 3]))
    cell = st.integers(1, 9).map(float)
    points = draw(st.lists(st.tuples(*[cell] * m), min_size=1, max_size=12))
    return result_of(points)


def scaled_slowly(front: Front) -> list[list[float]]:
    rows = [list(map(float, row)) for row in front.distinct]
    best = [min(column) for column in zip(*rows, strict=True)]
    span = [max(column) - min(column) or 1 for column in zip(*rows, strict=True)]
    return [[(v - b) / s for v, b, s in zip(row, best, span, strict=True)] for row in rows]


def test_the_knee_by_hand() -> None:
    # From (0, 10) to (10, 0): (2, 3) lies (1 − 0.2 − 0.3)/√2 below the line, (1, 6) only 0.3/√2, (5, 2) 0.3/√2.
    result = result_of([(0.0, 10.0), (1.0, 6.0), (2.0, 3.0), (5.0, 2.0), (10.0, 0.0)])
    assert result.front.values[knee(result.front)].tolist() == [2.0, 3.0]
    choice = choose(result, "knee")
    assert (choice.row, choice.point) == (2, 3)


@settings(deadline=None)
@given(fronts())
def test_the_knee_is_the_point_farthest_below_the_plane(result: StudyResult) -> None:
    front = result.front
    scaled = scaled_slowly(front)
    distances = [(1 - sum(point)) / len(point) ** 0.5 for point in scaled]
    chosen = front.distinct.tolist().index(front.values[knee(front)].tolist())
    assert distances[chosen] == pytest.approx(max(distances))


@settings(deadline=None)
@given(fronts(), st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(lambda w: any(w[:2])))
def test_weights_take_the_least_of_the_largest_terms(result: StudyResult, weights: list[int]) -> None:
    front = result.front
    own = weights[: len(front.objectives)]
    choice = choose(result, f"weights={','.join(map(str, own))}")
    largest = [max(w / sum(own) * x for w, x in zip(own, point, strict=True)) for point in scaled_slowly(front)]
    assert largest[choice.point - 1] == pytest.approx(min(largest), abs=1e-5)


@settings(deadline=None)
@given(fronts())
def test_the_ends_and_the_neighbours(result: StudyResult) -> None:
    front = result.front
    for name, pick in zip(front.objectives, ("min-energy", "min-latency", "min-area_mm2"), strict=False):
        choice = choose(result, pick)
        assert front.column(name)[choice.row] == front.column(name).min()
        assert not any(neighbour.label == f"less {name}" for neighbour in choice.neighbours)
    choice = choose(result, "knee")
    here = front.values[choice.row]
    for neighbour in choice.neighbours[:-1]:
        clearly, _, name = neighbour.label.rpartition("less ")
        k = front.objectives.index(name)
        there = np.array([neighbour.metrics[objective] for objective in front.objectives])
        assert there[k] < here[k]
        if len(front.objectives) == 2:  # the one next to it on a front of two objectives
            most = 0.9 * here[k] if clearly else here[k] - 1e-9
            assert there[k] == max(v for v in front.values[:, k] if v <= most)
        for objective, change in neighbour.changes.items():
            assert change == pytest.approx(
                there[front.objectives.index(objective)] / front.row(choice.row)[objective] - 1
            )
    assert choice.neighbours[-1].label == "all on the edge"


def test_beside_a_near_twin_stands_what_saves_a_tenth() -> None:
    result = result_of([(10.0, 1.0), (9.99, 1.01), (9.5, 1.1), (8.9, 1.2), (5.0, 4.0)])
    labels = {n.label: n.metrics["sensor_energy_j"] for n in choose(result, "min-latency").neighbours[:-1]}
    assert labels == {"less sensor_energy_j": 9.99, "10% less sensor_energy_j": 8.9}
    labels = {n.label: n.metrics["sensor_energy_j"] for n in choose(result, "weights=0.3,0.7").neighbours[:-1]}
    assert len(set(labels.values())) == len(labels), "no point twice for one objective"


def test_of_equal_designs_the_smallest_is_taken() -> None:
    result = result_of([(1.0, 2.0), (1.0, 2.0), (3.0, 1.0)], area=[5.0, 4.0, 1.0])
    assert result.front.row(choose(result, "min-energy").row)["area_mm2"] == 4.0
    assert choose(result, "min-energy").neighbours[0].knobs == {"cut": (1, 2)}


def test_a_condition_keeps_what_meets_it() -> None:
    result = result_of([(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)])
    condition = parse_where("latency_ms < 2500 and cut < 2", TWO, result.knobs)
    kept = restrict(result, condition)
    assert kept.front.values.tolist() == [[2.0, 2.0]]
    assert choose(kept, "knee").neighbours[0].label == "all on the edge"
    with pytest.raises(UserError, match="none of the 3 designs"):
        restrict(result, parse_where("latency_s < 1", TWO, result.knobs))


NO_RULES = (
    "best",
    "min-",
    "min-area",
    "min-e",
    "weights=1",
    "weights=0,0",
    "weights=1,-1",
    "weights=a,b",
    "weights=nan,1",
)


@pytest.mark.parametrize("pick", NO_RULES)
def test_a_rule_that_is_none_is_one_line(pick: str) -> None:
    with pytest.raises(UserError, match="--pick") as refused:
        choose(result_of([(1.0, 2.0), (2.0, 1.0)]), pick)
    assert "\n" not in str(refused.value)
