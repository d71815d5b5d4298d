"""How the kernel's functions are compiled, and by what numba knows whether code that it has kept is still theirs."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from numba import njit

from evaluators.mapper import tables

__all__ = ["compiled", "entry", "inlined", "sources"]

compiled = njit(  # type: ignore[call-overload]  # numba's stubs leave out the options on wrappers
    error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
inlined = njit(  # type: ignore[call-overload]  # see above
    error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)
"""For small helpers: a call copies all of `Tables`' arrays' descriptors, which takes longer than what they do."""
entry = njit(cache=True, error_model="numpy")
"""Only the entry is called from Python; wrappers for the rest would double the time to compile. What it calls is kept
with it, so nothing else needs a cache."""


def sources() -> str:
    """A digest of all that the kernel is compiled from: its own files, and the numbers of `tables`' columns."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(tables.__file__)]
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
