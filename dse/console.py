"""The console of all commands."""

from __future__ import annotations

from rich.console import Console

__all__ = ["console"]

COLUMNS_WITHOUT_TERMINAL = 200
"""How wide the output is where nobody looks at it through a window: tables are not squeezed."""


def console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console as wide as its terminal; `soft_wrap` leaves long lines of text to the terminal."""
    plain = Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap)
    if plain.is_terminal:
        return plain
    return Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap, width=COLUMNS_WITHOUT_TERMINAL)
