"""Ctrl-C and SIGTERM as a KeyboardInterrupt that never tears a commit: it waits for the end of shielded work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts"]


class Interrupts:
    """While active, SIGINT and SIGTERM raise KeyboardInterrupt, but not inside `shielded()`."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._shields = 0

    @contextmanager
    def active(self) -> Iterator[Interrupts]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Finish this block first; a signal that came meanwhile raises at its end."""
        before = self.received
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._shields == 0 and self.received is not None and before is None:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        repeated = self.received is not None
        self.received = number
        if self._shields == 0 and not repeated:
            raise KeyboardInterrupt
