"""Timeloop, the tool itself, as a second judge: needs `timeloop-mapper` and `timeloop-model` on the PATH."""

from __future__ import annotations

from evaluators.timeloop.evaluate import LIMIT_S, MAPPER, MODEL, VERSION, Searched, Timeloop
from evaluators.timeloop.failures import TimeloopError
from evaluators.timeloop.front_end import InputFormat
from evaluators.timeloop.output import LevelOutput, Output
from evaluators.timeloop.render import SearchSettings

__all__ = [
    "LIMIT_S", "MAPPER", "MODEL", "VERSION", "InputFormat", "LevelOutput", "Output", "SearchSettings", "Searched",
    "Timeloop", "TimeloopError",
]  # fmt: skip
