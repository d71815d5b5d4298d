"""Working time and convergence against slow, obvious versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.history import working_seconds


def working_slowly(spans: list[tuple[int, int]], end: int) -> int:
    """Whole seconds before `end` in which some span was going on."""
    return sum(any(begun <= second < finished for begun, finished in spans) for second in range(end))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=8))
def test_working_time_is_the_union_of_the_spans(drawn: list[tuple[int, int]]) -> None:
    spans = [(begun, begun + length) for begun, length in drawn]
    assert working_seconds(spans).tolist() == pytest.approx([working_slowly(spans, end) for _, end in spans])
