"""Design-space exploration: studies, algorithms, fronts and the command line.

An experiment script builds a `StudySpec` in a function and calls `launch` with it.
"""

from dse.study import DEFAULT_CONSTRAINTS, Constraint, StudySpec

__all__ = ["DEFAULT_CONSTRAINTS", "Constraint", "StudySpec", "launch"]


def __getattr__(name: str) -> object:
    # The command line is imported when it is used: `dse.study` must not depend on it.
    if name == "launch":
        from dse.cli.study import launch

        return launch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
