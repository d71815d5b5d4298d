"""A study's front judged by Timeloop: its counts for our mappings, and what its own mapper finds instead.

Every distinct mapping of a layer that the front's designs run on their sensor nodes goes through `timeloop-model`,
whose counts must be ours; every distinct layer on an accelerator through `timeloop-mapper`, which must not find a
better mapping than our mapper does. Energies are those of the tables at 5 ns, as both search by; clock, supply and
leakage come afterwards and are the same for both.

A mapping with remainders is judged with every tile full, where the counts must be equal; with the remainders the two
count by other rules. Loops end where their dimension does in both, and the tool's own check holds them to it. But of
what runs side by side the tool looks at the first instance and takes the others for its equals, so that it charges
more MACs than the layer has, and its cycles are the product of all loops in time at full length. Ours counts what is
there (see `evaluators.mapper.counts`), as the paper on such mappings means them (Horeni et al., Ruby, ISPASS 2022).
Both figures are reported. The tool's mapper searches perfect factors, which are among ours.

A study on the user's own Timeloop files has the tool's mappings and no others: `timeloop-model` must find for each
what the study took from `timeloop-mapper`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dse.judges import Asked, model_rows, own_rows, search_rows
from dse.verification import Verification
from search_spaces.errors import UserError
from search_spaces.types import Knob

if TYPE_CHECKING:
    from dse.result import StudyResult
    from evaluators.memo import Memo
    from evaluators.sensor import SensorModel, SensorSettings
    from evaluators.timeloop import Timeloop
    from evaluators.timeloop.own import OwnFiles, OwnSensor
    from search_spaces.types import Network

__all__ = ["verify"]

Progress = Callable[[str, int, int], None]


def verify(
    result: StudyResult,
    memo: Memo,
    *,
    network: Network | None = None,
    designs: int | None = None,
    search: bool = True,
    workers: int = 1,
    tool: Timeloop | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Judge the first `designs` designs of a front (all if None); `search` also runs the tool's own mapper.

    `tool` says how long a run may take, where its folder is kept, and what it reads: "auto" is what the study says, or
    what is installed.

    Raises UserError for a front without designs, figures that have no mapping, a network, own files or an evaluator
    that have changed since the study, and where the tool is missing or fails.
    """
    from dse.result import network_of
    from evaluators.sensor import SensorModel
    from evaluators.timeloop import MAPPER, MODEL, Timeloop
    from evaluators.timeloop.own import OwnSensor

    if not len(result.front):
        raise UserError(f"{result.folder} has no feasible design yet; run it on first")
    settings = _sensor_settings(result.question)
    own = settings.timeloop_files
    tool = tool or Timeloop(memo)
    if own is not None:
        tool = tool.reading(own.input_format)
    elif tool.input_format == "auto":  # v0.4 cannot say remainders
        tool = tool.reading("0.3" if settings.factors == "imperfect" else settings.timeloop_input or "auto")
    tools = [tool.says(name) for name in ([MODEL, MAPPER] if search and own is None else [MODEL])]
    network = network_of(result.question, network)
    sensor = SensorModel(settings, memo) if own is None else OwnSensor(settings, memo, tool)
    if sensor.version != result.question["versions.sensor"]:
        raise UserError(
            f"the study's figures are of {result.question['versions.sensor']}, here is {sensor.version}; run the study "
            "again in another folder"
        )
    rows = result.front.indices if designs is None else result.front.indices[:designs]
    chosen = _chosen(result, rows, network, sensor)

    counted, searched = [], []
    if isinstance(sensor, OwnSensor):
        counted = own_rows(chosen, sensor, workers, _named(progress, MODEL))
        return Verification(
            str(result.folder), len(rows), len(result.front), tuple(counted), (), tuple(tools), sensor.files.files
        )
    for dram in sorted({asked.dram for asked in chosen}):
        mine = {asked: name for asked, name in chosen.items() if asked.dram == dram}
        counted += model_rows(mine, tool, settings, dram, workers, _named(progress, MODEL))
        if search:
            layers = {(asked.shape, asked.architecture): name for asked, name in reversed(mine.items())}
            searched += search_rows(layers, tool, memo, settings, dram, workers, _named(progress, MAPPER))
    return Verification(str(result.folder), len(rows), len(result.front), tuple(counted), tuple(searched), tuple(tools))


def _named(progress: Progress | None, name: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _chosen(result: StudyResult, rows: Any, network: Network, sensor: SensorModel | OwnSensor) -> dict[Asked, str]:
    """What the designs of these rows run on their sensor nodes, each with the first layer that it belongs to."""
    from evaluators.system import hardware
    from search_spaces.space import SearchSpace

    space = SearchSpace(tuple(Knob(name, tuple(values)) for name, values in result.knobs.items()))
    index = {cut.name: i for i, cut in enumerate(network.cuts)}
    chosen: dict[Asked, str] = {}
    for indices in rows:
        point = space.decode(indices)
        architecture, clock_hz, dram = hardware(point)
        (cut,) = point.cuts
        costs = sensor.layer_costs(network, architecture, clock_hz, dram)
        for i in sorted(network.cuts[index[cut]].layers):
            layer = network.layers[i]
            if layer.shape is None:
                continue
            candidate = costs.chosen[i] if costs.chosen else None
            if candidate is not None:
                asked = Asked(layer.shape.one_group, architecture, dram, candidate.mapping_text)
            elif not costs.chosen and costs.cycles[i]:
                asked = Asked(layer.shape.one_group, architecture, "", "")
            else:
                continue
            chosen.setdefault(asked, layer.name)
    return chosen


def _sensor_settings(question: Mapping[str, Any]) -> SensorSettings:
    """How the study costed layers; where it kept all mappings, the one of least energy × delay is looked at."""
    from evaluators.sensor import SensorSettings

    values: dict[str, Any] = {f.name: question.get(f"settings.sensor.{f.name}") for f in fields(SensorSettings)}
    values["timeloop_files"] = _own_files(question)
    if values["accelerator_model"] == "zigzag":
        raise UserError("verify judges mappings; this study's figures are ZigZag's, which gives none")
    if values["mapping"] == "pareto":
        values["mapping"] = "edp"
    return SensorSettings(**values)


def _own_files(question: Mapping[str, Any]) -> OwnFiles | None:
    """The user's own files that the study was run on. Raises UserError where they are not what they were."""
    from evaluators.timeloop.own import OwnFiles

    stored: dict[str, Any] = {
        f.name: question.get(f"settings.sensor.timeloop_files.{f.name}") for f in fields(OwnFiles)
    }
    if stored["files"] is None:
        return None
    named = ", ".join(stored["files"])
    try:
        files = OwnFiles(
            tuple(stored["files"]),
            tuple((target, product) for target, product in stored["bind"]),
            stored["outermost_buffer"],
        )
    except UserError as error:
        raise UserError(f"{error}; go to where the study was run, whose files were {named}") from None
    if files.content != stored["content"]:
        raise UserError(f"{named}: not what they were when the study was run; run it again in another folder")
    return files
