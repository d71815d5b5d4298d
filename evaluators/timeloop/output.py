"""What Timeloop leaves in a run's folder, read back: counts, cycles and energies, and the mapping it chose.

Figures come from `*.map+stats.xml`, whose numbers have all their digits; that file is also the only sign that a run
succeeded. The mapping comes from `*.map.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import yaml

from evaluators.mapper.mapping import LevelLoops
from evaluators.mapper.mapping import Mapping as LoopNest

__all__ = [
    "Broken", "LevelOutput", "Output", "component_of", "dummies", "mapspace_size", "read_area_um2", "read_mapping",
    "read_output",
]  # fmt: skip


class Broken(ValueError):
    """A file of a run that cannot be read; its message says which and how."""


@dataclass(frozen=True)
class LevelOutput:
    """One storage level: words per instance in the order weights, inputs, outputs; energy of all instances in pJ.

    `accesses` are vector accesses (rows), of all tensors, per instance.
    """

    name: str
    reads: tuple[int, int, int]
    fills: tuple[int, int, int]
    updates: tuple[int, int, int]
    instances_used: int
    instances: int
    accesses: int
    energy_pj: float


@dataclass(frozen=True)
class Output:
    """A mapping's figures by the tool, for one group of a layer; levels innermost first.

    `cycles` include stalls, `compute_cycles` do not. `energy_pj` is storage and MACs; `mac_units` are the instances of
    the component `mac_name` on the chip. `warnings` are what the tool said that bears on the figures.
    """

    cycles: int
    compute_cycles: int
    macs: int
    energy_pj: float
    mac_energy_pj: float
    mac_units: int
    mac_name: str
    levels: tuple[LevelOutput, ...]
    warnings: tuple[str, ...] = ()

    def level(self, name: str) -> LevelOutput:
        return next(level for level in self.levels if level.name == name)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them back."""
        return {**vars(self), "levels": [vars(level) for level in self.levels], "warnings": list(self.warnings)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Output:
        levels = []
        for stored in data["levels"]:
            level: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
            levels.append(LevelOutput(**level))
        return Output(**{**data, "levels": tuple(levels), "warnings": tuple(data["warnings"])})


def read_output(folder: Path, tool: str) -> Output | None:
    """The figures of a run, None where the tool left none. Raises Broken for a file that is cut off or foreign."""
    path = folder / f"{tool}.map+stats.xml"
    if not path.is_file():
        return None
    try:
        # "-nan" and the like stand for energies of what a level does not keep; nothing else in it needs care
        root = ElementTree.fromstring(path.read_text())
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise Broken(f"{path.name} is cut off or damaged ({error}); is the disk full?") from None
    try:
        return _output(root)
    except (AttributeError, TypeError, ValueError, StopIteration) as error:
        raise Broken(f"{path.name} is not what be27768 writes ({type(error).__name__}: {error})") from None


def _output(root: ElementTree.Element) -> Output:
    parts = root.findall("engine/topology_/levels_/item/px")
    mac = next(part for part in parts if part.find("stats_") is None)
    storage = [part for part in parts if part.find("stats_") is not None]
    levels = tuple(_level(part) for part in storage)
    mac_pj = float(_text(mac, "energy_"))
    network_pj = sum(_network_pj(part) for part in root.findall("engine/topology_/networks_/item/second/px"))
    energy_pj = mac_pj + sum(level.energy_pj for level in levels)
    if not storage or not isfinite(energy_pj):
        raise ValueError("levels without energy")
    compute_cycles = int(_text(mac, "cycles_"))
    return Output(
        cycles=max([compute_cycles, *(int(_text(part, "stats_/cycles")) for part in storage)]),
        compute_cycles=compute_cycles,
        macs=int(_text(mac, "random_computes_")),
        energy_pj=energy_pj,
        mac_energy_pj=mac_pj,
        mac_units=int(_text(mac, "specs_/instances/t_")),
        mac_name=_text(mac, "specs_/LevelSpecs/level_name"),
        levels=levels,
        warnings=(f"{network_pj:g} pJ of wires are left out",) if network_pj > 1e-6 * energy_pj else (),
    )


def _level(part: ElementTree.Element) -> LevelOutput:
    reads, fills, updates = (_per_tensor(part, f"stats_/{name}") for name in ("reads", "fills", "updates"))
    block = int(_text(part, "specs_/block_size/t_"))
    used = _per_tensor_float(part, "stats_/utilized_instances")
    pj = _per_tensor_float(part, "stats_/energy")  # per instance, those charged as one cluster sharing it
    return LevelOutput(
        name=_text(part, "specs_/LevelSpecs/level_name"),
        reads=reads,
        fills=fills,
        updates=updates,
        instances_used=int(max(used)),
        instances=int(_text(part, "specs_/instances/t_")),
        accesses=sum(-(-words // block) for words in (*reads, *fills, *updates)),
        energy_pj=sum(e * n for e, n in zip(pj, used, strict=True)),
    )


def _network_pj(part: ElementTree.Element) -> float:
    items = part.findall("stats_/energy/PerDataSpace/item")
    return sum(value for item in items if isfinite(value := _number(item.text)))


def _text(part: ElementTree.Element, path: str) -> str:
    text = part.findtext(path)
    if text is None:
        raise ValueError(f"no {path}")
    return text


def _number(text: str | None) -> float:
    return float((text or "nan").replace("-nan", "nan"))


def _per_tensor_float(part: ElementTree.Element, path: str) -> tuple[float, float, float]:
    w, i, o = (_number(item.text) for item in part.findall(f"{path}/PerDataSpace/item"))
    return w, i, o


def _per_tensor(part: ElementTree.Element, path: str) -> tuple[int, int, int]:
    w, i, o = (int(value) for value in _per_tensor_float(part, path))
    return w, i, o


_FACTOR = re.compile(r"([A-Z])\s*=?\s*(\d+)")
_LETTER = {"Weights": "W", "Inputs": "I", "Outputs": "O"}


def read_mapping(folder: Path, tool: str, levels: Sequence[str], choosing: Sequence[str] = ()) -> LoopNest:
    """The mapping that the mapper chose, over storage levels of these names; `choosing` ones say what they keep.

    Raises Broken where there is none, or one of other levels.
    """
    path = folder / f"{tool}.map.yaml"
    try:
        directives = yaml.safe_load(path.read_text())["mapping"]
        found = {name: LevelLoops() for name in levels}
        for directive in directives:
            name, kind = directive["target"], directive["type"]
            loops = found[name]
            if kind in ("datatype", "bypass"):
                if name in choosing:
                    kept = "".join(letter for tensor, letter in _LETTER.items() if tensor in directive["keep"])
                    found[name] = LevelLoops(loops.temporal, loops.x, loops.y, kept)
                continue
            bound = {dim: int(n) for dim, n in _FACTOR.findall(directive["factors"])}
            order = [(dim, bound[dim]) for dim in directive["permutation"] if bound[dim] > 1]
            if kind == "temporal":
                found[name] = LevelLoops(tuple(order), loops.x, loops.y, loops.keeps)
                continue
            on_x = set(directive["permutation"][: int(directive["split"])])
            x = tuple(loop for loop in order if loop[0] in on_x)
            y = tuple(loop for loop in order if loop[0] not in on_x)
            found[name] = LevelLoops(loops.temporal, x, y, loops.keeps)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"{path.name} cannot be read ({type(error).__name__}: {error})") from None
    return LoopNest(tuple(found[name] for name in levels))


def read_area_um2(path: Path, output: Output) -> float:
    """Component area × instances from an area table, Accelergy's or one given; the tool itself prints 0.

    The outermost level, DRAM, is not on the chip. The tool says how many there are of storage and MACs, the ranges in
    the name do so of anything else. Raises Broken for a table that cannot be read.
    """
    *on_chip, outermost = output.levels
    instances = {level.name: level.instances for level in on_chip}
    instances |= {output.mac_name: output.mac_units, outermost.name: 0}
    try:
        table = yaml.safe_load(path.read_text())["ART"]["tables"]
        return sum(float(row["area"]) * instances.get(component_of(row["name"]), _ranges(row["name"])) for row in table)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"{path.name} cannot be read ({type(error).__name__}: {error})") from None


_RANGE = re.compile(r"\[(\d+)\.\.(\d+)\]")


def component_of(name: str) -> str:
    """A component's own name: psum_spad of system.eyeriss.PE[0..167].psum_spad."""
    return _RANGE.sub("", name).rpartition(".")[2]


def _ranges(name: str) -> int:
    """How many there are of what has this name: 168 of system.eyeriss.PE[0..167].adder."""
    return prod(int(last) - int(first) + 1 for first, last in _RANGE.findall(name))


def mapspace_size(log: str) -> int | None:
    """The product of the mapspace's dimensions as the mapper's log states them."""
    sizes = re.findall(r"Mapspace Dimension \[\w+\] Size: (\d+)", log)
    size = 1
    for number in sizes:
        size *= int(number)
    return size if sizes else None


_ESTIMATIONS = {"ERT": "primitive_estimation(s)", "ART": "primitive_estimations"}


def dummies(folder: Path, tool: str, table: Literal["ERT", "ART"] = "ERT") -> tuple[str, ...]:
    """Components whose energy (`ERT`, 1 pJ) or area (`ART`, 1 µm²) Accelergy made up, as no plug-in of it knows them.

    None where it did not run. Raises Broken for a summary that cannot be read.
    """
    path = folder / f"{tool}.{table}_summary.yaml"
    if not path.is_file():
        return ()
    try:
        rows = yaml.safe_load(path.read_text())[f"{table}_summary"]["table_summary"]
        return tuple(row["name"] for row in rows if _is_dummy(row[_ESTIMATIONS[table]]))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise Broken(f"{path.name} cannot be read ({type(error).__name__}: {error})") from None


def _is_dummy(estimations: Any) -> bool:
    if isinstance(estimations, str):
        return "dummy" in estimations.lower()
    return any("dummy" in str(estimation.get("estimator", "")).lower() for estimation in estimations)
