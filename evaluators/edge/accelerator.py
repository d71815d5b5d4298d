"""An edge node with an accelerator of its own: any template, with its own mapper's result instead of a device."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from evaluators.edge.profile import EdgeProfile
from evaluators.sensor import SensorModel, SensorSettings
from search_spaces import accelerators
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.space import LEAST_CLOCK_MHZ
from search_spaces.types import KnobValue, Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = ["DEFAULT_CLOCK_MHZ", "DEFAULT_DRAM", "parse", "profile_accelerator", "version"]

DEFAULT_CLOCK_MHZ, DEFAULT_DRAM = 500.0, "lpddr4"
"""Of an edge accelerator where the name does not say; the clock is Simba's in the founding paper."""


def parse(text: str) -> tuple[str, dict[str, KnobValue], float, str]:
    """(template, parameters, clock in MHz, DRAM) of `simba_like,pe_cols=8,clock_mhz=400`; raises UserError.

    >>> parse("simba_like,pe_cols=8,clock_mhz=400")
    ('simba_like', {'pe_cols': 8}, 400.0, 'lpddr4')
    """
    name, *settings = (part.strip() for part in text.split(","))
    parameters: dict[str, KnobValue] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key or not value:
            raise UserError(
                f"an edge accelerator is a template with parameters, as accelerator:simba_like,pe_cols=8, not {text!r}"
            )
        parameters[key.strip()] = _value(value.strip())
    clock_mhz = parameters.pop("clock_mhz", DEFAULT_CLOCK_MHZ)
    dram = str(parameters.pop("dram", DEFAULT_DRAM))
    if not isinstance(clock_mhz, int | float) or not isfinite(clock_mhz) or clock_mhz < LEAST_CLOCK_MHZ:
        raise UserError(
            f"the clock of an edge accelerator is a number of MHz of at least {LEAST_CLOCK_MHZ:g}, not {clock_mhz!r}"
        )
    accelerators.build(name, parameters)  # raises for what does not exist
    return name, parameters, float(clock_mhz), dram


def _value(text: str) -> KnobValue:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def version(settings: SensorSettings, memo: Memo) -> str:
    """What the figures depend on beside the accelerator and the settings."""
    return SensorModel(settings, memo).version


def profile_accelerator(network: Network, text: str, settings: SensorSettings, memo: Memo) -> EdgeProfile:
    """Latency and energy of what remains of a network after each of its cuts, layer by layer, no overlap.

    The sensor's settings hold for the edge's accelerator too; where they keep all mappings, each layer here has its
    best in energy × latency. Raises UserError where a layer does not map, or the clock is too fast.
    """
    name, parameters, clock_mhz, dram = parse(text)
    architecture = accelerators.build(name, parameters)
    chosen = replace(settings, mapping="edp") if settings.mapping == "pareto" else settings
    try:
        costs = SensorModel(chosen, memo).layer_costs(network, architecture, clock_mhz * 1e6, dram)
    except IllegalDesign as error:
        raise UserError(f"the edge node accelerator:{text} cannot exist: {error}") from None
    if costs.unmapped:  # the first cut leaves every layer to the edge node
        why = costs.unmapped[min(costs.unmapped)]
        raise UserError(f"the edge node accelerator:{text} cannot run {network.name}: {why}")
    rest = np.ones((len(network.cuts), len(network.layers)))
    for i, cut in enumerate(network.cuts):
        rest[i, sorted(cut.layers)] = 0.0
    device = f"{name} at {clock_mhz:g} MHz"
    return EdgeProfile(
        device=device,
        latency_s=tuple(float(seconds) for seconds in rest @ costs.latency_s),
        power_w=0.0,
        provenance=costs.time_provenance(range(len(network.layers))),
        notes=(f"{costs.simulator or 'mapper'}'s result for {device} with {dram}; energies: {costs.provenance}",),
        power_provenance="table",
        energy_j=tuple(float(joules) for joules in rest @ costs.energy_j),
    )
