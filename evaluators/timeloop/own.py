"""A user's own Timeloop files as a sensor node: their architecture and constraints, our knobs in named attributes.

The files are v0.3 YAML as the tool reads it (`architecture`, constraints, components, perhaps `mapper`, `ERT` and
`ART`), or v0.4 YAML as its front end does; the problem of every layer is ours. Without an `ERT` the tool asks
Accelergy, whose made-up figures (1 pJ, 1 µm²) are an error; with one, figures do not follow the sizes that our knobs
set, and say so. Figures are the tool's own: no voltage scaling, leakage only where an energy table has it. Operators
without multiply-accumulates never reach the tool: their words pass the outermost on-chip buffer and DRAM at the files'
energies per row, as `evaluators.streaming` says.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evaluators.mapper.mapping import bounds
from evaluators.memo import Memo
from evaluators.network_front import LayerFronts
from evaluators.sensor import LayerCosts, LayerGrid, SensorSettings
from evaluators.streaming import Streamed, streamed
from evaluators.timeloop import v04
from evaluators.timeloop.evaluate import MAPPER, MODEL, VERSION, Timeloop
from evaluators.timeloop.front_end import InputFormat
from evaluators.timeloop.output import StreamedLevel
from evaluators.timeloop.render import SearchSettings, mapper_section, problem
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError, reason, unknown
from search_spaces.types import ConvShape, KnobValue, Layer, Network

__all__ = ["OwnFiles", "OwnSensor"]

_TARGET = re.compile(r"(\w+)\.([\w-]+)")
_RANGE = re.compile(r"\[0\.\.\d+\]$")
_COUNTS = ("instances", "meshX", "meshY")
"""Attributes that change how many there are of a component, not the energy and area of one."""


@dataclass(frozen=True)
class OwnFiles:
    """Files that make one input of `timeloop-mapper` together, and which of their attributes our knobs set.

    `bind` maps "component.attribute" to a product of knobs and numbers; "component.instances" is the range in a
    name (v0.3), "container.meshX" and "container.meshY" are its `spatial` (v0.4). `outermost_buffer` is the on-chip
    storage level that operators without multiply-accumulates stream through, the last one before DRAM unless it is
    named. The files are read once, here; `content` is a digest of them, so that a study with changed files is another.

    >>> OwnFiles((), (("PE.instances", "pe_cols*pe_rows"),)).values({"pe_cols": 14, "pe_rows": 12})
    {'PE.instances': 168}
    """

    files: tuple[str, ...]
    bind: tuple[tuple[str, str], ...] = ()
    outermost_buffer: str | None = None
    content: str = field(init=False, default="")

    def __post_init__(self) -> None:
        for target, _ in self.bind:
            if not _TARGET.fullmatch(target):
                raise UserError(
                    f"a knob is bound to COMPONENT.ATTRIBUTE, as in shared_glb.memory_depth, not {target!r}"
                )
        content = sha256()
        for text in self._texts:
            content.update(text.encode())
        object.__setattr__(self, "content", content.hexdigest())

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(_read(name) for name in self.files)

    def values(self, knobs: Mapping[str, KnobValue]) -> dict[str, int | float | str]:
        """The value of every bound attribute. Raises UserError for a knob that there is not."""
        found: dict[str, int | float | str] = {}
        for target, product in self.bind:
            factors = [_factor(word.strip(), knobs, target) for word in product.split("*")]
            if len(factors) == 1:
                found[target] = factors[0]
                continue
            total = 1.0
            for factor in factors:
                if isinstance(factor, str):
                    raise UserError(f"{target} = {product}: {factor!r} is no number to multiply")
                total *= factor
            found[target] = int(total) if total == int(total) else total
        return found

    @property
    def entries(self) -> frozenset[str]:
        """What the files hold: architecture, ERT and so on. Raises UserError for a component that they do not have."""
        for target, _ in self.bind:
            _parts(self._whole["architecture"], target)
        if self.outermost_buffer is not None:
            _parts(self._whole["architecture"], self.outermost_buffer)
        return frozenset(self._whole)

    @property
    def input_format(self) -> InputFormat:
        """What the files are written in, by the version or the nodes of their architecture."""
        architecture = self._whole["architecture"]
        if not isinstance(architecture, dict) or "dumped_by_timeloop_front_end" in self._whole:
            return "0.3"
        return "0.4" if "nodes" in architecture or str(architecture.get("version")) == "0.4" else "0.3"

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Bound attributes that figures would have to follow, which a table in the files cannot."""
        return tuple(target for target, _ in self.bind if target.split(".")[1] not in _COUNTS)

    def document(self, knobs: Mapping[str, KnobValue]) -> dict[str, Any]:
        """All files as one input with the knobs' values in it. Raises UserError for files that do not fit together."""
        whole = deepcopy(self._whole)
        put = _set_04 if self.input_format == "0.4" else _set
        for target, value in self.values(knobs).items():
            put(whole["architecture"], target, value)
        return whole

    @cached_property
    def _whole(self) -> dict[str, Any]:
        whole: dict[str, Any] = {}
        for name, text in zip(self.files, self._texts, strict=True):
            try:
                data = v04.read(text)
            except (yaml.YAMLError, ValueError) as error:  # such as a date that there is not
                why = " ".join(str(error).split())
                raise UserError(
                    f"{name} is no YAML of Timeloop ({why}); templates of Jinja are not filled in"
                ) from None
            if not isinstance(data, dict):
                raise UserError(f"{name} should hold entries such as architecture, not {data!r}")
            for key, value in data.items():
                if key == "components" and _has_classes(value) and _has_classes(whole.get(key)):  # a file each in v0.4
                    value = {**value, "classes": [*whole[key].get("classes", []), *value.get("classes", [])]}
                elif key in whole:
                    raise UserError(f"{name} has {key} again; each entry is in one file")
                whole[key] = value
        if "architecture" not in whole:
            raise UserError(f"none of {', '.join(self.files) or 'no files'} has an architecture")
        return whole


def _read(name: str) -> str:
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {name}: {reason(error)}") from None


def _has_classes(components: Any) -> bool:
    """Whether these are components with a list of classes, which may be empty."""
    return isinstance(components, dict) and isinstance(components.get("classes", []), list)


def _factor(word: str, knobs: Mapping[str, KnobValue], target: str) -> KnobValue:
    if word in knobs:
        return knobs[word]
    try:
        return float(word) if "." in word else int(word)
    except ValueError:
        raise unknown(f"knob for {target}", word, knobs) from None


def _set(architecture: Any, target: str, value: int | float | str) -> None:
    """Set an attribute of a component, or the range in its name."""
    component, attribute = target.split(".")
    instances = int(value) if isinstance(value, int | float) and float(value).is_integer() else 0
    if attribute == "instances" and instances < 1:
        raise UserError(f"{target} is a number of instances, 1 or more, not {value!r}; bind it to other knobs")
    for part in _parts(architecture, target):
        if attribute == "instances" and _RANGE.search(str(part["name"])):
            part["name"] = f"{component}[0..{instances - 1}]"
            continue
        attributes = part.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise UserError(f"the attributes of {component} should be names and values, not {attributes!r}")
        part["attributes"] = {**attributes, attribute: value}  # one of its own: YAML's aliases share theirs


def _set_04(architecture: Any, target: str, value: int | float | str) -> None:
    """Set an attribute of a node, or its fan-out."""
    component, attribute = target.split(".")
    if attribute == "instances":
        raise UserError(f"{target}: v0.4 counts by meshX and meshY; bind {component}.meshX or {component}.meshY")
    if attribute in ("meshX", "meshY") and not (isinstance(value, int) and value > 0):
        raise UserError(f"{target} is a whole number, 1 or more, not {value!r}; bind it to other knobs")
    for part in _parts(architecture, target):
        entry = "spatial" if attribute in ("meshX", "meshY") else "attributes"
        values = part.get(entry) or {}
        if not isinstance(values, dict):
            raise UserError(f"the {entry} of {component} should be names and values, not {values!r}")
        part[entry] = {**values, attribute: v04.Quoted(value) if isinstance(value, str) else value}


def _parts(architecture: Any, target: str) -> list[dict[str, Any]]:
    """The nodes of the tree that have the name of the target's component. Raises UserError where there are none."""
    component = target.partition(".")[0]
    parts = list(_components(architecture))
    chosen = [part for part in parts if _RANGE.sub("", str(part["name"])) == component]
    if not chosen:
        raise unknown("component of the architecture", component, {_RANGE.sub("", str(part["name"])) for part in parts})
    return chosen


def _components(node: Any) -> Iterator[dict[str, Any]]:
    """Everything with a name below a node of the tree, the subtrees themselves included."""
    if isinstance(node, list):
        for item in node:
            yield from _components(item)
    elif isinstance(node, dict):
        if "name" in node:
            yield node
        for key in ("subtree", "local", "nodes"):
            yield from _components(node.get(key))


class OwnSensor:
    """A sensor node as the user's files have it; has the methods of `evaluators.sensor.SensorModel`.

    An architecture of the space stands for its knobs, and for the word widths of `sensor_memory_bytes`. Raises
    UserError where the tool is not installed.
    """

    def __init__(self, settings: SensorSettings, memo: Memo, tool: Timeloop | None = None) -> None:
        files = settings.timeloop_files
        assert files is not None and settings.mapping != "pareto"  # the settings refuse it
        self.settings = settings
        self.files = files
        self._tool = tool or Timeloop(memo)
        self._mapper = self._tool.tool(MAPPER)
        self._front_end = self._tool.front_end(files.input_format)
        search = mapper_section(SearchSettings(settings.mapping))
        self._mapper_section = search if self._front_end is None else v04.mapper_section_04(search)
        given = files.entries
        if ("ERT" in given) != ("ART" in given):
            raise UserError("files with an ERT need an ART, and the other way round: or leave both to Accelergy")
        self._energies_from = "files" if "ERT" in given else _accelergy()
        self._chips: dict[Architecture, _Chip] = {}
        self._at_1_hz: dict[tuple[int, Architecture], tuple[Network, LayerCosts]] = {}

    @property
    def version(self) -> str:
        reads = "" if self._front_end is None else f", {self._front_end.package} sha256 {self._front_end.digest}"
        tool = f"sha256 {self._mapper.digest}{reads}"
        return f"own files, timeloop wrapper {VERSION}, {tool}, energies {self._energies_from}"

    def prepare(
        self,
        network: Network,
        architectures: Sequence[Architecture],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Run every distinct layer on every architecture that the memo does not know."""
        shapes = sorted({shape.one_group for _, shape in self._mapped(network)}, key=repr)
        self._run([(shape, a) for a in architectures for shape in shapes], workers, progress)

    def layer_costs(
        self,
        network: Network,
        architecture: Architecture,
        clock_hz: float,
        dram: str,
        picks: Mapping[int, int] | None = None,
    ) -> LayerCosts:
        """Energy and latency of every layer at a clock; the DRAM is the files' own."""
        costs = self._costs_at_1_hz(network, architecture)
        return replace(costs, latency_s=costs.cycles / clock_hz)

    def _costs_at_1_hz(self, network: Network, architecture: Architecture) -> LayerCosts:
        """The answers of one network on one architecture, looked up once: clocks only divide them."""
        key = (id(network), architecture)
        if key not in self._at_1_hz:  # the network is kept, so that its id is not given to another
            self._at_1_hz[key] = network, self._look_up(network, architecture)
        return self._at_1_hz[key][1]

    def _look_up(self, network: Network, architecture: Architecture) -> LayerCosts:
        mapped = self._mapped(network)
        found = self._run([(shape.one_group, architecture) for _, shape in mapped])
        energy_j, dram_j, cycles, compute = (np.zeros(len(network.layers)) for _ in range(4))
        unmapped: dict[int, str] = {}
        warnings: dict[int, str] = {}
        for (i, shape), answer in zip(mapped, found, strict=True):
            if "illegal" in answer:
                unmapped[i] = f"{network.layers[i].name}: {answer['illegal'][1]}"
                for array in (energy_j, dram_j, cycles, compute):
                    array[i] = np.nan
                continue
            output = answer["output"]
            if output["warnings"]:
                warnings[i] = f"{network.layers[i].name}: {'; '.join(output['warnings'])}"
            energy_j[i] = output["energy_pj"] * shape.groups * 1e-12
            dram_j[i] = output["levels"][-1]["energy_pj"] * shape.groups * 1e-12
            cycles[i] = output["cycles"] * shape.groups
            compute[i] = output["compute_cycles"] * shape.groups
        for i, layer in enumerate(network.layers):
            if layer.cost == "move" and self.settings.operators == "all":
                moved, on_chip_pj, dram_pj = self._moving(layer, architecture)
                energy_j[i], dram_j[i] = (on_chip_pj + dram_pj) * 1e-12, dram_pj * 1e-12
                cycles[i] = compute[i] = moved.cycles
        return LayerCosts(
            energy_j=energy_j,
            latency_s=cycles,
            cycles=cycles,
            compute_cycles=compute,
            dynamic_j=energy_j - dram_j,
            dram_j=dram_j,
            leakage_j=np.zeros(len(network.layers)),
            supply_v=float("nan"),
            provenance=self._provenance,
            unmapped=unmapped,
            simulator=self._tool.says(MAPPER, self.files.input_format),
            warnings=warnings,
        )

    def _moving(self, layer: Layer, architecture: Architecture) -> tuple[Streamed, float, float]:
        """An operator without multiply-accumulates: what it moves, and the energy on the chip and of DRAM in pJ.

        Raises UserError where the files do not say what a row of the buffer or of DRAM takes.
        """
        *on_chip, dram = self._chip(architecture).levels
        name = self.files.outermost_buffer
        if not on_chip:
            raise UserError(f"there is no on-chip storage that {layer.operator} could stream through; {_CONV_ONLY}")
        buffer = next((level for level in on_chip if level.name == name), None) if name else on_chip[-1]
        if buffer is None:
            raise unknown("on-chip storage level", str(name), [level.name for level in on_chip])
        moved = streamed(layer, buffer, dram)
        (read_pj, write_pj), (dram_read_pj, dram_write_pj) = _row_pj(buffer), _row_pj(dram)
        on_chip_pj = moved.buffer_reads * read_pj + moved.buffer_writes * write_pj
        dram_pj = moved.dram_reads * dram_read_pj + moved.dram_writes * dram_write_pj
        return moved, on_chip_pj, dram_pj

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid:
        """The layers at several clocks; each mapped once."""
        costs = self._costs_at_1_hz(network, architecture)
        clocks_hz = np.array([clock_hz for clock_hz, _ in places])
        return LayerGrid(
            energy_j=np.tile(costs.energy_j, (len(places), 1)),
            latency_s=costs.cycles / clocks_hz[:, None],
            area_mm2=np.full(len(places), self.area_mm2(architecture, places[0][0])),
            sizes=np.ones((len(places), len(network.layers)), dtype=np.int64),
            illegal=(None,) * len(places),
            unmapped=dict(costs.unmapped),
        )

    def layer_fronts(self, network: Network, architecture: Architecture, clock_hz: float, dram: str) -> LayerFronts:
        raise UserError("the tool gives one mapping per layer; choose mapping edp, delay or energy")

    def area_mm2(self, architecture: Architecture, clock_hz: float) -> float:
        """Component area × instances, by Accelergy or the files' own table.

        Raises IllegalDesign where nothing could be mapped yet that would tell.
        """
        return self._chip(architecture).area_um2 * 1e-6

    def _chip(self, architecture: Architecture) -> _Chip:
        if architecture not in self._chips:
            (answer,) = self._run([(_SMALL, architecture)])
            if "illegal" in answer:
                raise IllegalDesign(*answer["illegal"])
        return self._chips[architecture]

    def found(self, pairs: Sequence[tuple[ConvShape, Architecture]]) -> list[dict[str, Any]]:
        """What the tool's mapper answered for one group of each layer; see `Timeloop.own`."""
        return self._run([(shape.one_group, architecture) for shape, architecture in pairs])

    def model(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        mappings: Sequence[list[dict[str, Any]]],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[dict[str, Any]]:
        """The figures of `timeloop-model` for one group of each layer under a mapping that the mapper found."""
        inputs, beside = [], []
        for (what, document), mapping in zip(self._documents(pairs), mappings, strict=True):
            kept = {key: value for key, value in document.items() if key not in _MAPPERS}
            if self._front_end is None:
                inputs.append((what, v04.to_yaml(kept | {"mapping": mapping})))
            else:
                inputs.append((what, v04.to_yaml(kept)))
                beside.append(v04.to_yaml({"mapping": mapping}))
        return self._tool.own(
            inputs,
            input_format=self.files.input_format,
            energies_from=self._energies_from,
            tool=MODEL,
            mappings=beside,
            workers=workers,
            progress=progress,
        )

    @property
    def _provenance(self) -> str:
        if self._energies_from != "files":
            return "Accelergy"
        fixed = self.files.unpriced
        return f"own table (does not follow {', '.join(fixed)})" if fixed else "own table"

    def _mapped(self, network: Network) -> list[tuple[int, ConvShape]]:
        """The layers that the tool maps."""
        convolutions_only = self.settings.operators == "conv"
        return [
            (i, layer.shape)
            for i, layer in enumerate(network.layers)
            if layer.shape is not None and (layer.operator.startswith("conv") or not convolutions_only)
        ]

    def _run(
        self,
        wanted: Sequence[tuple[ConvShape, Architecture]],
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[dict[str, Any]]:
        inputs = []
        for what, document in self._documents(wanted):
            inputs.append((what, v04.to_yaml({"mapper": self._mapper_section, **document})))
        found = self._tool.own(
            inputs,
            input_format=self.files.input_format,
            energies_from=self._energies_from,
            workers=workers,
            progress=progress,
        )
        for (_, architecture), answer in zip(wanted, found, strict=True):
            if "output" in answer:
                levels = tuple(StreamedLevel(**level) for level in answer["levels"])
                self._chips[architecture] = _Chip(answer["area_um2"], levels)
        return found

    def _documents(self, wanted: Sequence[tuple[ConvShape, Architecture]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """What each layer's run is about, and the files with the knobs' values and the layer in them."""
        documents = {a: self.files.document(dict(a.parameters)) for a in dict.fromkeys(a for _, a in wanted)}
        for shape, architecture in wanted:
            sizes = bounds(shape)
            layer = " ".join(f"{dim}={n}" for dim, n in sizes.items())
            entry = problem(shape, sizes)
            if self._front_end is not None:
                entry = {"problem": v04.problem_04(entry["problem"])}
            yield f"{layer} on {', '.join(self.files.files)}", documents[architecture] | entry


@dataclass(frozen=True)
class _Chip:
    """What every run says of the chip, whatever the layer."""

    area_um2: float
    levels: tuple[StreamedLevel, ...]


def _row_pj(level: StreamedLevel) -> tuple[float, float]:
    """Energy of a row read and of one written."""
    if level.read_pj is None or level.write_pj is None:
        raise UserError(
            f"the energy table has no {level.name}, through which operators without MACs stream; name another level as "
            f'in OwnFiles(..., outermost_buffer="shared_glb"), or {_CONV_ONLY}'
        )
    return level.read_pj, level.write_pj


_CONV_ONLY = 'cost convolutions only: operators="conv"'

_MAPPERS = ("mapper", "mapspace", "mapspace_constraints", "architecture_constraints", "arch_constraints")
"""Entries that only the mapper reads."""

_SMALL = ConvShape(N=1, C=4, M=4, P=4, Q=4, R=1, S=1)
"""A layer that is run for the area alone."""


def _accelergy() -> str:
    """Which Accelergy is on the PATH, and when it was installed: energies depend on it."""
    found = shutil.which("accelergy")
    if found is None:
        raise UserError("the files hold no ERT and accelergy is not on the PATH; see: paretocut doctor")
    return f"{found} of {Path(found).resolve().stat().st_mtime_ns}"
