"""A comparison as tables on screen and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from rich import box
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dse.choose import knee
from dse.compare import PLACES, Comparison, Entry, Group
from dse.front import MARGIN
from dse.history import LEVELS, Effort
from dse.report.labels import LABELS, number, percent, quantity, signed

__all__ = ["COMPARISON_COLUMNS", "comparison_csv", "comparison_tables"]

COMPARISON_COLUMNS = 120
"""Columns from which everything fits."""


EFFORTS = ("evaluations", "architectures", "seconds")
TO_LEVELS = "to " + "/".join(f"{level:.0%}"[:-1] for level in LEVELS) + " %"


def comparison_tables(comparison: Comparison, *, wide: bool = True) -> RenderableType:
    """Everything; not `wide`, for narrow terminals, without algorithm and seed, knees and total effort."""
    parts: list[RenderableType] = []
    for number_, group in enumerate(comparison.groups, start=1):
        parts += _group(group, number_, len(comparison.groups), wide)
    if len(comparison.groups) > 1:
        parts.append(Text("Different questions are not ranked against each other.", style="bold"))
    if any(group.baselines for group in comparison.groups):
        parts.append(Text("Each reference front beside the best with everything on one node:"))
        parts += [_relative(comparison), *_relative_notes(comparison)]
    return Stack(*parts)


def _group(group: Group, position: int, groups: int, wide: bool) -> list[RenderableType]:
    objectives = ", ".join(LABELS[name][0] for name in group.objectives)
    constraints = "; ".join(group.question["constraints"]) or "no constraints"
    title = f"{group.network}: {objectives}; {constraints}"
    parts: list[RenderableType] = [Text(f"Question {position}: {title}" if groups > 1 else title, style="bold")]
    if group.differs:
        shown = "; ".join(group.differs[:4]) + (
            f"; and {len(group.differs) - 4} more" if len(group.differs) > 4 else ""
        )
        parts.append(Text(f"differs from question 1 in {shown}", style="dim"))
    parts.append(_quality(group, wide))
    parts += _reference_notes(group)
    if any(entry.reached for entry in group.entries):
        parts += _effort(group, wide)
    if any(len(entries) > 1 for entries in group.variants.values()):
        parts += _over_seeds(group)
    if len(group.variants) > 1:
        parts += _coverage(group)
    return parts


def _table() -> Table:
    return Table(
        header_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _quality(group: Group, wide: bool) -> Table:
    of = "of the\nexact" if group.exact is not None else "of the\nunion"
    table = _table()
    table.add_column("study", overflow="fold")
    if wide:
        table.add_column("algorithm", overflow="fold")
        table.add_column("seed", justify="right", no_wrap=True)
    for heading in (
        "designs\nvisited", "front\npoints", f"hypervolume\n{_volume_unit(group)}", of, "IGD+", "ε+", "front\nfound",
        *(f"knee\n{LABELS[name][1]}" for name in group.objectives if wide),
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in group.entries:
        question = entry.result.question
        some = len(entry.front) > 0
        bend = entry.front.row(knee(entry.front)) if some else {}
        seed = "" if question.get("seed") is None else str(question["seed"])
        table.add_row(
            entry.label,
            *([entry.variant + (" (proven)" if entry.result.exact else ""), seed] if wide else []),
            f"{entry.result.counts.designs:,}",
            f"{entry.front.size:,}",
            number(entry.hypervolume * _volume_scale(group)),
            percent(entry.share),
            _optional(entry.igd_plus, _indicator),
            _optional(entry.epsilon, _indicator),
            _optional(entry.found, percent),
            *(number(bend[name] * LABELS[name][2]) if some else "–" for name in group.objectives if wide),
        )
    return table


def _reference_notes(group: Group) -> list[Text]:
    if group.exact is None:
        which = "the union of these fronts, for want of an exact one: what no study found is missing from it"
    else:
        where = f"{group.exact.folder}{', found beside the studies' if group.beside else ''}"
        which = f"the exact front of this question ({where})"
    point = ", ".join(
        quantity(name, float(value))
        for name, value in zip(group.objectives, group.yardstick.reference_point, strict=True)
    )
    return [
        Text(f"Reference front: {which}; {len(group.yardstick.front)} points.", style="dim"),
        Text(
            f"Reference point: {point} ({MARGIN * 100:g} % of the reference front's range beyond its worst values). "
            "IGD+ and additive ε with objectives scaled to 0–1 over the reference front; 0 is best. "
            "Front found: share of the reference front that a study equals or dominates.",
            style="dim",
        ),
    ]


def _effort(group: Group, wide: bool) -> list[RenderableType]:
    table = _table()
    table.add_column("study", overflow="fold")
    in_all = ("in all:\nevaluations", "\narchitectures", "\nseconds") if wide else ()
    for heading in (*EFFORTS, *in_all):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in group.entries:
        spent = [_spent(entry.effort, what) for what in EFFORTS] if wide else []
        table.add_row(entry.label, *(_levels(entry, what) for what in EFFORTS), *spent)
    return [Text(f"Effort {TO_LEVELS} of the reference front's hypervolume (– where it was not reached)"), table]


def _levels(entry: Entry, what: str) -> str:
    if not entry.reached:
        return "exact" if entry.result.exact else "–"
    return " / ".join(_spent(entry.reached[level], what) for level in LEVELS)


def _spent(effort: Effort | None, what: str) -> str:
    return _amount(what, None if effort is None else getattr(effort, what))


def _amount(what: str, value: float | None) -> str:
    return _optional(value, lambda v: f"{v:.1f}" if what == "seconds" else f"{v:,.0f}")


def _over_seeds(group: Group) -> list[RenderableType]:
    several = {len(entries) for entries in group.variants.values() if len(entries) > 1}
    kind = "best of two" if several == {2} else "median (of two the best)" if 2 in several else "median"
    quality, effort = _table(), _table()
    for table, headings in (
        (quality, ["seeds", "of the exact" if group.exact is not None else "of the union", "IGD+", "ε+"]),
        (effort, ["seeds that\ngot there", *(f"\n{what}" for what in EFFORTS)]),
    ):
        table.add_column("algorithm", overflow="fold")
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
    for variant, entries in group.variants.items():
        row = group.over_seeds(variant)
        quality.add_row(
            variant,
            str(row["seeds"]),
            _both(row["share"], percent),
            _both(row["igd_plus"], _indicator),
            _both(row["epsilon"], _indicator),
        )
        if entries[0].history is not None:
            by_level = {what: [row[f"{what}_to_{level:.0%}"] for level in LEVELS] for what in EFFORTS}
            effort.add_row(
                variant,
                " / ".join(str(found["seeds_that_reached"]) for found in by_level[EFFORTS[0]]),
                *(" / ".join(_amount(what, found["median"]) for found in by_level[what]) for what in EFFORTS),
            )
    return [
        Text(f"Over seeds: {kind}, in brackets the worst"),
        quality,
        Text(f"Effort over seeds {TO_LEVELS}: {kind}, where at least half of the seeds got there"),
        effort,
    ]


def _coverage(group: Group) -> list[RenderableType]:
    several = " (median over pairs of seeds)" if any(len(entries) > 1 for entries in group.variants.values()) else ""
    table = _table()
    table.add_column("")
    for variant in group.variants:
        table.add_column(variant, justify="right")
    for a in group.variants:
        table.add_row(a, *("" if a == b else percent(group.covers(a, b)) for b in group.variants))
    return [
        Text(f"Coverage C(row, column): share of the column's points that the row's equal or dominate{several}"),
        table,
    ]


def _relative(comparison: Comparison) -> Table:
    """What a front saves beside everything on one node, per question."""
    table = _table()
    names = list(dict.fromkeys(name for group in comparison.groups for name in group.objectives))
    table.add_column("" if len(comparison.groups) == 1 else "question", overflow="fold")
    table.add_column("beside")
    for name in names:
        words, unit, _ = LABELS[name]
        short = words.removesuffix(" per frame")
        table.add_column(f"{short}\n{unit} there", justify="right")
        table.add_column("\nleast", justify="right", no_wrap=True)
        table.add_column("\nknee", justify="right", no_wrap=True)
    for position, group in enumerate(comparison.groups, start=1):
        for place in PLACES:
            figures = group.relative(place)
            if not figures:
                continue
            cells = []
            for name in names:
                found = figures.get(name)
                if found is None:
                    cells += ["–", "–", "–"]
                    continue
                mark = "*" if found["breaks_a_constraint"] else ""
                cells += [
                    number(found["baseline"] * LABELS[name][2]) + mark,
                    signed(found["least"]),
                    signed(found["knee"]),
                ]
            table.add_row(
                group.network if len(comparison.groups) == 1 else f"{position}: {group.network}", place, *cells
            )
    return table


def _relative_notes(comparison: Comparison) -> list[Text]:
    figures = [found for group in comparison.groups for place in PLACES for found in group.relative(place).values()]
    if any(found["breaks_a_constraint"] for found in figures):
        return [Text("* breaks a constraint, as everything there does.", style="dim")]
    return []


def comparison_csv(comparison: Comparison) -> str:
    """One row per study: what the tables say, SI units, the unit in the name."""
    rows = []
    for position, group in enumerate(comparison.groups, start=1):
        for entry in group.entries:
            flat = entry.as_json()
            bend, reached = flat.pop("knee") or {}, flat.pop("reached")
            row: dict[str, Any] = {"question": position, "network": group.network} | flat
            row["reference_front"] = "union" if group.exact is None else str(group.exact.folder)
            row |= {f"knee_{name}": value for name, value in bend.items()}
            for level, effort in reached.items():
                for what in EFFORTS:
                    row[f"{what}_to_{level.removesuffix('%')}_percent"] = None if effort is None else effort[what]
            for place in PLACES:
                row |= _flat_relative(place, group.relative(place))
            rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat_relative(place: str, figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    words = place.replace(" ", "_")
    return {
        f"{what}_{name.rpartition('_')[0]}_beside_{words}": found[what]
        for name, found in figures.items()
        for what in ("least", "knee")
    }


def _volume_unit(group: Group) -> str:
    return "·".join(LABELS[name][1] for name in group.objectives)


def _volume_scale(group: Group) -> float:
    scale = 1.0
    for name in group.objectives:
        scale *= LABELS[name][2]
    return scale


def _indicator(value: float) -> str:
    return "0" if value == 0 else f"{value:.4f}"


def _optional(value: Any, show: Callable[[Any], str]) -> str:
    return "–" if value is None else show(value)


def _both(row: Mapping[str, Any] | None, show: Callable[[Any], str]) -> str:
    """Median and worst."""
    if row is None or row["median"] is None:
        return "–"
    return f"{show(row['median'])} ({_optional(row['worst'], show)})"
