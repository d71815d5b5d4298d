"""What a user did wrong, in one line: the rule, the value given, the way out. The command line exits with status 2."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["IllegalDesign", "UserError", "reason", "unknown"]


class UserError(ValueError):
    """Bad input: its message is one line that says the rule, the value and the way out."""


def reason(error: Exception) -> str:
    """Why a file cannot be read, in one line and without the file's name or an error number.

    >>> reason(FileNotFoundError(2, "No such file or directory"))
    'no such file or directory'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return " ".join(str(error).split())


class IllegalDesign(UserError):
    """A design point that cannot exist; `reason` is a short stable code that studies count."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[IllegalDesign], tuple[str, str]]:
        return type(self), (self.reason, str(self))


def unknown(what: str, name: object, known: Iterable[str], add: str | None = None) -> UserError:
    """The error for a name that is not known: lists the known ones and the closest match.

    >>> str(unknown("link", "1000base", ["100base-t", "1000base-t"]))
    "no link '1000base'; did you mean '1000base-t'? known: 1000base-t, 100base-t"
    >>> str(unknown("metric", "area", ["edge_area", "area_mm2"]))
    "no metric 'area'; did you mean 'area_mm2'? known: area_mm2, edge_area"
    """
    names = sorted(known)
    begins = [known for known in names if name and known.startswith(str(name))]
    close = begins[:1] if len(begins) == 1 else get_close_matches(str(name), names, n=1, cutoff=0.61)
    hint = f"did you mean {close[0]!r}? " if close else ""
    shown = ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")
    way_out = f" (add one: {add})" if add else ""
    return UserError(f"no {what} {name!r}; {hint}known: {shown}{way_out}")
