"""What Timeloop leaves in a run's folder, read back: counts, cycles and energies, and the mapping it chose.

Figures come from `*.map+stats.xml`, whose numbers have all their digits; that file is also the only sign that a run
succeeded. The mapping comes from `*.map.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any, Literal, TypeVar
from xml.etree import ElementTree

import yaml

from evaluators.mapper.mapping import LevelLoops
from evaluators.mapper.mapping import Mapping as LoopNest
from evaluators.timeloop.v04 import level_above

__all__ = [
    "Broken", "LevelOutput", "Output", "StreamedLevel", "component_of", "dummies", "mapspace_size", "read_area_um2",
    "read_directives", "read_mapping", "read_output", "read_streamed",
]  # fmt: skip


_Found = TypeVar("_Found")


class Broken(ValueError):
    """A file of a run that cannot be read; its message says which and how."""


@dataclass(frozen=True)
class LevelOutput:
    """One storage level: words per instance in the order weights, inputs, outputs; energy of all instances in pJ.

    Energy includes leakage where the tool charges it: versions since 2024 do, with an energy table that has it.
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


@dataclass(frozen=True)
class StreamedLevel:
    """A storage level as something that words pass through, all its instances side by side.

    `block` are words per row (one access), `read_pj` and `write_pj` the energy of a row, None where the table does not
    have the level. Words per cycle are None where the files state none and the level is the outermost.
    """

    name: str
    block: int
    read_pj: float | None
    write_pj: float | None
    read_words_per_cycle: float | None
    write_words_per_cycle: float | None
    shared_words_per_cycle: float | None


def read_output(folder: Path, tool: str) -> Output | None:
    """The figures of a run, None where the tool left none. Raises Broken for a file that is cut off or foreign."""
    if not _statistics(folder, tool).is_file():
        return None

    def whole(root: ElementTree.Element) -> Output:
        charged = any(part.find("specs_/power_gated_at_name") is not None for part in _storage(root))
        return _output(root, _leakage_pj(folder / f"{tool}.stats.txt") if charged else {})

    return _read_statistics(folder, tool, whole)


def read_streamed(folder: Path, tool: str, table: Path) -> tuple[StreamedLevel, ...]:
    """The storage levels, innermost first, priced by an energy table, Accelergy's or one given.

    Raises Broken for a file that cannot be read.
    """
    try:
        rows = yaml.safe_load(table.read_text())["ERT"]["tables"]
        actions = {component_of(row["name"]): _dearest(row["actions"]) for row in rows}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"{table.name} cannot be read ({type(error).__name__}: {error})") from None

    def streamed(root: ElementTree.Element) -> tuple[StreamedLevel, ...]:
        storage = _storage(root)
        return tuple(_streamed(part, actions, outermost=part is storage[-1]) for part in storage)

    return _read_statistics(folder, tool, streamed)


def _dearest(actions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Energy per action: of several arguments the tool charges the dearest."""
    found: dict[str, float] = {}
    for action in actions:
        found[action["name"]] = max(float(action["energy"]), found.get(action["name"], 0.0))
    return found


def _streamed(part: ElementTree.Element, actions: Mapping[str, dict[str, float]], outermost: bool) -> StreamedLevel:
    name = _text(part, "specs_/LevelSpecs/level_name")
    block, instances = int(_text(part, "specs_/block_size/t_")), int(_text(part, "specs_/instances/t_"))
    row = None if outermost else float(block)

    def words_per_cycle(kind: str, unstated: float | None) -> float | None:
        stated = part.findtext(f"specs_/{kind}_bandwidth/t_")
        each = unstated if stated is None else float(stated)
        return None if each is None else each * instances

    charged = actions.get(name, {})
    cluster = int(_text(part, "specs_/cluster_size/t_"))
    unnamed = max(charged.values()) / cluster if charged else None  # what the tool takes for an action not in the table
    return StreamedLevel(
        name,
        block,
        charged.get("read", unnamed),
        charged.get("write", unnamed),
        words_per_cycle("read", row),
        words_per_cycle("write", row),
        words_per_cycle("shared", None),
    )


def _statistics(folder: Path, tool: str) -> Path:
    return folder / f"{tool}.map+stats.xml"


def _read_statistics(folder: Path, tool: str, read: Callable[[ElementTree.Element], _Found]) -> _Found:
    path = _statistics(folder, tool)
    try:
        # "-nan" and the like stand for energies of what a level does not keep; nothing else in it needs care
        text = path.read_text()
        root = ElementTree.fromstring(text + _END if text.rstrip().endswith("</a>") else text)
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise Broken(f"{path.name} is cut off or damaged ({error}); is the disk full?") from None
    try:
        return read(root)
    except Broken:  # another file
        raise
    except (AttributeError, TypeError, ValueError, StopIteration) as error:
        raise Broken(f"{path.name} is not what the tool writes ({type(error).__name__}: {error})") from None


_END = "</boost_serialization>"
"""What timeloop-model leaves out since 2024, after the last of its elements."""

_OF_LEVEL = re.compile(r"=== (?P<level>.+) ===|Leakage energy \(total\) *: (?P<pj>\S+) pJ")


def _leakage_pj(path: Path) -> dict[str, float]:
    """Leakage of all instances of each level, which is nowhere but in the text of the statistics."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"{path.name} cannot be read ({error})") from None
    if "fJ/Compute" not in text:
        raise Broken(f"{path.name} is cut off; is the disk full?")
    found: dict[str, float] = {}
    level = ""
    for line in _OF_LEVEL.finditer(text):
        level = line["level"] or level
        if line["pj"]:
            found[level] = float(line["pj"])
    return found


def _parts(root: ElementTree.Element) -> list[ElementTree.Element]:
    return root.findall("engine/topology_/levels_/item/px")


def _storage(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [part for part in _parts(root) if part.find("stats_") is not None]


def _output(root: ElementTree.Element, leakage_pj: Mapping[str, float]) -> Output:
    mac = next(part for part in _parts(root) if part.find("stats_") is None)
    storage = _storage(root)
    levels = tuple(_level(part, leakage_pj) for part in storage)
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


def _level(part: ElementTree.Element, leakage_pj: Mapping[str, float]) -> LevelOutput:
    name = _text(part, "specs_/LevelSpecs/level_name")
    reads, fills, updates = (_per_tensor(part, f"stats_/{name}") for name in ("reads", "fills", "updates"))
    block = int(_text(part, "specs_/block_size/t_"))
    used = _per_tensor_float(part, "stats_/utilized_instances")
    pj = _per_tensor_float(part, "stats_/energy")  # per instance, those charged as one cluster sharing it
    return LevelOutput(
        name=name,
        reads=reads,
        fills=fills,
        updates=updates,
        instances_used=int(max(used)),
        instances=int(_text(part, "specs_/instances/t_")),
        accesses=sum(-(-words // block) for words in (*reads, *fills, *updates)),
        energy_pj=sum(e * n for e, n in zip(pj, used, strict=True)) + leakage_pj.get(name, 0.0),
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
    w, i, o = (_number(item.text) for item in part.findall(f"{path}/PerDataSpace/item")[:3])  # some write five
    return w, i, o


def _per_tensor(part: ElementTree.Element, path: str) -> tuple[int, int, int]:
    w, i, o = (int(value) for value in _per_tensor_float(part, path))
    return w, i, o


_FACTOR = re.compile(r"([A-Z])\s*=?\s*(\d+)")
_LETTER = {"Weights": "W", "Inputs": "I", "Outputs": "O"}


def read_directives(folder: Path, tool: str) -> list[dict[str, Any]]:
    """The mapping that the mapper chose, as the model takes it. Raises Broken where there is none."""
    path = folder / f"{tool}.map.yaml"
    try:
        found: list[dict[str, Any]] = yaml.safe_load(path.read_text())["mapping"]
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"{path.name} cannot be read ({type(error).__name__}: {error})") from None
    return found


def read_mapping(folder: Path, tool: str, levels: Sequence[str], choosing: Sequence[str] = ()) -> LoopNest:
    """The mapping that the mapper chose, over storage levels of these names; `choosing` ones say what they keep.

    Raises Broken where there is none, or one of other levels.
    """
    directives = read_directives(folder, tool)
    try:
        found = {name: LevelLoops() for name in levels}
        for directive in directives:
            name, kind = directive["target"], directive["type"]
            fan_out_of = level_above(name)
            if fan_out_of is not None:
                if kind != "spatial":
                    continue
                name = fan_out_of
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
    except (KeyError, TypeError, ValueError) as error:
        raise Broken(f"{tool}.map.yaml cannot be read ({type(error).__name__}: {error})") from None
    return LoopNest(tuple(found[name] for name in levels))


def read_area_um2(path: Path, output: Output, skipped: Callable[[str], bool]) -> float:
    """Component area × instances from an area table, Accelergy's or one given; the tool itself prints 0.

    The outermost level, DRAM, is not on the chip. The tool says how many there are of storage and MACs, the ranges in
    the name do so of anything else, except components that are `skipped`. Raises Broken for a table that cannot be
    read.
    """
    *on_chip, outermost = output.levels
    instances = {level.name: level.instances for level in on_chip}
    instances |= {output.mac_name: output.mac_units, outermost.name: 0}
    try:
        table = yaml.safe_load(path.read_text())["ART"]["tables"]
        rows = [(row["name"], float(row["area"])) for row in table if not skipped(component_of(row["name"]))]
        return sum(area * instances.get(component_of(name), _ranges(name)) for name, area in rows)
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
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise Broken(f"{path.name} cannot be read ({type(error).__name__}: {error})") from None


def _is_dummy(estimations: Any) -> bool:
    if isinstance(estimations, str):
        return "dummy" in estimations.lower()
    return any("dummy" in str(estimation.get("estimator", "")).lower() for estimation in estimations)
