"""The command line: `paretocut COMMAND …`. A user's error is one line on stderr and exit status 2.

Commands live in modules beside this one, each with a `register(app)`; they import what is heavy when they run, so
that `paretocut --help` waits for nothing.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from search_spaces.errors import UserError

__all__ = ["application", "main", "run_application", "run_script"]

MODULES = (
    "study", "results", "importance", "storage", "networks", "design", "mapper", "doctor", "verify", "profile", "split",
    "import_cnnparted",
)  # fmt: skip

HELP = """Where to cut a neural network between a sensor node and an edge node, and what accelerator, clock and link
the sensor node should have: the Pareto front of sensor energy against end-to-end latency.

Start with a script that asks a question, run it, and look at the answer:

    paretocut new mine --network squeezenet1_1

    paretocut run mine.py

    paretocut front results/mine-exact-s1

A folder of results holds one question. The same command again goes on where it stopped; Ctrl-C keeps what was found.
Energies are for one frame; files and --json use SI units, with the unit in the name.
"""


def application() -> typer.Typer:
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global)
    for name in MODULES:
        import_module(f"{__name__}.{name}").register(app)
    return app


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"paretocut {version('paretocut')}")
        raise typer.Exit


def _global(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


_global.__doc__ = HELP


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script `paretocut`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run_application(application(), given or ["--help"], "paretocut"))


def run_script(function: Callable[..., object], script: str) -> None:
    """Run a script's function as its command line, and end the process with its exit status."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(function)
    sys.exit(run_application(app, sys.argv[1:], Path(script).name))


def run_application(app: Callable[..., object], arguments: Sequence[str], name: str) -> int:
    """Run a typer application and turn its errors into one line and an exit status."""
    try:
        status = app(args=list(arguments), prog_name=name, standalone_mode=False)
    except UserError as error:
        return _fail(str(error))
    except TyperException as error:
        return _fail(_usage(error, name))
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        sys.stderr.close()
        return 128 + signal.SIGPIPE
    return status if isinstance(status, int) else 0


def _usage(error: TyperException, name: str) -> str:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return f"{' '.join(message.split())} (see: {context.command_path if context else name} --help)"


def _fail(message: str) -> int:
    typer.echo(f"paretocut: {' '.join(message.split())}", err=True)
    return 2
