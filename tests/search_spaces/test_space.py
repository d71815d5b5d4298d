"""Knobs, design points and their numbering."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.accelerators import MEMORIES
from search_spaces.errors import UserError
from search_spaces.space import ARCHITECTURE_KNOBS, KNOBS, SearchSpace, sensor_edge_space
from search_spaces.types import Knob
from tests.fakes import toy_network

quick = settings(max_examples=60, deadline=None)
values = st.lists(st.one_of(st.integers(-5, 600), st.floats(0.125, 9), st.text("abc", min_size=1)), unique=True)
spaces = st.lists(values.filter(bool), min_size=1, max_size=6).map(
    lambda lists: SearchSpace(tuple(Knob(f"k{i}", tuple(v)) for i, v in enumerate(lists)))
)


@quick
@given(spaces, st.data())
def test_decode_encode_and_numbering_are_inverse(space, data):
    position = data.draw(st.integers(0, space.size - 1))
    indices = space.indices_of(position)
    point = space.decode(indices)
    assert point.indices == indices
    assert space.index_of(indices) == position
    assert space.encode(dict(point.knobs)) == indices


@quick
@given(spaces)
def test_positions_follow_the_order_of_the_indices(space):
    some = [space.indices_of(i) for i in range(min(space.size, 200))]
    assert some == sorted(some)
    assert len(set(some)) == len(some)


def test_the_demo_space_is_large_and_holds_the_templates_own_values():
    space = sensor_edge_space(toy_network())
    assert tuple(knob.name for knob in space.knobs) == tuple(
        name for name in KNOBS if name not in (*MEMORIES, "tensor_bits")
    )
    assert space.size // 6 * 17 >= 100_000  # the toy has 6 cuts, SqueezeNet V1.1 has 17
    architectures = [space.architecture_values(a) for a in space.architectures()]
    assert len(architectures) == len({tuple(a.items()) for a in architectures}) >= 100
    assert {a["accelerator"] for a in architectures} == {"eyeriss_like", "simba_like"}
    assert len(space.knob("link").values) <= 10
    template = {"input_buffer_scale": 1.0, "weight_buffer_scale": 1.0, "accum_buffer_scale": 1.0}
    assert {
        "accelerator": "eyeriss_like",
        "pe_cols": 14,
        "pe_rows": 12,
        "glb_kib": 128,
        **template,
    } in architectures
    assert {
        "accelerator": "simba_like",
        "pe_cols": 4,
        "pe_rows": 4,
        "glb_kib": 64,
        **template,
    } in architectures


def test_memories_are_knobs_only_where_they_are_asked_for():
    space = sensor_edge_space(toy_network(), accum_buffer=("template", "sram"), glb=("regfile",))
    plain = sensor_edge_space(toy_network())
    assert space.size == 2 * plain.size
    assert [knob.name for knob in space.architecture_knobs][-3:] == ["accum_buffer_scale", "accum_buffer", "glb"]
    assert len(list(space.architectures())) == 2 * len(list(plain.architectures()))
    last = space.architecture_values(list(space.architectures())[-1])
    assert (last["accum_buffer"], last["glb"]) == ("sram", "regfile")


def test_a_design_point_is_a_chain_with_a_cut_on_every_link():
    point = sensor_edge_space(toy_network()).decode((0,) * 11)
    assert len(point.nodes) == len(point.links) + 1 == len(point.cuts) + 1
    assert point.nodes[0].role == "sensor" and point.nodes[-1].role == "edge"
    assert point.cuts == ("Identity",)
    assert {name for name, _ in point.nodes[0].knobs} == {*ARCHITECTURE_KNOBS[:-4], "clock_mhz", "dram"}


def test_single_valued_knobs_may_be_left_out_of_a_choice_and_others_not():
    space = sensor_edge_space(
        toy_network(), accelerators=("simba_like",), pe_cols=(4,), pe_rows=(4,), input_buffer_scale=(1,)
    )
    chosen = {
        "cut": "pool",
        "glb_kib": 64,
        "weight_buffer_scale": 0.25,
        "clock_mhz": 200,
        "link": "1000base-t",
    }
    point = space.decode(space.encode(chosen))
    assert point["accelerator"] == "simba_like" and point["clock_mhz"] == 200
    del chosen["clock_mhz"], chosen["link"]
    with pytest.raises(UserError, match="missing: clock_mhz, link"):
        space.encode(chosen)


def test_a_cut_goes_by_the_names_merged_into_it():
    space = sensor_edge_space(toy_network(), cuts=("Identity", "relu", "conv1"))
    assert space.knob("cut").values == ("Identity", "conv1")


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"accelerators": ("eyeris_like",)}, "no accelerator 'eyeris_like'; did you mean 'eyeriss_like'"),
        ({"links": ("1000baset",)}, "no link '1000baset'; did you mean '1000base-t'"),
        ({"drams": ("hbm",)}, "no dram 'hbm'; did you mean 'hbm2'"),
        ({"glb": ("ram",)}, "no memory for glb 'ram'; did you mean 'sram'?"),
        ({"cuts": ("pol",)}, "no cut of toy in cut mode 'block' 'pol'; did you mean 'pool'"),
        ({"pe_cols": (0,)}, "knob 'pe_cols' takes whole numbers of at least 1, not 0"),
        ({"pe_rows": (4.5,)}, "knob 'pe_rows' takes whole numbers of at least 1, not 4.5"),
        ({"clock_mhz": (-1,)}, "knob 'clock_mhz' takes numbers above 0, not -1"),
        ({"clock_mhz": (1e-320,)}, "a clock is at least 0.001 MHz, not 1e-320"),
        ({"weight_buffer_scale": (float("nan"),)}, "knob 'weight_buffer_scale' takes numbers above 0"),
        ({"glb_kib": ()}, "knob 'glb_kib' needs at least one value"),
        ({"glb_kib": (64, 64)}, "lists a value twice"),
        ({"links": "1000base-t"}, "knob 'link' takes a tuple of values"),
    ],
)
def test_a_knob_value_that_cannot_be_is_one_line(knobs, message):
    with pytest.raises(UserError) as error:
        sensor_edge_space(toy_network(), **knobs)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_values_and_indices_out_of_range_name_the_way_out():
    space = sensor_edge_space(toy_network())
    point = dict(space.decode((0,) * 11).knobs)
    with pytest.raises(UserError, match=r"knob 'pe_cols' takes 2, 4, 8, 14, not 13; the closest is 14"):
        space.encode({**point, "pe_cols": 13})
    with pytest.raises(UserError, match="no value of knob 'link' '10gbase'; did you mean '10gbase-t'"):
        space.encode({**point, "link": "10gbase"})
    with pytest.raises(UserError, match="no knob 'pe_colls'; did you mean 'pe_cols'"):
        space.encode({**point, "pe_colls": 4})
    with pytest.raises(UserError, match="has 11 indices, not 1"):
        space.decode((0,))
    with pytest.raises(UserError, match="knob 'link' has indices 0 to 2, not 3"):
        space.decode((*(0,) * 10, 3))
    with pytest.raises(UserError, match=f"design points 0 to {space.size - 1}, not {space.size}"):
        space.indices_of(space.size)
