"""`paretocut split`: the head and the tail of a network at a cut, as files that run on the two nodes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from dse.cli._options import AsJson
from dse.cli.networks import NETWORK, parse_cut, parse_shape

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("split")(split)


def split(
    network: Annotated[str, typer.Argument(help=NETWORK)],
    cut: Annotated[str, typer.Option(help="Name or number of a partitioning point, as `paretocut cuts` shows them.")],
    out: Annotated[Path, typer.Option(help="The folder to write into.")],
    input_: Annotated[str | None, typer.Option("--input", help="Input shape, such as 1x3x224x224.")] = None,
    mode: Annotated[str, typer.Option(help="Cut mode: block, tensor or frontier.")] = "block",
    onnx: Annotated[bool, typer.Option(help="Also write ONNX files.")] = True,
    as_json: AsJson = False,
) -> None:
    """Write head and tail of a network as torch.export programs and ONNX files, and check that they are the network.

    paretocut split squeezenet1_1 --cut "Fire: 2-11" --out parts/

    paretocut split net.onnx --mode tensor --cut 7 --out parts/     (ONNX files only)
    """
    from search_spaces.networks import load
    from search_spaces.networks.parts import write_parts

    words: Any = mode  # checked where it goes
    traced = load(network, None if input_ is None else parse_shape(input_), words)
    name = parse_cut(traced, cut)
    found = write_parts(traced, next(c for c in traced.cuts if c.name == name), out, onnx=onnx)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    shapes = ", ".join("x".join(map(str, shape)) for shape in found.crossing)
    typer.echo(f"{network} cut after {found.cut}: {shapes} crosses; {out}: {', '.join(found.files)}")
    written = {Path(file).stem for file in found.files}
    parts = " then ".join(part for part in ("head", "tail") if part in written) or "no part at all"
    for difference, runner in ((found.difference, "torch.export"), (found.onnx_difference, found.onnx_runtime)):
        if difference is not None:
            typer.echo(
                f"{parts} against the whole network: largest absolute difference {difference:g} in outputs of up "
                f"to {found.largest:g} ({runner})"
            )
    for note in found.notes:
        typer.echo(f"note: {note}")
