"""A choice from a front on screen: the design, why it was taken, and what its neighbours would cost or save."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dse.choose import Choice, Neighbour
from dse.report import describe_hardware, frame_rate_fps
from dse.report.labels import LABELS, number, quantity, signed
from dse.result import StudyResult
from dse.where import Condition

__all__ = ["choice_json", "choice_text", "condition_note"]

ALSO = ("area_mm2", "throughput_fps", "sensor_power_w", "sensor_memory_bytes", "link_utilisation")
"""Metrics told of the chosen design beside its objectives."""


def choice_json(result: StudyResult, choice: Choice, condition: Condition | None) -> dict[str, Any]:
    """The choice for machines: SI units, the unit in the name."""
    indices = result.front.indices[choice.row]
    return {
        "front_point": choice.point,
        "rule": choice.rule,
        "where": None if condition is None else condition.text,
        "knobs": result.design(indices),
        "indices": [int(i) for i in indices],
        "metrics": result.front.row(choice.row),
        "provenance": dict(result.provenance),
        "neighbours": [neighbour.as_json() for neighbour in choice.neighbours],
    }


def choice_text(result: StudyResult, choice: Choice, pick: str, *, wide: bool = True) -> RenderableType:
    """The choice for people; not `wide`, for narrow terminals, has lines in place of a table."""
    front = result.front
    knobs, metrics = result.design(front.indices[choice.row]), front.row(choice.row)
    searched = [name for name, values in result.knobs.items() if len(values) > 1]
    hardware = describe_hardware(knobs, searched)
    dram = f", {knobs['dram']}" if "dram" in searched else ""
    figures = [f"{LABELS[name][0]} {quantity(name, metrics[name])}" for name in front.objectives]
    rate = frame_rate_fps(result.question)
    at_rate = {} if rate is None else {"sensor_power_w": f" at {rate:g} fps", "link_utilisation": f" at {rate:g} fps"}
    also = [
        f"{LABELS[name][0]} {quantity(name, metrics[name])}{at_rate.get(name, '')}"
        for name in ALSO
        if name not in front.objectives
    ]
    return Group(
        Text(f"{pick}: point {choice.point} of {choice.points}", style="bold"),
        Text(f"cut after {knobs['cut']}; {hardware}; {knobs['clock_mhz']:g} MHz{dram}; {knobs['link']}"),
        Text("; ".join(figures)),
        Text(f"also: {'; '.join(also)}", style="dim"),
        Text(f"Rule: {choice.rule}.", style="dim"),
        *([_table(front.objectives, choice)] if wide else _lines(front.objectives, choice)),
    )


def _table(objectives: Sequence[str], choice: Choice) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("beside it", overflow="fold")
    for name in objectives:
        words, unit, _ = LABELS[name]
        table.add_column(f"{words.removesuffix(' per frame')}\n{unit}", justify="right")
        table.add_column("", justify="right", no_wrap=True)
    table.add_column("what differs", overflow="fold")
    for neighbour in choice.neighbours:
        cells = []
        for name in objectives:
            cells += [number(neighbour.metrics[name] * LABELS[name][2]), signed(neighbour.changes[name])]
        table.add_row(_label(neighbour), *cells, _differences(neighbour))
    return table


def _lines(objectives: Sequence[str], choice: Choice) -> list[Text]:
    lines = []
    for neighbour in choice.neighbours:
        figures = (
            f"{quantity(name, neighbour.metrics[name])} ({signed(neighbour.changes[name])})" for name in objectives
        )
        lines.append(Text(f"- {_label(neighbour)}: {', '.join(figures)}; {_differences(neighbour)}"))
    return lines


def _label(neighbour: Neighbour) -> str:
    before, less, name = neighbour.label.rpartition("less ")
    if less and name in LABELS:
        return f"nearest with {before.replace('%', ' %')}less {LABELS[name][0].removesuffix(' per frame')}"
    return neighbour.label


def _differences(neighbour: Neighbour) -> str:
    """Knob by knob, what the other design has."""
    knobs = [f"{name} {_value(a)} → {_value(b)}" for name, (a, b) in neighbour.knobs.items()]
    return "; ".join([*knobs, *(["how layers are mapped"] if neighbour.mapped_otherwise else [])]) or "nothing"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def condition_note(whole: StudyResult, kept: StudyResult, condition: Condition) -> str:
    """How many of the front's designs meet the condition, and what that does not say."""
    text = f"{kept.front.size} of the front's {whole.front.size} points meet {condition.text}."
    others = [name for name in condition.names if name not in whole.objectives]
    if others:
        text += (
            f" {', '.join(others)}: no objective here, so designs off the front may meet this and be better than what "
            "is left; for the front under such a bound, run with --constraint or fewer values of a knob."
        )
    return text
