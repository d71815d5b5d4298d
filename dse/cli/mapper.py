"""`paretocut map`: the optimal mapping of a layer, a bare shape or a whole network; `paretocut cache`: the memo."""

from __future__ import annotations

import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from dse.cli._options import AsJson, Cache, open_memo
from dse.cli.networks import parse_cut
from dse.cli.networks import parse_shape as parse_input
from dse.files import write_atomic
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape, KnobValue

if TYPE_CHECKING:
    from rich.table import Table

    from evaluators.mapper.result import MappedLayer
    from search_spaces.accelerators import Architecture

__all__ = ["parse_settings", "parse_shape", "register"]

_SHAPE_KEYS = {
    "N": ("N",), "C": ("C",), "M": ("M",), "P": ("P",), "Q": ("Q",), "R": ("R",), "S": ("S",),
    "stride": ("stride_w", "stride_h"), "stride_w": ("stride_w",), "stride_h": ("stride_h",),
    "dilation": ("dilation_w", "dilation_h"), "dilation_w": ("dilation_w",), "dilation_h": ("dilation_h",),
    "groups": ("groups",),
}  # fmt: skip

NETWORKS = "networks"
"""What `cache` calls the traced networks, which are files beside the memo."""


def parse_shape(text: str) -> ConvShape:
    """A bare shape such as "C=64,M=128,P=28,Q=28,R=3,S=3,stride=2"; what is left out is 1. Raises UserError."""
    sizes = dict.fromkeys("NCMPQRS", 1)
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if name not in _SHAPE_KEYS or not equals:
            close = get_close_matches(name, _SHAPE_KEYS, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            names = ", ".join(_SHAPE_KEYS)
            raise UserError(f"--shape takes NAME=NUMBER pairs, not {part.strip()!r}; {hint}names: {names}")
        if not value.isdecimal() or int(value) < 1:
            raise UserError(f"{name} in --shape is a whole number of at least 1, not {value!r}")
        sizes.update(dict.fromkeys(_SHAPE_KEYS[name], int(value)))
    try:
        return ConvShape(**sizes)
    except ValueError as error:
        raise UserError(str(error)) from None


def parse_settings(pairs: list[str] | None) -> dict[str, KnobValue]:
    """Repeated --set NAME=VALUE as a dictionary, numbers as numbers. Raises UserError."""
    result: dict[str, KnobValue] = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not equals or not name or not text:
            raise UserError(f"--set takes NAME=VALUE, not {pair!r}; for example --set pe_cols=16")
        value: KnobValue = text
        for kind in (int, float):
            try:
                value = kind(text)
                break
            except ValueError:
                continue
        result[name.strip()] = value
    return result


def register(app: typer.Typer) -> None:
    app.command("map")(_map)
    cache = typer.Typer(help="The memo of finished evaluations, shared by all your studies.", no_args_is_help=True)
    cache.command("info")(_cache_info)
    cache.command("clear")(_cache_clear)
    app.add_typer(cache, name="cache")


def _map(
    network: Annotated[str | None, typer.Argument(help="A network, as `paretocut list networks` names it.")] = None,
    layer: Annotated[str | None, typer.Argument(help="One of its layers; all of them if left out.")] = None,
    shape: Annotated[str | None, typer.Option(help="A bare shape: N=1,C=64,M=128,P=28,Q=28,R=3,S=3,stride=1")] = None,
    accelerator: Annotated[str, typer.Option(help="An accelerator template.")] = "eyeriss_like",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A parameter: pe_cols=16 (repeat).")] = None,
    metric: Annotated[str, typer.Option(help="edp, delay, energy, or pareto for all trade-offs.")] = "edp",
    energy_table: Annotated[
        str | None,
        typer.Option(
            help="default, or timeloop-be27768 for what that tool charges its templates.",
            show_default="default; timeloop-be27768 with --against",
        ),
    ] = None,
    dram: Annotated[str, typer.Option(help="lpddr4, lpddr, ddr3, gddr5 or hbm2.")] = "lpddr4",
    factors: Annotated[
        str, typer.Option(help="perfect (dimensions are padded where they must divide), or imperfect (remainders).")
    ] = "perfect",
    input_shape: Annotated[str | None, typer.Option("--input", help="Input shape, such as 1x3x224x224.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Compare with recorded mappings: JSON lines, or a table of mapper runs.")
    ] = None,
    clock_mhz: Annotated[
        float | None,
        typer.Option(help="Clock for the front of a whole network.", show_default="5 ns and nominal supply"),
    ] = None,
    cut: Annotated[
        str | None, typer.Option(help="The front of the layers before this cut only.", show_default="all layers")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Energy per level of every layer, or with --metric pareto the front, as a PNG.")
    ] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """The proven optimal mapping of a layer: loop nest, traffic per level, energy, cycles.

    paretocut map squeezenet1_1 features.3.expand3x3 --accelerator eyeriss_like

    paretocut map --shape C=64,M=128,P=28,Q=28,R=3,S=3 --accelerator simba_like --set pe_cols=8 --metric delay

    paretocut map squeezenet1_1 --accelerator eyeriss_like --metric pareto    # the network's front over mappings
    """
    from evaluators.mapper.energy import ENERGY_TABLES
    from evaluators.mapper.mapping import FACTORS
    from evaluators.mapper.result import MapMetric, best_mappings
    from search_spaces import accelerators
    from search_spaces.errors import unknown

    parameters = parse_settings(settings)
    energy_table = energy_table or ("default" if against is None else "timeloop-be27768")
    if energy_table not in ENERGY_TABLES:
        raise unknown("energy table", energy_table, ENERGY_TABLES)
    if metric.startswith("area"):
        raise UserError(
            "area is the accelerator's, whatever the mapping: map shows it with any layer's mapping; "
            f"--metric is one of {', '.join(get_args(MapMetric))}"
        )
    if metric not in get_args(MapMetric):
        raise unknown("metric", metric, get_args(MapMetric))
    if factors not in FACTORS:
        raise unknown("kind of factors", factors, FACTORS)
    table = cast("Any", energy_table)
    if against is not None:
        if network is not None or shape is not None or metric != "edp" or factors != "perfect":
            raise UserError("--against compares recorded mappings: leave NETWORK, --shape, --metric and --factors out")
        _print_against(against, parameters, table, dram, as_json)
        return
    if (network is None) == (shape is None):
        raise UserError("map takes a NETWORK (and a layer) or a --shape, one of the two; see: paretocut map --help")
    architecture = accelerators.build(accelerator, parameters)
    if network is not None and layer is None and metric == "pareto":
        _print_front(network, input_shape, architecture, cut, clock_mhz, dram, table, factors, cache, plot, as_json)
        return
    if clock_mhz is not None or cut is not None:
        raise UserError("--clock-mhz and --cut are for the front of a whole network: NETWORK --metric pareto, no layer")
    if shape is not None:
        layers = {"shape": parse_shape(shape)}
    else:
        assert network is not None
        layers = _network_layers(network, layer, input_shape)
    found: dict[str, tuple[MappedLayer, ...]] = {}
    refused: dict[str, str] = {}
    with open_memo(cache) as memo:
        for name, conv in layers.items():
            try:
                found[name] = best_mappings(
                    conv,
                    architecture,
                    memo,
                    metric=cast(MapMetric, metric),
                    table=table,
                    dram=dram,
                    factors=factors,
                )
            except IllegalDesign as illegal:
                if len(layers) == 1:
                    raise
                refused[name] = str(illegal)
    if plot is not None:
        from dse.report.levels import plot_levels
        from dse.report.mappings import plot_layer_mappings

        def draw(path: Path) -> None:
            if metric == "pareto":
                plot_layer_mappings(*next(iter(found.items())), path)
            else:
                plot_levels({name: m[0] for name, m in found.items()}, path, network)

        write_atomic(plot, draw, "--plot")
    if as_json:
        results = [{"layer": name} | m.to_json() for name, mapped in found.items() for m in mapped]
        results += [{"layer": name, "illegal": why} for name, why in refused.items()]
        typer.echo(json.dumps(results[0] if len(results) == 1 and metric != "pareto" else results, indent=2))
    elif metric == "pareto":
        _print_layer_front(*next(iter(found.items())), architecture)
    elif len(layers) == 1:
        _print_one(next(iter(found)), next(iter(found.values()))[0], architecture)
    else:
        _print_table({name: m[0] for name, m in found.items()}, refused, architecture)
    if plot is not None and not as_json:
        typer.echo(f"{'front over mappings' if metric == 'pareto' else 'energy per level'}: {plot}")


def _print_front(
    network: str,
    input_shape: str | None,
    architecture: Architecture,
    cut: str | None,
    clock_mhz: float | None,
    dram: str,
    table: Any,
    factors: Any,
    cache: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """A network's front over mappings."""
    from dse.mappings import network_mappings
    from search_spaces import networks

    traced = networks.load(network, None if input_shape is None else parse_input(input_shape))
    cut = None if cut is None else parse_cut(traced, cut)
    with open_memo(cache) as memo:
        found = network_mappings(
            traced, architecture, memo, cut=cut, clock_mhz=clock_mhz, dram=dram, table=table, factors=factors
        )
    if plot is not None:
        from dse.files import write_atomic
        from dse.report.mappings import plot_mappings

        write_atomic(plot, lambda path: plot_mappings(found, path), "--plot")
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    from dse.console import console
    from dse.report.mappings import mappings_table

    console().print(mappings_table(found))
    if plot is not None:
        typer.echo(f"front over mappings: {plot}")


def _network_layers(network: str, layer: str | None, input_shape: str | None) -> dict[str, ConvShape]:
    from search_spaces import networks
    from search_spaces.errors import unknown

    traced = networks.load(network, None if input_shape is None else parse_input(input_shape))
    shapes = {la.name: la.shape for la in traced.layers if la.shape is not None}
    if layer is None:
        return shapes
    if layer not in shapes:
        raise unknown(f"layer with multiply-accumulates in {network}", layer, shapes)
    return {layer: shapes[layer]}


def _bare(shape: ConvShape) -> str:
    return " ".join(f"{k}={v}" for k, v in asdict(shape).items() if v != 1 or len(k) == 1)


def _print_one(name: str, mapped: MappedLayer, architecture: Architecture) -> None:
    from rich.table import Table

    from dse.console import console
    from evaluators.mapper.result import loop_nest

    out = console(soft_wrap=True)
    parameters = ", ".join(f"{k}={v}" for k, v in architecture.parameters)
    out.print(f"[bold]{name}[/bold]  {_bare(mapped.shape)}")
    out.print(f"on {architecture.name} ({parameters})")
    out.print()
    for line in loop_nest(architecture, mapped.mapping, mapped.levels):
        out.print(line, markup=False)
    out.print()
    table = Table("level", "used", "tensor", "reads", "fills", "updates", "energy", box=None)
    for level in reversed(mapped.levels):
        if not level.reads:
            continue
        for i, tensor in enumerate(level.reads):
            table.add_row(
                f"{level.name}" if i == 0 else "",
                f"{level.instances_used} of {level.instances}" if i == 0 else "",
                {"W": "weights", "I": "inputs", "O": "outputs"}[tensor],
                f"{level.reads[tensor]:,}", f"{level.fills[tensor]:,}", f"{level.updates[tensor]:,}",
                f"{level.energy_j * 1e6:.4g} µJ" if i == 0 else "",
            )  # fmt: skip
    table.add_row(
        "MAC", f"{mapped.mac_units_used} of {mapped.mac_units}", "", f"{mapped.macs:,}", "", "",
        f"{mapped.mac_energy_j * 1e6:.4g} µJ",
    )  # fmt: skip
    out.print(table)
    which = "the busiest instance" if mapped.mapping.ragged else "one instance"
    out.print(f"words of {which}; energy of all instances, table figures at 5 ns and nominal supply", style="dim")
    out.print()
    padding = "" if mapped.macs == mapped.useful_macs else f" ({mapped.useful_macs:,} useful, the rest is padding)"
    out.print(f"energy       {mapped.energy_j * 1e6:.5g} µJ ({mapped.provenance})")
    out.print(f"cycles       {mapped.cycles:,} ({mapped.stall_cycles:,} of them stalls)")
    out.print(f"utilisation  {mapped.utilisation:.1%} of the MAC units")
    out.print(f"MACs         {mapped.macs:,}{padding}")
    parts = {level.name: level.area_mm2 for level in mapped.levels} | {"MAC": mapped.mac_area_mm2}
    listed = sorted(((mm2, part) for part, mm2 in parts.items() if mm2), reverse=True)
    out.print(f"area         {mapped.area_mm2:.4g} mm²: {', '.join(f'{part} {mm2:.3g}' for mm2, part in listed)}")
    out.print(
        f"mapspace     {mapped.mapspace_size:,} mappings with {mapped.factors} factors, {mapped.mapspace_valid:,} fit; "
        f"this one is optimal for {mapped.metric} in this mapspace"
    )


def _print_layer_front(name: str, front: tuple[MappedLayer, ...], architecture: Architecture) -> None:
    """The mappings of one layer that no other beats in cycles and energy."""
    from rich.table import Column, Table

    from dse.console import console

    first = front[0]
    least = min(front, key=lambda m: m.cycles * m.energy_j)
    out = console(soft_wrap=True)
    out.print(f"[bold]{name}[/bold]  {_bare(first.shape)}")
    out.print(f"on {architecture.name} ({', '.join(f'{k}={v}' for k, v in architecture.parameters)})")
    out.print()
    headings = ("", "cycles", "stalls", "energy µJ", "energy × cycles", "MAC units used", "utilised")
    table = Table(*(Column(heading, justify="right") for heading in headings), box=None)
    for number, m in enumerate(front, 1):
        edp = m.cycles * m.energy_j / (least.cycles * least.energy_j)
        table.add_row(
            f"{number:,}", f"{m.cycles:,}", f"{m.stall_cycles:,}", f"{m.energy_j * 1e6:.5g}",
            "least" if m is least else f"{edp - 1:+.2%}", f"{m.mac_units_used} of {m.mac_units}",
            f"{m.utilisation:.1%}",
        )  # fmt: skip
    out.print(table)
    out.print()
    beats = "mapping is beaten by none" if len(front) == 1 else "mappings are beaten by none"
    out.print(
        f"{len(front):,} {beats} in cycles and energy, of {first.mapspace_size:,} with {first.factors} factors, of "
        f"which {first.mapspace_valid:,} fit; figures ({first.provenance}) at 5 ns and nominal supply, no leakage; "
        "loop nests: --json"
    )


def _print_table(found: dict[str, MappedLayer], refused: dict[str, str], architecture: Architecture) -> None:
    from rich.table import Table

    from dse.console import console

    headings = ("layer", "million MACs", "padding", "cycles", "stalls", "energy µJ", "utilised", "mapspace", "fit")
    table = Table(*headings, box=None)
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.justify = "right"
    for name, m in found.items():
        table.add_row(
            name, f"{m.useful_macs / 1e6:,.2f}", _padding(m.macs, m.useful_macs), f"{m.cycles:,}",
            f"{m.stall_cycles:,}", f"{m.energy_j * 1e6:.4g}", f"{m.utilisation:.1%}", f"{m.mapspace_size:,}",
            f"{m.mapspace_valid:,}",
        )  # fmt: skip
    out = console()
    out.print(table)
    for name, why in refused.items():
        out.print(f"{name} does not map: {why}", markup=False, soft_wrap=True)
    firsts = list(found.values())
    if firsts:
        out.print()
        out.print(_kinds_table(firsts))
        out.print(
            f"{len(firsts)} layer{'s' if len(firsts) > 1 else ''} on {architecture.name}: "
            f"{sum(m.cycles for m in firsts):,} cycles, {sum(m.energy_j for m in firsts) * 1e3:.4g} mJ, each optimal "
            f"for {firsts[0].metric} in its mapspace of {firsts[0].factors} factors; "
            f"figures ({firsts[0].provenance}) at 5 ns and nominal supply, no leakage: `paretocut evaluate` adds a "
            "clock. Padding is MACs beyond the useful ones, counted in cycles and energy; utilised are useful MACs "
            "over MAC units × cycles.",
            soft_wrap=True,
        )


def _padding(macs: int, useful: int) -> str:
    return "" if macs == useful else f"{macs / useful - 1:+.1%}"


def _kind(shape: ConvShape) -> str:
    """What a layer is to a PE array: what it can reuse, and along which dimensions it can be unrolled."""
    if shape.groups > 1:
        return "depthwise" if shape.groups == shape.C else "grouped"
    if (shape.R, shape.S) != (1, 1):
        return "convolution"
    return "linear" if (shape.P, shape.Q) == (1, 1) else "pointwise"


def _kinds_table(layers: list[MappedLayer]) -> Table:
    """Where MACs, cycles and energy go, by kind of layer."""
    from rich.table import Column, Table

    headings = ("layers", "million MACs", "of all", "padding", "cycles", "of all", "energy", "utilised")
    table = Table("kind", *(Column(heading, justify="right") for heading in headings), box=None)
    kinds = {kind: [m for m in layers if _kind(m.shape) == kind] for kind in sorted({_kind(m.shape) for m in layers})}
    all_macs, all_cycles = sum(m.useful_macs for m in layers), sum(m.cycles for m in layers)
    all_j = sum(m.energy_j for m in layers)
    for kind, mapped in kinds.items() if len(kinds) == 1 else [*kinds.items(), ("all", layers)]:
        useful, cycles = sum(m.useful_macs for m in mapped), sum(m.cycles for m in mapped)
        units = mapped[0].useful_macs / (mapped[0].utilisation * mapped[0].cycles)
        table.add_row(
            kind, str(len(mapped)), f"{useful / 1e6:,.2f}", f"{useful / all_macs:.1%}",
            _padding(sum(m.macs for m in mapped), useful), f"{cycles:,}", f"{cycles / all_cycles:.1%}",
            f"{sum(m.energy_j for m in mapped) / all_j:.1%}", f"{useful / (units * cycles):.1%}",
        )  # fmt: skip
    return table


def _print_against(path: Path, parameters: dict[str, KnobValue], table: Any, dram: str, as_json: bool) -> None:
    from evaluators.mapper.against import compare

    report = compare(path, parameters, table, dram)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
    else:
        typer.echo(
            f"{report.agree} of {report.lines} agree ({report.accepted} accepted and {report.rejected} rejected by the "
            f"tool); {report.one_cycle_off} differ by the one cycle of its rounding; "
            f"largest difference in energy {report.worst_energy:.2g}"
            + (f", in area {report.worst_area:.2g}" if report.worst_area is not None else "")
            + f" (relative, {table} figures)"
        )
        for difference in report.first_difference:
            typer.echo(f"line {difference.line}: {difference.what}: ours {difference.ours}, theirs {difference.theirs}")
    if report.agree != report.lines:
        raise typer.Exit(1)


def _cache_info(cache: Cache = None, as_json: AsJson = False) -> None:
    """What the memo holds and where it lies, and the traced networks beside it."""
    from search_spaces.networks import store

    with open_memo(cache) as memo:
        info = memo.info()
    traced = store.files()
    size = sum(path.stat().st_size for path in traced)
    if as_json:
        networks = {"path": str(store.folder()), "files": len(traced), "size_bytes": size}
        typer.echo(json.dumps({**asdict(info), "networks": networks}, indent=2))
        return
    typer.echo(f"{info.path}: {info.size_bytes / 1e6:.1f} MB")
    for kind, entries in info.entries.items():
        typer.echo(f"  {kind}: {entries:,} entries")
    if not info.entries:
        typer.echo("  empty")
    typer.echo(f"{store.folder()}: {size / 1e6:.1f} MB")
    typer.echo(f"  {NETWORKS}: {len(traced):,} files")


def _cache_clear(
    kind: Annotated[str | None, typer.Argument(help="Only this kind, as `cache info` names it.")] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Forget everything in the memo, and the traced networks; what is needed again is computed again.

    With --cache it is that memo alone. A damaged file is removed.
    """
    from evaluators.memo import default_cache_path
    from search_spaces.networks import store

    path = cache or default_cache_path()
    removed = 0
    if kind != NETWORKS:
        removed = _clear_memo(path, kind)
    if kind == NETWORKS or (kind is None and cache is None):
        removed += store.clear()
    where = store.folder() if kind == NETWORKS else path
    typer.echo(json.dumps({"removed": removed}) if as_json else f"removed {removed:,} entries from {where}")


def _clear_memo(path: Path, kind: str | None) -> int:
    from evaluators.memo import is_damaged
    from search_spaces.errors import unknown

    try:
        with open_memo(path) as memo:
            kinds = [*memo.info().entries, NETWORKS]
            if kind is not None and kind not in kinds:
                raise unknown("kind of entries in the memo", kind, kinds)
            return memo.clear(kind)
    except UserError:
        if not is_damaged(path):  # never a file that is no memo, or one that is only in use
            raise
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    typer.echo(f"removed the damaged memo {path}", err=True)
    return 0
