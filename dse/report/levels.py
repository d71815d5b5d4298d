"""A stacked bar per layer: where the energy of its best mapping goes, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import UserError

if TYPE_CHECKING:
    from evaluators.mapper.result import MappedLayer

__all__ = ["plot_levels"]

LEAST_BARS = 6
"""For how many bars there is room at least, so that one alone is no wall."""


def plot_levels(layers: Mapping[str, MappedLayer], path: Path, network: str | None = None) -> None:
    """Write the picture as PNG; `network` names whose layers they are. Raises UserError where nothing is to draw."""
    if not layers:
        raise UserError("no layer maps on this accelerator, so there is nothing to plot")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    first = next(iter(layers.values()))
    parts = [level.name for level in reversed(first.levels) if level.reads]
    energies = {
        part: [next(lv.energy_j for lv in m.levels if lv.name == part) * 1e6 for m in layers.values()] for part in parts
    }
    energies["MAC"] = [m.mac_energy_j * 1e6 for m in layers.values()]
    colours = mpl.colormaps["viridis"].resampled(len(energies))
    figure, axes = plt.subplots(figsize=(max(6.6, 3.2 + 0.42 * len(layers)), 5.2), layout="constrained")
    batch = first.shape.N
    base = [0.0] * len(layers)
    for i, (part, values) in enumerate(energies.items()):
        axes.bar(range(len(layers)), values, bottom=base, label=part, color=colours(i), width=0.8)
        base = [b + v for b, v in zip(base, values, strict=True)]
    axes.set_xticks(range(len(layers)), list(layers), rotation=60, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_ylabel(f"energy per {'frame' if batch == 1 else f'batch of {batch}'} (µJ)")
    whose = f"{network} on {first.accelerator}" if network else first.accelerator
    title = f"{whose}\nenergy per level at nominal supply, mappings optimal for {first.metric}"
    axes.set_title(title, fontsize=10)
    beside = max(0.5, (LEAST_BARS - len(layers)) / 2)
    axes.set_xlim(-beside, len(layers) - 1 + beside)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", fontsize=8, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    try:
        figure.savefig(path, dpi=150, format="png")
    finally:
        plt.close(figure)
