"""The supply follows the clock between its two ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.dvfs import NODES, supply_v
from search_spaces.errors import IllegalDesign

NODE = NODES[45]


def test_by_hand() -> None:
    # at 0.9 V: (0.9 − 0.50245)^1.3 / 0.9 = 0.301438^… over (1.1 − 0.50245)^1.3 / 1.1
    ratio = ((0.9 - 0.50245) ** 1.3 / 0.9) / ((1.1 - 0.50245) ** 1.3 / 1.1)
    assert ratio == pytest.approx(0.7197, abs=1e-3)
    assert supply_v(ratio * 1e9, 1e9, 45) == pytest.approx(0.9, abs=1e-9)


def test_ends() -> None:
    assert supply_v(1e9, 1e9, 45) == pytest.approx(NODE.nominal_v, abs=1e-9)
    assert supply_v(1.0, 1e9, 45) == NODE.floor_v
    assert supply_v(5e9, None, 45) == NODE.nominal_v
    with pytest.raises(IllegalDesign, match="1001 MHz is above the 1000 MHz"):
        supply_v(1001e6, 1e9, 45)
    with pytest.raises(IllegalDesign, match="32 nm"):
        supply_v(1e8, 1e9, 32)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_faster_clock_never_needs_less_voltage_and_always_gets_enough(a: float, b: float) -> None:
    slow, fast = sorted((a, b))
    v_slow, v_fast = supply_v(slow * 1e9, 1e9, 45), supply_v(fast * 1e9, 1e9, 45)
    assert NODE.floor_v <= v_slow <= v_fast <= NODE.nominal_v
    assert NODE.speed(v_fast) >= fast * (1 - 1e-12)
