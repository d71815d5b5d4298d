"""Why clock and link rate are decisions: SqueezeNet V1.1's exact front, and what is left of it without the reasons.

    python experiments/clock_and_link.py          prints the figures, draws results/clock-and-link/squeezenet.png

Three exact studies of one space: as it is; with `dvfs="off"`, so that voltage and leakage do not depend on the clock;
and with `phy_energy="active"`, so that a PHY costs nothing while it does not send.
"""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from dse import StudySpec
from dse.cli import run_script
from dse.files import write_atomic
from dse.report.progress import StudyProgress
from dse.result import StudyResult
from dse.run import run_study
from evaluators.dvfs import NODES
from evaluators.memo import Memo, default_cache_path
from evaluators.sensor import SensorModel
from evaluators.system import System, SystemSettings
from search_spaces import accelerators
from search_spaces.space import DesignPoint

AS_IT_IS, NO_DVFS, ACTIVE = "as it is", 'dvfs="off"', 'phy_energy="active"'


@dataclass(frozen=True)
class AtClock:
    """One design at one clock: the accelerator's energy for a frame, itemised, and how long it takes."""

    clock_mhz: float
    supply_v: float
    dynamic_j: float
    dram_j: float
    leakage_j: float
    latency_s: float
    on_front: bool

    @property
    def energy_j(self) -> float:
        return self.dynamic_j + self.dram_j + self.leakage_j


@dataclass(frozen=True)
class OverLink:
    """One design over one link: the PHY's energy for a frame period, and how long the transfer takes."""

    link: str
    phy_j: float
    link_s: float
    sensor_j: float
    latency_s: float
    on_front: bool


def settings_of(settings: SystemSettings) -> dict[str, SystemSettings]:
    """A question's settings, and the same without what makes the clock, or the link rate, a decision."""
    return {
        AS_IT_IS: settings,
        NO_DVFS: replace(settings, sensor=replace(settings.sensor, dvfs="off")),
        ACTIVE: replace(settings, phy_energy="active"),
    }


def fronts(spec: StudySpec, folder: Path, memo: Memo, *, progress: Any = None) -> dict[str, StudyResult]:
    """The exact front of a question under each of these settings; a study that is there already is read."""
    return {
        name: run_study(
            replace(spec, settings=settings, algorithm="exact"),
            folder / "".join(c if c.isalnum() else "-" for c in name),
            memo=memo,
            progress=progress,
        )
        for name, settings in settings_of(spec.settings).items()
    }


def designs(result: StudyResult, knob: str = "link") -> list[Mapping[str, Any]]:
    """The knobs of every design on a front; where it is about the clock, of those that compute on the sensor node."""
    busy = result.front.column("accelerator_energy_j") > 0
    chosen = result.front.indices[busy] if knob == "clock_mhz" else result.front.indices
    return [result.design(indices) for indices in chosen]


def on_front(result: StudyResult, knob: str) -> list[Any]:
    """The values of a knob that are on a front, in their own order."""
    found = {knobs[knob] for knobs in designs(result, knob)}
    return [value for value in result.knobs[knob] if value in found]


def widest(result: StudyResult, knob: str) -> dict[str, Any]:
    """The design of which most values of a knob are on the front, all other knobs equal."""
    others = Counter(tuple((k, v) for k, v in knobs.items() if k != knob) for knobs in designs(result, knob))
    return dict(others.most_common(1)[0][0])


def over_clocks(spec: StudySpec, result: StudyResult, chosen: Mapping[str, Any], memo: Memo) -> list[AtClock]:
    """This design at every clock of the space that its memories allow."""
    model = SensorModel(spec.settings.sensor, memo)
    hardware = {name: chosen[name] for name in chosen if name not in ("cut", "clock_mhz", "dram", "link")}
    chip = accelerators.build(hardware.pop("accelerator"), hardware)
    cut = next(cut for cut in spec.network.cuts if cut.name == chosen["cut"])
    before, limit_hz = sorted(cut.layers), model.clock_limit_hz(chip)
    rows = []
    for clock_mhz in spec.space.knob("clock_mhz").values:
        clock_hz = float(clock_mhz) * 1e6
        if limit_hz is not None and clock_hz > limit_hz:
            continue
        costs = model.layer_costs(spec.network, chip, clock_hz, chosen["dram"])
        sums = (float(of[before].sum()) for of in (costs.dynamic_j, costs.dram_j, costs.leakage_j, costs.latency_s))
        rows.append(
            AtClock(float(clock_mhz), costs.supply_v, *sums, {**chosen, "clock_mhz": clock_mhz} in designs(result))
        )
    return rows


def over_links(spec: StudySpec, result: StudyResult, chosen: Mapping[str, Any], memo: Memo) -> list[OverLink]:
    """This design over every link of the space."""
    system, space = System(spec.network, spec.settings, memo), spec.space
    rows = []
    for link in space.knob("link").values:
        knobs = {**chosen, "link": link}
        point: DesignPoint = space.decode(space.encode(knobs))
        metrics = system.metrics(point)
        figures = (metrics[name] for name in ("phy_energy_j", "link_latency_s", "sensor_energy_j", "latency_s"))
        rows.append(OverLink(str(link), *figures, knobs in designs(result)))
    return rows


def why_the_clock(rows: list[AtClock], nominal_v: float, floor_v: float) -> str:
    """In words and figures: what a slower and what a faster clock than the cheapest one costs."""
    best, slowest, fastest = min(rows, key=lambda row: row.energy_j), rows[0], rows[-1]
    at_floor = max(row.clock_mhz for row in rows if row.supply_v <= floor_v)
    return (
        f"Least energy at {best.clock_mhz:g} MHz, {best.energy_j * 1e3:.3f} mJ. Slower: up to {at_floor:g} MHz the "
        f"supply is at its floor of {floor_v:.3f} V, dynamic energy falls no further, and the chip leaks for longer: "
        f"{slowest.leakage_j * 1e3:.3f} mJ at {slowest.clock_mhz:g} MHz, {best.leakage_j * 1e3:.3f} mJ at "
        f"{best.clock_mhz:g}. Faster: at {fastest.clock_mhz:g} MHz it needs {fastest.supply_v:.3f} of "
        f"{nominal_v:.3f} V and {fastest.dynamic_j / best.dynamic_j:.2f} times the dynamic energy, and takes "
        f"{fastest.latency_s / best.latency_s:.2f} of the time."
    )


def why_the_link(rows: list[OverLink], frame_s: float) -> str:
    """In words and figures: what a faster link costs and spares."""
    slow, fast = rows[0], rows[-1]
    return (
        f"Over a frame period of {frame_s * 1e3:g} ms the PHY of {fast.link} takes {fast.phy_j * 1e3:.3f} mJ, that of "
        f"{slow.link} {slow.phy_j * 1e3:.3f} mJ, most of it while idle; the transfer takes {fast.link_s * 1e3:.3f} "
        f"instead of {slow.link_s * 1e3:.3f} ms."
    )


def plot(rows: list[AtClock], result: StudyResult, title: str, path: Path) -> None:
    """Left where the energy goes at every clock, right the front by link."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    clocks = [row.clock_mhz for row in rows]
    parts = {"DRAM": "dram_j", "dynamic, on chip": "dynamic_j", "leakage": "leakage_j"}
    stacked = [[getattr(row, name) * 1e3 for row in rows] for name in parts.values()]
    left.stackplot(clocks, *stacked, labels=list(parts), colors=["#9aa5b1", "#4477aa", "#ee8866"])
    chosen = [row for row in rows if row.on_front]
    left.plot(
        [row.clock_mhz for row in chosen],
        [row.energy_j * 1e3 for row in chosen],
        "o",
        color="black",
        markersize=6,
        clip_on=False,
        zorder=5,
        label="on the exact front",
    )
    left.set(xlabel="clock (MHz)", ylabel="accelerator energy per frame (mJ)", xlim=(clocks[0], clocks[-1]))
    left.set_ylim(0, 1.12 * max(row.energy_j for row in rows) * 1e3)
    left.set_title(title, fontsize=10)
    volts = left.twinx()
    volts.plot(clocks, [row.supply_v for row in rows], "--", color="0.25", label="supply voltage (right axis)")
    volts.set(ylabel="supply (V)", ylim=(0, 1.2))
    handles = [axes.get_legend_handles_labels() for axes in (left, volts)]
    left.legend(
        [h for hs, _ in handles for h in hs], [n for _, ns in handles for n in ns], fontsize=8, loc="lower right"
    )

    knobs = designs(result)
    for link, colour, marker in zip(
        result.knobs["link"], ("#228833", "#4477aa", "#aa3377", "#ccbb44"), "os^D", strict=False
    ):
        mine = [i for i, design in enumerate(knobs) if design["link"] == link]
        right.scatter(
            [result.front.row(i)["sensor_energy_j"] * 1e3 for i in mine],
            [result.front.row(i)["latency_s"] * 1e3 for i in mine],
            color=colour,
            marker=marker,
            s=36,
            label=str(link),
            zorder=3,
        )
    computes = result.front.column("accelerator_energy_j") > 0
    for clock in on_front(result, "clock_mhz"):
        i = min(i for i, design in enumerate(knobs) if design["clock_mhz"] == clock and computes[i])
        at = (result.front.row(i)["sensor_energy_j"] * 1e3, result.front.row(i)["latency_s"] * 1e3)
        right.annotate(f"{clock:g} MHz", at, xytext=(7, 3), textcoords="offset points", fontsize=7)
    right.set(xlabel="sensor energy per frame (mJ)", ylabel="end-to-end latency (ms)", xscale="log")
    right.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    right.minorticks_off()
    right.set_title(f"exact front of {result.space_size:,} designs, by link", fontsize=10)
    right.legend(fontsize=8)
    right.grid(color="0.92")
    figure.savefig(path, format="png", dpi=150)


def main(
    script: Annotated[str, typer.Option(help="Whose question: squeezenet, googlenet or fcn_resnet50.")] = "squeezenet",
    out: Annotated[Path, typer.Option(help="Folder of the three studies and the picture.")] = Path(
        "results/clock-and-link"
    ),
) -> None:
    """Which clocks and links are on the exact front, and why."""
    console = Console(highlight=False, width=150)
    spec = runpy.run_path(str(Path(__file__).with_name(f"{script}.py")), run_name="question")["study"]()
    with Memo(default_cache_path()) as memo:
        found = fronts(spec, out / script, memo, progress=StudyProgress())
        result = found[AS_IT_IS]
        chosen = widest(result, "clock_mhz")
        clocks, cheapest = over_clocks(spec, result, chosen, memo), widest(result, "link")
        links = over_links(spec, result, cheapest, memo)

    settings = Table("settings", "clocks on the front, MHz", "links on the front", "points", box=None)
    for name, front in found.items():
        values = (", ".join(f"{v:g}" if isinstance(v, float | int) else v for v in on_front(front, knob))
                  for knob in ("clock_mhz", "link"))  # fmt: skip
        settings.add_row(name, *values, str(front.front.size))
    console.print(f"{spec.network.name}: exact fronts of {spec.space.size:,} designs", settings, "", sep="\n")

    table = Table(
        "MHz", "supply V", "dynamic mJ", "DRAM mJ", "leakage mJ", "sum mJ", "sensor ms", "on the front", box=None
    )
    for row in clocks:
        millijoules = (row.dynamic_j, row.dram_j, row.leakage_j, row.energy_j)
        figures = (f"{joules * 1e3:.4f}" for joules in millijoules)
        table.add_row(f"{row.clock_mhz:g}", f"{row.supply_v:.3f}", *figures, f"{row.latency_s * 1e3:.3f}",
                      "yes" if row.on_front else "")  # fmt: skip
    title = f"{chosen['accelerator']} {chosen['pe_cols']}×{chosen['pe_rows']}, {chosen['glb_kib']} KiB, {chosen['cut']}"
    console.print(f"Clock: {title}", table, sep="\n", markup=False)
    node = NODES[accelerators.build(chosen["accelerator"]).technology_nm]
    console.print(why_the_clock(clocks, node.nominal_v, node.floor_v), "", sep="\n")

    table = Table("link", "PHY mJ", "link ms", "sensor energy mJ", "latency ms", "on the front", box=None)
    for row in links:
        figures = (f"{si * 1e3:.4f}" for si in (row.phy_j, row.link_s, row.sensor_j, row.latency_s))
        table.add_row(row.link, *figures, "yes" if row.on_front else "")
    place = f"{cheapest['accelerator']} {cheapest['pe_cols']}×{cheapest['pe_rows']}, {cheapest['cut']}"
    console.print(f"Link: {place} at {cheapest['clock_mhz']:g} MHz", table, sep="\n", markup=False)
    console.print(why_the_link(links, 1 / spec.settings.frame_rate_fps), "", sep="\n")

    picture = out / f"{script}.png"
    write_atomic(picture, lambda path: plot(clocks, result, title, path))
    console.print(f"figures: table and simulated as in {out / script}/as-it-is; drawn in {picture}")


if __name__ == "__main__":
    run_script(main, __file__)
