"""Fronts as pictures: the first two objectives, points coloured by cut, baselines marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.report.labels import LABELS, scaled
from dse.result import StudyResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dse.compare import Comparison

__all__ = ["plot_compare", "plot_front"]

MARKERS = ("*", "P", "X", "D", "^", "v")


def plot_front(result: StudyResult, path: Path) -> None:
    """Write one study's front as PNG."""
    figure, axes = _canvas()
    x, y = (scaled(name, result.front.column(name)) for name in result.objectives[:2])
    if len(result.front):
        if len(result.objectives) == 2:
            axes.step(x, y, where="post", color="0.8", linewidth=1, zorder=1)
        cuts = list(result.knobs["cut"])
        k = result.question["order"].index("cut")
        used = sorted(set(result.front.indices[:, k].tolist()))
        colours = _colours(len(used))
        for colour, cut in zip(colours, used, strict=True):
            rows = result.front.indices[:, k] == cut
            points = np.unique(np.stack([x[rows], y[rows]], axis=1), axis=0)
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=34,
                color=[colour],
                edgecolor="white",
                linewidth=0.5,
                label=f"{cuts[cut]}",
                zorder=3,
            )
    for marker, baseline in zip(MARKERS, result.baselines, strict=False):
        place = [float(scaled(name, np.array(baseline.metrics[name]))) for name in result.objectives[:2]]
        label = baseline.title.replace(", ", ",\n") + ("\n(breaks a constraint)" if baseline.broken else "")
        axes.scatter(
            place[0],
            place[1],
            s=90,
            marker=marker,
            color="none",
            edgecolor="black",
            linewidth=1.1,
            label=label,
            zorder=4,
        )
    _finish(axes, result.objectives[:2])
    found = "exact for this space" if result.exact else f"found by {result.question['algorithm']}"
    name = result.question.get("network.name", result.name)
    axes.set_title(f"{name}: Pareto front of {result.front.size} points, {found}", fontsize=11)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            title="cut after (front), baselines",
            fontsize=8,
            title_fontsize=8,
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
        )
    figure.savefig(path, format="png", dpi=150, bbox_inches="tight")


def plot_compare(comparison: Comparison, path: Path) -> None:
    """Write several fronts in one picture, with the reference point of their hypervolumes."""
    results = comparison.results
    figure, axes = _canvas()
    objectives = results[0].objectives[:2]
    colours = _colours(len(results))
    for k, (colour, result) in enumerate(zip(colours, results, strict=True)):
        points = np.stack([scaled(name, result.front.distinct[:, i]) for i, name in enumerate(objectives)])
        if len(result.objectives) == 2:
            axes.step(*points, where="post", color=colour, linewidth=1.2, zorder=2)
        axes.scatter(
            points[0],
            points[1],
            s=26,
            marker="os^Dv<>ph"[k % 9],
            facecolor="none",
            edgecolor=[colour],
            label=comparison.labels[k],
            zorder=3,
        )
    place = [float(scaled(name, comparison.reference[i])) for i, name in enumerate(objectives)]
    axes.scatter(place[0], place[1], marker="+", s=80, color="black", label="reference point", zorder=4)
    _finish(axes, objectives)
    axes.set_title("Pareto fronts compared", fontsize=11)
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, format="png", dpi=150, bbox_inches="tight")


def _canvas() -> tuple[Any, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.2))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _colours(n: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["turbo"](0.05 + 0.9 * i / max(1, n - 1)) for i in range(n)]


def _finish(axes: Axes, objectives: Sequence[str]) -> None:
    """Axis labels with units; a logarithmic axis where the values span more than a factor of twenty."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis, limits, scale, name in (
        (axes.xaxis, axes.dataLim.intervalx, axes.set_xscale, objectives[0]),
        (axes.yaxis, axes.dataLim.intervaly, axes.set_yscale, objectives[1]),
    ):
        words, unit, _ = LABELS[name]
        axis.set_label_text(f"{words} ({unit})")
        low, high = sorted(limits)
        if low > 0 and high / low > 20:
            scale("log")
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.grid(True, color="0.92", zorder=0)
    axes.set_axisbelow(True)
