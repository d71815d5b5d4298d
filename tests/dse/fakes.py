"""A fake evaluator with real knobs: closed forms with trade-offs, illegal designs, ties and constraints, no torch."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dse.store import is_study, read_store
from dse.study import Constraint, Evaluator, StudySpec, Trial
from evaluators.costs import METRICS
from search_spaces.errors import IllegalDesign
from search_spaces.space import SearchSpace
from search_spaces.types import Cut, Knob, Network, Tensor

CUTS = ("Identity", "conv1", "pool1", "conv2", "pool2", "fc")
LINKS = {"100base-t": (1e8, 0.2), "1000base-t": (1e9, 0.6), "10gbase-t": (1e10, 4.0)}
PAYLOAD_BITS = dict(zip(CUTS, (2.4e6, 9.6e6, 2.4e6, 3.2e6, 0.6e6, 1.6e4), strict=True))
SHARE = dict(zip(CUTS, (0.0, 0.2, 0.22, 0.7, 0.72, 1.0), strict=True))


@dataclass(frozen=True)
class FakeSettings:
    macs: float = 2e8


@dataclass(frozen=True)
class FakeBlock:
    metrics: dict[str, np.ndarray]
    legal: np.ndarray
    illegal_counts: dict[str, int]
    combinations: None = None


def network() -> Network:
    cuts = tuple(Cut(name, frozenset(), (Tensor(name, (1,)),)) for name in CUTS)
    return Network("fakenet", Tensor("x", (1, 3, 8, 8)), (), cuts, "block")


def space(pes: Sequence[int] = (2, 4, 8, 16), clocks: Sequence[int] = (50, 100, 200, 400, 800)) -> SearchSpace:
    return SearchSpace(
        (
            Knob("cut", CUTS),
            Knob("accelerator", ("row", "weight")),
            Knob("pe_cols", tuple(pes)),
            Knob("pe_rows", tuple(pes)),
            Knob("glb_kib", (64, 128, 256)),
            Knob("input_buffer_scale", (1.0,)),
            Knob("weight_buffer_scale", (0.5, 1.0)),
            Knob("accum_buffer_scale", (1.0,)),
            Knob("clock_mhz", tuple(clocks)),
            Knob("dram", ("lpddr4",)),
            Knob("link", tuple(LINKS)),
        )
    )


def small_space() -> SearchSpace:
    """1,728 designs, on whose front the network's input stays a cut: any accelerator will do there."""
    return space(pes=(2, 4), clocks=(100, 800))


def tiny_space() -> SearchSpace:
    """36 designs."""
    kept = {"cut", "accelerator", "link"}
    return SearchSpace(
        tuple(k if k.name in kept else Knob(k.name, k.values[:1]) for k in space(pes=(4,), clocks=(100,)).knobs)
    )


def spec(algorithm: str, **changes: Any) -> StudySpec:
    made = StudySpec(
        network=network(),
        space=changes.pop("space", None) or space(),
        settings=FakeSettings(),  # type: ignore[arg-type]  # the fake's own
        algorithm=algorithm,
        constraints=(Constraint("link_utilisation", 1.0), Constraint("area_mm2", 6.0)),
    )
    return replace(made, **changes)


def stored(out: Path) -> list[Trial]:
    """What is in the study of a folder; nothing where it has no file yet."""
    if not is_study(out):
        return []
    store = read_store(out)
    try:
        return store.trials()
    finally:
        store.close()


def evaluated(log: Path) -> list[str]:
    """The designs in an evaluator's log, one by one, without the architectures of baselines and enumerations."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if line.count(",") == len(space().knobs) - 1]


def killed_within(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill a process and all its children with SIGKILL after so long; whether it still ran."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True
    return False


@dataclass
class FakeEvaluator:
    """Costs of a design from closed forms; `delay_s` per evaluation makes room for a kill, `log` names a file."""

    network: Network = field(default_factory=network)
    settings: FakeSettings = FakeSettings()
    delay_s: float = 0.0
    asked: list[tuple[int, ...]] = field(default_factory=list)
    log: str | None = None
    interrupt_after: int | None = None

    def prepare(self, points: Sequence[Any], *, workers: int = 1, progress: Any = None) -> None:
        if progress is not None:
            progress(len(points), len(points))

    def metrics(self, point: Any) -> dict[str, float]:
        if self.interrupt_after is not None and len(self.asked) >= self.interrupt_after:
            self.interrupt_after = None
            raise KeyboardInterrupt
        self.asked.append(point.indices)
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{list(point.indices)}\n")
        if self.delay_s:
            time.sleep(self.delay_s)
        return self._figures(point)

    def _figures(self, point: Any) -> dict[str, float]:
        knobs = dict(point.knobs)
        pes = knobs["pe_cols"] * knobs["pe_rows"]
        clock_hz = knobs["clock_mhz"] * 1e6
        if knobs["accelerator"] == "weight" and knobs["pe_cols"] < knobs["pe_rows"] / 4:
            raise IllegalDesign("layer does not map", "the array is too narrow")
        if clock_hz > 4e8 and knobs["glb_kib"] >= 256:
            raise IllegalDesign("clock above memory limit", "the buffer is too slow")
        row = knobs["accelerator"] == "row"
        macs = SHARE[knobs["cut"]] * self.settings.macs
        utilisation = (0.9 if row else 0.7) / (1 + pes / (300 if row else 900))
        sensor_latency_s = macs / (pes * clock_hz * utilisation)
        volts = 0.5 + 0.5 * clock_hz / 4e8
        energy_per_mac = (2e-12 if row else 1e-12) * volts**2 + 1e-12 * 128 / knobs["glb_kib"] / pes**0.25
        energy_per_mac *= 1.0 + 0.1 * (1.0 - knobs["weight_buffer_scale"])
        accelerator_energy_j = macs * energy_per_mac
        rate, power_w = LINKS[knobs["link"]]
        link_latency_s = PAYLOAD_BITS[knobs["cut"]] / rate
        phy_energy_j = power_w * link_latency_s + 0.1 * power_w * 0.04
        edge_latency_s = 1e-3 + (1 - SHARE[knobs["cut"]]) * 8e-3
        parts = {
            "sensor_energy_j": accelerator_energy_j + phy_energy_j,
            "accelerator_energy_j": accelerator_energy_j,
            "phy_energy_j": phy_energy_j,
            "latency_s": sensor_latency_s + link_latency_s + edge_latency_s,
            "sensor_latency_s": sensor_latency_s,
            "link_latency_s": link_latency_s,
            "edge_latency_s": edge_latency_s,
            "throughput_fps": 1 / max(sensor_latency_s, link_latency_s, edge_latency_s),
            "area_mm2": 0.02 * pes + 0.01 * knobs["glb_kib"] + 0.2 * knobs["weight_buffer_scale"],
            "sensor_power_w": (accelerator_energy_j + phy_energy_j) * 25,
            "link_utilisation": link_latency_s * 25,
            "sensor_memory_bytes": 1e6 * SHARE[knobs["cut"]],
            "edge_energy_j": 15 * edge_latency_s,
            "total_energy_j": accelerator_energy_j + phy_energy_j + 15 * edge_latency_s,
        }
        return {name: parts[name] for name in METRICS}

    def architecture_block(self, space: SearchSpace, arch_indices: Sequence[int]) -> FakeBlock:
        names = [knob.name for knob in space.knobs]
        others = [k for k, name in enumerate(names) if name in ("cut", "clock_mhz", "dram", "link")]
        own = [k for k in range(len(names)) if k not in others]
        shape = tuple(space.shape[k] for k in others)
        metrics = {name: np.full(shape, np.nan) for name in METRICS}
        legal = np.zeros(shape, dtype=bool)
        if self.interrupt_after is not None and len(self.asked) >= self.interrupt_after:
            self.interrupt_after = None
            raise KeyboardInterrupt
        if self.delay_s:
            time.sleep(self.delay_s)
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{list(arch_indices)}\n")
        self.asked += [tuple(arch_indices)] * legal.size
        counts: dict[str, int] = {}
        for at in np.ndindex(*shape):
            indices = np.empty(len(names), dtype=int)
            indices[others], indices[own] = at, arch_indices
            try:
                found = self._figures(space.decode(tuple(map(int, indices))))
            except IllegalDesign as error:
                counts[error.reason] = counts.get(error.reason, 0) + 1
                continue
            legal[at] = True
            for name, value in found.items():
                metrics[name][at] = value
        return FakeBlock(metrics, legal, counts)

    def combinations(self, space: SearchSpace, arch_indices: Sequence[int], cells: np.ndarray) -> Any:
        raise NotImplementedError("the fake has one mapping per layer")

    def provenance(self, point: Any) -> dict[str, str]:
        return dict.fromkeys(self._figures(point), "made up")

    def fingerprint(self) -> dict[str, Any]:
        return {
            "network": {"name": self.network.name},
            "settings": {"macs": self.settings.macs},
            "versions": {"fake": "1"},
        }


def legal(spec: StudySpec, evaluator: Evaluator) -> Iterator[tuple[tuple[int, ...], dict[str, float]]]:
    """Indices and metrics of every design that can exist, from single evaluations."""
    for position in range(spec.space.size):
        point = spec.space.decode(spec.space.indices_of(position))
        try:
            yield point.indices, evaluator.metrics(point)
        except IllegalDesign:
            continue


def feasible(spec: StudySpec, evaluator: Evaluator) -> Iterator[tuple[tuple[int, ...], dict[str, float]]]:
    """Those of them that keep all constraints."""
    for indices, metrics in legal(spec, evaluator):
        if all(violation <= 0 for violation in spec.violations(metrics)):
            yield indices, metrics
