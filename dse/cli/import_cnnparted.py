"""`paretocut import cnnparted`: a study from a configuration of CNNParted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dse.cli._options import AsJson

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    importing = typer.Typer(help="Studies from the files of other tools.", no_args_is_help=True)
    importing.callback()(lambda: None)  # keeps `cnnparted` a command of its own
    importing.command("cnnparted")(_cnnparted)
    app.add_typer(importing, name="import")


def _cnnparted(
    config: Annotated[Path, typer.Argument(help="A configuration, as in CNNParted's examples.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the script, without .py.", show_default="the file's")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Your own network in its place: module:factory or FILE.onnx.", show_default="the file's"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a script that asks what a CNNParted configuration asks, and list what has no counterpart.

    paretocut import cnnparted examples/squeezenet1_1.yaml
    """
    from dse.cnnparted import read_config, script_text
    from dse.scaffold import free_path, name_after, write

    found = read_config(config, network)
    path = free_path(name or name_after(config))
    write(path, script_text(found, path.stem))
    if as_json:
        typer.echo(json.dumps({"script": str(path), **asdict(found)}, indent=2))
        return
    node = f"{found.accelerator} at {found.clock_mhz:g} MHz"
    typer.echo(f"{path} asks about {found.network} on {node} behind {found.link}")
    for note in found.notes:
        typer.echo(f"  mind: {note}")
    together: dict[tuple[str, str], list[str]] = {}
    for entry in found.unused:
        above, _, last = entry.path.rpartition(".")
        together.setdefault((above, entry.reason), []).append(f"{last}={entry.value}")
    for (above, reason), entries in together.items():
        where = f"{above}: " if above else ""
        typer.echo(f"  not used: {where}{', '.join(entries)} ({reason})")
    typer.echo(f"next: paretocut run {path}")
