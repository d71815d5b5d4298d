"""Our counts beside a tool's: mappings given one per line with what the tool found for them.

The format is that of recorded Timeloop runs: `acc`, `layer` (seven bounds, Wstride, Hstride, Wdilation, Hdilation),
`map` (entries [level, "temporal" | "spatial", factors, order inner to outer, split]; of a spatial entry's order the
first `split` dimensions lie on X), `ok` (0: the tool rejected it), and for accepted ones `cycles`, `compute_cycles`,
`energy_pJ` and `accesses` per level with `r`, `u`, `f` in the order weights, inputs, outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluators.components import dram_access_pj
from evaluators.mapper.counts import count, energies_pj, overflow
from evaluators.mapper.energy import EnergyTable, Priced, price
from evaluators.mapper.mapping import LevelLoops
from evaluators.mapper.mapping import Mapping as LoopNest
from search_spaces import accelerators
from search_spaces.accelerators import DIMS, Architecture
from search_spaces.errors import UserError, reason
from search_spaces.types import ConvShape, KnobValue

__all__ = ["Difference", "GivenMapping", "Report", "compare", "read"]

_LEVEL_ALIASES = {"DummyBuffer": "column"}
"""Names in the tool's templates of levels that are called otherwise here."""


@dataclass(frozen=True)
class GivenMapping:
    """One line: a mapping of a layer on an accelerator, and what the tool said about it."""

    line: int
    accelerator: str
    shape: ConvShape
    entries: tuple[Any, ...]
    accepted: bool
    expected: dict[str, Any]

    def loops(self, architecture: Architecture) -> LoopNest:
        """The loop nest on an architecture. Raises UserError for a level it does not have."""
        index = {level.name: k for k, level in enumerate(architecture.levels)}
        levels = [LevelLoops() for _ in architecture.levels]
        for name, kind, factors, order, split in self.entries:
            k = index.get(_LEVEL_ALIASES.get(name, name))
            if k is None:
                known = ", ".join(index)
                raise UserError(f"line {self.line}: {architecture.name} has no level {name!r}; it has {known}")
            if kind == "temporal":
                levels[k] = replace(levels[k], temporal=_loops(order, factors))
            else:
                levels[k] = replace(levels[k], x=_loops(order[:split], factors), y=_loops(order[split:], factors))
        return LoopNest(tuple(levels))


def _loops(order: str, factors: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple((dim, int(factors[dim])) for dim in order if int(factors.get(dim, 1)) > 1)


def read(path: Path) -> Iterator[GivenMapping]:
    """The mappings of a file, one per line. Raises UserError naming the line that is not of the format."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read mappings from {path}: {reason(error)}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            layer = data["layer"]
            given = GivenMapping(
                number,
                str(data["acc"]),
                ConvShape(
                    **{dim: int(layer[dim]) for dim in DIMS},
                    stride_w=int(layer.get("Wstride", 1)),
                    stride_h=int(layer.get("Hstride", 1)),
                    dilation_w=int(layer.get("Wdilation", 1)),
                    dilation_h=int(layer.get("Hdilation", 1)),
                ),
                tuple(_entry(*entry) for entry in data["map"]),
                bool(data["ok"]),
                data,
            )
            if given.accepted:
                _check_counts(data)
        except json.JSONDecodeError:
            raise UserError(f"{path}, line {number} is no recorded mapping: every line is a JSON object") from None
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}, line {number} is no recorded mapping: {type(error).__name__} {error}") from None
        yield given


def _entry(level: str, kind: str, factors: Mapping[str, int], order: str, split: int | None) -> tuple[Any, ...]:
    """One level's loops, their fields checked; raises TypeError or ValueError."""
    if kind not in ("temporal", "spatial") or not set(order) <= set(DIMS):
        raise ValueError(f"{kind} loops over {order}")
    bounds = {str(dim): int(n) for dim, n in dict(factors).items()}
    return str(level), kind, bounds, str(order), None if split is None else int(split)


def _check_counts(data: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError or ValueError where an accepted line lacks what the tool counted."""
    for name in ("compute_cycles", "cycles"):
        int(data[name])
    for counted in data["accesses"].values():
        for letter in "ruf":
            _weights, _inputs, _outputs = counted[letter]


@dataclass(frozen=True)
class Difference:
    """One figure of one line on which the two disagree."""

    line: int
    what: str
    ours: object
    theirs: object


@dataclass(frozen=True)
class Report:
    """How many lines agree: accepted ones in every count, rejected ones in being rejected.

    `one_cycle_off` lines agree in all counts and differ by one cycle, where the tool's doubles round. Energies are
    compared with `energy_table` figures; `worst_energy` is the largest relative difference.
    """

    lines: int
    agree: int
    accepted: int
    rejected: int
    one_cycle_off: int
    worst_energy: float
    first_difference: tuple[Difference, ...]


def compare(
    path: Path,
    parameters: Mapping[str, KnobValue] | None = None,
    table: EnergyTable = "timeloop-be27768",
    dram: str = "lpddr4",
    accelerator: str | None = None,
) -> Report:
    """Count every mapping of a file by our rules and compare with what the tool recorded.

    `accelerator` replaces the one named in the lines; `parameters` set its knobs.
    """
    lines = agree = accepted = rejected = one_off = 0
    worst = 0.0
    first: tuple[Difference, ...] = ()
    for given in read(path):
        lines += 1
        accepted += given.accepted
        rejected += not given.accepted
        architecture = accelerators.build(accelerator or given.accelerator, parameters)
        different, cycles_off, energy_off = _differences(given, price(architecture, table), dram)
        worst = max(worst, energy_off)
        one_off += cycles_off == 1
        agree += not different
        first = first or different
    if not lines:
        raise UserError(f"{path} holds no mappings; it should have one JSON object per line")
    return Report(lines, agree, accepted, rejected, one_off, worst, first)


def _differences(given: GivenMapping, priced: Priced, dram: str) -> tuple[tuple[Difference, ...], int, float]:
    """The figures that differ, by how many cycles, and the relative difference in energy."""
    architecture = priced.architecture
    nest = given.loops(architecture)
    why = overflow(architecture, given.shape, nest)
    if why is not None or not given.accepted:
        if (why is None) == given.accepted:
            return (), 0, 0.0
        return (Difference(given.line, "fits", why or "yes", "yes" if given.accepted else "rejected"),), 0, 0.0
    counts = count(architecture, given.shape, nest)
    expected = given.expected
    found = []
    for level in counts.levels:
        theirs = expected["accesses"].get(level.name)
        if theirs is None:
            alias = next((tool for tool, ours in _LEVEL_ALIASES.items() if ours == level.name), level.name)
            theirs = expected["accesses"].get(alias, {"r": [0, 0, 0], "u": [0, 0, 0], "f": [0, 0, 0]})
        for t, tensor in enumerate("WIO"):
            ours = level.tensors.get(tensor)
            for letter, name in (("r", "reads"), ("u", "updates"), ("f", "fills")):
                value = getattr(ours, name) if ours is not None else 0
                if value != theirs[letter][t]:
                    found.append(Difference(given.line, f"{level.name} {name} of {tensor}", value, theirs[letter][t]))
    if counts.compute_cycles != expected["compute_cycles"]:
        found.append(Difference(given.line, "compute_cycles", counts.compute_cycles, expected["compute_cycles"]))
    off = abs(counts.cycles - expected["cycles"])
    if off > 1:
        found.append(Difference(given.line, "cycles", counts.cycles, expected["cycles"]))
    energy = 0.0
    if expected.get("energy_pJ"):
        access = dram_access_pj(priced.dram, dram)
        reads, writes = [*priced.read_pj[:-1], access], [*priced.write_pj[:-1], access]
        ours_pj = sum(energies_pj(counts, architecture, reads, writes, list(priced.clusters)))
        energy = abs((ours_pj + counts.macs * priced.mac.read_pj) / expected["energy_pJ"] - 1)
    return tuple(found), off, energy
