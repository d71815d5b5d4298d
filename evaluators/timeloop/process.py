"""Running Timeloop: each run in a fresh folder, several at once, none left behind.

A run's folder holds its inputs, its outputs and `run.log` (both streams). The tool and all it starts are one
process group, which is killed at the time limit and when the caller is interrupted. When the caller dies, Linux kills
the tool; what that started goes on until it ends by itself, and the next caller removes the folder.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from evaluators.timeloop.failures import TimeloopError
from search_spaces.errors import UserError, reason

__all__ = ["INSTALLATION", "Job", "Run", "Tool", "find_tool", "run_all"]

INSTALLATION = "https://timeloop.csail.mit.edu/previous_versions/timeloop-accelergy-v3/timeloop/installation"
"""Where the tool's own documentation says how to install the version that reads v0.3 input."""

LOG = "run.log"
_PREFIX = "timeloop-"
_RUNNING = ".running"
"""A file in the folder of a run that nobody has taken yet, locked by the process that waits for it."""

_POLL_S = 0.005


@dataclass(frozen=True)
class Tool:
    """An executable, and a digest of it and of its own libraries: the tool has no option that prints its version."""

    name: str
    path: Path
    digest: str


def find_tool(name: str) -> Tool:
    """The executable of that name on the PATH. Raises UserError where there is none."""
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"{name} is not on the PATH; install Timeloop ({INSTALLATION}), or see what is missing: paretocut doctor"
        )
    path = Path(found).absolute()  # runs are elsewhere, and the PATH may be relative
    content = sha256()
    try:
        for file in (path, *_own_libraries(path)):
            content.update(file.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {found}: {reason(error)}") from None
    return Tool(name, path, content.hexdigest())


def _own_libraries(path: Path) -> list[Path]:
    """Shared libraries of Timeloop that the executable loads, in order of name; none where they cannot be listed."""
    ldd = shutil.which("ldd")
    if ldd is None:
        return []
    try:
        listed = subprocess.run([ldd, str(path)], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return []
    words = {word for line in listed.splitlines() if "timeloop" in line for word in line.split() if "/" in word}
    return [file for file in map(Path, sorted(words)) if file.is_file()]


@dataclass(frozen=True)
class Job:
    """One run: the arguments after the tool's name, the files to lay into its folder, and what it is about."""

    what: str
    arguments: tuple[str, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A run that ended; `status` None means that it was stopped at the time limit."""

    job: Job
    argv: tuple[str, ...]
    folder: Path
    status: int | None
    seconds: float

    @property
    def log(self) -> str:
        """What the tool wrote to both its streams."""
        try:
            return (self.folder / LOG).read_text(errors="replace")
        except OSError:
            return ""

    def discard(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def run_all(
    tool: Path,
    jobs: Iterable[Job],
    take: Callable[[int, Run], None],
    *,
    limit_s: float,
    workers: int = 1,
    runs: Path | None = None,
) -> None:
    """Run the jobs, `workers` at once, and call `take` with the place and the run of each that has ended.

    Folders are made below `runs`, or below the system's temporary folder; `take` discards them. Raises TimeloopError
    where a run cannot be started, and the first UserError of `take` once it had all that ended at the same time; what
    still runs is then stopped.
    """
    if runs is None:
        _remove_abandoned()
    waiting = list(enumerate(jobs))[::-1]
    active: dict[int, _Process] = {}
    try:
        while waiting or active:
            while waiting and len(active) < workers:
                place, job = waiting.pop()
                active[place] = _Process(tool, job, _fresh_folder(runs))
            ended = [(place, run) for place, p in active.items() if (run := p.ended(limit_s)) is not None]
            failed: UserError | None = None
            for place, run in ended:
                try:
                    take(place, run)
                except UserError as error:
                    failed = failed or error
                active.pop(place).forget()
            if failed is not None:
                raise failed
            if not ended:
                time.sleep(_POLL_S)
    finally:
        for process in active.values():
            process.kill()
            process.forget()
            if runs is None:
                shutil.rmtree(process.folder, ignore_errors=True)


def _fresh_folder(runs: Path | None) -> Path:
    try:
        if runs is not None:
            runs.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=runs)).resolve()
    except OSError as error:
        where = runs if runs is not None else tempfile.gettempdir()
        raise TimeloopError(f"cannot make a folder for a run of Timeloop in {where}: {error.strerror}") from None


def _remove_abandoned() -> None:
    """Remove the temporary folders of runs whose caller was killed; those of failed runs have ended and are kept."""
    for running in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_RUNNING}"):
        with suppress(OSError), running.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(running.parent, ignore_errors=True)


class _Process:
    """One running tool."""

    def __init__(self, tool: Path, job: Job, folder: Path) -> None:
        self.job = job
        self.folder = folder
        self.argv = (str(tool), *job.arguments)
        self.started = time.monotonic()
        try:
            self._running = (folder / f"{_RUNNING}.new").open("w")
            fcntl.flock(self._running, fcntl.LOCK_EX)
            (folder / f"{_RUNNING}.new").rename(folder / _RUNNING)  # never seen unlocked
            for name, text in job.files.items():
                (folder / name).write_text(text)
            with (folder / LOG).open("wb") as log:
                self.popen = subprocess.Popen(
                    self.argv,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),
                )
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TimeloopError(f"cannot run {tool} on {job.what} in {folder}: {error.strerror or error}") from None

    def ended(self, limit_s: float) -> Run | None:
        """The run if it has ended or its time is up, which ends it."""
        status = self.popen.poll()
        seconds = time.monotonic() - self.started
        if status is None:
            if seconds < limit_s:
                return None
            self.kill()
        return Run(self.job, self.argv, self.folder, status, seconds)

    def kill(self) -> None:
        """End the tool and all it started."""
        if self.popen.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def forget(self) -> None:
        """Leave the folder, if it is still there, to whoever wants it."""
        (self.folder / _RUNNING).unlink(missing_ok=True)
        self._running.close()


if sys.platform == "linux":
    _LIBC = ctypes.CDLL(None)
    _PR_SET_PDEATHSIG = 1

    def _die_with(parent: int) -> Callable[[], None] | None:
        """What the child does before it becomes the tool: ask to be killed when its parent dies."""

        def in_child() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

        return in_child

else:

    def _die_with(parent: int) -> Callable[[], None] | None:
        return None
