"""Hand-computed frames, CNNParted's published link columns, and what holds for every transfer."""

import csv
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.ethernet import transfer, wire_bytes
from search_spaces import links
from search_spaces.errors import UserError

GIGABIT = links.get("1000base-t")
INPUT_BYTES = 3 * 224 * 224 * 2
PUBLISHED = Path(__file__).parents[1] / "data" / "cnnparted_2022"

quick = settings(max_examples=100, deadline=None)
phys = st.sampled_from([links.get(name) for name in links.names()])
framings = st.sampled_from(["802.3", "paper", "cnnparted"])
accountings = st.sampled_from(["frame", "active", "always_on"])
payloads = st.integers(1, 5_000_000)
rates = st.floats(0.5, 1000)


@pytest.mark.parametrize(
    ("framing", "latency_s"),
    [("paper", 2.408782e-3), ("cnnparted", 2.450286e-3), ("802.3", 2.469582e-3)],
)
def test_an_input_of_301056_bytes_by_hand(framing, latency_s):
    """Bytes and arithmetic are written out in the module's docstring."""
    cost = transfer(GIGABIT, INPUT_BYTES, framing=framing, phy_energy="active")
    assert cost.latency_s == pytest.approx(latency_s, rel=1e-12)
    assert cost.energy_j == pytest.approx(0.6 * latency_s, rel=1e-12)


def test_energy_efficient_ethernet_by_hand():
    """16.5 + 2469.552 + 182 µs at 600 mW, the other 37,331.948 µs of 40 ms at 60 mW; the frame waits."""
    cost = transfer(GIGABIT, INPUT_BYTES)
    assert cost.energy_j == pytest.approx(1.6008312e-3 + 2.23991688e-3, rel=1e-12)
    assert cost.latency_s == pytest.approx(2.486082e-3, rel=1e-12)
    assert cost.utilisation == pytest.approx(2.469552e-3 / 40e-3, rel=1e-12)
    assert cost.wire_bytes == 308_694


def test_a_phy_without_energy_efficient_ethernet_burns_24_mj_per_frame():
    cost = transfer(GIGABIT, INPUT_BYTES, phy_energy="always_on")
    assert cost.energy_j == pytest.approx(24e-3, rel=1e-12)
    assert cost.latency_s == pytest.approx(2.469582e-3, rel=1e-12)


@pytest.mark.parametrize(
    ("payload", "on_wire"),
    [
        (1, 84),  # padded to 46, and 38 of overhead: the smallest frame
        (46, 84),
        (47, 85),
        (1500, 1538),
        (1501, 1538 + 84),  # the one byte left over is padded
        (1546, 1538 + 84),
        (3000, 3076),
    ],
)
def test_frames_on_the_wire_by_hand(payload, on_wire):
    assert wire_bytes(payload) == on_wire


def test_a_longer_cable_adds_6_ns_per_metre():
    near, far = (transfer(GIGABIT, 1000, cable_m=metres, phy_energy="active") for metres in (0, 100))
    assert far.latency_s - near.latency_s == pytest.approx(600e-9, rel=1e-6)
    assert far.utilisation == near.utilisation


def test_a_link_that_cannot_carry_the_frame_rate_shows_it():
    """100 Mb/s sends 301,056 bytes in 24.7 ms: 25 frames per second fit, 50 do not."""
    slow = links.get("100base-t")
    assert transfer(slow, INPUT_BYTES, frame_rate_fps=25).utilisation == pytest.approx(0.617, abs=1e-3)
    over = transfer(slow, INPUT_BYTES, frame_rate_fps=50)
    assert over.utilisation > 1
    assert over.energy_j == pytest.approx(0.2 * 308_694 * 8 / 100e6, rel=1e-12)


def test_a_link_without_time_to_sleep_stays_awake_and_nobody_waits():
    """At 400 frames per second the period is 2.5 ms: sending leaves 30 µs, too short to sleep and wake."""
    cost = transfer(GIGABIT, INPUT_BYTES, frame_rate_fps=400)
    assert cost.utilisation < 1
    assert cost.latency_s == pytest.approx(2.469582e-3, rel=1e-12)
    assert cost.energy_j == pytest.approx(0.6 * 2.5e-3, rel=1e-12)


@pytest.mark.parametrize("network", ["fcn_resnet50", "googlenet", "squeezenet1_1"])
def test_cnnparteds_published_link_columns(network):
    """Latency in ms and energy in mJ of 16-bit tensors on Gigabit Ethernet, every partitioning point."""
    with (PUBLISHED / f"{network}_all.csv").open() as f:
        rows = list(csv.DictReader(f, delimiter=";"))
    compared = 0
    for row in rows:
        shape = [int(n) for n in row["Output Size"].strip("()[]").split(",")]
        cost = transfer(GIGABIT, prod(shape) * 2, framing="cnnparted", phy_energy="active")
        assert cost.latency_s * 1e3 == pytest.approx(float(row["Link Latency"]), rel=1e-9), row
        assert cost.energy_j * 1e3 == pytest.approx(float(row["Link Energy"]), rel=1e-9), row
        compared += 1
    assert compared == {"fcn_resnet50": 25, "googlenet": 19, "squeezenet1_1": 17}[network]


@quick
@given(phys, payloads, payloads, framings, accountings, rates)
def test_more_bytes_never_take_less_energy_or_wire(phy, a, b, framing, accounting, rate):
    less, more = (transfer(phy, n, framing=framing, phy_energy=accounting, frame_rate_fps=rate) for n in sorted((a, b)))
    assert less.wire_bytes <= more.wire_bytes
    assert less.utilisation <= more.utilisation
    assert less.energy_j <= more.energy_j * (1 + 1e-12)
    if accounting != "frame":  # there a link too busy to sleep saves the wake time
        assert less.latency_s <= more.latency_s


@quick
@given(phys, payloads, framings, rates)
def test_accountings_are_ordered(phy, payload, framing, rate):
    """Low-power idle costs something but saves against always on; a wake delays by its time or not at all."""
    frame, active, always = (
        transfer(phy, payload, framing=framing, phy_energy=kind, frame_rate_fps=rate, cable_m=0)
        for kind in ("frame", "active", "always_on")
    )
    assert active.energy_j <= frame.energy_j * (1 + 1e-12)
    assert frame.energy_j <= always.energy_j * (1 + 1e-12)
    waited = frame.latency_s - active.latency_s
    assert waited == 0 or waited == pytest.approx(phy.wake_s, rel=1e-6)


@quick
@given(payloads, framings)
def test_slower_transitions_cost_more(payload, framing):
    """The sign that CNNParted's release has wrong: a longer sleep transition costs more, never less."""
    slower = replace(GIGABIT, sleep_s=2 * GIGABIT.sleep_s)
    wakes_slower = replace(GIGABIT, wake_s=2 * GIGABIT.wake_s)
    usual, sleepy, drowsy = (
        transfer(phy, payload, framing=framing, frame_rate_fps=5) for phy in (GIGABIT, slower, wakes_slower)
    )
    assert sleepy.energy_j > usual.energy_j
    assert sleepy.latency_s == usual.latency_s
    assert drowsy.energy_j > usual.energy_j
    assert drowsy.latency_s > usual.latency_s


def test_unknown_framing_and_accounting_name_the_known_ones():
    with pytest.raises(UserError, match=r"no framing '802'; .*802\.3, cnnparted, paper"):
        transfer(GIGABIT, 1000, framing="802")
    with pytest.raises(UserError, match=r"no PHY energy accounting 'always'; .*always_on"):
        transfer(GIGABIT, 1000, phy_energy="always")
