"""`paretocut doctor`: which optional backends work here, and where each says how to install it."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from dse.cli._options import AsJson

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("doctor")(_doctor)


def _doctor(as_json: AsJson = False) -> None:
    """Which optional backends work on this machine, and for those that do not, what to install.

    None of them is needed for a study with our own mapper. Each that is found is asked a small question.
    """
    from dse.doctor import examine

    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in examine()], indent=2))
        return
    for finding in examine():
        typer.echo(f"{'yes' if finding.works else 'no '}  {finding.name}: {finding.says}")
        if not finding.works:
            typer.echo(f"     for {finding.used_for}: {finding.install}")
