"""The links a sensor node may have: one file per Ethernet PHY, each with a `PHY`.

A new file in this folder is a new link; its name is the PHY's own.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from search_spaces.errors import unknown
from search_spaces.links._phy import EthernetPhy

__all__ = ["EthernetPhy", "get", "names"]


@cache
def _phys() -> dict[str, EthernetPhy]:
    modules = [m.name for m in iter_modules(__path__) if not m.name.startswith("_")]
    phys = [import_module(f"{__name__}.{module}").PHY for module in modules]
    return {phy.name: phy for phy in sorted(phys, key=lambda phy: (phy.rate_bps, phy.name))}


def names() -> tuple[str, ...]:
    """Names of all links, the slowest first."""
    return tuple(_phys())


def get(name: str) -> EthernetPhy:
    """The PHY of this name; an unknown one is a `UserError`."""
    try:
        return _phys()[name]
    except KeyError:
        raise unknown("link", name, names(), add="search_spaces/links/<name>.py") from None
