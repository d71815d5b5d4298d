"""An architecture, a layer and a mapping as Timeloop reads them (its v0.3 YAML), with our energies embedded.

What is written here is the same mapspace that `evaluators.mapper` searches: levels with what they keep, meshes below
them, factors and loop orders as the architecture allows. Energies go in as an energy reference table (`ERT`) and areas
as an area reference table (`ART`), so that the tool prices with our figures and need not start Accelergy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import yaml

from evaluators.components import dram_access_pj
from evaluators.mapper.counts import last_bounds, strides_of
from evaluators.mapper.energy import Priced
from evaluators.mapper.mapping import Loop, Mapping, concrete, padded
from search_spaces.accelerators.architecture import DIMS, Architecture, Level
from search_spaces.errors import UserError, unknown
from search_spaces.types import ConvShape

__all__ = ["SearchMetric", "SearchSettings", "mapper_input", "mapper_section", "model_input", "problem", "to_yaml"]

SearchMetric = Literal["edp", "delay", "energy"]

_METRICS: dict[str, tuple[str, ...]] = {"edp": ("edp",), "delay": ("delay", "energy"), "energy": ("energy", "delay")}
_ALGORITHMS = ("linear-pruned", "exhaustive", "random", "random-pruned", "hybrid")
_TENSORS = {"W": "Weights", "I": "Inputs", "O": "Outputs"}
_CLASSES = {"dram": "DRAM", "sram": "SRAM"}
"""Classes that the tool knows as storage; whatever else we have is a register file to it."""


@dataclass(frozen=True)
class SearchSettings:
    """How `timeloop-mapper` searches.

    `metric` comes first, then the other objective; `victory` is the number of suboptimal mappings in a row after
    which a thread is content, `give_up` the number of invalid ones after which it gives up (the tool's 0, never, is
    not offered). One thread makes the result reproducible; several layers run side by side instead.
    """

    metric: SearchMetric = "edp"
    algorithm: str = "linear-pruned"
    victory: int = 100
    give_up: int = 100_000
    threads: int = 1

    def __post_init__(self) -> None:
        if self.metric not in _METRICS:
            raise unknown("metric of timeloop-mapper", self.metric, _METRICS)
        if self.algorithm not in _ALGORITHMS:
            raise unknown("search algorithm of timeloop-mapper", self.algorithm, _ALGORITHMS)
        for name in ("victory", "give_up", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} of timeloop-mapper is a number of at least 1, not {getattr(self, name)}")


def to_yaml(document: dict[str, Any]) -> str:
    """The text of an input file, in the order it was built."""
    return yaml.safe_dump(document, sort_keys=False, width=120)


def mapper_input(priced: Priced, shape: ConvShape, dram: str, search: SearchSettings) -> dict[str, Any]:
    """Input of `timeloop-mapper`: one group of a layer, padded as our own mapper pads it, and what may be searched."""
    architecture = priced.architecture
    bounds = padded(shape, architecture)
    return {
        **_hardware(priced, dram),
        **problem(shape, bounds),
        "mapspace_constraints": {"targets": _constraints(architecture, bounds)},
        "mapper": mapper_section(search),
    }


def mapper_section(search: SearchSettings) -> dict[str, Any]:
    """How the tool's mapper is to search."""
    return {
        "optimization-metrics": list(_METRICS[search.metric]),
        "live-status": False,
        "num-threads": search.threads,
        "timeout": search.give_up,
        "victory-condition": search.victory,
        "algorithm": search.algorithm,
    }


def model_input(priced: Priced, shape: ConvShape, dram: str, mapping: Mapping) -> dict[str, Any]:
    """Input of `timeloop-model`: one group of a layer under a mapping of ours, remainders and all."""
    architecture = concrete(priced.architecture, mapping)
    bounds = {dim: mapping.extent(dim) for dim in DIMS}
    return {**_hardware(priced, dram), **problem(shape, bounds), "mapping": _mapping(architecture, mapping)}


# the layer


def problem(shape: ConvShape, bounds: dict[str, int]) -> dict[str, Any]:
    """A convolution's shape and its seven bounds; inputs are indexed by R with P and by S with Q."""
    strides = strides_of(shape)
    window = [
        [["R", "Wdilation"], ["P", "Wstride"]],
        [["S", "Hdilation"], ["Q", "Hstride"]],
    ]
    return {
        "problem": {
            "shape": {
                "name": "convolution",
                "dimensions": list(DIMS),
                "coefficients": [
                    {"name": name, "default": 1} for name in ("Wstride", "Hstride", "Wdilation", "Hdilation")
                ],
                "data-spaces": [
                    {"name": "Weights", "projection": [[[d]] for d in "CMRS"]},
                    {"name": "Inputs", "projection": [[["N"]], [["C"]], *window]},
                    {"name": "Outputs", "projection": [[[d]] for d in "NMQP"], "read-write": True},
                ],
            },
            "instance": {
                **bounds,
                "Wstride": strides["P"],
                "Hstride": strides["Q"],
                "Wdilation": strides["R"],
                "Hdilation": strides["S"],
            },
        }
    }


# the hardware


def _hardware(priced: Priced, dram: str) -> dict[str, Any]:
    architecture = priced.architecture
    levels = architecture.levels
    components = [_component(architecture, k, priced.clusters[k]) for k in reversed(range(len(levels)))]
    units = architecture.instances(-1)
    mac = {"datawidth": architecture.word_bits, "instances": units, "meshX": _width_of_mesh(architecture, -1)}
    components.append({"name": "MAC", "class": "intmac", "attributes": mac})
    dram_pj = dram_access_pj(priced.dram, dram)
    energies = [
        {
            "name": f"system.{level.name}",
            "actions": [
                _action("read", dram_pj if level is levels[-1] else figures.read_pj),
                _action("write", dram_pj if level is levels[-1] else figures.write_pj),
            ],
        }
        for level, figures in zip(levels, priced.levels, strict=True)
    ]
    energies.append({"name": "system.MAC", "actions": [_action("compute", priced.mac.read_pj)]})
    areas = [
        {"name": f"system.{level.name}", "area": float(figures.area_um2)}
        for level, figures in zip(levels, priced.levels, strict=True)
    ]
    areas.append({"name": "system.MAC", "area": float(priced.mac.area_um2)})
    return {
        "architecture": {"version": 0.3, "subtree": [{"name": "system", "local": components}]},
        "ERT": {"version": 0.3, "tables": energies},
        "ART": {"version": 0.3, "tables": areas},
    }


def _action(name: str, energy_pj: float) -> dict[str, Any]:
    return {"name": name, "arguments": None, "energy": float(energy_pj)}


def _component(architecture: Architecture, k: int, cluster: int) -> dict[str, Any]:
    """One storage level. Its `width` is what the tool wants to see, words × block × cluster: energy is in the ERT."""
    level = architecture.levels[k]
    attributes: dict[str, Any] = {
        "word-bits": architecture.word_bits,
        "block-size": level.block,
        "cluster-size": cluster,
        "width": architecture.word_bits * level.block * cluster,
        "instances": architecture.instances(k),
        "meshX": _width_of_mesh(architecture, k),
    }
    if k < len(architecture.levels) - 1:
        attributes["entries"] = level.words or 1  # a level that keeps nothing needs a size all the same
    for name, words in (
        ("read_bandwidth", level.read_words_per_cycle),
        ("write_bandwidth", level.write_words_per_cycle),
        ("shared_bandwidth", level.shared_words_per_cycle),
    ):
        if words is not None:
            attributes[name] = words
    return {"name": level.name, "class": _CLASSES.get(level.component.kind, "regfile"), "attributes": attributes}


def _width_of_mesh(architecture: Architecture, k: int) -> int:
    """Instances of a level side by side on X, over the whole chip."""
    return prod(above.mesh_x for above in architecture.levels[k + 1 :])


# what may be searched, and one mapping


def _constraints(architecture: Architecture, bounds: dict[str, int]) -> list[dict[str, Any]]:
    targets: list[dict[str, Any]] = []
    for level in architecture.levels:
        targets.append(_kept(level))
        allowed = level.orders[0]
        rest = "".join(d for d in DIMS if d not in allowed)
        temporal: dict[str, Any] = {"target": level.name, "type": "temporal"}
        if rest:
            temporal["factors"] = " ".join(f"{d}=1" for d in rest)
        temporal["permutation"] = rest + _common_start(level.orders)
        targets.append(temporal)
        if level.mesh_x * level.mesh_y == 1:
            continue
        on = {axis: [s.dim for s in level.spatial if s.axis == axis] for axis in ("X", "Y")}
        fixed = {s.dim: s.fixed for s in level.spatial if s.fixed is not None and bounds[s.dim] >= s.fixed}
        idle = [d for d in DIMS if d not in on["X"] + on["Y"]]
        factors = [f"{d}=1" for d in idle] + [f"{d}={n}" for d, n in fixed.items()]
        targets.append(_spatial(level, on["X"], idle, on["Y"]) | {"factors": " ".join(factors)})
    return targets


def _common_start(orders: Sequence[str]) -> str:
    """The loops that are innermost in all these orders; the tool tries all orders of the others."""
    alike = [len(set(loops)) == 1 for loops in zip(*orders, strict=True)]
    return orders[0][: alike.index(False) if False in alike else len(alike)]


def _kept(level: Level) -> dict[str, Any]:
    """What a level keeps and what passes it by; a tensor that a mapping may keep or not is in neither list."""
    choices = level.keeps_choices or (level.keeps,)
    keep = [name for t, name in _TENSORS.items() if all(t in kept for kept in choices)]
    bypass = [name for t, name in _TENSORS.items() if not any(t in kept for kept in choices)]
    return {"target": level.name, "type": "bypass", "keep": keep, "bypass": bypass}


def _spatial(level: Level, x: Sequence[str], idle: Sequence[str], y: Sequence[str]) -> dict[str, Any]:
    """The first `split` dimensions of the permutation lie on X, the others on Y."""
    order = [*x, *idle, *y]
    if len(set(order)) < len(order):
        raise UserError(f"Timeloop cannot unroll one dimension on both axes below {level.name}: {' '.join(order)}")
    return {
        "target": level.name,
        "type": "spatial",
        "permutation": "".join(order),
        "split": len(x) + len(idle),
    }


def _mapping(architecture: Architecture, mapping: Mapping) -> list[dict[str, Any]]:
    directives: list[dict[str, Any]] = []
    last = last_bounds(mapping)
    for k, (level, loops) in enumerate(zip(architecture.levels, mapping.levels, strict=True)):
        directives.append(_kept(level))
        if level.mesh_x * level.mesh_y > 1:
            x, y = [d for d, _ in loops.x], [d for d, _ in loops.y]
            idle = [d for d in DIMS if d not in x + y]
            cut = {d: n for (at, kind, d), n in last.items() if at == k and kind != "T"}
            directives.append(_spatial(level, x, idle, y) | {"factors": _factors(loops.x + loops.y, cut)})
        inner = [d for d, _ in loops.temporal]
        directives.append(
            {
                "target": level.name,
                "type": "temporal",
                "factors": _factors(
                    loops.temporal, {d: n for (at, kind, d), n in last.items() if (at, kind) == (k, "T")}
                ),
                "permutation": "".join([*inner, *(d for d in DIMS if d not in inner)]),
            }
        )
    return directives


def _factors(loops: Sequence[Loop], cut: dict[str, int]) -> str:
    """Factors as `P=4,2`: four steps, but two where the dimension ends; `cut` are the loops that end early."""
    bound = dict(loops)
    return " ".join(f"{d}={bound.get(d, 1)}" + (f",{cut[d]}" if d in cut else "") for d in DIMS)
