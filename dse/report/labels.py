"""What people read: the words and the unit of every metric, and numbers with four significant digits."""

from __future__ import annotations

import numpy as np

__all__ = ["LABELS", "number", "percent", "quantity", "scaled", "signed"]

LABELS = {
    "sensor_energy_j": ("sensor energy per frame", "mJ", 1e3),
    "latency_s": ("end-to-end latency", "ms", 1e3),
    "total_energy_j": ("sensor and edge energy per frame", "mJ", 1e3),
    "edge_energy_j": ("edge energy per frame", "mJ", 1e3),
    "accelerator_energy_j": ("accelerator energy per frame", "mJ", 1e3),
    "phy_energy_j": ("PHY energy per frame", "mJ", 1e3),
    "sensor_latency_s": ("sensor latency", "ms", 1e3),
    "link_latency_s": ("link latency", "ms", 1e3),
    "edge_latency_s": ("edge latency", "ms", 1e3),
    "area_mm2": ("accelerator area", "mm²", 1.0),
    "throughput_fps": ("throughput", "frames/s", 1.0),
    "sensor_power_w": ("sensor power", "mW", 1e3),
    "link_utilisation": ("link utilisation", "%", 100.0),
    "sensor_memory_bytes": ("sensor memory", "KiB", 1 / 1024),
}
"""Per metric: words, the unit people read, and what turns the SI value into it."""


def scaled(metric: str, values: np.ndarray) -> np.ndarray:
    """SI values in the unit that people read."""
    return values * LABELS[metric][2]


def quantity(metric: str, value: float) -> str:
    """A figure with its unit.

    >>> quantity("latency_s", 0.0123456)
    '12.35 ms'
    """
    _, unit, scale = LABELS[metric]
    return f"{number(value * scale)} {unit}"


def number(value: float) -> str:
    """Four significant digits, no exponent where people read none."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:#.4g}" if abs(value) >= 1e-4 else f"{value:.1e}"


def percent(share: float) -> str:
    """A share of one; only what is whole reads as 100 %.

    >>> percent(0.90909), percent(0.99996), percent(1.0)
    ('90.91 %', '99.99 %', '100.00 %')
    """
    return f"{min(round(share * 100, 2), 99.99) if share < 1 - 1e-13 else share * 100:.2f} %"


def signed(change: float | None) -> str:
    """A relative change in percent, with its sign.

    >>> signed(-0.1234), signed(0.0), signed(None)
    ('−12.3 %', '±0 %', '–')
    """
    if change is None:
        return "–"
    shown = f"{abs(change) * 100:,.{1 if abs(change) < 10 else 0}f} %"
    return "±0 %" if shown == "0.0 %" else f"{'−' if change < 0 else '+'}{shown}"
