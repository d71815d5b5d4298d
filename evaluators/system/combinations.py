"""Combinations of mappings of the layers before a cut that no other beats: what a design costs under "pareto"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.network_front import LayerFronts, NetworkFront, RunningFronts
from evaluators.system.hardware import build, clock_hz
from evaluators.system.parts import Parts
from search_spaces.space import SearchSpace

__all__ = ["Combinations", "combinations"]


@dataclass(frozen=True)
class Combinations:
    """The non-dominated combinations of mappings of some designs, one entry each, fastest first within a design.

    `cell` is the place of the design among those asked for, `point` the number of the combination on the network's
    front, from 1, `changed` how many layers differ from their own best in energy × latency.
    """

    cell: np.ndarray
    point: np.ndarray
    changed: np.ndarray
    metrics: dict[str, np.ndarray]


def combinations(parts: Parts, space: SearchSpace, arch_indices: Sequence[int], cells: np.ndarray) -> Combinations:
    """The non-dominated combinations of some legal designs of one architecture, see `System.combinations`."""
    cut_names, clocks_mhz, drams = (space.knob(name).values for name in ("cut", "clock_mhz", "dram"))
    ways = parts.link.ways(space)
    cuts = np.array([parts.cut(name) for name in cut_names])
    architecture = build(space.architecture_values(tuple(int(i) for i in arch_indices)))
    # Cuts in their order, so that the sums before one go on from those before the last.
    order = np.lexsort((cells[:, 0], cells[:, 2], cells[:, 1]))
    fronts: list[NetworkFront] = []
    areas_mm2: list[float] = []
    running: tuple[tuple[int, int], RunningFronts] | None = None
    front: tuple[int, NetworkFront] | None = None
    for cut, clock, dram, *_ in cells[order].tolist():
        if running is None or running[0] != (clock, dram):
            table = parts.sensor.table(architecture, clock_hz(clocks_mhz[clock]), str(drams[dram]))
            assert isinstance(table.layers, LayerFronts)
            running, front = ((clock, dram), RunningFronts(table.layers)), None
        if front is None or front[0] != cut:
            front = cut, running[1].front(parts.sensor.layers_before(cuts[cut]))
        fronts.append(front[1])
        areas_mm2.append(table.area_mm2)
    sizes = [len(found) for found in fronts]
    cell = np.repeat(order, sizes)
    widths = len(ways) // len(space.knob("link").values)
    at_cut, at_way = cells[cell, 0], cells[cell, 3] * widths + (cells[cell, 4] if cells.shape[1] > 4 else 0)
    found = parts.metrics(
        cuts[at_cut],
        accelerator_energy_j=_joined([f.energy_j for f in fronts]),
        sensor_latency_s=_joined([f.latency_s for f in fronts]),
        **{name: figures[at_cut, at_way] for name, figures in parts.link.costs(cuts, ways).items()},
        area_mm2=np.repeat(areas_mm2, sizes),
        memory_bytes=parts.sensor.memory_bytes(architecture)[cuts[at_cut]],
    )
    point = _joined([np.arange(1, size + 1) for size in sizes])
    return Combinations(cell, point.astype(np.int64), _joined([f.changed for f in fronts]).astype(np.int64), found)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)
