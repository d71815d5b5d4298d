"""A study's front as a picture: points coloured by cut, the knee and the baselines marked; a panel per pair of
objectives."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dse.choose import knee
from dse.report import frames_per_evaluation
from dse.report._axes import MARKERS, bounds, canvas, finish, save, shades, short
from dse.report.labels import quantity, scaled
from dse.result import StudyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_front"]

BASELINE_MARKERS = ("*", "P", "X", "d", "1", "2", "3", "4")
LEGEND = """cut after (points of the front;
hollow: the same point as
another cut's inside it) and,
in black, what stands beside it"""
LEGEND_ROWS = 22
"""Entries in one column of the legend."""


def plot_front(result: StudyResult, path: Path) -> None:
    """Write one study's front as PNG."""
    pairs = list(combinations(result.objectives, 2))
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure, grid = canvas(rows, columns, (4.6 * columns + 3.6, 4.4 * rows + 0.8))
    for axes, (x, y) in zip(grid.flat, pairs, strict=False):
        _baselines(axes, result, x, y)
        _knee(axes, result, x, y)
        beside = len(axes.get_legend_handles_labels()[1])
        _points(axes, result, x, y)
    for axes in grid.flat[len(pairs) :]:
        axes.set_visible(False)
    figure.suptitle(_title(result), fontsize=10)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(
            handles[beside:] + handles[:beside],
            labels[beside:] + labels[:beside],
            title=LEGEND,
            fontsize=8,
            title_fontsize=8,
            loc="outside right center",
            frameon=False,
            ncols=-(-len(handles) // LEGEND_ROWS),
        )
    save(figure, path)


def _points(axes: Axes, result: StudyResult, x: str, y: str) -> None:
    """The front. Where several cuts give the same point, the later ones are rings around the first."""
    front = result.front
    at = np.stack([scaled(x, front.column(x)), scaled(y, front.column(y))], axis=1) if len(front) else np.empty((0, 2))
    if len(result.objectives) == 2 and len(front):
        axes.step(*np.unique(at, axis=0).T, where="post", color="0.75", linewidth=1, zorder=1)
    if len(front):
        axes.update_datalim(at)
    finish(axes, (short(x), short(y)))
    axes.autoscale_view()
    axes.set_autoscale_on(False)
    if not len(front):
        return
    cuts = front.indices[:, result.question["order"].index("cut")]
    used = np.unique(cuts)
    for k, (colour, cut) in enumerate(zip(shades(len(used)), used, strict=True)):
        rows = np.flatnonzero(cuts == cut)
        rows = rows[np.unique(at[rows], axis=0, return_index=True)[1]]
        earlier = cuts < cut
        ranks = np.array([len(np.unique(cuts[earlier & (at == at[row]).all(axis=1)])) for row in rows])
        free = ranks == 0
        marker = MARKERS[k % len(MARKERS)]
        axes.scatter(
            at[rows[free], 0], at[rows[free], 1], s=24, marker=marker, color=[colour], edgecolor="white", linewidth=0.5,
            label=str(result.knobs["cut"][cut]), zorder=3,
        )  # fmt: skip
        axes.scatter(
            at[rows[~free], 0], at[rows[~free], 1], s=24 * (1 + 0.7 * ranks[~free]) ** 2, marker=marker, color="none",
            edgecolor=[colour], linewidth=1, zorder=3,
        )  # fmt: skip


def _baselines(axes: Axes, result: StudyResult, x: str, y: str) -> None:
    for marker, baseline in zip(BASELINE_MARKERS, result.baselines, strict=False):
        label = baseline.title.replace(", ", ",\n") + ("\n(breaks a constraint)" if baseline.broken else "")
        at_x, at_y = (float(scaled(name, np.array(baseline.metrics[name]))) for name in (x, y))
        line = marker in "1234"
        axes.scatter(
            at_x, at_y, s=90, marker=marker, facecolor="black" if line else "none", edgecolor=None if line else "black",
            linewidth=1.1, label=label, zorder=4,
        )  # fmt: skip


def _knee(axes: Axes, result: StudyResult, x: str, y: str) -> None:
    if not len(result.front):
        return
    row = result.front.row(knee(result.front))
    figures = ", ".join(quantity(name, row[name]) for name in result.objectives)
    at_x, at_y = (float(scaled(name, np.array(row[name]))) for name in (x, y))
    axes.scatter(
        at_x, at_y, s=220, marker="+", color="black", linewidth=1.2, zorder=5,
        label=f"knee: {figures}".replace(", ", ",\n", 1),
    )  # fmt: skip


def _title(result: StudyResult) -> str:
    found = "exact for this space" if result.exact else f"found by {result.question['algorithm']}"
    name = result.question.get("network.name", result.name)
    frames = frames_per_evaluation(result.question)
    if frames > 1:
        name = f"{name}, batches of {frames} as one frame"
    return f"{name}: Pareto front of {result.front.size} points, {found}\n{bounds(result.question)}"
