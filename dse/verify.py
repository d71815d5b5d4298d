"""A study's front judged by Timeloop: its counts for our mappings, and what its own mapper finds instead.

Every distinct mapping of a layer that the front's designs run on their sensor nodes goes through `timeloop-model`,
whose counts must be ours; every distinct layer on an accelerator through `timeloop-mapper`, which must not find a
better mapping than our mapper does. Energies are those of the tables at 5 ns, as both search by; clock, supply and
leakage come afterwards and are the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape, Knob

if TYPE_CHECKING:
    from dse.result import StudyResult
    from evaluators.mapper.mapping import Mapping as LoopNest
    from evaluators.memo import Memo
    from evaluators.sensor import SensorSettings
    from evaluators.timeloop import Output, Timeloop
    from search_spaces.accelerators import Architecture
    from search_spaces.types import Network

__all__ = ["ModelRow", "SearchRow", "Verification", "verify"]

Progress = Callable[[str, int, int], None]

_ROUNDING_CYCLES = 1
"""The tool's doubles round a stalled layer's cycles to one more or less."""

_EQUAL_ENERGY = 1e-9


@dataclass(frozen=True)
class ModelRow:
    """One mapping of ours in the eyes of `timeloop-model`; one group of a layer.

    `differences` are the figures on which the two disagree, as text; none where they agree in every count.
    """

    layer: str
    accelerator: str
    parameters: tuple[tuple[str, Any], ...]
    mapping: str
    cycles: int
    tool_cycles: int | None
    energy_j: float
    tool_energy_j: float | None
    differences: tuple[str, ...]


@dataclass(frozen=True)
class SearchRow:
    """What `timeloop-mapper` found for one group of a layer beside our optimum.

    `ratio` is the tool's value of the metric over ours (edp, delay or energy), None where it found no mapping.
    """

    layer: str
    accelerator: str
    parameters: tuple[tuple[str, Any], ...]
    metric: str
    cycles: int
    energy_j: float
    tool_cycles: int | None
    tool_energy_j: float | None
    ratio: float | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """All rows of one folder; `designs` were looked at of the `front_designs` there are."""

    folder: str
    designs: int
    front_designs: int
    model: tuple[ModelRow, ...]
    search: tuple[SearchRow, ...]
    tools: tuple[str, ...]

    @property
    def different(self) -> list[ModelRow]:
        return [row for row in self.model if row.differences]

    @property
    def better(self) -> list[SearchRow]:
        """Layers for which the tool's mapper found a better mapping than ours: there must be none."""
        return [row for row in self.search if row.ratio is not None and row.ratio < 1 - _EQUAL_ENERGY]

    @property
    def holds(self) -> bool:
        return not self.different and not self.better

    def ratios(self) -> list[float]:
        return sorted(row.ratio for row in self.search if row.ratio is not None)

    def to_json(self) -> dict[str, Any]:
        """Plain values; `summary` counts what the rows say."""
        ratios = self.ratios()
        return {
            "folder": self.folder,
            "designs": self.designs,
            "front_designs": self.front_designs,
            "tools": list(self.tools),
            "holds": self.holds,
            "summary": {
                "mappings": len(self.model),
                "mappings_equal": len(self.model) - len(self.different),
                "layers_searched": len(self.search),
                "layers_tool_better": len(self.better),
                "ratio_median": median(ratios) if ratios else None,
                "ratio_worst": ratios[-1] if ratios else None,
            },
            "model": [asdict(row) | {"parameters": dict(row.parameters)} for row in self.model],
            "search": [asdict(row) | {"parameters": dict(row.parameters)} for row in self.search],
        }


def verify(
    result: StudyResult,
    memo: Memo,
    *,
    network: Network | None = None,
    designs: int | None = None,
    search: bool = True,
    workers: int = 1,
    runs: Path | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Judge the first `designs` designs of a front (all if None); `search` also runs the tool's own mapper.

    Raises UserError for a front without designs, mappings that the tool cannot say, a network that has changed since
    the study, and where the tool is missing or fails.
    """
    from evaluators.mapper.mapping import Mapping as Nest
    from evaluators.sensor import SensorModel
    from evaluators.system import hardware
    from evaluators.timeloop import MAPPER, MODEL, Timeloop
    from search_spaces.space import SearchSpace

    if not len(result.front):
        raise UserError(f"{result.folder} has no feasible design yet; run it on first")
    tool = Timeloop(memo, runs=runs)
    tools = [tool.tool(name).says for name in ([MODEL, MAPPER] if search else [MODEL])]
    network = _network(result.question, network)
    settings = _sensor_settings(result.question)
    sensor = SensorModel(settings, memo)
    space = SearchSpace(tuple(Knob(name, tuple(values)) for name, values in result.knobs.items()))
    index = {cut.name: i for i, cut in enumerate(network.cuts)}
    rows = result.front.indices if designs is None else result.front.indices[:designs]

    chosen: dict[_Asked, str] = {}
    for indices in rows:
        point = space.decode(indices)
        architecture, clock_hz, dram = hardware(point)
        (cut,) = point.cuts
        costs = sensor.layer_costs(network, architecture, clock_hz, dram)
        for i in sorted(network.cuts[index[cut]].layers):
            layer, candidate = network.layers[i], costs.chosen[i]
            if layer.shape is not None and candidate is not None:
                asked = _Asked(layer.shape.one_group, architecture, dram, candidate.mapping_text)
                chosen.setdefault(asked, layer.name)

    model_rows: list[ModelRow] = []
    search_rows: list[SearchRow] = []
    for dram in sorted({asked.dram for asked in chosen}):
        mine = {asked: name for asked, name in chosen.items() if asked.dram == dram}
        mappings = [(asked.shape, asked.architecture, Nest.from_text(asked.mapping)) for asked in mine]
        outputs = tool.model(
            mappings, table=settings.energy_table, dram=dram, workers=workers, progress=_named(progress, MODEL)
        )
        for (asked, name), (_, _, nest), output in zip(mine.items(), mappings, outputs, strict=True):
            model_rows.append(_model_row(name, asked, nest, output, settings))
        if search:
            layers = {(asked.shape, asked.architecture): name for asked, name in reversed(mine.items())}
            search_rows += _search_rows(layers, tool, memo, settings, dram, workers, _named(progress, MAPPER))
    return Verification(
        str(result.folder), len(rows), len(result.front), tuple(model_rows), tuple(search_rows), tuple(tools)
    )


@dataclass(frozen=True)
class _Asked:
    """A mapping that a design of the front uses: one group of a layer on an accelerator with a DRAM."""

    shape: ConvShape
    architecture: Architecture
    dram: str
    mapping: str


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _network(question: Mapping[str, Any], given: Network | None) -> Network:
    """The study's network, traced again if it is not given. Raises UserError where it is not what it was."""
    from evaluators.system import network_identity
    from search_spaces import networks

    name, shape = question["network.name"], tuple(question["network.input"])
    network = given or networks.load(name, input_shape=shape, cut_mode=question["network.cut_mode"])
    if network_identity(network)["graph"] != question["network.graph"]:
        raise UserError(f"{network.name} has other layers or cuts than when the study was run; run the study again")
    return network


def _sensor_settings(question: Mapping[str, Any]) -> SensorSettings:
    """How the study costed layers; where it kept all mappings, the one of least energy × delay is looked at."""
    from evaluators.sensor import SensorSettings

    values: dict[str, Any] = {f.name: question.get(f"settings.sensor.{f.name}") for f in fields(SensorSettings)}
    if any(name.startswith("settings.sensor.timeloop_files.") for name in question):
        raise UserError("verify judges our mappings; this study's are the tool's own, on the user's own files")
    if values["accelerator_model"] == "zigzag":
        raise UserError("verify judges mappings; this study's figures are ZigZag's, which gives none")
    if values["factors"] != "perfect":
        raise UserError("verify judges perfect factors; the tool's v0.3 input cannot say our imperfect ones")
    if values["mapping"] == "pareto":
        values["mapping"] = "edp"
    return SensorSettings(**values)


def _model_row(
    name: str, asked: _Asked, nest: LoopNest, output: Output | IllegalDesign, settings: SensorSettings
) -> ModelRow:
    from evaluators.components import dram_access_pj
    from evaluators.mapper.counts import count, energies_pj
    from evaluators.mapper.energy import price

    architecture = asked.architecture
    ours = count(architecture, asked.shape, nest)
    priced = price(architecture, settings.energy_table)
    dram_pj = dram_access_pj(priced.dram, asked.dram)
    reads, writes = [*priced.read_pj[:-1], dram_pj], [*priced.write_pj[:-1], dram_pj]
    pj = sum(energies_pj(ours, architecture, reads, writes, list(priced.clusters))) + ours.macs * priced.mac.read_pj
    known = (name, architecture.name, architecture.parameters, nest.to_text(), ours.cycles)
    if isinstance(output, IllegalDesign):
        return ModelRow(*known, None, pj * 1e-12, None, (str(output),))
    pairs = [
        ("MACs", ours.macs, output.macs),
        ("cycles without stalls", ours.compute_cycles, output.compute_cycles),
    ]
    for level, theirs in zip(ours.levels, output.levels, strict=True):
        pairs.append((f"{level.name} instances used", level.instances_used, theirs.instances_used))
        for what in ("reads", "fills", "updates"):
            for t, tensor in enumerate("WIO"):
                words = getattr(level.tensors[tensor], what) if tensor in level.tensors else 0
                pairs.append((f"{level.name} {what} of {tensor}", words, getattr(theirs, what)[t]))
    differences = [f"{what}: ours {a:,}, timeloop-model's {b:,}" for what, a, b in pairs if a != b]
    if abs(ours.cycles - output.cycles) > _ROUNDING_CYCLES:
        differences.append(f"cycles: ours {ours.cycles:,}, timeloop-model's {output.cycles:,}")
    if abs(pj - output.energy_pj) > _EQUAL_ENERGY * pj:
        differences.append(f"energy: ours {pj:.9g} pJ, timeloop-model's {output.energy_pj:.9g} pJ")
    return ModelRow(*known, output.cycles, pj * 1e-12, output.energy_pj * 1e-12, tuple(differences))


def _search_rows(
    layers: Mapping[tuple[ConvShape, Architecture], str],
    tool: Timeloop,
    memo: Memo,
    settings: SensorSettings,
    dram: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[SearchRow]:
    """The tool's mapper beside ours, by the metric of the study."""
    from evaluators.mapper.result import best_mappings
    from evaluators.timeloop import SearchSettings

    metric = settings.mapping
    assert metric != "pareto"
    pairs = list(layers)
    found = tool.search(
        pairs, SearchSettings(metric), table=settings.energy_table, dram=dram, workers=workers, progress=progress
    )
    rows = []
    for (shape, architecture), searched in zip(pairs, found, strict=True):
        (ours,) = best_mappings(shape, architecture, memo, metric=metric, table=settings.energy_table, dram=dram)
        known = (layers[shape, architecture], architecture.name, architecture.parameters, metric)
        if isinstance(searched, IllegalDesign):
            rows.append(SearchRow(*known, ours.cycles, ours.energy_j, None, None, None, (str(searched),)))
            continue
        output = searched.output
        energy_j = output.energy_pj * 1e-12
        # a stalled layer's cycles may be rounded to one less by the tool's doubles
        cycles = ours.cycles if abs(output.cycles - ours.cycles) <= _ROUNDING_CYCLES else output.cycles
        ratio = {
            "edp": cycles * energy_j / (ours.cycles * ours.energy_j),
            "delay": cycles / ours.cycles,
            "energy": energy_j / ours.energy_j,
        }[metric]
        rows.append(SearchRow(*known, ours.cycles, ours.energy_j, output.cycles, energy_j, ratio, output.warnings))
    return rows
