"""Studies compared in one picture: fronts and attainment surfaces per question, and across questions what each front
saves beside everything on one node."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dse.compare import PLACES, Comparison, Group
from dse.report._axes import MARKERS, PALETTE, bounds, canvas, finish, save, short
from dse.report.labels import LABELS, scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_compare"]

Panel = tuple[Group, str, str]

SIZE = 30
"""Area of a marker in square points."""


def plot_compare(comparison: Comparison, path: Path) -> None:
    """Write the comparison as PNG."""
    groups = comparison.groups
    panels: list[Panel] = [(group, x, y) for group in groups for x, y in combinations(group.objectives, 2)]
    across = [place for place in PLACES if sum(bool(group.relative(place)) for group in groups) > 1]
    n = len(panels) + len(across)
    columns = min(3, n) if n != 4 else 2
    rows = -(-n // columns)
    figure, grid = canvas(rows, columns, (5.4 * columns + (1.6 if n == 1 else 0), 4.7 * rows))
    variants = list(dict.fromkeys(variant for group in groups for variant in group.variants))
    for axes, (group, x, y) in zip(grid.flat, panels, strict=False):
        _fronts(axes, group, x, y, variants)
        finish(axes, (short(x), short(y)))
        axes.set_title(_title(comparison, group), fontsize=9)
        several = {len(entries) for entries in group.variants.values() if len(entries) > 1}
        middle = "" if several == {2} else "what half of them attain as a line, "
        shown = f"{middle}best to worst as a band" if len(group.objectives) == 2 else "the points of all"
        title = f"several seeds: {shown}" if several else None
        axes.legend(fontsize=7, frameon=False, title=title, title_fontsize=7, alignment="left")
    for axes, place in zip(grid.flat[len(panels) :], across, strict=False):
        _across(axes, groups, place)
    for axes in grid.flat[n:]:
        axes.set_visible(False)
    save(figure, path)


def _title(comparison: Comparison, group: Group) -> str:
    position = f"question {comparison.groups.index(group) + 1}: " if len(comparison.groups) > 1 else ""
    return f"{position}{group.network}\n{bounds(group.question)}"


def _fronts(axes: Axes, group: Group, x: str, y: str, variants: Sequence[str]) -> None:
    """The reference front in grey; a line per study, or the band of attainment surfaces over the seeds."""
    columns = [group.objectives.index(name) for name in (x, y)]
    plane = len(group.objectives) == 2

    def place(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = points[:, columns]
        chosen = chosen[np.lexsort((chosen[:, 1], chosen[:, 0]))]
        return scaled(x, chosen[:, 0]), scaled(y, chosen[:, 1])

    kind = "exact front" if group.exact is not None else "union of the fronts"
    reference = place(group.yardstick.front)
    if plane:
        axes.step(*reference, where="post", color="0.7", linewidth=2.5, zorder=1)
        axes.plot(*reference, "o", color="0.55", markersize=4, label=kind, zorder=1)
    else:
        axes.scatter(*reference, color="0.75", s=60, label=kind, zorder=1)
    bend = place(group.knee.reshape(1, -1))
    axes.scatter(
        bend[0], bend[1], s=190, color="none", edgecolor="black", linewidth=1.2, label=f"knee of the {kind}", zorder=2
    )
    for variant, entries in group.variants.items():
        if all(entry.result.exact for entry in entries):
            continue
        k = variants.index(variant)
        colour, marker = PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]
        fronts = [entry.front.distinct for entry in entries if len(entry.front)]
        surfaces = group.attainment(variant)
        if plane and surfaces is not None:
            shown = [place(surface) for surface in surfaces]
            _band(axes, shown, colour)
            axes.scatter(
                shown[1][0], shown[1][1], s=SIZE, marker=marker, facecolor="none", edgecolor=colour, linewidth=1,
                label=f"{variant}, {len(fronts)} seeds", zorder=3,
            )  # fmt: skip
            continue
        for i, front in enumerate(fronts):
            label = None if i else variant + (f", {len(fronts)} seeds" if len(fronts) > 1 else "")
            if plane:
                axes.step(*place(front), where="post", color=colour, linewidth=1.2, zorder=3)
            points = place(front)
            axes.scatter(
                points[0], points[1], s=SIZE, marker=marker, facecolor="none", edgecolor=colour, linewidth=1,
                label=label, zorder=3,
            )  # fmt: skip


def _band(axes: Axes, surfaces: Sequence[tuple[np.ndarray, np.ndarray]], colour: str) -> None:
    """Best to worst attainment surface as a band, the median as a line."""
    best, middle, worst = surfaces
    edges = np.unique(np.concatenate([best[0], worst[0]]))
    low, high = _height(best, edges), _height(worst, edges)
    known = np.isfinite(low) & np.isfinite(high)
    axes.fill_between(
        edges[known], low[known], high[known], step="post", color=colour, alpha=0.18, linewidth=0, zorder=2
    )
    axes.step(*middle, where="post", color=colour, linewidth=1.3, zorder=3)


def _height(surface: tuple[np.ndarray, np.ndarray], at: np.ndarray) -> np.ndarray:
    """The staircase's value at each place: that of the last point at or left of it; infinite before the first."""
    x, y = surface
    last = np.searchsorted(x, at, side="right") - 1
    return np.where(last >= 0, y[np.maximum(last, 0)], np.inf)


def _across(axes: Axes, groups: Sequence[Group], place: str) -> None:
    """Reference fronts in the first two objectives, as shares of the best with everything in one place."""
    names: list[str] = []
    for k, group in enumerate(groups):
        figures = group.relative(place)
        x, y = group.objectives[:2]
        if x not in figures or y not in figures or (names and names != [x, y]):
            continue
        names = [x, y]
        points = group.yardstick.front[:, :2] / [figures[x]["baseline"], figures[y]["baseline"]]
        points = points[np.lexsort((points[:, 1], points[:, 0]))]
        colour = PALETTE[k % len(PALETTE)]
        label = f"question {k + 1}: {group.network}"
        if len(group.objectives) == 2:
            axes.step(*points.T, where="post", color=colour, linewidth=1.2, zorder=3)
        axes.scatter(
            points[:, 0], points[:, 1], s=22, marker=MARKERS[k % len(MARKERS)], facecolor="none", edgecolor=colour,
            label=label, zorder=3,
        )  # fmt: skip
    axes.axvline(1, color="0.5", linewidth=0.8, linestyle="--", zorder=1)
    axes.axhline(1, color="0.5", linewidth=0.8, linestyle="--", zorder=1)
    if names:
        finish(axes, [f"{LABELS[name][0]} / the least, {place}" for name in names])
    axes.set_title(f"across questions: 1 is the least with {place}", fontsize=9)
    axes.legend(fontsize=7, frameon=False)
