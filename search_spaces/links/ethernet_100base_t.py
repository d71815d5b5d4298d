"""100BASE-T: 100 Mb/s.

Active power: 200 mW per PHY, Reviriego et al. 2012 as quoted by the founding paper (Kreß et al., DCOSS 2022).
Wake and sleep: 30.5 and 200 µs, 100BASE-TX of IEEE 802.3az as tabulated in the papers of Reviriego and
Christensen. Low-power idle at 10 % of active power and 6 ns/m: the same founding paper and its sources.
"""

from search_spaces.links._phy import EthernetPhy

PHY = EthernetPhy(name="100base-t", rate_bps=100e6, active_power_w=0.2, wake_s=30.5e-6, sleep_s=200e-6)
