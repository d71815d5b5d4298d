"""What Timeloop says when it fails, and what that most likely means.

The tool's exit status tells little: it is 0 when Accelergy is missing and when no mapping was found. So a run has
failed unless it left the results it should have; the log then says why.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from evaluators.timeloop.run_v04 import NO_FRONT_END, REFUSES
from search_spaces.errors import UserError

__all__ = ["TimeloopError", "accelergy_says", "cause_of", "failure", "last_lines", "nothing_maps", "warnings_in"]

_CAUSES: tuple[tuple[str, str], ...] = (
    ("No space left on device", "the disk is full"),
    (REFUSES, "Timeloop's front end does not take this v0.4 input"),
    (NO_FRONT_END, "Timeloop's front end cannot be imported any more"),
    (
        "key not found: data-spaces",
        "this Timeloop is older than v0.4 input; take v0.3: timeloop-v0.3, --input-format 0.3",
    ),
    ("key not found: tables", "Accelergy wrote no energies: its version may want v0.4 files"),
    ("timeloop front-end format", "v0.4 input went to the tool without its front end"),
    ("Failed to run Accelergy", "Accelergy is not installed, not on the PATH, or failed on this input"),
    ("error while loading shared libraries", "a library of the tool is missing: see LD_LIBRARY_PATH, run it by hand"),
    ("is not divisible by product of user-provided constraint factors", "a fixed factor does not divide the layer"),
    ("target storage level not found", "a constraint or mapping names a level that the architecture does not have"),
    ("unsupported search algorithm", "the mapper's algorithm is misspelt"),
    ("mapping violates architecture constraints", "the mapping is not one that the constraints allow"),
    ("couldn't map level", "the mapping does not fit this architecture"),
    ("meshX.Get() == 0", "meshX does not divide the number of instances of a level"),
    ("% (word_bits * block_size)", "a level's width is no multiple of its word width × words per block"),
    ("storage width", "a level's width is not its word width × words per block × cluster"),
    ("YAML::", "the input is not well-formed YAML"),
    ("yaml-cpp", "the input is not well-formed YAML"),
    ("bad file", "an input file does not exist"),
    ("ncorrect metric", "the mapper does not know the optimization metric"),
    ("metric", "the mapper does not know the optimization metric"),
    ("no valid mappings found", "no mapping was found within the search's limits"),
)
"""What stands in the log and what it means, the most telling first."""

_HARMLESS = (
    "Interpreting 0 to mean full problem dimension",
    "found timeloop-mapper.map.yaml in input file list",
    "Hyphenated keyword",  # v0.3 read by a tool of v0.4
    "Trying to turn into a list",  # v0.4 written in short
)

_LINES = 6


class TimeloopError(UserError):
    """A run of the tool that gave no result; its message says where everything lies and how to repeat it."""


def failure(
    tool: str, what: str, argv: Sequence[str], folder: Path, log: str, *, status: int | None, because: str | None = None
) -> TimeloopError:
    """The error for a run that failed; `status` None means that it was stopped at its time limit."""
    ended = "was stopped" if status is None else _ended(status)
    cause = because or cause_of(log) or ("the disk is full" if _is_full(folder) else "unknown to us: see the log")
    lines = last_lines(log)
    return TimeloopError(
        f"{Path(tool).name} {ended} on {what}: {cause}; inputs and log in {folder}; "
        f"repeat with: cd {shlex.quote(str(folder))} && {shlex.join(argv)}; "
        + (f"its log ends: {' | '.join(lines)}" if lines else "its log is empty")
    )


def _is_full(folder: Path) -> bool:
    """Whether the results of a run (some 100 kB) had no room: the tool aborts without a word of it."""
    try:
        return shutil.disk_usage(folder).free < 2**17
    except OSError:
        return False


def _ended(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def cause_of(log: str) -> str | None:
    """The likeliest cause of a failure by what stands in the log, None where nothing known does."""
    told = "\n".join(line for line in log.splitlines() if not any(harmless in line for harmless in _HARMLESS))
    return next((cause for words, cause in _CAUSES if words in told), None)


def accelergy_says(folder: Path, tool: str) -> str | None:
    """What the Accelergy that the tool started gave as its error, None where that is not known."""
    try:
        lines = (folder / f"{tool}.accelergy.log").read_text(errors="replace").splitlines()
    except OSError:
        return None
    told = next((line.strip("| ") for line in reversed(lines) if "Error:" in line or "not found" in line), None)
    return None if told is None else f"Accelergy failed: {told}"


def nothing_maps(log: str) -> bool:
    """Whether the mapper searched and found no mapping: an answer, not a failure of the tool."""
    return "no valid mappings found" in log and "search algorithm is done" in log


def warnings_in(log: str) -> tuple[str, ...]:
    """The tool's warnings that bear on the result, such as a constraint that it dropped; each once."""
    found = re.findall(r"^\s*(?:WARNING|Warning):\s*(.+?)\s*$", log, flags=re.MULTILINE)
    return tuple(dict.fromkeys(w for w in found if not any(harmless in w for harmless in _HARMLESS)))


def last_lines(log: str) -> list[str]:
    """The last lines of a log that say something, oldest first."""
    return [line.strip() for line in log.splitlines() if line.strip()][-_LINES:]
