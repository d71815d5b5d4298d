"""What each layer of a network costs on an accelerator: the mapper's candidates, a clock, a DRAM, and a metric."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from evaluators import components
from evaluators.components import dram_access_pj, mac
from evaluators.dvfs import NODES, supply_v
from evaluators.mapper import layer as mapper
from evaluators.mapper.energy import EnergyTable, Priced, price
from evaluators.mapper.layer import Candidate, LayerMappings, map_layers, prepare_layers
from evaluators.mapper.mapping import FACTORS, Factors
from evaluators.memo import Memo
from evaluators.network_front import LayerFronts, layer_fronts
from evaluators.streaming import streamed
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError, unknown
from search_spaces.types import ConvShape, Layer, Network

if TYPE_CHECKING:
    from evaluators.timeloop.front_end import InputFormat
    from evaluators.timeloop.own import OwnFiles

__all__ = ["MANY_COSTS", "LayerCosts", "LayerGrid", "LayerMapper", "SensorModel", "SensorSettings"]

Metric = Literal["edp", "delay", "energy"]
MappingChoice = Literal[Metric, "pareto"]
Operators = Literal["all", "conv"]
Dvfs = Literal["on", "off", "sized"]
AcceleratorModel = Literal["mapper", "timeloop", "timeloop-v0.3", "timeloop-v0.4", "zigzag"]

VERSION = 3
"""Bumped by hand whenever a layer's cost changes for another reason than the mapper's or the tables'."""


MANY_COSTS = (
    'mapping "pareto" gives a design many costs, one for each combination of mappings; '
    'ask for "edp", "delay" or "energy" to get one'
)

_KEPT = 1024
"""Architectures whose candidates are kept laid out as arrays: some 30 kB each for a network of 60 layers."""


@dataclass(frozen=True)
class SensorSettings:
    """How a sensor node's layers are costed; part of a study's identity.

    `mapping` is the metric that chooses among a layer's mappings, or "pareto" to keep all that are not beaten,
    `operators` "conv" costs convolutions only (the paper's convention), `dvfs` is one of "on" (supply follows the
    clock), "off" (table energies, no leakage), "sized" (MACs synthesised for the clock). `accelerator_model` is who
    maps the layers: "mapper" is ours; "timeloop" and "zigzag" are tools, which give one mapping per layer. Timeloop
    gets v0.4 input where its front end is installed, else v0.3; "timeloop-v0.3" and "timeloop-v0.4" name one.
    `timeloop_files` are an accelerator of the user's own for Timeloop, its figures taken as they are (`dvfs` "off").
    """

    mapping: MappingChoice = "edp"
    operators: Operators = "all"
    dvfs: Dvfs = "on"
    factors: Factors = "perfect"
    energy_table: EnergyTable = "default"
    accelerator_model: AcceleratorModel = "mapper"
    timeloop_files: OwnFiles | None = None

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise unknown(name.replace("_", " "), getattr(self, name), known)
        if self.accelerator_model != "mapper" and (self.mapping, self.factors) not in _TOOLS_CAN:
            raise UserError(
                f"{self.accelerator_model} gives each layer one mapping, and takes perfect factors, not "
                f"mapping={self.mapping!r} with factors={self.factors!r}; leave out accelerator_model, or one of these"
            )
        if self.timeloop_files is not None and (self.accelerator_model, self.dvfs) != ("timeloop", "off"):
            raise UserError('timeloop_files go with accelerator_model="timeloop" and dvfs="off": unscaled figures')

    @property
    def timeloop_input(self) -> InputFormat | None:
        """What Timeloop is to read for our templates, None where it does not map the layers."""
        return _TIMELOOP_INPUT.get(self.accelerator_model)


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "mapping": ("edp", "delay", "energy", "pareto"),
    "operators": ("all", "conv"),
    "dvfs": ("on", "off", "sized"),
    "factors": FACTORS,
    "energy_table": ("default", "timeloop-be27768"),
    "accelerator_model": ("mapper", "timeloop", "timeloop-v0.3", "timeloop-v0.4", "zigzag"),
}

_TIMELOOP_INPUT: Mapping[str, InputFormat] = {"timeloop": "auto", "timeloop-v0.3": "0.3", "timeloop-v0.4": "0.4"}


_TOOLS_CAN = [("edp", "perfect"), ("delay", "perfect"), ("energy", "perfect")]


@dataclass(frozen=True)
class LayerCosts:
    """Costs of one frame, one entry per layer of the network (0 for free ones, NaN for those that do not map).

    `energy_j` = `dynamic_j` (on chip, at this clock's supply) + `dram_j` + `leakage_j`. `cycles` include stalls,
    `compute_cycles` do not. `unmapped` names the reason per layer index, `chosen` is every layer's mapping, `priced`
    the chip that the figures are of. `provenance` is that of the components' figures, `simulator` the tool that mapped
    and counted, "" for our own mapper; `warnings` are what it said per layer index that bears on the figures.
    """

    energy_j: np.ndarray
    latency_s: np.ndarray
    cycles: np.ndarray
    compute_cycles: np.ndarray
    dynamic_j: np.ndarray
    dram_j: np.ndarray
    leakage_j: np.ndarray
    supply_v: float
    provenance: str
    unmapped: dict[int, str] = field(default_factory=dict)
    chosen: tuple[Candidate | None, ...] = field(default=(), repr=False)
    priced: Priced | None = field(default=None, repr=False)
    simulator: str = ""
    warnings: dict[int, str] = field(default_factory=dict)

    def energy_provenance(self, layers: Collection[int]) -> str:
        """Where energies of these layers come from: the tables, and the counts where not our mapper made them."""
        return f"{self.provenance}, counts by {self._simulated(layers)}" if self.simulator else self.provenance

    def time_provenance(self, layers: Collection[int]) -> str:
        """Where cycles of these layers come from."""
        return f"simulated by {self._simulated(layers)}" if self.simulator else "simulated"

    def _simulated(self, layers: Collection[int]) -> str:
        """The tool and its first warning: a constraint that it dropped changes what the figures mean."""
        warned = [says for i, says in sorted(self.warnings.items()) if i in layers]
        return f"{self.simulator}, which warned of {warned[0].rstrip('.')}" if warned else self.simulator


@dataclass(frozen=True)
class LayerGrid:
    """Layers of one frame at several places, each a clock and a DRAM type: arrays (places, layers).

    0 for layers that cost nothing, NaN for those that do not map (`unmapped` says why) and at places that are
    `illegal`; `area_mm2` (places,). With all mappings kept they are the least energy and the least latency of each
    layer, and `sizes` are how many mappings no other beats.
    """

    energy_j: np.ndarray
    latency_s: np.ndarray
    area_mm2: np.ndarray
    sizes: np.ndarray
    illegal: tuple[IllegalDesign | None, ...]
    unmapped: dict[int, str]


@dataclass(frozen=True)
class _Prepared:
    """One network on one architecture, laid out as arrays of shape (layers, most candidates); NaN where none is.

    Everything is for the whole layer: candidates of one group times its groups.
    """

    cycles: np.ndarray
    compute_cycles: np.ndarray
    storage_pj: np.ndarray
    macs: np.ndarray
    dram_accesses: np.ndarray
    costed: np.ndarray
    unmapped: dict[int, str]
    warnings: dict[int, str]
    candidates: tuple[tuple[Candidate, ...], ...]

    def costs(self, clock_hz: Any, mac_pj: Any, j_per_pj: Any, dram_access_j: Any, leakage_w: Any) -> _Costs:
        """What all candidates cost under these `_Conditions`: numbers, or arrays (places, 1, 1) for several at once."""
        latency_s = self.cycles / clock_hz
        dynamic_j = (self.storage_pj + self.macs[:, None] * mac_pj) * j_per_pj
        dram_j = self.dram_accesses * dram_access_j
        leakage_j = leakage_w * latency_s
        return _Costs(latency_s, dynamic_j + dram_j + leakage_j, dynamic_j, dram_j, leakage_j)


class _Conditions(NamedTuple):
    """A clock in Hz and what it and the DRAM type mean for a chip: the figures that all its candidates share."""

    clock_hz: float
    mac_pj: float
    j_per_pj: float  # of dynamic energy: the square of the supply over the nominal one is in it
    dram_access_j: float
    leakage_w: float


@dataclass(frozen=True)
class _Costs:
    """All candidates at one clock's supply and with one DRAM type: arrays (layers, most candidates).

    At several places at once the arrays have one more axis, the first.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    dynamic_j: np.ndarray
    dram_j: np.ndarray
    leakage_j: np.ndarray


class LayerMapper(Protocol):
    """Who maps layers: this project's own mapper, or `evaluators.timeloop.layers.TimeloopLayers`.

    `simulator` is what figures name as the source of their counts, "" for our own.
    """

    @property
    def version(self) -> str: ...

    @property
    def simulator(self) -> str: ...

    def map_layers(
        self, pairs: Sequence[tuple[ConvShape, Architecture]]
    ) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]: ...

    def prepare_layers(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None: ...


@dataclass(frozen=True)
class _OwnMapper:
    """Our mapper under one choice of settings; its `LayerMapper` methods are those of `evaluators.mapper.layer`."""

    settings: SensorSettings
    memo: Memo
    version: str = f"mapper {mapper.VERSION}"
    simulator: str = ""

    def map_layers(
        self, pairs: Sequence[tuple[ConvShape, Architecture]]
    ) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]:
        return map_layers(pairs, self.settings.energy_table, self.memo, factors=self.settings.factors)

    def prepare_layers(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        prepare_layers(
            pairs,
            self.settings.energy_table,
            self.memo,
            factors=self.settings.factors,
            workers=workers,
            progress=progress,
        )


def _layer_mapper(settings: SensorSettings, memo: Memo) -> LayerMapper:
    if settings.accelerator_model == "mapper":
        return _OwnMapper(settings, memo)
    assert settings.mapping != "pareto"  # the settings refuse it
    if settings.accelerator_model == "zigzag":
        from evaluators.zigzag.layers import ZigzagLayers

        return ZigzagLayers(memo, settings.mapping, settings.energy_table)
    from evaluators.timeloop import Timeloop
    from evaluators.timeloop.layers import TimeloopLayers

    tool = Timeloop(memo, input_format=settings.timeloop_input or "auto")
    return TimeloopLayers(tool, settings.mapping, settings.energy_table)


class SensorModel:
    """Costs of layers on accelerators under one choice of settings, remembered across calls.

    `layer_mapper` replaces the one that the settings name. Raises UserError where that tool is not installed.
    """

    def __init__(self, settings: SensorSettings, memo: Memo, layer_mapper: LayerMapper | None = None) -> None:
        self.settings = settings
        self.memo = memo
        self._mapper = layer_mapper or _layer_mapper(settings, memo)
        self._prepared: OrderedDict[tuple[int, Architecture], _Prepared] = OrderedDict()
        self._networks: dict[int, Network] = {}

    @property
    def version(self) -> str:
        """What the figures depend on beside the settings; goes into study fingerprints."""
        return f"sensor {VERSION}, {self._mapper.version}, components {components.VERSION}"

    def prepare(
        self,
        network: Network,
        architectures: Sequence[Architecture],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Map every distinct layer shape on every architecture into the memo, in parallel.

        An architecture whose components are outside the tables is passed over; asking for its costs says why.
        """
        shapes = {layer.shape for layer in network.layers if layer.shape is not None and self._costed(layer)}
        pairs = [(shape, a) for a in architectures if self._is_priced(a) for shape in sorted(shapes, key=repr)]
        self._mapper.prepare_layers(pairs, workers=workers, progress=progress)

    def area_mm2(self, architecture: Architecture, clock_hz: float) -> float:
        """Sum of component area × instances in mm², DRAM not included; only "sized" asks for the clock.

        Raises IllegalDesign for a component outside the tables or a clock above them.
        """
        return self._priced_at(architecture, clock_hz).area_mm2

    def clock_limit_hz(self, architecture: Architecture) -> float | None:
        """The clock that the slowest memory allows at the nominal supply, None where none limits it."""
        cycle_s = self._price(architecture).cycle_s
        return None if cycle_s is None else 1 / cycle_s

    def layer_costs(
        self,
        network: Network,
        architecture: Architecture,
        clock_hz: float,
        dram: str,
        picks: Mapping[int, int] | None = None,
    ) -> LayerCosts:
        """Energy and latency of every layer at a clock and with a DRAM type, each layer with its best mapping.

        `picks` names for each layer the place of its mapping among the candidates instead. Raises IllegalDesign for a
        clock above the memory's limit or a component outside the tables; a layer that does not map is NaN and named
        in `unmapped`, because it only matters if it runs here. Raises UserError where the settings keep all mappings
        and none are picked: then a layer has no one cost.
        """
        metric = self.settings.mapping
        if metric == "pareto" and picks is None:
            raise UserError(MANY_COSTS)
        ready = self._ready(network, architecture)
        costs = self._at(ready, architecture, clock_hz, dram)
        if picks is None:
            assert metric != "pareto"
            best = _best(metric, costs.latency_s, costs.energy_j)
        else:
            best = np.array([picks.get(i, 0) for i in range(len(network.layers))])
        rows = np.arange(len(network.layers))
        priced = self._priced_at(architecture, clock_hz)

        def chosen(values: np.ndarray) -> np.ndarray:
            return np.where(ready.costed, values[rows, best], 0.0)

        return LayerCosts(
            energy_j=chosen(costs.energy_j),
            latency_s=chosen(costs.latency_s),
            cycles=chosen(ready.cycles),
            compute_cycles=chosen(ready.compute_cycles),
            dynamic_j=chosen(costs.dynamic_j),
            dram_j=chosen(costs.dram_j),
            leakage_j=chosen(costs.leakage_j),
            supply_v=self._supply_v(architecture, clock_hz),
            provenance=priced.provenance,
            unmapped=dict(ready.unmapped),
            simulator=self._mapper.simulator,
            warnings=dict(ready.warnings),
            chosen=tuple(c[b] if c else None for c, b in zip(ready.candidates, best.tolist(), strict=True)),
            priced=priced,
        )

    def layer_fronts(self, network: Network, architecture: Architecture, clock_hz: float, dram: str) -> LayerFronts:
        """Every layer's non-dominated mappings at a clock and with a DRAM type, whatever the settings choose.

        Raises IllegalDesign as `layer_costs` does.
        """
        ready = self._ready(network, architecture)
        costs = self._at(ready, architecture, clock_hz, dram)
        provenance = self._priced_at(architecture, clock_hz).provenance
        return layer_fronts(costs.latency_s, costs.energy_j, provenance, dict(ready.unmapped))

    def candidates(self, network: Network, architecture: Architecture) -> tuple[tuple[Candidate, ...], ...]:
        """The mappings of every layer that can be best for anything, figures of one group; none for free layers."""
        return self._ready(network, architecture).candidates

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid:
        """Every layer at several pairs of clock (Hz) and DRAM type, equal to `layer_costs` at each.

        Raises IllegalDesign for a component outside the tables; a clock above the limit is the place's own.
        """
        ready = self._ready(network, architecture)
        found: list[_Conditions | IllegalDesign] = []
        for clock_hz, dram in places:
            try:
                found.append(self._conditions(architecture, clock_hz, dram))
            except IllegalDesign as error:
                found.append(error)
        legal = [conditions for conditions in found if isinstance(conditions, _Conditions)]
        shape = len(places), len(network.layers)
        energy_j, latency_s, area_mm2 = np.full(shape, np.nan), np.full(shape, np.nan), np.full(len(places), np.nan)
        sizes = np.zeros(shape, dtype=np.int64)
        if legal:
            rows = [k for k, conditions in enumerate(found) if isinstance(conditions, _Conditions)]
            costs = ready.costs(*(np.array(figures)[:, None, None] for figures in zip(*legal, strict=True)))
            if self.settings.mapping == "pareto":
                fronts = layer_fronts(costs.latency_s, costs.energy_j, "", {})
                energies, latencies, sizes[rows] = fronts.least_energy_j, fronts.least_latency_s, fronts.sizes
            else:
                best = _best(self.settings.mapping, costs.latency_s, costs.energy_j)[..., None]
                energies, latencies = (
                    np.where(ready.costed, np.take_along_axis(values, best, -1)[..., 0], 0.0)
                    for values in (costs.energy_j, costs.latency_s)
                )
            energy_j[rows], latency_s[rows] = energies, latencies
            area_mm2[rows] = [self.area_mm2(architecture, places[row][0]) for row in rows]
        illegal = tuple(error if isinstance(error, IllegalDesign) else None for error in found)
        return LayerGrid(energy_j, latency_s, area_mm2, sizes, illegal, dict(ready.unmapped))

    def _at(self, ready: _Prepared, architecture: Architecture, clock_hz: float, dram: str) -> _Costs:
        """What all candidates cost at a clock and with a DRAM type."""
        return ready.costs(*self._conditions(architecture, clock_hz, dram))

    def _conditions(self, architecture: Architecture, clock_hz: float, dram: str) -> _Conditions:
        """What a clock and a DRAM type mean for a chip. Raises IllegalDesign for a clock above the memory's limit."""
        settings = self.settings
        at_v, nominal_v = self._supply_v(architecture, clock_hz), NODES[architecture.technology_nm].nominal_v
        priced = self._priced_at(architecture, clock_hz)
        return _Conditions(
            clock_hz,
            priced.mac.read_pj,
            (at_v / nominal_v) ** 2 * 1e-12,
            dram_access_pj(priced.dram, dram) * 1e-12,
            0.0 if settings.dvfs == "off" else priced.leakage_w,
        )

    def _supply_v(self, architecture: Architecture, clock_hz: float) -> float:
        """The supply at a clock. Raises IllegalDesign for a clock above the memory's limit."""
        node = architecture.technology_nm
        at_v = nominal_v = NODES[node].nominal_v
        if self.settings.dvfs != "off":
            at_v = supply_v(clock_hz, self.clock_limit_hz(architecture), node)  # also refuses a clock above the limit
        return at_v if self.settings.dvfs == "on" else nominal_v

    def _costed(self, layer: Layer) -> bool:
        if self.settings.operators == "conv":
            return layer.operator.startswith("conv")
        return layer.cost != "free"

    def _price(self, architecture: Architecture) -> Priced:
        return price(architecture, self.settings.energy_table)

    def _priced_at(self, architecture: Architecture, clock_hz: float) -> Priced:
        """The figures of a chip made for this clock: under "sized" its MACs are synthesised for it."""
        priced = self._price(architecture)
        return replace(priced, mac=mac(architecture.mac, clock_hz)) if self.settings.dvfs == "sized" else priced

    def _is_priced(self, architecture: Architecture) -> bool:
        try:
            self._price(architecture)
        except IllegalDesign:
            return False
        return True

    def _ready(self, network: Network, architecture: Architecture) -> _Prepared:
        key = (id(network), architecture)
        self._networks[id(network)] = network  # keeps the id from being given to another network
        if key not in self._prepared:
            self._prepared[key] = self._prepare_one(network, architecture)
            if len(self._prepared) > _KEPT:
                self._prepared.popitem(last=False)
        self._prepared.move_to_end(key)
        return self._prepared[key]

    def _prepare_one(self, network: Network, architecture: Architecture) -> _Prepared:
        priced = self._price(architecture)
        shapes = [layer.shape for layer in network.layers if layer.shape is not None and self._costed(layer)]
        found = self._mapper.map_layers([(shape, architecture) for shape in shapes])
        per_layer: list[tuple[Candidate, ...]] = []
        macs = np.zeros(len(network.layers))
        groups = np.ones(len(network.layers))
        unmapped: dict[int, str] = {}
        warnings: dict[int, str] = {}
        costed = np.array([self._costed(layer) for layer in network.layers], dtype=bool)
        for i, layer in enumerate(network.layers):
            if not costed[i]:
                per_layer.append(())
            elif layer.shape is None:
                per_layer.append((_moving(layer, priced),))
            else:
                mappings: LayerMappings | IllegalDesign = found[layer.shape.one_group, architecture]
                if isinstance(mappings, IllegalDesign):
                    unmapped[i] = f"{layer.name}: {mappings}"
                    per_layer.append(())
                else:
                    groups[i] = layer.shape.groups
                    macs[i] = mappings.macs * layer.shape.groups
                    per_layer.append(mappings.candidates)
                    if mappings.warnings:
                        warnings[i] = f"{layer.name}: {'; '.join(mappings.warnings)}"
        width = max([1, *(len(c) for c in per_layer)])

        def table(figure: Callable[[Candidate], float]) -> np.ndarray:
            rows = np.full((len(per_layer), width), np.nan)
            for i, candidates in enumerate(per_layer):
                for j, candidate in enumerate(candidates):
                    rows[i, j] = figure(candidate) * groups[i]
            return rows

        return _Prepared(
            table(lambda c: c.cycles),
            table(lambda c: c.compute_cycles),
            table(lambda c: c.on_chip_pj),
            macs,
            table(lambda c: c.dram_accesses),
            costed,
            unmapped,
            warnings,
            tuple(per_layer),
        )


def _best(metric: Metric, latency_s: np.ndarray, energy_j: np.ndarray) -> np.ndarray:
    """The index of each row's best candidate: least of the metric, then of the other objective, then the first."""
    first, second = {
        "delay": (latency_s, energy_j),
        "energy": (energy_j, latency_s),
        "edp": (latency_s * energy_j, latency_s),
    }[metric]
    first = np.where(np.isnan(first), np.inf, first)
    tied = np.where(first == first.min(axis=-1, keepdims=True), second, np.inf)
    best: np.ndarray = np.argmin(np.where(np.isnan(tied), np.inf, tied), axis=-1)
    return best


def _moving(layer: Layer, priced: Priced) -> Candidate:
    """An operator without MACs as the one mapping it has; see `evaluators.streaming`."""
    levels, outermost = priced.architecture.levels, priced.architecture.outermost_buffer
    moved, figures = streamed(layer, levels[outermost], levels[-1]), priced.levels[outermost]
    on_chip_pj = moved.buffer_reads * figures.read_pj + moved.buffer_writes * figures.write_pj
    return Candidate(moved.cycles, moved.cycles, on_chip_pj, moved.dram_reads + moved.dram_writes, "")
