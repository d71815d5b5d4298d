"""10GBASE-T: 10 Gb/s.

Active power: 4 W per PHY, Reviriego et al. 2012 as quoted by the founding paper (Kreß et al., DCOSS 2022).
Wake and sleep: 4.48 and 2.88 µs, IEEE 802.3az (the shorter of the standard's two wake times).
Low-power idle at 10 % of active power and 6 ns/m: the founding paper and its sources.
"""

from search_spaces.links._phy import EthernetPhy

PHY = EthernetPhy(name="10gbase-t", rate_bps=10e9, active_power_w=4.0, wake_s=4.48e-6, sleep_s=2.88e-6)
