"""Edge devices by name: one file each, with a `DEVICE` whose docstring gives the source of every figure.

A new file in this folder is a new device; its name is the device's own. A user's own may also be a JSON file anywhere,
as `paretocut calibrate --out` writes it, and is named by its path.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from search_spaces.devices._device import EdgeDevice, from_file, to_json
from search_spaces.errors import unknown

__all__ = ["EdgeDevice", "get", "names", "to_json"]


@cache
def _devices() -> dict[str, EdgeDevice]:
    modules = [m.name for m in iter_modules(__path__) if not m.name.startswith("_")]
    devices = [import_module(f"{__name__}.{module}").DEVICE for module in modules]
    return {device.name: device for device in sorted(devices, key=lambda device: device.name)}


def names() -> tuple[str, ...]:
    """Names of all devices, in alphabetical order."""
    return tuple(_devices())


def get(name: str) -> EdgeDevice:
    """The device of this name, or of a path that ends with .json; an unknown one is a `UserError`."""
    if name.endswith(".json"):
        return from_file(Path(name))
    try:
        return _devices()[name]
    except KeyError:
        way = "search_spaces/devices/<name>.py, or FILE.json of paretocut calibrate --out"
        raise unknown("device", name, names(), add=way) from None
