"""Every design point of one architecture at once, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from evaluators.costs import METRICS
from evaluators.system.hardware import build, clock_hz
from evaluators.system.parts import Parts
from evaluators.system.sensor_node import UNMAPPED
from search_spaces.errors import IllegalDesign
from search_spaces.space import ARCHITECTURE_KNOBS, SearchSpace

__all__ = ["Block", "architecture_block"]


@dataclass(frozen=True)
class Block:
    """Every design point of one architecture. All arrays have the axes (cut, clock, dram, link) of the space.

    Where tensor_bits is a knob, it is the last axis.

    `metrics` are NaN where a design is illegal; `reason_codes` index `reasons`, where 0 is legal (reason "").
    With `mapping="pareto"` the metrics are bounds that no combination of mappings beats, and `combinations` counts
    the legal designs times the combinations of each (of mappings that no other of their layer beats).
    """

    arch_indices: tuple[int, ...]
    metrics: dict[str, np.ndarray]
    reason_codes: np.ndarray
    reasons: tuple[str, ...]
    combinations: int | None = None

    @property
    def legal(self) -> np.ndarray:
        """Which design points can exist."""
        return self.reason_codes == 0

    @property
    def illegal_counts(self) -> dict[str, int]:
        """Number of illegal design points per reason."""
        counts = np.bincount(self.reason_codes.ravel(), minlength=len(self.reasons))
        return {reason: int(n) for reason, n in zip(self.reasons[1:], counts[1:], strict=True) if n}

    def indices(self, at: Sequence[int]) -> tuple[int, ...]:
        """The space's indices of the design point at one position (cut, clock, dram, link …) of the arrays."""
        cut, *others = (int(i) for i in at)
        return (cut, *self.arch_indices, *others)


def architecture_block(parts: Parts, space: SearchSpace, arch_indices: Sequence[int]) -> Block:
    """Every design point of one choice of the architecture's knobs."""
    cut_names, clocks_mhz, drams = (space.knob(name).values for name in ("cut", "clock_mhz", "dram"))
    ways = parts.link.ways(space)
    cuts = np.array([parts.cut(name) for name in cut_names])
    shape = (len(cuts), len(clocks_mhz), len(drams), len(ways))
    axes = tuple(len(knob.values) for knob in space.knobs if knob.name not in ARCHITECTURE_KNOBS)
    codes = np.zeros(shape, dtype=np.int16)
    reasons = [""]

    def code(reason: str) -> int:
        if reason not in reasons:
            reasons.append(reason)
        return reasons.index(reason)

    block_of = tuple(int(i) for i in arch_indices)
    places = [(clock_hz(clock_mhz), str(dram)) for clock_mhz in clocks_mhz for dram in drams]
    try:
        architecture = build(space.architecture_values(block_of))
        grid = parts.sensor.model.layer_grid(parts.network, architecture, places)
    except IllegalDesign as error:
        codes[:] = code(error.reason)
        empty = {name: np.full(axes, np.nan) for name in METRICS}
        return Block(block_of, empty, codes.reshape(axes), tuple(reasons), 0 if parts.sensor.keeps_all else None)

    at_places = len(clocks_mhz), len(drams)
    energy_j, latency_s = (
        np.moveaxis(parts.sensor.before_cuts(of_layers, grid.unmapped)[:, cuts].reshape(*at_places, -1), -1, 0)
        for of_layers in (grid.energy_j, grid.latency_s)
    )
    area_mm2 = grid.area_mm2.reshape(1, *at_places)
    blocked = parts.sensor.blocked(grid.unmapped)
    codes[[k for k, cut in enumerate(cuts) if blocked[cut]]] = code(UNMAPPED) if any(blocked) else 0
    for place, illegal in zip(np.ndindex(*at_places), grid.illegal, strict=True):
        if illegal is not None:
            codes[:, *place] = code(illegal.reason)
    sent = parts.link.costs(cuts, ways)
    found = parts.metrics(
        cuts.reshape(-1, 1, 1, 1),
        accelerator_energy_j=energy_j[..., None],
        sensor_latency_s=latency_s[..., None],
        **{name: figures[:, None, None, :] for name, figures in sent.items()},
        area_mm2=np.broadcast_to(area_mm2[..., None], (*shape[:3], 1)),
        memory_bytes=parts.sensor.memory_bytes(architecture)[cuts].reshape(-1, 1, 1, 1),
    )
    metrics = {name: np.where(codes == 0, found[name], np.nan).reshape(axes) for name in METRICS}
    counted = None
    if parts.sensor.keeps_all:
        mapped = [parts.sensor.layers_before(cut) for cut in cuts if not blocked[cut]]
        counted = len(ways) * sum(
            prod(sizes[layers].tolist())
            for sizes, illegal in zip(np.maximum(grid.sizes, 1), grid.illegal, strict=True)
            for layers in mapped
            if illegal is None
        )
    return Block(block_of, metrics, codes.reshape(axes), tuple(reasons), counted)
