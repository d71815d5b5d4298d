"""Layers on accelerators by Timeloop itself: its own mapper's choice, and its figures for mappings of ours.

Answers are kept in the memo under everything they depend on: the complete input, the tool's digest, and the version
of this wrapper. That a layer does not map is an answer too; a tool that failed gave none and raises TimeloopError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evaluators.mapper.energy import EnergyTable, price
from evaluators.mapper.mapping import Mapping, bounds
from evaluators.memo import Memo, digest
from evaluators.timeloop import v04
from evaluators.timeloop.failures import TimeloopError, accelergy_says, failure, nothing_maps, warnings_in
from evaluators.timeloop.front_end import INPUT, INPUT_FORMATS, FrontEnd, InputFormat, choose
from evaluators.timeloop.output import (
    Broken,
    Output,
    component_of,
    dummies,
    mapspace_size,
    read_area_um2,
    read_directives,
    read_mapping,
    read_output,
    read_streamed,
)
from evaluators.timeloop.process import Job, Run, Tool, find_tool, run_all
from evaluators.timeloop.render import SearchSettings, mapper_input, model_input, to_yaml
from evaluators.timeloop.run_v04 import MAPPING, PROCESSED
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError, unknown
from search_spaces.types import ConvShape

__all__ = ["LIMIT_S", "MAPPER", "MODEL", "VERSION", "Searched", "Timeloop"]

VERSION = 3
"""Bumped by hand whenever the same run would be read differently; part of every memo key."""

MAPPER, MODEL = "timeloop-mapper", "timeloop-model"

LIMIT_S = 600.0
"""Wall time after which a run is stopped: a search of the tool may go on for ever."""


@dataclass(frozen=True)
class Searched:
    """What `timeloop-mapper` found for one group of a layer, and in a mapspace of how many mappings by its count."""

    output: Output
    mapping: Mapping
    mapspace_size: int | None


@dataclass(frozen=True)
class _Wanted:
    """One run that somebody asks for, and how its folder is read."""

    what: str
    text: str
    levels: tuple[str, ...] = ()
    choosing: tuple[str, ...] = ()
    own: bool = False
    """Whether the input is the user's own: any levels, areas by Accelergy or in the input, no mapping of our kind."""
    mapping: str = ""
    """A mapping that joins v0.4 input once the front end has rewritten it; in v0.3 it is part of the text."""

    @property
    def files(self) -> dict[str, str]:
        return {INPUT: self.text} | ({MAPPING: self.mapping} if self.mapping else {})

    @property
    def asked(self) -> str:
        """All that the run's figures depend on, beside the tools."""
        return self.text + self.mapping


class Timeloop:
    """Runs of the tools on the PATH, remembered across calls.

    With `runs`, every run's folder is kept there; else only those of failed runs are, in the temporary folder. Our
    templates are written as v0.3 or v0.4 input as `input_format` says; "auto" is v0.4 where its front end is found.
    """

    def __init__(
        self,
        memo: Memo,
        *,
        limit_s: float = LIMIT_S,
        runs: Path | None = None,
        input_format: InputFormat = "auto",
    ) -> None:
        if not limit_s > 0:
            raise UserError(f"a run of Timeloop needs a time limit above 0 s, not {limit_s:g}")
        if input_format not in INPUT_FORMATS:
            raise unknown("input format of Timeloop", input_format, INPUT_FORMATS)
        self.memo = memo
        self.limit_s = limit_s
        self.runs = runs
        self.input_format = input_format
        self._tools: dict[str, Tool] = {}
        self._front_ends: dict[InputFormat, FrontEnd | None] = {}

    def tool(self, name: str) -> Tool:
        """The tool of that name, found once. Raises UserError where it is not on the PATH."""
        if name not in self._tools:
            self._tools[name] = find_tool(name)
        return self._tools[name]

    def reading(self, input_format: InputFormat) -> Timeloop:
        """The same, with templates written in this format."""
        return Timeloop(self.memo, limit_s=self.limit_s, runs=self.runs, input_format=input_format)

    def front_end(self, asked: InputFormat | None = None) -> FrontEnd | None:
        """What reads v0.4 input, found once; None where the input is v0.3. Raises UserError where it is missing."""
        asked = asked or self.input_format
        if asked not in self._front_ends:
            self._front_ends[asked] = choose(asked)
        return self._front_ends[asked]

    def says(self, name: str, asked: InputFormat | None = None) -> str:
        """What results name as their source: `timeloop-mapper (sha256 1a2b3c4d5e6f, v0.3 input)`."""
        front_end = self.front_end(asked)
        how = "v0.3 input" if front_end is None else front_end.says
        return f"{name} (sha256 {self.tool(name).digest[:12]}, {how})"

    def search(
        self,
        layers: Sequence[tuple[ConvShape, Architecture]],
        settings: SearchSettings,
        *,
        table: EnergyTable = "default",
        dram: str = "lpddr4",
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Searched | IllegalDesign]:
        """What the tool's mapper finds for one group of each layer; IllegalDesign where it finds no mapping.

        `workers` layers are searched at once. Raises TimeloopError where the tool fails.
        """
        wanted = []
        for shape, architecture in layers:
            document = mapper_input(price(architecture, table), shape, dram, settings)
            wanted.append(self._wanted(shape, architecture, document))
        found = self._answers(MAPPER, wanted, workers, progress, self.front_end())
        return [
            IllegalDesign(*data["illegal"])
            if "illegal" in data
            else Searched(Output.from_json(data["output"]), Mapping.from_text(data["mapping"]), data["mapspace"])
            for data in found
        ]

    def model(
        self,
        mappings: Sequence[tuple[ConvShape, Architecture, Mapping]],
        *,
        table: EnergyTable = "default",
        dram: str = "lpddr4",
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Output | IllegalDesign]:
        """The tool's figures for one group of each layer under a given mapping; IllegalDesign where it does not fit.

        `workers` runs go at once. Raises TimeloopError where the tool fails.
        """
        wanted = []
        for shape, architecture, mapping in mappings:
            document = model_input(price(architecture, table), shape, dram, mapping)
            wanted.append(self._wanted(shape, architecture, document))
        found = self._answers(MODEL, wanted, workers, progress, self.front_end())
        return [
            IllegalDesign(*data["illegal"]) if "illegal" in data else Output.from_json(data["output"]) for data in found
        ]

    def own(
        self,
        inputs: Sequence[tuple[str, str]],
        *,
        input_format: InputFormat,
        energies_from: str,
        tool: str = MAPPER,
        mappings: Sequence[str] = (),
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[dict[str, Any]]:
        """What the tool's mapper, or its model, finds for inputs of the user's own, each with what it is about.

        Answers hold either "illegal" with a reason and a message, or "output" (see `Output`), "area_um2", "levels"
        (see `StreamedLevel`) and, of the mapper, "mapping" as the model takes it: in the input, or beside v0.4 input
        among the `mappings`. `energies_from` tells what gives energies that the inputs do not. Raises TimeloopError
        where the tool fails.
        """
        front_end = self.front_end(input_format)
        beside = mappings or [""] * len(inputs)
        wanted = [_Wanted(*one, own=True, mapping=mapping) for one, mapping in zip(inputs, beside, strict=True)]
        return self._answers(tool, wanted, workers, progress, front_end, energies_from)

    def _answers(
        self,
        name: str,
        wanted: Sequence[_Wanted],
        workers: int,
        progress: Callable[[int, int], None] | None,
        front_end: FrontEnd | None,
        energies_from: str = "",
    ) -> list[dict[str, Any]]:
        tool = self.tool(name)
        known = {"tool": tool.digest, "wrapper": VERSION} | ({"energies": energies_from} if energies_from else {})
        if front_end is not None:
            known["front_end"] = front_end.digest
        keys = [{"input": digest(one.asked), **known} for one in wanted]
        answers = self.memo.get_many(name, keys)
        places: dict[str, list[int]] = {}
        for i, (one, answer) in enumerate(zip(wanted, answers, strict=True)):
            if answer is None:
                places.setdefault(one.asked, []).append(i)
        firsts = [i for i, *_ in places.values()]
        done = len(wanted) - sum(map(len, places.values()))
        if progress is not None:
            progress(done, len(wanted))
        executable = tool.path if front_end is None else front_end.executable
        started = (INPUT,) if front_end is None else front_end.arguments(tool)
        files = {} if front_end is None else front_end.files
        jobs = [Job(wanted[i].what, started, wanted[i].files | files) for i in firsts]

        def take(at: int, run: Run) -> None:
            nonlocal done
            i = firsts[at]
            answer = _read(name, wanted[i], run, self.limit_s, fan_outs=front_end is not None)
            self.memo.put(name, keys[i], answer)
            if self.runs is None:
                run.discard()
            for same in places[wanted[i].asked]:
                answers[same] = answer
            done += len(places[wanted[i].asked])
            if progress is not None:
                progress(done, len(wanted))

        run_all(executable, jobs, take, limit_s=self.limit_s, workers=workers, runs=self.runs)
        return [answer for answer in answers if answer is not None]

    def _wanted(self, shape: ConvShape, architecture: Architecture, document: dict[str, Any]) -> _Wanted:
        layer = " ".join(f"{dim}={n}" for dim, n in bounds(shape).items())
        return _Wanted(
            f"{layer} on {architecture.name}",
            to_yaml(document) if self.front_end() is None else v04.to_yaml(v04.translated(document)),
            tuple(level.name for level in architecture.levels),
            tuple(level.name for level in architecture.levels if level.keeps_choices),
        )


def _table(folder: Path, name: str, kind: str, read: str) -> Path:
    """Where a run's energies or areas stand: in what Accelergy wrote, or in what the tool read."""
    written = folder / f"{name}.{kind}.yaml"
    return written if written.is_file() else folder / read


def _read(name: str, one: _Wanted, run: Run, limit_s: float, *, fan_outs: bool) -> dict[str, Any]:
    """The answer of a run as the memo keeps it. Raises TimeloopError where it gave none; its folder is then kept.

    With `fan_outs` the result has levels that stand for them, as v0.4 input has: they cost nothing and are left out.
    """
    log = run.log

    def failed(because: str | None = None) -> TimeloopError:
        if because is None and "Failed to run Accelergy" in log:
            because = accelergy_says(run.folder, name)
        return failure(name, one.what, run.argv, run.folder, log, status=run.status, because=because)

    if run.status is None:
        raise failed(f"it ran for more than {limit_s:g} s; raise the limit (--run-limit) or search less")
    if run.status == 0 and nothing_maps(log):
        return {"illegal": ["layer does not map", f"{name} finds no mapping of {one.what}"]}
    if run.status == 1 and "couldn't map level" in log:
        why = next(line for line in log.splitlines() if "couldn't map level" in line)
        return {"illegal": ["mapping does not fit", f"{one.what}: {why.removeprefix('ERROR: ')}"]}
    if one.own and run.status == 1 and "is not divisible by" in log:
        why = next(line for line in log.splitlines() if "is not divisible by" in line)
        return {"illegal": ["layer does not map", f"{one.what}: {why.removeprefix('ERROR: ')}"]}
    if run.status != 0:
        raise failed()
    try:
        output = read_output(run.folder, name)
        if output is None:
            raise failed()
        skipped = v04.inserted if fan_outs else _none
        output = replace(output, levels=tuple(level for level in output.levels if not skipped(level.name)))
        made_up = [c for c in dummies(run.folder, name) if not skipped(component_of(c))]
        if made_up:
            raise failed(f"Accelergy knows no energy of {', '.join(made_up)} and would have charged 1 pJ")
        warned = {**output.to_json(), "warnings": [*output.warnings, *warnings_in(log)]}
        if one.own:
            off_chip = output.levels[-1].name
            made_up = [c for c in dummies(run.folder, name, "ART") if component_of(c) != off_chip]
            made_up = [c for c in made_up if not skipped(component_of(c))]
            if made_up:
                raise failed(f"Accelergy knows no area of {', '.join(made_up)} and would have taken 1 µm²")
            read = PROCESSED if fan_outs else INPUT
            areas, energies = (_table(run.folder, name, kind, read) for kind in ("ART", "ERT"))
            streamed = read_streamed(run.folder, name, energies)
            return {
                "output": warned,
                "area_um2": read_area_um2(areas, output, skipped),
                "levels": [asdict(level) for level in streamed if not skipped(level.name)],
                "mapping": read_directives(run.folder, name) if name == MAPPER else None,
            }
        levels = tuple(level.name for level in output.levels)
        if levels != one.levels:
            raise failed(f"its result has the levels {', '.join(levels)}")
        mapping = read_mapping(run.folder, name, one.levels, one.choosing).to_text() if name == MAPPER else None
    except Broken as broken:
        raise failed(str(broken)) from None
    return {"output": warned, "mapping": mapping, "mapspace": mapspace_size(log)}


def _none(name: str) -> bool:
    return False
