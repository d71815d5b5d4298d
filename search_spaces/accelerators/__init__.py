"""Accelerators a sensor node can have. One file each: a module with `DEFAULTS` and `architecture(parameters)`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from search_spaces.accelerators.architecture import DIMS, DRAMS, Architecture, Component, Level, Spatial
from search_spaces.accelerators.parameters import MEMORIES, TEMPLATE, Parameters
from search_spaces.errors import unknown
from search_spaces.types import KnobValue

__all__ = [
    "DIMS", "DRAMS", "MEMORIES", "TEMPLATE", "Architecture", "Component", "Level", "Spatial", "build", "defaults",
    "describe", "names",
]  # fmt: skip

_NOT_TEMPLATES = ("architecture", "parameters", "systolic")


@cache
def names() -> tuple[str, ...]:
    """The names of all templates, one per file of this folder."""
    found = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name for name in found if name not in _NOT_TEMPLATES))


def _template(name: str) -> ModuleType:
    if name not in names():
        raise unknown("accelerator", name, names(), add="search_spaces/accelerators/<name>.py")
    return import_module(f"{__name__}.{name}")


def defaults(name: str) -> dict[str, KnobValue]:
    """Every parameter of a template with the template's own value."""
    return dict(_template(name).DEFAULTS)


def describe(name: str) -> str:
    """The first line of what the template's file says about itself."""
    return (_template(name).__doc__ or "").strip().splitlines()[0]


@lru_cache(maxsize=1024)
def _build(name: str, given: tuple[tuple[str, KnobValue], ...]) -> Architecture:
    module = _template(name)
    architecture: Architecture = module.architecture(Parameters.fill(name, module.DEFAULTS, dict(given)))
    return architecture


def build(name: str, parameters: Mapping[str, KnobValue] | None = None) -> Architecture:
    """The accelerator with these parameters, the template's own values for the rest.

    Beside the template's parameters, `buffers` ("regfile" or "sram") stands for every buffer of `MEMORIES` but the
    global one, where the template has it and nothing else is said of it; "template" stands for the template's own.

    Raises UserError for unknown names and values, IllegalDesign for a combination that cannot be built.
    """
    return _build(name, tuple(sorted((parameters or {}).items())))
