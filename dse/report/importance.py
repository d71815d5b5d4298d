"""Importance of knobs as a table and as bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.importance import BEST, Importance
from dse.report._axes import PALETTE, canvas, save
from dse.report.labels import LABELS

__all__ = ["importance_table", "plot_importance"]


def importance_table(found: Importance, network: str) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("knob")
    for name in found.alone:
        if found.total:
            table.add_column(f"{_words(name)}\nalone", justify="right")
            table.add_column("\nin total", justify="right")
        else:
            table.add_column(_words(name), justify="right")
    for knob in _order(found):
        cells = []
        for name in found.alone:
            cells.append(f"{found.alone[name][knob]:.1%}".replace("%", " %"))
            if found.total:
                cells.append(f"{found.total[name][knob]:.1%}".replace("%", " %"))
        table.add_row(knob, *cells)
    return Group(Text(f"{network}: which knob moves which objective", style="bold"), table, *_notes(found))


def _notes(found: Importance) -> list[Text]:
    if found.total:
        notes = [
            f"Share of the objective's variance over the {found.designs:,} feasible of {found.visited:,} designs, each "
            "with the same weight: alone (first-order Sobol index), and together with other knobs (total index)."
        ]
        if found.designs < found.visited:
            notes.append(
                "What cannot exist or breaks a constraint is left out, which ties knobs together: shares need not add "
                "up to 100 %, and a knob's own may exceed its total."
            )
    else:
        notes = [
            f"PED-ANOVA over {found.designs:,} feasible of {found.visited:,} trials: the knob's share of what makes a "
            f"trial one of the best {BEST * 100:g} %, in one objective, or in all of them (front)."
        ]
        if found.designs * BEST < 5:
            notes.append(f"The best {BEST * 100:g} % are fewer than 5 trials: take this as a hint only.")
    return [Text(note, style="dim") for note in notes]


def plot_importance(found: Importance, network: str, path: Path) -> None:
    """Bars per knob, a panel per objective, as PNG."""
    knobs = _order(found)[::-1]
    names = list(found.alone)
    figure, grid = canvas(1, len(names), (3.4 * len(names) + 1.8, 0.36 * len(knobs) + 1.9))
    at = np.arange(len(knobs))
    largest = max(max(shares.values()) for shares in (*found.alone.values(), *found.total.values())) or 1.0
    for axes, name in zip(grid[0], names, strict=True):
        alone = [found.alone[name][knob] * 100 for knob in knobs]
        if found.total:
            total = [found.total[name][knob] * 100 for knob in knobs]
            bars = [
                axes.barh(at + 0.2, alone, height=0.38, color=PALETTE[0], label="alone (first-order)"),
                axes.barh(at - 0.2, total, height=0.38, color=PALETTE[4], label="in total, with other knobs"),
            ]
            axes.set_xlabel("share of variance (%)")
        else:
            bars = [axes.barh(at, alone, height=0.6, color=PALETTE[0])]
            axes.set_xlabel(f"share in being among\nthe best {BEST * 100:g} % (%)")
        axes.set_title(_words(name), fontsize=10)
        axes.set_yticks(at, knobs if axes is grid[0, 0] else [""] * len(knobs))
        for drawn in bars:
            axes.bar_label(drawn, fmt="%.1f", fontsize=7, padding=2)
        axes.set_xlim(0, 112 * largest)
        axes.grid(True, axis="x", color="0.92")
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    over = f"{found.designs:,} feasible {'designs, exactly' if found.total else 'trials, PED-ANOVA'}"
    figure.suptitle(f"{network}: which knob moves which objective ({over})", fontsize=10)
    if found.total:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr,call-arg]  # constrained, see canvas
    save(figure, path)


def _order(found: Importance) -> list[str]:
    """Knobs by their largest share in any objective, largest first."""
    by_objective: Mapping[str, Mapping[str, float]] = found.total or found.alone
    knobs = list(next(iter(by_objective.values())))
    return sorted(knobs, key=lambda knob: -max(shares[knob] for shares in by_objective.values()))


def _words(name: str) -> str:
    return LABELS[name][0].removesuffix(" per frame") if name in LABELS else "the front"
