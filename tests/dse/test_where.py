"""The language of --where against Python's own evaluation, and its mistakes as one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.where import parse_where
from evaluators.costs import METRICS
from search_spaces.errors import UserError

KNOBS = {"cut": ["input", "Fire: 2-3"], "accelerator": ["simba_like", "eyeriss_like"], "clock_mhz": [50, 100.0, 200]}
NUMBERS = ["latency_s", "sensor_energy_j", "area_mm2", "clock_mhz"]

numbers = st.sampled_from([*NUMBERS, "0", "1", "2.5", "-1"])
sums = st.recursive(numbers, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner))
comparisons = st.one_of(
    st.builds("{} {} {}".format, sums, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), sums),
    st.builds("{} <= {} < {}".format, sums, sums, sums),
    st.builds("accelerator {} {!r}".format, st.sampled_from(["==", "!="]), st.sampled_from(KNOBS["accelerator"])),
    st.builds("{} {} ({}, {})".format, sums, st.sampled_from(["in", "not in"]), numbers, numbers),
    st.builds("cut {} [{!r}]".format, st.sampled_from(["in", "not in"]), st.sampled_from(KNOBS["cut"])),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner), st.builds("not {}".format, inner)
    ),
    max_leaves=5,
)
designs = st.fixed_dictionaries(
    {name: st.sampled_from([0.0, 1.0, 2.5, 3.5]) for name in NUMBERS}
    | {name: st.sampled_from(KNOBS[name]) for name in ("cut", "accelerator")}
)


@given(conditions, designs)
def test_a_condition_means_what_python_means(text: str, design: dict[str, Any]) -> None:
    condition = parse_where(text, METRICS, KNOBS)
    assert condition(design) == bool(eval(text, {"__builtins__": {}}, design))
    assert set(condition.names) == {name for name in design if name in text}


@pytest.mark.parametrize(
    ("text", "metric", "least"),
    [
        ("latency_ms < 20", "latency_s", 0.020),
        ("latency_us<20", "latency_s", 20e-6),
        ("sensor_energy_mj < 3", "sensor_energy_j", 0.003),
        ("sensor_power_mw < 5", "sensor_power_w", 0.005),
        ("sensor_memory_kib < 2", "sensor_memory_bytes", 2048),
        ("clock_ghz < 0.1", "clock_mhz", 100),
    ],
)
def test_a_name_may_end_in_another_unit(text: str, metric: str, least: float) -> None:
    condition = parse_where(text, METRICS, KNOBS)
    assert condition.names == (metric,)
    assert condition({metric: least * 0.999}) and not condition({metric: least * 1.001})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latency_ms", "needs a comparison"),
        ("latency < 3", "did you mean 'latency_s'"),
        ("latency_mm2 < 3", "no metric or knob 'latency_mm2'"),
        ("acelerator == 'simba_like'", "did you mean 'accelerator'"),
        ("accelerator == 'simba'", "did you mean 'simba_like'"),
        ("'simba' == accelerator", "did you mean 'simba_like'"),
        ("accelerator in ('simba_like', 'eyeris_like')", "did you mean 'eyeriss_like'"),
        ("accelerator < 'simba_like'", "is a text"),
        ("accelerator == 3", "a text, with 3, a number"),
        ("latency_s == 'fast'", "a number, with 'fast', a text"),
        ("latency_ms = 3", "write == for equal"),
        ("latency_ms < 3 && area_mm2 < 2", "write and for &&"),
        ("latency_ms < 20ms", "does not read as a condition"),
        ("", "does not read as a condition"),
        ("area_mm2 < 3 and latency_s", "needs a truth where 'latency_s' stands"),
        ("__import__('os').system('x')", "takes comparisons of metrics and knobs"),
        ("latency_s.__class__ == 3", "takes comparisons of metrics and knobs"),
        ("[x for x in (1,)] == 3", "takes comparisons of metrics and knobs"),
        ("2 ** 9 > area_mm2", "takes comparisons of metrics and knobs"),
        ("True", "takes comparisons of metrics and knobs"),
        ("area_mm2 is 3", "compares with"),
        ("area_mm2 in 3", "in takes a list"),
        ("(" * 400 + "1", "does not read as a condition"),
        ("not " * 240 + "area_mm2", "does not read as a condition|needs a truth"),
        ("x" * 2000, "at most 1000 characters"),
        ("area_mm2 < \0", "does not read as a condition"),
        ("area_mm2 * 1" + 400 * "0" + " > 3", "numbers up to 1.8e"),
        ("area_mm2 <\n", "does not read as a condition"),
    ],
)
def test_a_mistake_is_one_line(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as refused:
        parse_where(text, METRICS, KNOBS)
    assert "\n" not in str(refused.value)


@pytest.mark.filterwarnings("error")
def test_a_number_and_a_word_may_touch() -> None:
    condition = parse_where("area_mm2<20and latency_s<1", METRICS, KNOBS)
    assert condition({"area_mm2": 19.0, "latency_s": 0.5}) and not condition({"area_mm2": 20.0, "latency_s": 0.5})


def test_dividing_by_zero_is_one_line() -> None:
    condition = parse_where("1 / area_mm2 > 2", METRICS, KNOBS)
    assert condition({"area_mm2": 0.25})
    with pytest.raises(UserError, match="divides by zero"):
        condition({"area_mm2": 0.0})


@given(st.text(alphabet="abc_01.<>=!'\"()[]+-*/ \n,andorti", max_size=40))
def test_no_text_does_anything_but_read_or_refuse(text: str) -> None:
    try:
        parse_where(text, METRICS, KNOBS)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
