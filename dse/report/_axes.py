"""What all our pictures share: canvas, colours that colour-blind readers tell apart, axes with units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.report.labels import LABELS
from dse.study import parse_constraint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MARKERS", "PALETTE", "bounds", "canvas", "finish", "save", "shades", "short"]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""For what has no order (Okabe and Ito, "Color universal design", 2008)."""

MARKERS = "os^Dv<>ph"

LOGARITHMIC_FROM = 3.0
"""An axis is logarithmic where its values span more than this factor."""


def canvas(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure of `size` (width, height in inches) and its axes, (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def shades(n: int) -> list[Any]:
    """Colours for what has an order, dark to light."""
    from matplotlib import colormaps

    return [colormaps["viridis"](0.85 * i / max(1, n - 1)) for i in range(n)]


def short(metric: str) -> str:
    """The axis label: words and unit."""
    words, unit, _ = LABELS[metric]
    return f"{words} ({unit})" if unit else words


def bounds(question: Mapping[str, Any]) -> str:
    """A question's constraints in the units that people read."""
    found = []
    for text in question["constraints"]:
        constraint = parse_constraint(text)
        words, unit, scale = LABELS[constraint.metric]
        sign, bound = ("≤", constraint.maximum) if constraint.maximum is not None else ("≥", constraint.minimum)
        found.append(f"{words} {sign} {(bound or 0.0) * scale:g} {unit}".strip())
    return f"under {', '.join(found)}" if found else "without constraints"


def finish(axes: Axes, labels: Sequence[str]) -> None:
    """Axis labels; a logarithmic axis, with plain numbers, where values span a large factor."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    for axis, limits, set_scale, label in (
        (axes.xaxis, axes.dataLim.intervalx, axes.set_xscale, labels[0]),
        (axes.yaxis, axes.dataLim.intervaly, axes.set_yscale, labels[1]),
    ):
        axis.set_label_text(label)
        low, high = sorted(limits)
        if low > 0 and high / low > LOGARITHMIC_FROM:
            set_scale("log")
            span = high / low
            steps = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0) if span < 12 else (1.0, 2.0, 5.0) if span < 2000 else (1.0,)
            axis.set_major_locator(LogLocator(subs=steps))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
            axis.set_minor_locator(NullLocator())
    axes.grid(True, color="0.92", zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png", dpi=150)
