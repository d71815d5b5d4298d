"""What every file of search_spaces/links must keep."""

import pytest

from evaluators.ethernet import transfer
from search_spaces import links
from search_spaces.errors import UserError


def test_the_three_ethernet_phys_are_there_slowest_first():
    assert [name for name in links.names() if name.endswith("base-t")] == [
        "100base-t",
        "1000base-t",
        "10gbase-t",
    ]


@pytest.mark.parametrize("name", links.names())
def test_every_link_is_found_by_its_own_name_and_carries_a_frame(name):
    phy = links.get(name)
    assert phy.name == name
    assert phy.rate_bps > 0 and phy.active_power_w > 0
    assert phy.lpi_power_w < phy.active_power_w
    assert 0 < phy.wake_s < 1e-3 and 0 < phy.sleep_s < 1e-3
    cost = transfer(phy, 1000)
    assert cost.latency_s > 1000 * 8 / phy.rate_bps
    assert cost.energy_j > 0


@pytest.mark.parametrize("name", links.names())
def test_every_link_says_where_its_figures_come_from(name):
    modules = [m for m in vars(links).values() if getattr(getattr(m, "PHY", None), "name", None) == name]
    assert len(modules) == 1
    assert "802.3" in modules[0].__doc__ and "power" in modules[0].__doc__.lower()


def test_an_unknown_link_lists_the_known_ones_and_the_closest():
    with pytest.raises(UserError, match=r"no link '1000base'; did you mean '1000base-t'\? known: .*100base-t"):
        links.get("1000base")
