"""Progress of a command that is no study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress

from dse.console import console, now_and_then

__all__ = ["counting"]


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, elsewhere a line now and then, on stderr."""
    screen = console(stderr=True)
    if screen.is_terminal:
        with Progress(console=screen, transient=True) as bar:
            task = bar.add_task(what)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    due = now_and_then()

    def line(done: int, total: int) -> None:
        if due():
            screen.print(f"{what}: {done} of {total}")

    yield line
