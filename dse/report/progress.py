"""Progress of a run on stderr: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import time

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from dse.console import console, now_and_then

__all__ = ["StudyProgress"]


class StudyProgress:
    """Shows designs done, rate, time left, memo hits and front size."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._what = ""
        self._total = self._before = self._done = 0
        self._front: int | None = None
        self._hits: int | None = None
        self._mapping = ""
        self._started = time.monotonic()
        self._due = now_and_then()

    def start(self, what: str, total: int, done: int) -> None:
        self._what, self._total, self._before, self._done = what, total, done, done
        self._started = time.monotonic()
        self._due = now_and_then()
        if done:
            self.note(f"{done:,} designs of an earlier run are taken over")
        if self._console.is_terminal and done < total:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[status]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(what, total=total, completed=done, status="")
            self._bar.start()

    def update(self, done: int, front: int | None, memo_hits: int | None) -> None:
        """Designs done; the front's size and the memo's hits are shown where there are such."""
        self._done, self._front, self._hits, self._mapping = done, front, memo_hits, ""
        self._show()

    def preparing(self, done: int, total: int) -> None:
        """Layers mapped, of those that the next designs need."""
        self._mapping = f"mapping layers {done:,}/{total:,}" if done < total else ""
        self._show()

    def note(self, text: str) -> None:
        self._console.print(text)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, status=self._status())
        elif not self._console.is_terminal and self._due():
            self._console.print(f"{self._what}: {self._status()}")

    def _status(self) -> str:
        seconds = time.monotonic() - self._started
        new = self._done - self._before
        rate = new / seconds if seconds > 0 else 0.0
        left = f"{_duration((self._total - self._done) / rate)} left" if rate > 0 else "time left unknown"
        parts = [
            f"{self._done:,}/{self._total:,} designs",
            f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s",
            left,
        ]
        parts += [f"front {self._front}"] if self._front is not None else []
        parts += [f"memo hits {self._hits:,}"] if self._hits is not None else []
        return " · ".join([*parts, self._mapping] if self._mapping else parts)


def _duration(seconds: float) -> str:
    whole = int(seconds + 0.5)
    return (
        f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    )
