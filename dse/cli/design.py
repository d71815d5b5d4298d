"""`paretocut evaluate`: one design point, itemised; `paretocut list`: what a design can be made of."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from dse.cli._options import AsJson, Cache, open_memo
from dse.cli._progress import counting
from dse.cli.mapper import parse_settings
from dse.cli.networks import NETWORK, parse_cut, parse_shape
from dse.cli.profile import parse_share
from dse.console import console
from search_spaces.errors import UserError
from search_spaces.space import ARCHITECTURE_KNOBS, KNOBS, DesignPoint, sensor_edge_space
from search_spaces.types import KnobValue, Network

if TYPE_CHECKING:
    from rich.console import Console

    from dse.study import Constraint
    from evaluators.costs import Evaluation
    from evaluators.system import SystemSettings

__all__ = ["design_point", "register"]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("evaluate")(evaluate)
    listing = typer.Typer(help="What there is to choose from.", no_args_is_help=True)
    listing.command("networks")(list_networks)
    listing.command("accelerators")(list_accelerators)
    listing.command("links")(list_links)
    listing.command("devices")(list_devices)
    app.add_typer(listing, name="list")


def design_point(
    network: Network,
    cut: str,
    accelerator: str,
    parameters: dict[str, KnobValue],
    *,
    clock_mhz: float,
    dram: str,
    link: str,
) -> DesignPoint:
    """One design point outside any study; parameters left out are the template's own.

    `cut` is a name, an alias or a number as in `paretocut cuts`. A parameter may be any of the template's, also one
    that is no knob of the search space. Raises UserError.
    """
    from search_spaces import accelerators

    for name in parameters:
        if name in KNOBS and name not in ARCHITECTURE_KNOBS[1:]:
            raise UserError(f"{name} is no parameter of an accelerator; give it as --{name.replace('_', '-')}")
    memories = dict.fromkeys(accelerators.MEMORIES, accelerators.TEMPLATE)
    given = accelerators.defaults(accelerator) | memories | parameters
    knobs: dict[str, Any] = {name: (given[name],) for name in ARCHITECTURE_KNOBS[1:] if name in given}
    space = sensor_edge_space(
        network,
        cuts=(parse_cut(network, cut),),
        accelerators=(accelerator,),
        clock_mhz=(clock_mhz,),
        drams=(dram,),
        links=(link,),
        **knobs,
    )
    point = space.decode((0,) * len(space.knobs))
    extra = tuple((name, value) for name, value in parameters.items() if name not in ARCHITECTURE_KNOBS)
    return replace(point, knobs=point.knobs + extra)


def evaluate(
    network: Annotated[str, typer.Argument(help=NETWORK)],
    cut: Annotated[str, typer.Option(help="Name or number of a partitioning point, as `paretocut cuts` shows them.")],
    accelerator: Annotated[str, typer.Option(help="An accelerator template.")] = "eyeriss_like",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="A parameter of the accelerator: pe_cols=16, accum_buffer=sram (repeat)."),
    ] = None,
    clock_mhz: Annotated[float, typer.Option(help="The accelerator's clock in MHz.")] = 200.0,
    dram: Annotated[str, typer.Option(help="lpddr4, lpddr, ddr3, gddr5 or hbm2.")] = "lpddr4",
    link: Annotated[str, typer.Option(help="A link, as `paretocut list links` names it.")] = "1000base-t",
    edge: Annotated[
        str,
        typer.Option(
            help="The edge node: a device, roofline:FILE.json, measured:cpu or :cuda, profile:FILE, or "
            "accelerator:simba_like,pe_cols=8."
        ),
    ] = "roofline:jetson-tx2",
    edge_runs: Annotated[
        int | None,
        typer.Option(
            help="Runs of which a measured edge node takes the median; the most runs with --edge-precision.",
            show_default="1000",
        ),
    ] = None,
    edge_precision: Annotated[
        str | None,
        typer.Option(
            help="Measure until every median is known to this share, such as 2%.", show_default="as many as --edge-runs"
        ),
    ] = None,
    edge_threads: Annotated[int | None, typer.Option(help="Threads of a measured edge node.")] = None,
    edge_method: Annotated[
        str | None, typer.Option(help="How an edge node is measured: segments or suffix.", show_default="segments")
    ] = None,
    edge_power_w: Annotated[
        float | None, typer.Option(help="Power of the edge node in watts.", show_default="the device's own")
    ] = None,
    input_shape: Annotated[str | None, typer.Option("--input", help="Input shape, such as 1x3x224x224.")] = None,
    mode: Annotated[str, typer.Option(help="Cut mode: block, tensor or frontier.")] = "block",
    metric: Annotated[
        str, typer.Option(help="A layer's mapping is the best in edp, delay or energy; pareto: with --mapping-point.")
    ] = "edp",
    mapping_point: Annotated[
        int | None,
        typer.Option(help="Which point of the front over mappings, as `map --metric pareto` and a study number them."),
    ] = None,
    operators: Annotated[str, typer.Option(help="all, or conv: convolutions only, as the paper.")] = "all",
    dvfs: Annotated[str, typer.Option(help="on: supply follows the clock; off; sized.")] = "on",
    accelerator_model: Annotated[
        str, typer.Option(help="mapper: ours; timeloop (-v0.3, -v0.4) or zigzag: that tool.")
    ] = "mapper",
    factors: Annotated[str, typer.Option(help="perfect, or imperfect: layers are tiled with remainders.")] = "perfect",
    energy_table: Annotated[str, typer.Option(help="default, or timeloop-be27768 as that tool has it.")] = "default",
    framing: Annotated[str, typer.Option(help="802.3, paper or cnnparted.")] = "802.3",
    cable_m: Annotated[float, typer.Option(help="Length of the cable in metres.")] = 5.0,
    phy_energy: Annotated[str, typer.Option(help="frame: Energy-Efficient Ethernet; active; always_on.")] = "frame",
    frame_rate_fps: Annotated[float, typer.Option("--fps", help="Frames per second of the camera.")] = 25.0,
    tensor_bits: Annotated[
        int, typer.Option(help="Width of an element on the link, in bits; accuracy is not modelled.")
    ] = 16,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """What one design point costs, itemised per layer, link and node.

    paretocut evaluate squeezenet1_1 --cut "MaxPool2d: 2-6" --accelerator simba_like --set pe_cols=8 --clock-mhz 300
    """
    from evaluators.sensor import SensorSettings
    from evaluators.system import System, SystemSettings
    from search_spaces.networks import load

    if metric == "pareto" and mapping_point is None:
        raise UserError(
            "--metric pareto gives a design many costs, one for each combination of mappings: add --mapping-point N, "
            "a number of `paretocut map NETWORK --metric pareto`, or take edp, delay or energy"
        )
    if metric != "pareto" and mapping_point is not None:
        raise UserError("--mapping-point is one of the many mappings that --metric pareto keeps: add --metric pareto")
    measuring = {
        "--edge-runs": edge_runs,
        "--edge-precision": edge_precision,
        "--edge-threads": edge_threads,
        "--edge-method": edge_method,
    }
    useless = [option for option, value in measuring.items() if value is not None]
    if useless and not edge.startswith("measured:"):
        raise UserError(f"{', '.join(useless)}: only for an edge node that is measured, not {edge}; leave it out")
    choices: dict[str, Any] = {"mapping": metric, "operators": operators, "dvfs": dvfs, "factors": factors}
    choices["energy_table"] = energy_table
    words: dict[str, Any] = {"framing": framing, "phy_energy": phy_energy, "cut_mode": mode}
    words["method"] = edge_method or "segments"
    words["accelerator_model"] = accelerator_model  # all checked where they go
    settings = SystemSettings(
        sensor=SensorSettings(**choices, accelerator_model=words["accelerator_model"]),
        framing=words["framing"],
        cable_m=cable_m,
        phy_energy=words["phy_energy"],
        frame_rate_fps=frame_rate_fps,
        tensor_bits=tensor_bits,
        edge=edge,
        edge_runs=1000 if edge_runs is None else edge_runs,
        edge_threads=edge_threads,
        edge_method=words["method"],
        edge_precision=parse_share(edge_precision),
        edge_power_w=edge_power_w,
    )
    traced = load(network, None if input_shape is None else parse_shape(input_shape), words["cut_mode"])
    given = parse_settings(parameters)
    point = design_point(traced, cut, accelerator, given, clock_mhz=clock_mhz, dram=dram, link=link)
    with open_memo(cache) as memo, counting("measuring the edge node") as told:
        system = System(traced, settings, memo, edge_progress=told)
        evaluation, edge_notes = system.evaluate(point, mapping_point), system.edge_profile.notes
    if as_json:
        head = {
            "network": traced.name, "input": list(traced.input.shape), "cut_mode": traced.cut_mode,
            "network_notes": traced.notes,
        }  # fmt: skip
        broken = {"breaks": [str(constraint) for constraint in _broken(evaluation)]}
        found = {**head, "settings": asdict(settings), **evaluation.to_json(), **broken, "edge_notes": edge_notes}
        found["cannot_keep_the_frame_rate"] = _too_slow(settings, evaluation)
        typer.echo(json.dumps(found, indent=2))
        return
    _show(traced, settings, evaluation, edge_notes)


def _broken(evaluation: Evaluation) -> list[Constraint]:
    """The constraints of every study that this design breaks."""
    from dse.study import DEFAULT_CONSTRAINTS

    return [constraint for constraint in DEFAULT_CONSTRAINTS if constraint.violation(evaluation.metrics) > 0]


def _too_slow(settings: SystemSettings, evaluation: Evaluation) -> list[str]:
    """The nodes that take longer for a frame than the camera."""
    return [node.role for node in evaluation.nodes if node.latency_s * settings.frame_rate_fps > 1]


def _show(network: Network, settings: SystemSettings, evaluation: Evaluation, edge_notes: tuple[str, ...]) -> None:
    out = console(soft_wrap=True)
    batch = network.input.shape[0]
    frame = "frame" if batch == 1 else f"batch of {batch}"
    knobs = ", ".join(f"{name}={value}" for name, value in evaluation.point.knobs if name != "cut")
    shape = "x".join(map(str, network.input.shape))
    out.print(f"[bold]{network.name}[/bold], input {shape}, cut after {escape(evaluation.point.cuts[0])}")
    out.print(knobs, markup=False)
    for note in network.notes:
        out.print(f"note: {note}", markup=False)
    frames = "frames" if batch == 1 else f"batches of {batch}"
    out.print(
        f"{settings.frame_rate_fps:g} {frames}/s, {settings.tensor_bits}-bit tensors (accuracy is not modelled), "
        f"framing {settings.framing}, PHY energy {settings.phy_energy}, mapping metric {settings.sensor.mapping}, "
        f"{settings.sensor.factors} factors, dvfs {settings.sensor.dvfs}"
        + ("" if evaluation.supply_v is None else f": the accelerator's supply is {evaluation.supply_v:.3f} V"),
        markup=False,
    )
    out.print()
    layers = Table("layer", "operator", *(_right("MACs", "cycles", "µs", "µJ", "on chip", "DRAM", "leakage")), box=None)
    costed = [layer for layer in evaluation.layers if layer.cycles]
    for layer in costed:
        energies = (layer.energy_j, layer.dynamic_j, layer.dram_j, layer.leakage_j)
        figures = (f"{layer.latency_s * 1e6:,.2f}", *(f"{joules * 1e6:,.3f}" for joules in energies))
        layers.add_row(escape(layer.name), layer.operator, f"{layer.macs:,}", f"{layer.cycles:,.0f}", *figures)
    if evaluation.layers:
        out.print(layers)
        fused = len(evaluation.layers) - len(costed)
        out.print(
            f"energies: {evaluation.nodes[0].provenance}, cycles: {evaluation.provenance['sensor_latency_s']}; "
            f"{fused} more layers are fused, move nothing or are not costed",
            style="dim",
            markup=False,
        )
    else:
        out.print("no layer runs on the sensor node: everything on the edge")
    if evaluation.components:
        out.print()
        _show_components(out, evaluation, frame)
    out.print()
    links = Table("link", "sends", *_right("bytes", "on the wire", "ms", f"mJ per {frame}", "utilisation"), box=None)
    for link in evaluation.links:
        figures = (f"{link.latency_s * 1e3:.4f}", f"{link.energy_j * 1e3:.4f}", f"{link.utilisation:.1%}")
        links.add_row(link.name, escape(link.cut), f"{link.payload_bytes:,}", f"{link.wire_bytes:,}", *figures)
    out.print(links)
    if _broken(evaluation):
        busy = evaluation.metrics["link_utilisation"] / settings.frame_rate_fps
        out.print(
            f"{evaluation.point.links[0]} cannot carry this: it is busy for {busy * 1e3:.4g} ms of every "
            f"{1e3 / settings.frame_rate_fps:.4g} ms. Take a faster link, another cut, or a lower --fps; "
            "studies refuse this design.",
            style="bold",
            markup=False,
        )
    out.print()
    nodes = Table("node", "is", *_right("layers", "MACs", "ms", "mJ", "mm²", "bytes of memory"), "provenance", box=None)
    for node in evaluation.nodes:
        area = "" if node.area_mm2 is None else f"{node.area_mm2:.3f}"
        memory = "" if node.memory_bytes is None else f"{node.memory_bytes:,.0f}"
        unknown = node.role == "edge" and "unknown" in evaluation.provenance["edge_energy_j"]
        energy = "unknown" if unknown else f"{node.energy_j * 1e3:.4f}"
        figures = (f"{node.latency_s * 1e3:.4f}", energy, area, memory)
        nodes.add_row(node.role, node.name, str(node.layers), f"{node.macs:,}", *figures, escape(node.provenance))
    out.print(nodes)
    slow = _too_slow(settings, evaluation)
    if slow:
        out.print(
            f"{' and '.join(slow)} cannot keep {settings.frame_rate_fps:g} {frames}/s: more than "
            f"{1e3 / settings.frame_rate_fps:.4g} ms each. Studies keep this design, unless under "
            f'--constraint "throughput_fps>={settings.frame_rate_fps:g}".',
            style="bold",
            markup=False,
        )
    out.print(f"edge: {'; '.join(edge_notes)}", style="dim", markup=False)
    out.print()
    metrics = Table("metric", *_right("value"), "unit", "provenance", box=None)
    for figure in evaluation.figures:
        value, unit = ("unknown", "") if "unknown" in figure.provenance else _readable(figure.value, figure.unit)
        at_rate = f" at {settings.frame_rate_fps:g} {frames}/s" if figure.name == "sensor_power_w" else ""
        metrics.add_row(figure.name, value, unit + at_rate, escape(figure.provenance))
    out.print(metrics)


def _show_components(out: Console, evaluation: Evaluation, frame: str) -> None:
    headings = _right("instances", "mm²", f"µJ per {frame}", "leakage")
    table = Table("component", "made of", *headings, "figures from", box=None)
    for part in evaluation.components:
        area = "" if part.area_mm2 is None else f"{part.area_mm2:.4f}"
        source = part.source if part.provenance == "table" else f"{part.source} ({part.provenance})"
        energies = ("" if joules is None else f"{joules * 1e6:,.3f}" for joules in (part.dynamic_j, part.leakage_j))
        table.add_row(part.name, part.made_of, f"{part.instances:,}", area, *energies, source)
    out.print(table)


def _readable(value: float, unit: str) -> tuple[str, str]:
    """A figure in the unit that people read: milliseconds, millijoules, milliwatts."""
    if unit in ("s", "J", "W"):
        return f"{value * 1e3:,.4f}", f"m{unit}"
    if unit == "bytes":
        return f"{value:,.0f}", unit
    return f"{value:,.4f}", unit


def _right(*headers: str) -> list[Any]:
    from rich.table import Column

    return [Column(header, justify="right", no_wrap=True) for header in headers]


def list_networks(as_json: AsJson = False) -> None:
    """Networks that can be cut: torchvision's classification and segmentation models."""
    from search_spaces import networks

    found = networks.names()
    if as_json:
        typer.echo(json.dumps([{"name": name} for name in found], indent=2))
    else:
        typer.echo("\n".join(found))


def list_accelerators(as_json: AsJson = False) -> None:
    """Accelerator templates of the sensor node, with every parameter and its own value."""
    from search_spaces import accelerators

    if as_json:
        found = [
            {"name": name, "description": accelerators.describe(name), "parameters": accelerators.defaults(name)}
            for name in accelerators.names()
        ]
        typer.echo(json.dumps(found, indent=2))
        return
    for name in accelerators.names():
        typer.echo(f"{name}: {accelerators.describe(name)}")
        for parameter, value in accelerators.defaults(name).items():
            typer.echo(f"  {parameter} = {value}")
    typer.echo(
        f"{', '.join(accelerators.MEMORIES)}: regfile or sram; buffers=sram (or regfile) sets the first three at once, "
        "where a template has them"
    )


def list_links(as_json: AsJson = False) -> None:
    """Links between sensor and edge node, with the figures of one PHY."""
    from search_spaces import links

    found = [links.get(name) for name in links.names()]
    if as_json:
        typer.echo(json.dumps([asdict(phy) for phy in found], indent=2))
        return
    table = Table("link", *_right("Mb/s", "active W", "low-power idle W", "wake µs", "sleep µs", "ns/m"), box=None)
    for phy in found:
        table.add_row(
            phy.name,
            f"{phy.rate_bps / 1e6:,.0f}",
            f"{phy.active_power_w:g}",
            f"{phy.lpi_power_w:g}",
            f"{phy.wake_s * 1e6:g}",
            f"{phy.sleep_s * 1e6:g}",
            f"{phy.propagation_s_per_m * 1e9:g}",
        )
    console(soft_wrap=True).print(table)


def list_devices(as_json: AsJson = False) -> None:
    """Edge nodes: devices by their roofline, the computer at hand by measurement, profiles that come along."""
    from evaluators import edge
    from evaluators.edge import files
    from search_spaces import devices

    found = [devices.get(name) for name in devices.names()]
    if as_json:
        rooflines = [{**asdict(device), "edge": f"roofline:{device.name}"} for device in found]
        others = (*edge.MEASURED, *(f"profile:{name}" for name in files.shipped()))
        measured = [{"name": name.partition(":")[2], "edge": name} for name in others]
        typer.echo(json.dumps([*rooflines, *measured], indent=2))
        return
    headers = ("GFLOP/s", "reached", "GB/s", "reached", "W", "µs per layer")
    table = Table("device", "precision", *_right(*headers), box=None)
    for device in found:
        table.add_row(
            device.name,
            device.precision,
            f"{device.peak_flops / 1e9:,.1f}",
            f"{device.compute_efficiency:.0%}",
            f"{device.memory_bandwidth_bytes_per_s / 1e9:g}",
            f"{device.bandwidth_efficiency:.0%}",
            f"{device.power_w:g}",
            f"{device.launch_overhead_s * 1e6:g}",
        )
    out = console(soft_wrap=True)
    out.print(table)
    out.print(f"and the computer at hand: {', '.join(edge.MEASURED)}", markup=False)
    out.print(f"profiles measured elsewhere: {', '.join(files.shipped())}; your own as profile:FILE", markup=False)
    out.print("your own device: roofline:FILE.json, as paretocut calibrate --out FILE.json writes it", markup=False)
    out.print("any accelerator template: accelerator:simba_like,pe_cols=8,clock_mhz=500", markup=False)
