"""The console of all commands."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

__all__ = ["console", "now_and_then"]

COLUMNS_WITHOUT_TERMINAL = 200
"""How wide the output is where nobody looks at it through a window: tables are not squeezed."""

LINE_SECONDS = 10.0
"""How often a line is written where the output is no terminal."""


def now_and_then() -> Callable[[], bool]:
    """Says, whenever it is called, whether it is time for a line: not at once, then every `LINE_SECONDS`."""
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        if time.monotonic() - last <= LINE_SECONDS:
            return False
        last = time.monotonic()
        return True

    return due


def console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console as wide as its terminal; `soft_wrap` leaves long lines of text to the terminal."""
    plain = Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap)
    if plain.is_terminal:
        return plain
    return Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap, width=COLUMNS_WITHOUT_TERMINAL)
