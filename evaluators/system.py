"""Sensor node, link and edge node of a design point together: the only definition of the objectives.

For one frame, with the layers before the cut on the sensor node and the others on the edge node, no overlap:

- ``accelerator_energy_j``, ``sensor_latency_s``: the sums over the layers before the cut;
- ``phy_energy_j``, ``link_latency_s``, ``link_utilisation``: `evaluators.ethernet` for all tensors that cross the cut,
  sent as one burst of ⌈elements × tensor_bits / 8⌉ bytes (the input itself where the cut is the input);
- ``edge_latency_s``: `evaluators.edge`; ``edge_energy_j`` = edge power × edge latency, or an edge accelerator's own;
- ``sensor_energy_j`` = accelerator + PHY; ``latency_s`` = sensor + link + edge;
- ``total_energy_j`` = sensor + edge energy (the edge node's own PHY is part of its constant power);
- ``throughput_fps`` = 1 / the longest of sensor, link and edge latency;
- ``sensor_power_w`` = sensor energy × frame rate;
- ``area_mm2``: the accelerator without DRAM, made for the clock, also where the cut leaves it nothing to do;
- ``sensor_memory_bytes`` = weights before the cut + the largest sum of live activations, in the accelerator's widths.

With no layer before the cut the accelerator costs nothing. A layer that the accelerator cannot map makes a design
illegal only where it is before the cut. A link that cannot carry the frame rate is a constraint's business
(``link_utilisation`` <= 1), like a sensor or an edge node that is too slow for it.

The layers before a cut are summed one after the other in the order of the network, so one design point, a whole block
of them and a combination of mappings give the same floating-point numbers, on every machine.

With `mapping="pareto"` a design point is a front of its own, one cost for each combination of its layers' mappings
that no other beats (`evaluators.network_front`). A block's metrics are then what no combination can be below: every
layer at its least energy and at its least latency, both at once; `System.combinations` has the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import ceil, isfinite, prod
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from evaluators import edge, ethernet
from evaluators.breakdown import component_items
from evaluators.costs import METRICS, UNITS, Evaluation, Figure, LayerItem, LinkItem, NodeItem
from evaluators.edge import EdgeProfile, roofline
from evaluators.ethernet import Framing, LinkCost, PhyEnergy, transfer
from evaluators.network_front import LayerFronts, NetworkFront, RunningFronts
from evaluators.sensor import MANY_COSTS, LayerCosts, LayerGrid, SensorModel, SensorSettings
from search_spaces import accelerators, links
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError, unknown
from search_spaces.networks.liveness import peak_activation_elements
from search_spaces.space import ARCHITECTURE_KNOBS, DesignPoint, SearchSpace
from search_spaces.types import KnobValue, Network

if TYPE_CHECKING:
    from evaluators.memo import Memo

__all__ = [
    "METRICS", "UNITS", "VERSION", "Block", "Combinations", "Sensor", "System", "SystemSettings", "hardware",
    "network_identity",
]  # fmt: skip

VERSION = "2"
"""Raised by hand when an answer of this module changes."""

EdgeMethod = Literal["segments", "suffix"]

NOTHING = "nothing to compute"

UNMAPPED = "layer does not map"

TABLES_KEPT = 4096
"""Sums over the cuts are kept for this many architectures × clocks × DRAMs; some 10 MB for a large network."""


@dataclass(frozen=True)
class SystemSettings:
    """Everything about the system that is no knob. SI units; checked when made, bad values raise UserError."""

    sensor: SensorSettings = field(default_factory=SensorSettings)
    framing: Framing = "802.3"
    cable_m: float = 5.0
    phy_energy: PhyEnergy = "frame"
    frame_rate_fps: float = 25.0
    tensor_bits: int = 16
    edge: str = "roofline:jetson-tx2"
    edge_runs: int = 1000
    edge_threads: int | None = None
    edge_method: EdgeMethod = "segments"
    edge_precision: float | None = None  # None: all runs
    edge_power_w: float | None = None  # None: the device's own

    def __post_init__(self) -> None:
        if self.framing not in get_args(Framing):
            raise unknown("framing", self.framing, get_args(Framing))
        if self.phy_energy not in get_args(PhyEnergy):
            raise unknown("PHY energy accounting", self.phy_energy, get_args(PhyEnergy))
        if not (isfinite(self.cable_m) and 0 <= self.cable_m <= 100):
            raise UserError(f"twisted-pair Ethernet takes cables of 0 to 100 m, not {self.cable_m:g} m")
        if not (isfinite(self.frame_rate_fps) and self.frame_rate_fps > 0):
            raise UserError(f"the frame rate must be above 0 frames per second, not {self.frame_rate_fps:g}")
        if not 1 <= self.tensor_bits <= 64:
            raise UserError(f"a tensor's elements take 1 to 64 bits on the link, not {self.tensor_bits}")
        if self.edge_runs < 1:
            raise UserError(f"measuring an edge node needs at least 1 run, not {self.edge_runs}")
        if self.edge_threads is not None and self.edge_threads < 1:
            raise UserError(f"an edge node runs on at least 1 thread, not {self.edge_threads}")
        if self.edge_method not in get_args(EdgeMethod):
            raise unknown("method of measuring", self.edge_method, get_args(EdgeMethod))
        if self.edge_precision is not None and not 0 < self.edge_precision < 1:
            raise UserError(f"an edge precision is a share between 0 and 1, such as 0.02, not {self.edge_precision:g}")
        if self.edge_power_w is not None and not (isfinite(self.edge_power_w) and self.edge_power_w >= 0):
            raise UserError(f"the edge node's power must be at least 0 W, not {self.edge_power_w:g}")
        edge.check_name(self.edge)


class Sensor(Protocol):
    """What the system needs of `evaluators.sensor.SensorModel`; the tests' fake has the same methods."""

    @property
    def version(self) -> str: ...

    def prepare(
        self,
        network: Network,
        architectures: Sequence[Architecture],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None: ...

    def layer_costs(
        self,
        network: Network,
        architecture: Architecture,
        clock_hz: float,
        dram: str,
        picks: Mapping[int, int] | None = None,
    ) -> LayerCosts: ...

    def layer_fronts(self, network: Network, architecture: Architecture, clock_hz: float, dram: str) -> LayerFronts: ...

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid: ...

    def area_mm2(self, architecture: Architecture, clock_hz: float) -> float: ...


@dataclass(frozen=True)
class Block:
    """Every design point of one architecture. All arrays have the axes (cut, clock, dram, link) of the space.

    Where tensor_bits is a knob, it is the last axis.

    `metrics` are NaN where a design is illegal; `reason_codes` index `reasons`, where 0 is legal (reason "").
    With `mapping="pareto"` the metrics are bounds that no combination of mappings beats, and `combinations` counts
    the legal designs times the combinations of each (of mappings that no other of their layer beats).
    """

    arch_indices: tuple[int, ...]
    metrics: dict[str, np.ndarray]
    reason_codes: np.ndarray
    reasons: tuple[str, ...]
    combinations: int | None = None

    @property
    def legal(self) -> np.ndarray:
        """Which design points can exist."""
        return self.reason_codes == 0

    @property
    def illegal_counts(self) -> dict[str, int]:
        """Number of illegal design points per reason."""
        counts = np.bincount(self.reason_codes.ravel(), minlength=len(self.reasons))
        return {reason: int(n) for reason, n in zip(self.reasons[1:], counts[1:], strict=True) if n}

    def indices(self, at: Sequence[int]) -> tuple[int, ...]:
        """The space's indices of the design point at one position (cut, clock, dram, link …) of the arrays."""
        cut, *others = (int(i) for i in at)
        return (cut, *self.arch_indices, *others)


@dataclass(frozen=True)
class Combinations:
    """The non-dominated combinations of mappings of some designs, one entry each, fastest first within a design.

    `cell` is the place of the design among those asked for, `point` the number of the combination on the network's
    front, from 1, `changed` how many layers differ from their own best in energy × latency.
    """

    cell: np.ndarray
    point: np.ndarray
    changed: np.ndarray
    metrics: dict[str, np.ndarray]


@dataclass(frozen=True)
class _SensorTable:
    """One architecture at one clock with one DRAM: sums over the layers before every cut of the network.

    With all mappings kept (`LayerFronts`) the sums are of each layer's least energy and of its least latency.
    """

    layers: LayerCosts | LayerFronts
    area_mm2: float
    energy_j: np.ndarray
    latency_s: np.ndarray
    blocked: tuple[str, ...]  # per cut: why its first unmapped layer does not map, "" if all map


class System:
    """Evaluates the design points of one network under one set of settings.

    `sensor_model` replaces the accelerator model (tests ship a fake). Nothing is mapped or measured before
    the first evaluation.
    """

    def __init__(
        self,
        network: Network,
        settings: SystemSettings,
        memo: Memo,
        *,
        sensor_model: Sensor | None = None,
        edge_progress: Any = None,
    ) -> None:
        self.network = network
        self.settings = settings
        self._memo = memo
        self._sensor: Sensor = sensor_model or _sensor(settings.sensor, memo)
        self._keeps_all = settings.sensor.mapping == "pareto"
        self._edge_progress = edge_progress
        self._edge: EdgeProfile | None = None
        self._tables: dict[tuple[Architecture, float, str], _SensorTable | IllegalDesign] = {}
        self._transfers: dict[tuple[int, str, int], LinkCost] = {}
        self._cut_index = {cut.name: i for i, cut in enumerate(network.cuts)}
        self._member = np.zeros((len(network.cuts), len(network.layers)))
        for i, cut in enumerate(network.cuts):
            self._member[i, sorted(cut.layers)] = 1.0
        self._parameters = np.array([network.parameters_before(cut) for cut in network.cuts], dtype=float)
        self._live = np.array([peak_activation_elements(network, cut) for cut in network.cuts], dtype=float)

    # one design point

    def metrics(self, point: DesignPoint, mapping_point: int | None = None) -> dict[str, float]:
        """Every metric of one design point, in the order of `METRICS`. Raises IllegalDesign.

        With all mappings kept they are those of the combination with the number `mapping_point`, from 1, on the
        front over mappings of the layers before its cut; without one, raises UserError.
        """
        return self._metrics(point, self._chosen(point, mapping_point))

    def _chosen(self, point: DesignPoint, mapping_point: int | None) -> _SensorTable:
        """The sums of a design's layers, each with the one mapping that counts. Raises IllegalDesign."""
        architecture, clock_hz, dram = hardware(point)
        cut, _ = self._cut_and_link(point)
        if self._keeps_all and mapping_point is None:
            raise UserError(MANY_COSTS)
        if not self._keeps_all and mapping_point is not None:
            raise UserError('a mapping point is one of many mappings that mapping="pareto" keeps; leave it out')
        table = self._table(architecture, clock_hz, dram)
        if table.blocked[cut]:
            raise IllegalDesign(UNMAPPED, table.blocked[cut])
        if mapping_point is None:
            return table
        fronts = table.layers
        assert isinstance(fronts, LayerFronts)
        front = RunningFronts(fronts).front(self._layers_before(cut))
        if not 1 <= mapping_point <= len(front):
            raise UserError(f"this design has mapping points 1 to {len(front)}, not {mapping_point}")
        choice = front.choice(mapping_point - 1)
        picks = {layer: int(fronts.candidates[layer, at]) for layer, at in choice.items()}
        costs = self._sensor.layer_costs(self.network, architecture, clock_hz, dram, picks)
        return self._sum_layers(costs, table.area_mm2)

    def _metrics(self, point: DesignPoint, table: _SensorTable) -> dict[str, float]:
        architecture, _, _ = hardware(point)
        cut, link = self._cut_and_link(point)
        sent = self._transfer(cut, link, self._tensor_bits(point))
        found = self._combine(
            np.array([cut]),
            accelerator_energy_j=table.energy_j[[cut]],
            sensor_latency_s=table.latency_s[[cut]],
            phy_energy_j=np.array([sent.energy_j]),
            link_latency_s=np.array([sent.latency_s]),
            link_utilisation=np.array([sent.utilisation]),
            area_mm2=np.array([table.area_mm2]),
            memory_bytes=self._memory_bytes(architecture)[[cut]],
        )
        return {name: float(found[name][0]) for name in METRICS}

    def provenance(self, point: DesignPoint) -> dict[str, str]:
        """Where each metric of a design comes from: measured, table, interpolated, simulated. Raises IllegalDesign."""
        architecture, clock_hz, dram = hardware(point)
        cut, _ = self._cut_and_link(point)
        before = self.network.cuts[cut].layers
        costs = self._table(architecture, clock_hz, dram).layers
        profile = self.edge_profile
        energy_says, time_says = costs.provenance, "simulated"
        if isinstance(costs, LayerCosts):  # fronts over mappings are our own mapper's
            energy_says, time_says = costs.energy_provenance(before), costs.time_provenance(before)
        if not before:
            energy_says = time_says = NOTHING
        power_says = "given" if self.settings.edge_power_w is not None else profile.power_provenance
        sensor_energy, latency = {energy_says, "table"}, {time_says, "table", profile.provenance}
        edge_energy: set[str] = {profile.provenance, power_says}
        sources: dict[str, set[str]] = {
            "sensor_energy_j": sensor_energy,
            "accelerator_energy_j": {energy_says},
            "phy_energy_j": {"table"},
            "latency_s": latency,
            "sensor_latency_s": {time_says},
            "link_latency_s": {"table"},
            "edge_latency_s": {profile.provenance},
            "throughput_fps": latency,
            "area_mm2": {costs.provenance},
            "sensor_power_w": sensor_energy,
            "link_utilisation": {"table"},
            "sensor_memory_bytes": {"counted"},
            "edge_energy_j": edge_energy,
            "total_energy_j": sensor_energy | edge_energy,
        }
        return {name: " + ".join(sorted(sources[name] - {NOTHING}) or [NOTHING]) for name in METRICS}

    def evaluate(self, point: DesignPoint, mapping_point: int | None = None) -> Evaluation:
        """One design point, itemised per layer, link and node. `mapping_point` and errors as in `metrics`."""
        architecture, _, dram = hardware(point)
        cut, link = self._cut_and_link(point)
        table = self._chosen(point, mapping_point)
        metrics, costs = self._metrics(point, table), table.layers
        assert isinstance(costs, LayerCosts)
        before = sorted(self.network.cuts[cut].layers)
        layers = self.network.layers
        sent = self._transfer(cut, link, self._tensor_bits(point))
        profile = self.edge_profile
        provenance = self.provenance(point)
        macs_before = self.network.macs_before(self.network.cuts[cut])
        return Evaluation(
            point=point,
            figures=tuple(Figure(name, metrics[name], UNITS[name], provenance[name]) for name in METRICS),
            layers=tuple(
                LayerItem(
                    node="sensor",
                    index=i,
                    name=layers[i].name,
                    operator=layers[i].operator,
                    macs=layers[i].macs,
                    cycles=float(costs.cycles[i]),
                    latency_s=float(costs.latency_s[i]),
                    energy_j=float(costs.energy_j[i]),
                    dynamic_j=float(costs.dynamic_j[i]),
                    dram_j=float(costs.dram_j[i]),
                    leakage_j=float(costs.leakage_j[i]),
                    provenance=costs.energy_provenance((i,)),
                )
                for i in before
            ),
            links=(
                LinkItem(
                    name=link,
                    cut=self.network.cuts[cut].name,
                    payload_bytes=self._payload_bytes(cut, self._tensor_bits(point)),
                    wire_bytes=sent.wire_bytes,
                    latency_s=sent.latency_s,
                    energy_j=sent.energy_j,
                    utilisation=sent.utilisation,
                    provenance="table",
                ),
            ),
            nodes=(
                NodeItem(
                    role="sensor",
                    name=architecture.name,
                    layers=len(before),
                    macs=macs_before,
                    latency_s=metrics["sensor_latency_s"],
                    energy_j=metrics["accelerator_energy_j"],
                    area_mm2=metrics["area_mm2"],
                    memory_bytes=metrics["sensor_memory_bytes"],
                    provenance=costs.energy_provenance(before) if before else NOTHING,
                ),
                NodeItem(
                    role="edge",
                    name=profile.device,
                    layers=len(layers) - len(before),
                    macs=sum(layer.macs for layer in layers) - macs_before,
                    latency_s=metrics["edge_latency_s"],
                    energy_j=metrics["edge_energy_j"],
                    area_mm2=None,
                    memory_bytes=None,
                    provenance=profile.provenance,
                ),
            ),
            components=component_items(self.network, costs, before, dram),
            supply_v=costs.supply_v if isfinite(costs.supply_v) else None,
        )

    # all design points of one architecture

    def architecture_block(self, space: SearchSpace, arch_indices: Sequence[int]) -> Block:
        """Every design point of one choice of the architecture's knobs, as arrays; equal to `metrics` of each."""
        cut_names, clocks_mhz, drams = (space.knob(name).values for name in ("cut", "clock_mhz", "dram"))
        ways = self._ways(space)
        cuts = np.array([self._network_cut(name) for name in cut_names])
        shape = (len(cuts), len(clocks_mhz), len(drams), len(ways))
        axes = tuple(len(knob.values) for knob in space.knobs if knob.name not in ARCHITECTURE_KNOBS)
        codes = np.zeros(shape, dtype=np.int16)
        reasons = [""]

        def code(reason: str) -> int:
            if reason not in reasons:
                reasons.append(reason)
            return reasons.index(reason)

        block_of = tuple(int(i) for i in arch_indices)
        places = [(_clock_hz(clock_mhz), str(dram)) for clock_mhz in clocks_mhz for dram in drams]
        try:
            architecture = _build(space.architecture_values(block_of))
            grid = self._sensor.layer_grid(self.network, architecture, places)
        except IllegalDesign as error:
            codes[:] = code(error.reason)
            empty = {name: np.full(axes, np.nan) for name in METRICS}
            return Block(block_of, empty, codes.reshape(axes), tuple(reasons), 0 if self._keeps_all else None)

        maps = np.ones(len(self.network.layers), dtype=bool)
        maps[list(grid.unmapped)] = False
        at_places = len(clocks_mhz), len(drams)
        energy_j, latency_s = (
            np.moveaxis(self._before_cuts(np.where(maps, of_layers, 0.0))[:, cuts].reshape(*at_places, -1), -1, 0)
            for of_layers in (grid.energy_j, grid.latency_s)
        )
        area_mm2 = grid.area_mm2.reshape(1, *at_places)
        blocked = self._blocked(grid.unmapped)
        codes[[k for k, cut in enumerate(cuts) if blocked[cut]]] = code(UNMAPPED) if any(blocked) else 0
        for place, illegal in zip(np.ndindex(*at_places), grid.illegal, strict=True):
            if illegal is not None:
                codes[:, *place] = code(illegal.reason)
        sent = self._sent(cuts, ways)
        found = self._combine(
            cuts.reshape(-1, 1, 1, 1),
            accelerator_energy_j=energy_j[..., None],
            sensor_latency_s=latency_s[..., None],
            **{name: figures[:, None, None, :] for name, figures in sent.items()},
            area_mm2=np.broadcast_to(area_mm2[..., None], (*shape[:3], 1)),
            memory_bytes=self._memory_bytes(architecture)[cuts].reshape(-1, 1, 1, 1),
        )
        metrics = {name: np.where(codes == 0, found[name], np.nan).reshape(axes) for name in METRICS}
        counted = None
        if self._keeps_all:
            mapped = [self._layers_before(cut) for cut in cuts if not blocked[cut]]
            counted = len(ways) * sum(
                prod(sizes[layers].tolist())
                for sizes, illegal in zip(np.maximum(grid.sizes, 1), grid.illegal, strict=True)
                for layers in mapped
                if illegal is None
            )
        return Block(block_of, metrics, codes.reshape(axes), tuple(reasons), counted)

    def combinations(self, space: SearchSpace, arch_indices: Sequence[int], cells: np.ndarray) -> Combinations:
        """The non-dominated combinations of mappings of some legal designs of one architecture.

        `cells` (n, axes) are positions on the axes (cut, clock, dram, link …) of its block. The combinations of a
        design that no other combination beats in energy and latency are there, and of equal ones one.
        """
        cut_names, clocks_mhz, drams = (space.knob(name).values for name in ("cut", "clock_mhz", "dram"))
        ways = self._ways(space)
        cuts = np.array([self._network_cut(name) for name in cut_names])
        architecture = _build(space.architecture_values(tuple(int(i) for i in arch_indices)))
        # Cuts in their order, so that the sums before one go on from those before the last.
        order = np.lexsort((cells[:, 0], cells[:, 2], cells[:, 1]))
        fronts: list[NetworkFront] = []
        areas_mm2: list[float] = []
        running: tuple[tuple[int, int], RunningFronts] | None = None
        front: tuple[int, NetworkFront] | None = None
        for cut, clock, dram, *_ in cells[order].tolist():
            if running is None or running[0] != (clock, dram):
                table = self._table(architecture, _clock_hz(clocks_mhz[clock]), str(drams[dram]))
                assert isinstance(table.layers, LayerFronts)
                running, front = ((clock, dram), RunningFronts(table.layers)), None
            if front is None or front[0] != cut:
                front = cut, running[1].front(self._layers_before(cuts[cut]))
            fronts.append(front[1])
            areas_mm2.append(table.area_mm2)
        sizes = [len(found) for found in fronts]
        cell = np.repeat(order, sizes)
        widths = len(ways) // len(space.knob("link").values)
        at_cut, at_way = cells[cell, 0], cells[cell, 3] * widths + (cells[cell, 4] if cells.shape[1] > 4 else 0)
        found = self._combine(
            cuts[at_cut],
            accelerator_energy_j=_joined([f.energy_j for f in fronts]),
            sensor_latency_s=_joined([f.latency_s for f in fronts]),
            **{name: figures[at_cut, at_way] for name, figures in self._sent(cuts, ways).items()},
            area_mm2=np.repeat(areas_mm2, sizes),
            memory_bytes=self._memory_bytes(architecture)[cuts[at_cut]],
        )
        point = _joined([np.arange(1, size + 1) for size in sizes])
        return Combinations(cell, point.astype(np.int64), _joined([f.changed for f in fronts]).astype(np.int64), found)

    def prepare(
        self,
        points: Sequence[DesignPoint],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Map every layer that these design points will ask for, in parallel; illegal ones are passed over."""
        found: dict[Architecture, None] = {}
        for values in dict.fromkeys(_architecture_items(point) for point in points):
            try:
                found[_build(dict(values))] = None
            except IllegalDesign:
                continue
        if found:
            self._sensor.prepare(self.network, list(found), workers=workers, progress=progress)

    # what an answer depends on

    @property
    def edge_profile(self) -> EdgeProfile:
        """The edge node's latency for every cut of the network; measured at the first use where it is measured."""
        if self._edge is None:
            self._edge = edge.profile(
                self.network,
                self.settings.edge,
                runs=self.settings.edge_runs,
                threads=self.settings.edge_threads,
                method=self.settings.edge_method,
                precision=self.settings.edge_precision,
                memo=self._memo,
                settings=self.settings.sensor,
                progress=self._edge_progress,
            )
        return self._edge

    @property
    def edge_power_w(self) -> float:
        """Constant power of the edge node; 0 where neither the settings nor the device know it."""
        given = self.settings.edge_power_w
        return self.edge_profile.power_w if given is None else given

    @property
    def _edge_energy_j(self) -> np.ndarray:
        """Energy of the edge node for every cut: the model's own, else constant power for as long as it computes."""
        own = self.edge_profile.energy_j
        if own is not None and self.settings.edge_power_w is None:
            return np.array(own)
        return self.edge_power_w * np.array(self.edge_profile.latency_s)

    def fingerprint(self) -> dict[str, Any]:
        """All that the metrics depend on, JSON-able: settings, the network's identity, versions, the edge node."""
        settings = asdict(self.settings)
        node: dict[str, Any] = {}
        measured = self.settings.edge.startswith("measured:")
        if measured or self.settings.edge.startswith("profile:"):
            node["edge_latency"] = _digest((self.edge_profile.latency_s, self.edge_profile.power_w))
        if not measured:
            node |= edge.fingerprint(self.settings.edge, self.settings.sensor, self._memo)
            settings["edge"] = node.pop("edge")
            for name in ("edge_runs", "edge_threads", "edge_method", "edge_precision"):
                del settings[name]
        return {
            "network": network_identity(self.network),
            "settings": settings,
            **node,
            "versions": {
                "system": VERSION,
                "ethernet": ethernet.VERSION,
                "roofline": roofline.VERSION,
                "sensor": self._sensor.version,
            },
        }

    # parts

    def _combine(
        self,
        cuts: np.ndarray,
        *,
        accelerator_energy_j: np.ndarray,
        sensor_latency_s: np.ndarray,
        phy_energy_j: np.ndarray,
        link_latency_s: np.ndarray,
        link_utilisation: np.ndarray,
        area_mm2: np.ndarray,
        memory_bytes: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """The metrics from their parts: the formulas of the module, on arrays that broadcast against `cuts`."""
        edge_latency_s = np.array(self.edge_profile.latency_s)[cuts]
        edge_energy_j = self._edge_energy_j[cuts]
        sensor_energy_j = accelerator_energy_j + phy_energy_j
        slowest_s = np.maximum(np.maximum(sensor_latency_s, link_latency_s), edge_latency_s)
        return {
            "sensor_energy_j": sensor_energy_j,
            "accelerator_energy_j": accelerator_energy_j,
            "phy_energy_j": phy_energy_j,
            "latency_s": sensor_latency_s + link_latency_s + edge_latency_s,
            "sensor_latency_s": sensor_latency_s,
            "link_latency_s": link_latency_s,
            "edge_latency_s": edge_latency_s,
            "throughput_fps": 1.0 / slowest_s,
            "area_mm2": area_mm2,
            "sensor_power_w": sensor_energy_j * self.settings.frame_rate_fps,
            "link_utilisation": link_utilisation,
            "sensor_memory_bytes": memory_bytes,
            "edge_energy_j": edge_energy_j,
            "total_energy_j": sensor_energy_j + edge_energy_j,
        }

    def _table(self, architecture: Architecture, clock_hz: float, dram: str) -> _SensorTable:
        key = (architecture, clock_hz, dram)
        found = self._tables.get(key)
        if found is None:
            try:
                if self._keeps_all:
                    fronts = self._sensor.layer_fronts(self.network, architecture, clock_hz, dram)
                    found = self._least(fronts, self._sensor.area_mm2(architecture, clock_hz))
                else:
                    costs = self._sensor.layer_costs(self.network, architecture, clock_hz, dram)
                    found = self._sum_layers(costs, self._sensor.area_mm2(architecture, clock_hz))
            except IllegalDesign as error:
                found = error
            if len(self._tables) >= TABLES_KEPT:
                self._tables.clear()
            self._tables[key] = found
        if isinstance(found, IllegalDesign):
            raise found
        return found

    def _sum_layers(self, costs: LayerCosts, area_mm2: float) -> _SensorTable:
        """Sums over every cut; a layer that does not map blocks the cuts it is before and counts as nothing."""
        maps = np.ones(len(self.network.layers), dtype=bool)
        maps[list(costs.unmapped)] = False
        return _SensorTable(
            costs,
            area_mm2,
            self._before_cuts(np.where(maps, costs.energy_j, 0.0)),
            self._before_cuts(np.where(maps, costs.latency_s, 0.0)),
            self._blocked(costs.unmapped),
        )

    def _least(self, fronts: LayerFronts, area_mm2: float) -> _SensorTable:
        """Sums over every cut of what each layer costs at least."""
        return _SensorTable(
            fronts,
            area_mm2,
            self._before_cuts(fronts.least_energy_j),
            self._before_cuts(fronts.least_latency_s),
            self._blocked(fronts.unmapped),
        )

    def _before_cuts(self, of_layers: np.ndarray) -> np.ndarray:
        """Sums over the layers before every cut, one layer after the other: adding 0 for the rest changes nothing."""
        sums: np.ndarray = np.cumsum(self._member * of_layers[..., None, :], axis=-1)[..., -1]
        return sums

    def _blocked(self, unmapped: Mapping[int, str]) -> tuple[str, ...]:
        """Per cut why its first layer that does not map does not."""
        blocked = [""] * len(self.network.cuts)
        for layer in sorted(unmapped, reverse=True):
            for cut in np.flatnonzero(self._member[:, layer]):
                blocked[cut] = unmapped[layer]
        return tuple(blocked)

    def _layers_before(self, cut: int) -> list[int]:
        return sorted(self.network.cuts[cut].layers)

    def _ways(self, space: SearchSpace) -> list[tuple[str, int]]:
        """The choices of link and width of an element on it, the width last: (link, bits)."""
        knobs = {knob.name: knob.values for knob in space.knobs}
        widths = knobs.get("tensor_bits", (self.settings.tensor_bits,))
        return [(str(link), int(bits)) for link in knobs["link"] for bits in widths]

    def _tensor_bits(self, point: DesignPoint) -> int:
        """The width of an element on the link: the knob's, or where there is none the settings'."""
        return int(dict(point.knobs).get("tensor_bits", self.settings.tensor_bits))

    def _payload_bytes(self, cut: int, bits: int) -> int:
        return ceil(self.network.cuts[cut].elements * bits / 8)

    def _sent(self, cuts: np.ndarray, ways: Sequence[tuple[str, int]]) -> dict[str, np.ndarray]:
        """What the transfer costs for every cut (rows) in every way (columns)."""
        sent = [[self._transfer(int(cut), link, bits) for link, bits in ways] for cut in cuts]
        return {
            name: np.array([[getattr(cost, figure) for cost in row] for row in sent])
            for name, figure in (
                ("phy_energy_j", "energy_j"),
                ("link_latency_s", "latency_s"),
                ("link_utilisation", "utilisation"),
            )
        }

    def _transfer(self, cut: int, link: str, bits: int) -> LinkCost:
        found = self._transfers.get((cut, link, bits))
        if found is None:
            found = self._transfers[cut, link, bits] = transfer(
                links.get(link),
                self._payload_bytes(cut, bits),
                framing=self.settings.framing,
                cable_m=self.settings.cable_m,
                phy_energy=self.settings.phy_energy,
                frame_rate_fps=self.settings.frame_rate_fps,
            )
        return found

    def _memory_bytes(self, architecture: Architecture) -> np.ndarray:
        """Weights before each cut and the largest sum of live activations, in bytes of the accelerator's widths."""
        return np.ceil((self._parameters * architecture.weight_bits + self._live * architecture.word_bits) / 8)

    def _network_cut(self, name: KnobValue) -> int:
        try:
            return self._cut_index[str(name)]
        except KeyError:
            raise unknown(f"cut of {self.network.name}", name, self._cut_index) from None

    def _cut_and_link(self, point: DesignPoint) -> tuple[int, str]:
        (cut,), (link,) = point.cuts, point.links
        return self._network_cut(cut), link


def _architecture_items(point: DesignPoint) -> tuple[tuple[str, KnobValue], ...]:
    """The accelerator's name and parameters; a point may carry any parameter of the template as a knob of its own."""
    return tuple((name, value) for name, value in point.nodes[0].knobs if name not in ("clock_mhz", "dram"))


def _build(values: dict[str, KnobValue]) -> Architecture:
    """The accelerator that the architecture's knobs name."""
    parameters = {name: value for name, value in values.items() if name != "accelerator"}
    return accelerators.build(str(values["accelerator"]), parameters)


def _sensor(settings: SensorSettings, memo: Memo) -> Sensor:
    if settings.timeloop_files is None:
        return SensorModel(settings, memo)
    from evaluators.timeloop.own import OwnSensor

    return OwnSensor(settings, memo)


def network_identity(network: Network) -> dict[str, Any]:
    """What of a network a study's figures depend on, JSON-able."""
    cuts = [(cut.name, sorted(cut.layers), cut.tensors) for cut in network.cuts]
    return {
        "name": network.name,
        "input": list(network.input.shape),
        "cut_mode": network.cut_mode,
        "graph": _digest((network.layers, cuts)),
    }


def hardware(point: DesignPoint) -> tuple[Architecture, float, str]:
    """The sensor node of a design point: its accelerator, clock in Hz and DRAM. Raises IllegalDesign."""
    sensor = point.nodes[0]
    return _build(dict(_architecture_items(point))), _clock_hz(sensor["clock_mhz"]), str(sensor["dram"])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0)


def _clock_hz(clock_mhz: KnobValue) -> float:
    return float(clock_mhz) * 1e6


def _digest(value: object) -> str:
    """A short name for a value by its repr; frozen dataclasses of plain values have a stable one."""
    return sha256(repr(value).encode()).hexdigest()[:16]
