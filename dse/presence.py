"""Which process holds a trial, and whether that process is still there.

On one machine the process table knows. Of a process elsewhere only its heartbeat is seen: a number that it counts up
in the storage. It is dead when the number has stood still for a while by the watcher's own clock, so no two clocks
need to agree.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["BEAT_SECONDS", "STALE_SECONDS", "Heart", "Watch", "is_alive", "runs", "this_process"]

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


@cache
def _machine() -> str:
    """Where process numbers mean the same: a host since its start, or a container on it."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().split("-")[0]
        return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the machine did; None where there is no such (living) process."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    with suppress(OSError):
        os.kill(pid, 0)
        return "?"  # no /proc here
    return None


def runs(pid: int) -> bool:
    """Whether there is a process of this number on this machine."""
    return _started(pid) is not None


def this_process() -> str:
    """A name of this process that no other has, here or on another machine."""
    return f"{_machine()} {os.getpid()} {_started(os.getpid())}"


def is_alive(process: str) -> bool | None:
    """Whether the process of this name runs; None where only its heartbeat could tell."""
    machine, pid, started = process.rsplit(" ", 2)
    if machine != _machine():
        return None
    return _started(int(pid)) == started


class Watch:
    """Judges processes of other machines by their heartbeats."""

    def __init__(self, beats: Callable[[str], object]) -> None:
        self._beats = beats
        self._last: dict[str, tuple[object, float]] = {}

    def is_alive(self, process: str) -> bool:
        here = is_alive(process)
        if here is not None:
            return here
        now, beat = time.monotonic(), self._beats(process)
        seen, since = self._last.get(process, (None, now))
        if process not in self._last or seen != beat:
            self._last[process] = (beat, now)
            return True
        return now - since < STALE_SECONDS


class Heart:
    """A thread that counts up a number while this process holds trials."""

    def __init__(self, beat: Callable[[int], None]) -> None:
        self._beat = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")
        self._thread.start()

    def _run(self) -> None:
        number = int(time.time())  # never a number of an earlier life
        while True:
            with suppress(Exception):  # a storage that fails here fails where trials are written too, and says so
                self._beat(number)
            if self._stopped.wait(BEAT_SECONDS):
                return
            number += 1

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
