"""Timeloop's front end (timeloopfe, part of pytimeloop): needed for v0.4 input, found where it is installed.

It may live in another Python than ours, that of the `timeloop` command it installs, so it is never imported here: a
script started by that Python rewrites the input and becomes the tool (see `run_v04`).
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evaluators.timeloop import run_v04
from evaluators.timeloop.process import Tool
from search_spaces.errors import UserError

__all__ = ["FRONT_END", "INPUT", "INPUT_FORMATS", "FrontEnd", "InputFormat", "choose", "find"]

InputFormat = Literal["auto", "0.3", "0.4"]
INPUT_FORMATS: tuple[InputFormat, ...] = ("auto", "0.3", "0.4")

FRONT_END = "https://github.com/Accelergy-Project/timeloop-python"
"""Where the front end lives, and says how to install it."""

INPUT = "in.yaml"

_SCRIPT = Path(run_v04.__file__)
_COMMANDS = ("timeloop", "tl")
_LIMIT_S = 60


@dataclass(frozen=True)
class FrontEnd:
    """A package that reads v0.4, the command of the Python that has it, and a digest of its source files."""

    package: str
    python: tuple[str, ...]
    digest: str

    @property
    def says(self) -> str:
        return f"v0.4 input by {self.package} sha256 {self.digest[:12]}"

    @property
    def executable(self) -> Path:
        return Path(self.python[0])

    @property
    def files(self) -> dict[str, str]:
        """What the folder of a run holds beside its input, so that the run can be repeated there."""
        return {_SCRIPT.name: _SCRIPT.read_text()}

    def arguments(self, tool: Tool) -> tuple[str, ...]:
        """What follows the executable for a run of the tool on v0.4 input."""
        return (*self.python[1:], _SCRIPT.name, str(tool.path.resolve()), INPUT)


def choose(asked: InputFormat) -> FrontEnd | None:
    """What reads v0.4 input, None for v0.3. "auto" is v0.4 where there is a front end.

    Raises UserError where v0.4 is asked for and nothing reads it.
    """
    if asked == "0.3":
        return None
    found = find()
    if isinstance(found, FrontEnd):
        return found
    if asked == "0.4":
        raise UserError(f"v0.4 input of Timeloop needs its front end: {found}; install it ({FRONT_END})")
    return None


def find() -> FrontEnd | str:
    """The front end of this Python, else that of the `timeloop` command on the PATH; a text says why there is none."""
    why = "neither pytimeloop nor timeloopfe is installed here, and no `timeloop` command is on the PATH"
    for python in _pythons():
        script = [*python, str(_SCRIPT), "where"]
        try:
            told = subprocess.run(
                script, capture_output=True, text=True, errors="replace", timeout=_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = f"{shlex.join(script)}: {error}"
            continue
        lines = told.stdout.splitlines()
        if told.returncode == 0 and len(lines) >= 2:
            return FrontEnd(lines[-2], python, _digest(Path(lines[-1])))
        why = " ".join(told.stderr.split()[-40:]).removeprefix("ERROR: ") or f"{shlex.join(script)} says nothing"
    return why


def _pythons() -> list[tuple[str, ...]]:
    """Commands of the Pythons that may have a front end."""
    here = any(find_spec(package.partition(".")[0]) for package in run_v04.PACKAGES)
    found: list[tuple[str, ...]] = [(sys.executable,)] if here else []
    for command in _COMMANDS:
        path = shutil.which(command)
        if path is None:
            continue
        with Path(path).open("rb") as file:
            first = file.readline().decode(errors="replace")
        if first.startswith("#!") and "python" in first:
            found.append(tuple(first.removeprefix("#!").strip().split(maxsplit=1)))  # as the kernel does
    return found


def _digest(package: Path) -> str:
    """Of what the package's modules say, in order of their names."""
    content = sha256()
    for module in sorted(package.rglob("*.py")):
        content.update(str(module.relative_to(package)).encode() + b"\0" + module.read_bytes())
    return content.hexdigest()
