"""A user's script and its question. One that calls our packages wrongly gets one line; what goes wrong in it otherwise
keeps its trace."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from traceback import walk_tb
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from search_spaces.errors import UserError, unknown

if TYPE_CHECKING:
    from dse.study import StudySpec

__all__ = ["Question", "calls_explained", "question_in", "spec_of"]

Question = Callable[[], "StudySpec"]

PACKAGES = ("dse", "evaluators", "search_spaces")


def question_in(script: Path) -> Question:
    """The `study` function of a script; running the script itself calls `dse.launch`, loading it does not."""
    if not script.is_file():
        raise UserError(f"no script {script}; make one with: paretocut new NAME --network squeezenet1_1")
    sys.path.insert(0, str(script.resolve().parent))
    try:
        with calls_explained():
            names = runpy.run_path(str(script), run_name="paretocut_experiment")
    except SyntaxError as error:
        raise UserError(f"{script} is not a Python script: line {error.lineno}: {error.msg}") from None
    question = names.get("study")
    if not callable(question):
        raise UserError(f"{script} has no function study() that returns a StudySpec; see: paretocut new --help")
    return question


def spec_of(question: Question) -> StudySpec:
    """What a script's question asks."""
    from dse.study import StudySpec

    with calls_explained():
        spec = question()
    if not isinstance(spec, StudySpec):
        raise UserError(f"study() must return a StudySpec, not {type(spec).__name__}; see: paretocut new --help")
    return spec


@contextmanager
def calls_explained() -> Iterator[None]:
    """Turn a call, an import or an attribute that our packages do not have into a UserError with file and line."""
    try:
        yield
    except (TypeError, ImportError, AttributeError) as error:
        frames = list(walk_tb(error.__traceback__))
        theirs = max(
            (i for i, (frame, _) in enumerate(frames) if not _ours(frame.f_globals.get("__name__"))), default=0
        )
        frame, line = frames[theirs]
        beyond = [inner for inner, _ in frames[theirs + 1 :]]
        said = _constructor(error, beyond) if beyond else _misuse(error, frame)
        if said is None:
            raise
        raise UserError(f"{frame.f_code.co_filename}:{line}: {said}") from None


def _ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] in PACKAGES


def _constructor(error: Exception, frames: list[FrameType]) -> str | None:
    """A value of the wrong type, found while one of our objects was made."""
    if isinstance(error, TypeError) and frames[-1].f_code.co_name in ("__init__", "__post_init__"):
        return f"{type(frames[-1].f_locals.get('self')).__name__}: {error}"
    return None


def _misuse(error: Exception, frame: FrameType) -> str | None:
    """What the last line of a script asked of our packages that they do not have."""
    if isinstance(error, ImportError):
        wanted = re.match(r"cannot import name '(\w+)'", str(error))
        if not _ours(error.name):
            return None
        module = __import__(error.name, fromlist=["*"]) if wanted and error.name else None
        return str(error).partition(" (")[0] + (_closest(wanted[1], dir(module)) if wanted else "")
    if isinstance(error, AttributeError):
        if isinstance(error.obj, ModuleType) and _ours(error.obj.__name__):
            return f"{error.obj.__name__} has no {error.name!r}{_closest(error.name, dir(error.obj))}"
        return None
    called = re.match(r"([\w.]+)\(\) ", str(error))
    target = _named(called[1].removesuffix(".__init__"), frame) if called else None
    if called is None or not _ours(getattr(target, "__module__", None)):
        return None
    name = called[1].removesuffix(".__init__")
    keyword = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if keyword and callable(target):
        return str(
            unknown(f"parameter of {name}", keyword[1], [p for p in signature(target).parameters if p != "self"])
        )
    return f"{name} {str(error).removeprefix(called[0])}"


def _named(qualified: str, frame: FrameType) -> object | None:
    """The object that a script knows by this qualified name, in its own names or in a module's of ours."""
    first, *rest = qualified.split(".")
    names = {**frame.f_globals, **frame.f_locals}
    modules = [vars(v) for v in names.values() if isinstance(v, ModuleType) and _ours(v.__name__)]
    for known in (names, *modules):
        for value in known.values():
            if getattr(value, "__qualname__", None) == first and _ours(getattr(value, "__module__", None)):
                for part in rest:
                    value = getattr(value, part, None)
                return value
    return None


def _closest(name: str | None, known: list[str]) -> str:
    close = get_close_matches(name or "", [k for k in known if not k.startswith("_")], n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
