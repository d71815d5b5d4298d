"""`paretocut profile`: what is left after every cut, measured here; `paretocut profiles`: such files; `calibrate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from dse.cli._options import AsJson, Cache, open_memo
from dse.cli._progress import counting
from dse.cli.networks import NETWORK, parse_shape
from dse.console import console
from dse.files import write_bytes, write_text
from search_spaces.errors import UserError

__all__ = ["parse_share", "register"]

RUNS = 1000

Network = Annotated[str, typer.Argument(help=NETWORK)]
Input = Annotated[str | None, typer.Option("--input", help="Input shape, such as 1x3x224x224.")]
Mode = Annotated[str, typer.Option(help="Cut mode: block, tensor or frontier.")]
Files = Annotated[list[str], typer.Argument(help="Profiles: files, or names of those that come with paretocut.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("profile")(profile)
    app.command("calibrate")(calibrate)
    profiles = typer.Typer(help="Profiles of edge nodes: what is in them, and whether they fit.", no_args_is_help=True)
    profiles.command("show")(show)
    profiles.command("merge")(merge)
    profiles.command("check")(check)
    app.add_typer(profiles, name="profiles")


def profile(
    network: Network,
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="only shown")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    method: Annotated[
        str, typer.Option(help="segments: one pass times all cuts; suffix: each remainder on its own, as the paper.")
    ] = "segments",
    runs: Annotated[int, typer.Option(help="Runs, or the most runs with --precision.")] = RUNS,
    precision: Annotated[
        str | None, typer.Option(help="Stop when every median is known to this share, such as 2%.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.", show_default="torch's choice, or a core each")] = None,
    power_w: Annotated[
        float | None, typer.Option(help="Power of the computer in watts.", show_default="its sensor's, if it has one")
    ] = None,
    input_: Input = None,
    mode: Mode = "block",
    script: Annotated[
        Path | None,
        typer.Option(help="Measure nothing; write a Python file that does it on a board without paretocut."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure although the memo has it; the memo keeps the first.")
    ] = False,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Measure what an edge node needs for the rest of a network after every cut: the median of real runs.

    torch runs a network with random weights, your own with those it has; onnxruntime runs an ONNX file as it is.

    paretocut profile squeezenet1_1 --precision 2% --out here.json

    paretocut profile squeezenet1_1 --script there.py     (then, on the board: python3 there.py --out orin.json)

    paretocut evaluate squeezenet1_1 --cut "MaxPool2d: 2-6" --edge profile:orin.json
    """
    from evaluators import edge
    from evaluators.edge import board
    from search_spaces.networks import load

    words: Any = mode  # checked where it goes
    if script is not None:
        measuring = {
            "--out": out is not None, "--device": device != "cpu", "--method": method != "segments",
            "--runs": runs != RUNS, "--precision": precision is not None, "--threads": threads is not None,
            "--power-w": power_w is not None, "--again": again,
        }  # fmt: skip
        if any(measuring.values()):
            useless = ", ".join(option for option, given in measuring.items() if given)
            raise UserError(f"--script measures nothing, so leave out {useless}; it is the script that takes options")
        traced = load(network, None if input_ is None else parse_shape(input_), words)
        from evaluators.edge.measured import script as program

        write_bytes(script, program(traced), "--script")
        needs = "onnx and onnxruntime" if network.endswith(".onnx") else "torch 2.0 and torchvision"
        command = f"python3 {script.name} --out board.json --device cuda"
        if as_json:
            typer.echo(
                json.dumps({"script": str(script), "needs": f"Python 3.8, {needs}", "command": command}, indent=2)
            )
        else:
            typer.echo(f"{script}: copy it to the board, which needs Python 3.8, {needs}; then\n    {command}")
        return
    share = parse_share(precision)
    try:
        board.check_power(power_w)
        board.check(device, method, runs, threads, share)
        if out is not None:
            board.check_out(out)
    except board.ProfileError as error:
        raise UserError(str(error)) from None
    traced = load(network, None if input_ is None else parse_shape(input_), words)
    with open_memo(cache) as memo, counting(f"profiling {network}") as told:
        found = edge.measure(
            traced, device, runs=runs, threads=threads, method=method, precision=share,
            memo=None if again else memo, progress=told,
        )  # fmt: skip
    if power_w is not None:
        found = {**found, "power_w": power_w, "power_from": "given"}
    if out is not None:
        write_text(out, json.dumps(found, indent=1) + "\n", "--out")
    _warn_if_unsteady(found)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    _show(found)
    if out is not None:
        typer.echo(f"{out}: use it with --edge profile:{out}")


def show(files: Files, as_json: AsJson = False) -> None:
    """What profiles say: device, versions, and the seconds after every cut."""
    from evaluators.edge.files import read

    found = [read(name) for name in files]
    if as_json:
        typer.echo(json.dumps(found if len(found) > 1 else found[0], indent=2))
        return
    for one in found:
        _show(one)
        _warn_if_unsteady(one)


def merge(
    files: Files,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    as_json: AsJson = False,
) -> None:
    """Join profiles of one network on one computer, such as those of two cut modes."""
    from evaluators.edge import files as profiles

    if len(files) < 2:
        raise UserError("merge takes two or more profiles")
    merged = profiles.merge([profiles.read(name) for name in files])
    write_text(out, json.dumps(merged, indent=1) + "\n", "--out")
    if as_json:
        typer.echo(json.dumps(merged, indent=2))
        return
    typer.echo(f"{out}: {len(merged['cuts'])} cuts in mode {', '.join(merged['cut_modes'])}")


def check(
    file: Annotated[str, typer.Argument(help="A profile.")],
    network: Network,
    input_: Input = None,
    mode: Mode = "block",
    as_json: AsJson = False,
) -> None:
    """Whether a profile fits a network, its input and its cuts; what differs otherwise, with exit status 2."""
    from evaluators.edge import files
    from search_spaces.networks import load

    words: Any = mode
    traced = load(network, None if input_ is None else parse_shape(input_), words)
    fitting = files.edge_profile(files.read(file), traced, file)
    if as_json:
        typer.echo(json.dumps(asdict(fitting) | {"cuts": [cut.name for cut in traced.cuts]}, indent=2))
        return
    typer.echo(f"{file} fits: {len(fitting.latency_s)} cuts of {network} in mode {mode}, measured on {fitting.device}")


def calibrate(
    device: Annotated[
        str, typer.Argument(help="A device, as `paretocut list devices` names it, or a .json file of --out.")
    ],
    file: Annotated[str, typer.Argument(help="A profile of a network that was measured on this device.")],
    out: Annotated[
        Path | None, typer.Option(help="The .json file to write the fitted device to.", show_default="only shown")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a roofline's efficiencies and launch overhead to a measured profile, and show the error at every cut.

    paretocut calibrate generic-cpu here.json --out mine.json

    paretocut evaluate squeezenet1_1 --cut "MaxPool2d: 2-6" --edge roofline:mine.json
    """
    if out is not None and out.suffix != ".json":
        raise UserError(f"a device of your own is a .json file, not {out}; choose another --out")
    from evaluators.edge import files
    from evaluators.edge.calibrate import calibrate as fit
    from search_spaces import devices
    from search_spaces.networks import load

    measured = files.read(file)
    known = devices.get(device)
    mode: Any = measured["cut_modes"][0]
    traced = load(measured["network"], tuple(measured["input"]), mode)
    found = fit(traced, known, files.edge_profile(measured, traced, file))
    if out is not None:
        write_text(out, json.dumps(devices.to_json(found.device), indent=1) + "\n", "--out")
    _warn_if_unsteady(measured)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    screen = console()
    screen.print(
        f"{device} fitted to {measured['network']}; the profile is of {measured['device']}, and the factors are "
        f"{device}'s only if that is one",
        markup=False,
        soft_wrap=True,
    )
    factors = Table("factor", *_right("in the file", "fitted"), box=None)
    for name, unit in (("compute_efficiency", ""), ("bandwidth_efficiency", ""), ("launch_overhead_s", "µs")):
        scale = 1e6 if unit else 1.0
        before, after = (getattr(d, name) * scale for d in (known, found.device))
        factors.add_row(name, f"{before:.3g} {unit}", f"{after:.3g} {unit}")
    screen.print(factors)
    table = Table("cut", *_right("measured ms", "file's ms", "error", "fitted ms", "error"), box=None)
    for row in found.rows:
        errors = [f"{100 * e:+.0f} %" if e is not None else "–" for e in (row.error_before, row.error_after)]
        table.add_row(
            escape(row.cut), f"{row.measured_s * 1e3:.3f}", f"{row.before_s * 1e3:.3f}", errors[0],
            f"{row.after_s * 1e3:.3f}", errors[1],
        )  # fmt: skip
    screen.print(table)
    before, after = found.median_error_before, found.median_error_after
    screen.print(f"median error {100 * before:.0f} % before, {100 * after:.0f} % after", soft_wrap=True, markup=False)
    if out is None:
        screen.print("--out FILE.json keeps the fitted device", soft_wrap=True, markup=False)
    else:
        screen.print(f"{out}: use it with --edge roofline:{out}", soft_wrap=True, markup=False)


def _warn_if_unsteady(found: Mapping[str, Any]) -> None:
    from evaluators.edge import files

    if unsteady := files.unsteady(found):
        typer.echo(
            f"not steady: at {len(unsteady)} of {len(found['cuts'])} cuts the interquartile range is above "
            f"{files.STEADY:.0%} of the median; measure again on an idle machine: paretocut profile --again",
            err=True,
        )


def _show(found: Mapping[str, Any]) -> None:
    from evaluators.edge.files import ran_by

    screen = console()
    environment = found["environment"]
    shape = "x".join(map(str, found["input"]))
    power = "not measured" if found.get("power_w") is None else f"{found['power_w']:.1f} W ({found['power_from']})"
    screen.print(f"{found['network']}, input {shape}, on {found['device']}", markup=False)
    told = {"python": "Python", "system": "system", "power_mode": "power mode", "made": "made"}
    facts = ", ".join(f"{label} {environment.get(key, '?')}" for key, label in told.items())
    how = f"method {found['method']}, {environment.get('threads', '?')} threads, {ran_by(found)}"
    screen.print(how, facts, f"power {power}", sep="\n", markup=False)
    table = Table("cut", *_right("elements sent", "ms after it", "interquartile range", "runs", "outliers"), box=None)
    for cut in found["cuts"]:
        spread = f"{100 * cut['iqr_s'] / cut['latency_s']:.1f} %" if cut["latency_s"] else "–"
        milliseconds = f"{cut['latency_s'] * 1e3:.4f}"
        table.add_row(
            escape(cut["name"]), f"{cut['elements']:,}", milliseconds, spread, str(cut["runs"]), str(cut["outliers"])
        )
    screen.print(table)
    screen.print("measured: median of single runs; outliers lie above Q3 + 3 ranges")


def _right(*headers: str) -> list[Any]:
    return [Column(header, justify="right", no_wrap=True) for header in headers]


def parse_share(text: str | None) -> float | None:
    """0.02 of "2%" and of "0.02"; raises UserError for anything else."""
    from evaluators.edge import board

    try:
        return None if text is None else board.share(text)
    except board.ProfileError as error:
        raise UserError(str(error)) from None
