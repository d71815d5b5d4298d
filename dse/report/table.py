"""The front as a table on screen: one row per distinct pair of objectives, the baselines below."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from dse.certificate import certificate_of
from dse.choose import knee, smallest
from dse.report import describe_hardware, frame_rate_fps, frames_per_evaluation
from dse.report.labels import number
from dse.result import MAPPING_COLUMNS, Session, StudyResult
from search_spaces import accelerators

__all__ = ["front_table", "summary"]

FIGURES = (
    ("sensor_energy_j", "sensor\nenergy mJ", 1e3),
    ("accelerator_energy_j", "accel-\nerator", 1e3),
    ("phy_energy_j", "PHY", 1e3),
    ("latency_s", "latency\nms", 1e3),
    ("sensor_latency_s", "sensor", 1e3),
    ("link_latency_s", "link", 1e3),
    ("edge_latency_s", "edge", 1e3),
    ("area_mm2", "area\nmm²", 1.0),
)
"""Metrics shown, their heading with unit, and what turns the SI value into that unit."""

PARTS = ("accelerator_energy_j", "phy_energy_j", "sensor_latency_s", "link_latency_s", "edge_latency_s")
"""What a narrow terminal leaves out."""

WIDE = 150
"""Columns from which the whole table fits."""


def front_table(
    result: StudyResult, limit: int | None = None, *, wide: bool = True, whole: StudyResult | None = None
) -> RenderableType:
    """Rows in the order of the first objective; of designs with equal objectives the smallest is shown.

    Not `wide`, for narrow terminals, it leaves out how energy and latency split up, never what a design is. `whole` is
    given where `result` has only a part of its front.
    """
    extra = [name for name in result.objectives if name not in {figure[0] for figure in FIGURES}]
    several_drams = len(result.knobs["dram"]) > 1
    several_widths = len(result.knobs.get("tensor_bits", ())) > 1
    figures = FIGURES if wide else tuple(figure for figure in FIGURES if figure[0] not in PARTS)
    table = Table(
        title=_title(result, whole),
        title_justify="left",
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        box=box.SIMPLE_HEAD,
    )
    searched = [name for name, values in result.knobs.items() if len(values) > 1]
    for heading in (
        "",
        "cut after",
        "accelerator: PEs, global buffer",
        "MHz",
        *(["DRAM"] if several_drams else []),
        "link",
        *(["bits"] if several_widths else []),
    ):
        justify: JustifyMethod = "right" if heading in ("", "MHz", "bits") else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading in ("", "MHz", "link"))
    for _, heading, _ in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for name in extra:
        table.add_column(name.replace("_", "\n"), justify="right")
    point_of, changed_in = MAPPING_COLUMNS
    mapped = point_of in result.front.columns
    if mapped:
        table.add_column("mappings\n(changed)", justify="right")
    table.add_column("equal\ndesigns", justify="right")

    def cells(point: str, cut: str, knobs: Mapping[str, Any], metrics: Mapping[str, float], equal: str) -> list[str]:
        shown = [point, cut, describe_hardware(knobs, searched), f"{knobs['clock_mhz']:g}"]
        shown += [str(knobs["dram"])] if several_drams else []
        shown += [str(knobs["link"])]
        shown += [str(knobs["tensor_bits"])] if several_widths else []
        shown += [number(metrics[name] * scale) for name, _, scale in figures]
        mapping = f"{metrics[point_of]:.0f} ({metrics[changed_in]:.0f})" if mapped else ""
        return [*shown, *(number(metrics[name]) for name in extra), *([mapping] if mapped else []), equal]

    groups = result.front.groups()
    numbers = result.front.numbers(result.front if whole is None else whole.front)
    for point, (start, end) in list(zip(numbers, groups, strict=True))[:limit]:
        shown = smallest(result.front, start, end)
        knobs = result.design(result.front.indices[shown])
        equal = f"{end - start:,}" if end - start > 1 else ""
        table.add_row(*cells(str(point), str(knobs["cut"]), knobs, result.front.row(shown), equal))
    table.add_section()
    broken: list[str] = []
    for baseline in result.baselines:
        knobs = result.design(baseline.indices)
        mark = f" ({len(broken) + 1})" if baseline.broken else ""
        broken += [f"({len(broken) + 1}) breaks {', '.join(baseline.broken)}"] if baseline.broken else []
        table.add_row(*cells("", baseline.title + mark, knobs, baseline.metrics, ""), style="italic")
    notes = broken
    if len(groups) > 1 and whole is None:
        bend = knee(result.front)
        point = next(n for n, (start, end) in enumerate(groups, start=1) if start <= bend < end)
        folder = quote(str(result.folder))
        notes.append(f"Point {point} is the knee; paretocut front {folder} --pick knee says why, and what else.")
    if any(name.endswith("_buffer_scale") for name in searched):
        notes.append("in, w, acc: input, weight and accumulation buffers, times the template's own size.")
    if mapped:
        notes.append(
            "mappings: the point on the front over mappings of the layers before the cut, and in brackets how many of "
            "them are not mapped for their own least energy × latency; `paretocut evaluate … --metric pareto "
            "--mapping-point N` itemises it."
        )
    if several_widths:
        notes.append("bits: width of an element on the link; accuracy is not modelled, so narrower only costs less.")
    notes += _word_widths(result)
    frames = frames_per_evaluation(result.question)
    if frames > 1:
        notes.append(
            f"The input is a batch of {frames}: energy, latency and throughput are those of whole batches, and the "
            "frame rate counts batches."
        )
    rate, slow = frame_rate_fps(result.question), _too_slow(result)
    if slow:
        notes.append(
            f"{slow} of {_points(result.front.size)} cannot keep {rate:g} fps (throughput_fps: the slowest of sensor, "
            f'link and edge); bound it with --constraint "throughput_fps>={rate:g}".'
        )
    beaten = _beaten_by_baselines(result)
    if beaten:
        notes.append(
            f"{beaten} of {_points(result.front.size)} {'is' if beaten == 1 else 'are'} beaten by a baseline: this "
            "search has not come far enough; give it a larger --budget, or take --algorithm exact."
        )
    if not wide:
        notes.append("A terminal of 150 columns or more also shows how energy and latency split up.")
    if limit is not None and len(groups) > limit:
        notes.append(f"{len(groups) - limit} more; all are in {result.folder / 'front.csv'}.")
    if any(end - start > 1 for start, end in groups):
        notes.append("Designs with equal objectives are one row: the one with the smallest area is shown.")
    if result.provenance:
        notes.append(_sources(result.provenance))
    if result.baselines and result.question["algorithm"] != "exact":
        over = "on this front" if result.unit == "designs" else "visited"
        notes.append(f"Baselines are the best over the accelerators {over}.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def _points(n: int) -> str:
    return f"{n:,} point{'' if n == 1 else 's'}"


def _too_slow(result: StudyResult) -> int:
    """How many points of the front, by the design shown, take longer per frame than the camera does."""
    front, rate = result.front, frame_rate_fps(result.question)
    if rate is None or "throughput_fps" not in front.columns:
        return 0
    throughput = front.column("throughput_fps")
    return sum(bool(throughput[smallest(front, start, end)] < rate) for start, end in front.groups())


def _beaten_by_baselines(result: StudyResult) -> int:
    """How many points of the front a feasible baseline beats in every objective; none where the front is exact."""
    if result.exact:
        return 0
    values = [[b.metrics[name] for name in result.objectives] for b in result.baselines if not b.broken]
    points = [[result.front.row(start)[name] for name in result.objectives] for start, _ in result.front.groups()]
    return sum(any(v != p and all(a <= b for a, b in zip(v, p, strict=True)) for v in values) for p in points)


def _word_widths(result: StudyResult) -> list[str]:
    """A line where accelerators of different word widths stand side by side."""
    names = {str(result.design(result.front.indices[start])["accelerator"]) for start, _ in result.front.groups()}
    known = [name for name in sorted(names) if name in accelerators.names()]
    widths = {name: accelerators.build(name).word_bits for name in known}
    if len(set(widths.values())) < 2:
        return []
    listed = ", ".join(f"{name} with {bits}-bit words" for name, bits in widths.items())
    return [f"{listed}: narrower words cost less; what they do to accuracy is not modelled."]


def _sources(provenance: Mapping[str, str]) -> str:
    """One line: the figures shown, gathered by where they come from."""
    by_source: dict[str, list[str]] = {}
    for name, heading, _ in FIGURES:
        if name in provenance:
            words = [word for word in heading.replace("-\n", "").split() if word not in ("mJ", "ms", "mm²")]
            by_source.setdefault(provenance[name], []).append(" ".join(words))
    return "Figures: " + " | ".join(f"{', '.join(names)} – {source}" for source, names in by_source.items())


def _title(result: StudyResult, whole: StudyResult | None) -> str:
    question = result.question
    network = f"{question.get('network.name', 'network')}"
    found = "exact for this space" if result.exact else f"found by {question['algorithm']}"
    if whole is not None:
        return f"{result.front.size} of {_points(whole.front.size)} on the Pareto front of {network}, {found}"
    return f"Pareto front of {network}: {_points(result.front.size)}, {len(result.front):,} designs, {found}"


def summary(result: StudyResult) -> str:
    """How many designs were visited, and what became of those that are not on the front."""
    counts = result.counts
    lines = [
        f"{counts.designs:,} of {result.space_size:,} designs "
        + ("visited: the front is exact for this space." if result.exact else "visited.")
    ]
    if counts.illegal:
        lines.append(f"{sum(counts.illegal.values()):,} cannot exist: {_listed(counts.illegal)}.")
    if counts.infeasible:
        lines.append(f"Not feasible: {_listed(counts.infeasible)}.")
    certificate = certificate_of(result)
    if certificate is not None and certificate.complete:
        lines.append(f"{certificate}.")
    if not len(result.front):
        lines.append(
            "No feasible design was found: loosen a constraint or visit more designs."
            if counts.designs
            else "Nothing is visited yet: run the study again."
        )
    session = result.session
    if session is not None:
        lines.append(_what_happened(session, result))
    return "\n".join(lines)


def _what_happened(session: Session, result: StudyResult) -> str:
    """What this run did, and what another would do."""
    before = session.resumed_trials
    if not session.new_trials and session.stopped_by == "space":
        return "Nothing was left to do: the whole space was visited before."
    if not session.new_trials and session.stopped_by == "budget":
        return (
            f"Nothing was left to do: earlier runs have used up a budget of {_budget(session, result)}; "
            "a larger --budget goes on."
        )
    resumed = f"{before:,} taken over, " if before else ""
    budget = f" ({_budget(session, result)})" if session.stopped_by == "budget" else ""
    text = (
        f"{resumed}{session.new_trials:,} new in {session.seconds:.1f} s; stopped by {session.stopped_by}{budget}; "
        f"memo: {session.memo_hits:,} hits, {session.memo_misses:,} misses."
    )
    return f"{text} The same command goes on." if session.stopped_by == "time limit" else text


def _budget(session: Session, result: StudyResult) -> str:
    return f"{session.budget:,} {result.unit.removesuffix('s') if session.budget == 1 else result.unit}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} × {name}" for name, n in sorted(counts.items(), key=lambda item: -item[1]))
