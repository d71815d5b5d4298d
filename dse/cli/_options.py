"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = ["RESULTS", "AsJson", "Cache", "KeepRuns", "RunLimit", "open_memo"]

RESULTS = Path("results")
"""Where studies live unless --out says otherwise."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: SI units, the unit in the name.")]
KeepRuns = Annotated[
    Path | None, typer.Option(help="Keep the inputs and outputs of every run of Timeloop here.", show_default="none")
]
RunLimit = Annotated[
    float | None,
    typer.Option(help="Stop a run of Timeloop after this many seconds, as a failure.", show_default="600"),
]
Cache = Annotated[Path | None, typer.Option("--cache", help="The memo's file.", show_default="your cache folder")]


def open_memo(cache: Path | None) -> Memo:
    """The memo that `--cache` names, or the user's."""
    from evaluators.memo import Memo, default_cache_path

    return Memo(cache or default_cache_path())
