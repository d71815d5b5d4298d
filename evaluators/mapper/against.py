"""Our counts beside a tool's: recorded mappings (see `recorded`), each with what the tool found for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evaluators.components import dram_access_pj
from evaluators.mapper.counts import count, energies_pj, overflow
from evaluators.mapper.energy import EnergyTable, Priced, price
from evaluators.mapper.mapping import concrete
from evaluators.mapper.recorded import Recorded, read
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import KnobValue

__all__ = ["Difference", "Report", "compare"]


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
    compared with `energy_table` figures, and areas where the file has them; `worst_energy` and `worst_area` are the
    largest relative differences.
    """

    lines: int
    agree: int
    accepted: int
    rejected: int
    one_cycle_off: int
    worst_energy: float
    worst_area: float | None
    first_difference: tuple[Difference, ...]


def compare(
    path: Path,
    parameters: Mapping[str, KnobValue] | None = None,
    table: EnergyTable = "timeloop-be27768",
    dram: str = "lpddr4",
    accelerator: str | None = None,
) -> Report:
    """Count every mapping of a file by our rules and compare with what the tool recorded.

    `accelerator` replaces the one named in the lines; `parameters` set its knobs, whatever the lines say of them.
    """
    lines = agree = accepted = rejected = one_off = 0
    worst, worst_area = 0.0, None
    first: tuple[Difference, ...] = ()
    for given in read(path):
        lines += 1
        accepted += given.accepted
        rejected += not given.accepted
        architecture = accelerators.build(accelerator or given.accelerator, given.parameters | dict(parameters or {}))
        priced = price(architecture, table)
        different, cycles_off, energy_off = _differences(given, priced, dram)
        worst = max(worst, energy_off)
        if given.area_um2:
            worst_area = max(worst_area or 0.0, abs(priced.area_mm2 * 1e6 / given.area_um2 - 1))
        one_off += cycles_off == 1
        agree += not different
        first = first or different
    if not lines:
        raise UserError(f"{path} holds no mappings; it should have one JSON object per line, or be a table of them")
    return Report(lines, agree, accepted, rejected, one_off, worst, worst_area, first)


def _differences(given: Recorded, priced: Priced, dram: str) -> tuple[tuple[Difference, ...], int, float]:
    """The figures that differ, by how many cycles, and the relative difference in energy."""
    nest = given.loops(priced.architecture)
    architecture = concrete(priced.architecture, nest)
    why = overflow(architecture, given.shape, nest)
    if why is not None or not given.accepted:
        if (why is None) == given.accepted:
            return (), 0, 0.0
        return (Difference(given.line, "fits", why or "yes", "yes" if given.accepted else "rejected"),), 0, 0.0
    counts = count(architecture, given.shape, nest)
    found = []
    nothing = ((0, 0, 0),) * 3
    for level in counts.levels:
        for name, theirs in zip(("reads", "updates", "fills"), given.accesses.get(level.name, nothing), strict=True):
            for t, tensor in enumerate("WIO"):
                ours = getattr(level.tensors[tensor], name) if tensor in level.tensors else 0
                if ours != theirs[t]:
                    found.append(Difference(given.line, f"{level.name} {name} of {tensor}", ours, theirs[t]))

    def per_group(theirs: float, ours: float) -> float:
        """A figure of one group: a table's may be of all."""
        return min((theirs, theirs / given.groups), key=lambda figure: abs(figure - ours))

    if counts.compute_cycles != per_group(given.compute_cycles, counts.compute_cycles):
        found.append(Difference(given.line, "compute_cycles", counts.compute_cycles, given.compute_cycles))
    off = round(abs(counts.cycles - per_group(given.cycles, counts.cycles)))
    if off > 1:
        found.append(Difference(given.line, "cycles", counts.cycles, given.cycles))
    energy = 0.0
    if given.energy_pj:
        access = dram_access_pj(priced.dram, dram)
        reads, writes = [*priced.read_pj[:-1], access], [*priced.write_pj[:-1], access]
        ours_pj = sum(energies_pj(counts, architecture, reads, writes, list(priced.clusters)))
        ours_pj += counts.macs * priced.mac.read_pj
        energy = abs(ours_pj / per_group(given.energy_pj, ours_pj) - 1)
    return tuple(found), off, energy
