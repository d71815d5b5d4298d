"""1000BASE-T: 1 Gb/s.

Active power: 600 mW per PHY, Reviriego et al. 2012 as quoted by the founding paper (Kreß et al., DCOSS 2022).
Wake and sleep: 16.5 and 182 µs, IEEE 802.3az. (A switch's manual gives 17 µs as the default wake time at 1
Gb/s and 30 µs at other rates: NIVEO NGSME16T2H, "EEE configuration".) Low-power idle at 10 % of active power
and 6 ns/m: the founding paper and its sources; an Intel engineer's figures for a Gigabit port, 0.5 W and
"about 50 mW" (enterprisenetworkingplanet.com, "IEEE 802.3az defined"), agree.
"""

from search_spaces.links._phy import EthernetPhy

PHY = EthernetPhy(name="1000base-t", rate_bps=1e9, active_power_w=0.6, wake_s=16.5e-6, sleep_s=182e-6)
