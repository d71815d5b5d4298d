"""A network's front over mappings, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.mappings import NetworkMappings

if TYPE_CHECKING:
    from evaluators.mapper.result import MappedLayer

__all__ = ["mappings_table", "plot_layer_mappings", "plot_mappings"]

ROWS = 40
"""Of a longer front as many points are shown, evenly spread and with both ends."""
NAMES = 3
"""Of how many changed layers the names are shown."""


def mappings_table(found: NetworkMappings) -> RenderableType:
    """The front's points, fastest first, and below it what one metric for all layers reaches."""
    front = found.front
    combinations, choosing = front.combinations, len(found.several)
    parameters = ", ".join(f"{k}={v}" for k, v in found.architecture.parameters)
    table = Table(
        title=f"{found.network.name} before {found.cut} on {found.architecture.name}: {len(front):,} point"
        f"{'s' if len(front) > 1 else ''} on the front over mappings",
        title_justify="left",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("", "latency ms", "energy mJ", "energy × latency\nµJ s", "layers\nchanged"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("which (number of its mapping)", overflow="fold")
    own: dict[int, str] = {}
    for choice in found.choices:
        if choice.point is not None:
            own[choice.point] = f"{own[choice.point]}, {choice.metric}" if choice.point in own else choice.metric
    for i in _shown(len(front), [point - 1 for point in own]):
        changed = found.changed(i)
        names = [f"{name} ({number})" for name, number in list(changed.items())[:NAMES]]
        names += [f"and {len(changed) - NAMES} more"] if len(changed) > NAMES else []
        names = [f"best {own[i + 1]} in every layer", *names] if i + 1 in own else names
        table.add_row(
            f"{i + 1:,}", *_figures(front.latency_s[i], front.energy_j[i]), f"{len(changed)}", ", ".join(names)
        )
    for choice in found.choices:
        if choice.point is None:
            table.add_row(
                "", *_figures(choice.latency_s, choice.energy_j), "", f"best {choice.metric} in every layer: beaten, "
                f"{choice.saves_energy_j / choice.energy_j:.2%} of its energy is saved at no more latency, "
                f"{choice.saves_latency_s / choice.latency_s:.2%} of its latency at no more energy",
                style="italic",
            )  # fmt: skip
    least = int(np.argmin(front.latency_s * front.energy_j))
    supply = "no leakage" if found.dvfs == "off" else "supply after the clock, leakage included"
    notes = [
        f"Exact: stands for {combinations:,} combinations of the {choosing} layers with a choice of mappings that no "
        "other of the layer beats.",
        f"Least energy × latency of the network: point {least + 1:,}. A layer is changed where its mapping is not its "
        "own best in energy × latency.",
        f"{parameters}; {found.clock_mhz:g} MHz, {found.dram}, {supply}; energies: {found.layers.provenance}.",
    ]
    if len(front) > ROWS:
        notes.append(f"Shown are {ROWS} of {len(front):,} points, evenly spread; --json has all.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def _figures(latency_s: float, energy_j: float) -> tuple[str, str, str]:
    return f"{latency_s * 1e3:.5g}", f"{energy_j * 1e3:.5g}", f"{latency_s * energy_j * 1e6:.5g}"


def _shown(size: int, always: list[int]) -> list[int]:
    if size <= ROWS:
        return list(range(size))
    return sorted({*np.linspace(0, size - 1, ROWS).astype(int).tolist(), *always})


def plot_mappings(found: NetworkMappings, path: Path) -> None:
    """Write the front and the three choices as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front = found.front
    latency_ms, energy_mj = front.latency_s * 1e3, front.energy_j * 1e3
    axes.step(latency_ms, energy_mj, where="post", color="0.8", linewidth=1, zorder=1)
    label = f"front: {len(front):,} of {front.combinations:,} combinations"
    axes.scatter(latency_ms, energy_mj, s=14, color="tab:blue", label=label, zorder=2)
    for choice, marker in zip(found.choices, "osD", strict=True):
        axes.scatter(
            choice.latency_s * 1e3,
            choice.energy_j * 1e3,
            s=80,
            marker=marker,
            color="none",
            edgecolor="black",
            label=f"best {choice.metric} in every layer",
            zorder=3,
        )
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("accelerator energy (mJ)")
    axes.set_title(
        f"{found.network.name} before {found.cut} on {found.architecture.name}, {found.clock_mhz:g} MHz, {found.dram}",
        fontsize=10,
    )
    axes.ticklabel_format(useOffset=False)
    axes.grid(True, color="0.92")
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=150, format="png")


def plot_layer_mappings(name: str, front: Sequence[MappedLayer], path: Path) -> None:
    """Write one layer's mappings that no other beats as PNG, numbered as in the table."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    cycles, energy_uj = [m.cycles for m in front], [m.energy_j * 1e6 for m in front]
    axes.step(cycles, energy_uj, where="post", color="0.8", linewidth=1, zorder=1)
    axes.scatter(cycles, energy_uj, s=24, color="tab:blue", zorder=2)
    if len(front) <= ROWS:
        for number, at in enumerate(zip(cycles, energy_uj, strict=True), 1):
            axes.annotate(f"{number}", at, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.set_xlabel("cycles")
    axes.set_ylabel("energy (µJ), 5 ns and nominal supply")
    first = front[0]
    axes.set_title(
        f"{name} on {first.accelerator}: {len(front):,} of {first.mapspace_valid:,} mappings are beaten by none",
        fontsize=10,
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(0.08)
    axes.grid(True, color="0.92")
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=150, format="png")
