"""`paretocut cuts`: where a network can be cut, and what crosses there."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from rich.table import Table

from dse.console import console
from search_spaces.errors import UserError
from search_spaces.space import cut_named
from search_spaces.types import Cut, CutMode, Network

__all__ = ["NETWORK", "parse_cut", "parse_shape", "register"]

NETWORK = "A name of `paretocut list networks`, module:factory of your own code, or an .onnx or .pt2 file."


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("cuts")(cuts)


def parse_shape(text: str) -> tuple[int, ...]:
    """1x3x224x224 (or 1×3×224×224) as a tuple; raises UserError for anything else.

    >>> parse_shape("1x3x227x227")
    (1, 3, 227, 227)
    """
    text = text.replace("×", "x")
    if not re.fullmatch(r"[1-9][0-9]*(x[1-9][0-9]*)+", text):
        raise UserError(f"an input is sizes joined by x, batch first, not {text!r}; try 1x3x224x224")
    return tuple(int(size) for size in text.split("x"))


def parse_cut(network: Network, text: str) -> str:
    """The name of a cut given by name, by alias or by its number in `paretocut cuts`. Raises UserError."""
    if not text.isdecimal():
        return cut_named(network, text)
    if not 1 <= int(text) <= len(network.cuts):
        raise UserError(
            f"{network.name} has the cuts 1 to {len(network.cuts)}, not {text}; "
            f"see: paretocut cuts {network.name} --mode {network.cut_mode}"
        )
    return network.cuts[int(text) - 1].name


def cuts(
    network: Annotated[str, typer.Argument(help=NETWORK)],
    input_: Annotated[
        str | None, typer.Option("--input", metavar="NxCxHxW", help="Input shape, e.g. 1x3x227x227.")
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="block: the paper's partitioning points; tensor: wherever a single tensor is alive; frontier: also "
            "where several are."
        ),
    ] = "block",
    tensors: Annotated[
        int | None, typer.Option(help="In mode frontier, the most tensors that may cross.", show_default="4")
    ] = None,
    max_cuts: Annotated[
        int | None, typer.Option(help="In mode frontier, the most cuts that are kept.", show_default="1000")
    ] = None,
    bits: Annotated[
        int,
        typer.Option(
            "--tensor-bits", "--bits", help="Width of an element on the link, in bits; accuracy is not modelled."
        ),
    ] = 16,
    merge: Annotated[
        bool,
        typer.Option(help="In tensor and frontier, join points with the same bytes and nothing costed in between."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="A list of objects instead of a table.")] = False,
) -> None:
    """Show a network's partitioning points: what crosses the link there, and what is computed before.

    paretocut cuts squeezenet1_1 --input 1x3x227x227 --mode tensor

    paretocut cuts model.onnx --mode frontier --tensors 2
    """
    from search_spaces.networks import load

    if bits < 1:
        raise UserError(f"an element has at least 1 bit on the link, not {bits}; the default is 16")
    if mode != "frontier" and (tensors is not None or max_cuts is not None):
        raise UserError(f"--tensors and --max-cuts are for --mode frontier, not for mode {mode}; leave them out")
    tensors, max_cuts = 4 if tensors is None else tensors, 1000 if max_cuts is None else max_cuts
    cut_mode: Any = mode  # load refuses what is no mode
    traced = load(network, None if input_ is None else parse_shape(input_), cut_mode, merge, tensors, max_cuts)
    if as_json:
        typer.echo(json.dumps([_row(traced, cut, bits) for cut in traced.cuts], indent=2))
        for note in traced.notes:
            typer.echo(f"note: {note}", err=True)
        return
    _show(traced, cut_mode, bits)


def _row(network: Network, cut: Cut, bits: int) -> dict[str, Any]:
    return {
        "name": cut.name,
        "shape": list(cut.shape),
        "elements": cut.elements,
        "macs_before": network.macs_before(cut),
        "parameters_before": network.parameters_before(cut),
        "bytes": -(-cut.elements * bits // 8),
        "aliases": list(cut.aliases),
    }


def _show(network: Network, mode: CutMode, bits: int) -> None:
    out = console(soft_wrap=True)
    shape = "x".join(map(str, network.input.shape))
    merged = f", {network.merged} merged into others" if network.merged else ""
    out.print(
        f"{network.name}, input {shape}, mode {mode}: {len(network.cuts)} partitioning points{merged}; "
        f"{sum(layer.macs for layer in network.layers) / 1e6:,.2f} million MACs and "
        f"{sum(layer.parameters for layer in network.layers):,} parameters in all",
    )
    table = Table()
    table.add_column("No.", justify="right", no_wrap=True)
    table.add_column("partitioning point", overflow="fold")
    for header in ("shape", f"bytes ({bits} bit)", "MACs before", "parameters before"):
        table.add_column(header, justify="right", no_wrap=True)
    for number, cut in enumerate(network.cuts, 1):
        row = _row(network, cut, bits)
        also = f" (+{len(cut.aliases)})" if cut.aliases else ""
        table.add_row(
            str(number),
            cut.name + also,
            " + ".join("x".join(map(str, tensor.shape)) for tensor in cut.tensors),
            f"{row['bytes']:,}",
            f"{row['macs_before']:,}",
            f"{row['parameters_before']:,}",
        )
    out.print(table)
    if network.merged:
        out.print("(+n): n later points that carry the same bytes are part of this one")
    for note in network.notes:
        out.print(f"note: {note}")
