"""CNNParted's configuration files as studies of ours: what they fix, in its conventions, and what has no counterpart.

Read are the form of the first release (2022: `sensor`, `link`, `edge`) and those since (`components` with the
simulator's name as a key or under `evaluation`, or `system` with `compute` and `link`). Every entry of a file is either
used or listed; none is dropped in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import UserError, reason, unknown
from search_spaces.types import KnobValue

__all__ = ["Imported", "Unused", "read_config", "script_text"]

_NETWORKS = {
    "convnext": "convnext_base",
    "efficientnet": "efficientnet_b0",
    "fcnresnet101": "fcn_resnet101",
    "fcnresnet50": "fcn_resnet50",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3": "mobilenet_v3_large",
    "resnext50": "resnext50_32x4d",
}
"""CNNParted's workloads whose torchvision model has another name."""

_LINKS = {"BASE100-T": "100base-t", "BASE1000-T": "1000base-t", "10GBASE-T": "10gbase-t"}
_STAND_IN_LINK = "1000base-t"
_METRICS = ("edp", "delay", "energy")
_OURS = ("timeloop", None)
"""What `simulator` says of a node that can be imported."""

_SIZES: dict[str, Mapping[str, KnobValue]] = {
    name: {
        "pe_cols": pe_cols,
        "pe_rows": pe_rows,
        "glb_kib": 844,
        "input_buffer_scale": ifmap / 12,
        "weight_buffer_scale": weights / 192,
        "accum_buffer_scale": psum / 16,
    }
    for name, pe_cols, pe_rows, ifmap, weights, psum in (
        ("eyeriss_like1", 16, 10, 32, 512, 80),
        ("eyeriss_like2", 25, 12, 64, 256, 32),
        ("eyeriss_like3", 16, 25, 24, 320, 32),
        ("eyeriss_like4", 25, 8, 64, 384, 48),
    )
}
"""CNNParted's further accelerators as sizes of ours (`configs/tl_configs/archs`): scratchpads in words, 843.75 KiB."""

_ONLY_TIMELOOP = "only nodes of Timeloop have a counterpart"

_REASONS = (
    ("accuracy", "accuracy is not modelled"),
    ("pipeline", "stages are commands here"),
    ("general", "how it searches; see --algorithm, --budget and --workers"),
    ("workload[1", "one network per study"),
    ("dse", "give ranges to the knobs of the script instead"),
    (".dse", "give ranges to the knobs of the script instead"),
    (".mapper", "our mapper is exhaustive: it needs no limits"),
    (".simulator", "our mapper is the simulator; --accelerator-model timeloop for the tool"),
    (".layer", "layer shapes come from the network itself"),
    (".fault_rates", "accuracy is not modelled"),
    (".faulty_bits", "accuracy is not modelled"),
    (".data_bit_width", "the link's width counts"),
    (".eee_", "Energy-Efficient Ethernet has the PHY's own figures here"),
    (".noi", f"no such link here; {_STAND_IN_LINK} stands in"),
    (".ble", f"no such link here; {_STAND_IN_LINK} stands in"),
    (".mnsim", _ONLY_TIMELOOP),
    (".zigzag", _ONLY_TIMELOOP),
    (".memory", f"no such link here; {_STAND_IN_LINK} stands in"),
    ("objective", "objectives are sensor energy and end-to-end latency; set `objectives` in the script"),
    ("constraints", "no such bound here; see `constraints` in the script"),
)
"""Why an entry has no counterpart, by a part of its path; the first that fits."""


@dataclass(frozen=True)
class Unused:
    """An entry of the file that has no counterpart here: its path, its value as text, and why."""

    path: str
    value: str
    reason: str


@dataclass(frozen=True)
class Imported:
    """What a configuration fixes, in our terms. SI units but the clock, which is a knob in MHz."""

    source: str
    network: str
    input_shape: tuple[int, ...]
    accelerator: str
    clock_mhz: float
    mapping: str
    link: str
    edge: str
    knobs: Mapping[str, KnobValue] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    max_cut_elements: int | None = None
    max_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()
    unused: tuple[Unused, ...] = ()


class _Section:
    """A mapping of the file that remembers which of its entries were asked for."""

    def __init__(self, path: str, data: Any) -> None:
        self.path = path
        if not isinstance(data, Mapping):
            raise UserError(f"{path or 'the file'} should hold entries, as CNNParted's examples do, not {data!r}")
        self.data = data
        self._used: dict[str, Any] = {}
        self._left_out: str | None = None

    def __contains__(self, key: str) -> bool:
        return self.data.get(key) is not None

    def get(self, key: str) -> Any:
        """The entry itself, None where there is none."""
        self._used[key] = None
        return self.data.get(key)

    def section(self, key: str) -> _Section:
        """The entries below this one."""
        if key not in self._used:
            self._used[key] = _Section(self._below(key), self.data[key])
        found: _Section = self._used[key]
        return found

    def sections(self, key: str) -> list[_Section]:
        """The entries below this one, which is a list."""
        if key not in self._used:
            items = self.data[key]
            if not isinstance(items, list) or not items:
                raise UserError(f"{self._below(key)} should be a list, as in CNNParted's examples, not {items!r}")
            self._used[key] = [_Section(f"{self._below(key)}[{i}]", item) for i, item in enumerate(items)]
        found: list[_Section] = self._used[key]
        return found

    def number(self, key: str) -> float | None:
        """A finite number above 0, None where there is none. Raises UserError for anything else."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
            raise UserError(f"{self._below(key)} should be a finite number above 0, not {_short(value)}")
        return float(value)

    def whole(self, key: str) -> int | None:
        value = self.number(key)
        if value is not None and value != int(value):
            raise UserError(f"{self._below(key)} should be a whole number, not {value:g}")
        return None if value is None else int(value)

    def leave_out(self, reason: str) -> None:
        """Say that nothing of this section has a counterpart, and why."""
        self._left_out = reason

    def unused(self) -> Iterator[Unused]:
        """Every entry that nobody asked for; one that was asked for as a whole has all its parts used."""
        if self._left_out is not None:
            yield Unused(self.path, _short(self.data), self._left_out)
            return
        for key, value in self.data.items():
            if key not in self._used:
                if value is not None:
                    yield _unused(self._below(str(key)), value)
            elif isinstance(self._used[key], _Section):
                yield from self._used[key].unused()
            elif isinstance(self._used[key], list):
                for section in self._used[key]:
                    yield from section.unused()

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def _unused(path: str, value: Any) -> Unused:
    return Unused(path, _short(value), next((why for part, why in _REASONS if part in path), "not known here"))


def _short(value: Any, limit: int = 60) -> str:
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def read_config(path: Path, network: str | None = None) -> Imported:
    """Read a configuration of any release; `network` is taken for the file's, where that is not one of ours.

    Raises UserError for what is no such file or has no sensor node.
    """
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path} as YAML: {reason(error)}") from None
    top = _Section("", data)
    notes: list[str] = []
    network, shape = _network(top, network)
    nodes, links = _parts(top)
    sensor, others = _sensor(nodes, notes)
    simulator = _simulator(sensor)
    accelerator, clock_mhz = _accelerator(simulator, notes)
    knobs = _SIZES.get(str(simulator.get("accelerator")), {})
    settings: dict[str, Any] = {}
    link = _STAND_IN_LINK
    limit: int | None = None
    if links:
        link, limit = _link(links[0], settings, notes)
        for extra in links[1:]:
            extra.leave_out("one link is asked about")
    else:
        notes.append(f"the file has no link; {link} stands in")
    edge = _edge(top, others, settings, notes)
    memory = sensor.whole("max_memory_size")
    if "constraints" in top:
        bounds = top.section("constraints")
        limit = bounds.whole("max_out_size") or limit
        memory = bounds.whole("max_memory_size") or memory
        if "word_width" in bounds:
            settings.setdefault("tensor_bits", bounds.whole("word_width"))
    if memory is not None:
        notes.append(f"max_memory_size is read as {memory:,} bytes of the sensor node")
    bits = sensor.get("bits")
    own = _word_bits(accelerator)
    if bits not in (None, own):
        notes.append(f"{accelerator} computes with {own} bits; bits={bits} sets no hardware in CNNParted either")
    notes.append("CNNParted maps convolutions, newer releases linear layers too; operators='all' costs every operator")
    for section in (sensor, *others, *links):
        section.get("id"), section.get("name")
    return Imported(
        source=str(path),
        network=network,
        input_shape=shape,
        accelerator=accelerator,
        clock_mhz=clock_mhz,
        mapping=_mapping(simulator, notes),
        link=link,
        edge=edge,
        knobs=knobs,
        settings=settings,
        max_cut_elements=limit,
        max_memory_bytes=memory,
        notes=tuple(notes),
        unused=tuple(top.unused()),
    )


def _network(top: _Section, instead: str | None) -> tuple[str, tuple[int, ...]]:
    from search_spaces import networks

    if "neural-network" in top:
        section = top.section("neural-network")
    elif "workload" in top:
        several = isinstance(top.data["workload"], list)
        section = top.sections("workload")[0] if several else top.section("workload")
    else:
        raise UserError("the file names no network: neither neural-network nor workload; is it CNNParted's?")
    name = str(section.get("name"))
    known = instead or _NETWORKS.get(name, name)
    own = known.endswith(".onnx") if instead is None else instead.endswith((".onnx", ".pt2")) or ":" in instead
    if known not in networks.names() and not own:
        why = unknown("network", known, (*networks.names(), *_NETWORKS))
        raise UserError(f"{why}; or name your own: --network {known}.onnx, or --network module:factory")
    shape = section.get("input-size")
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n > 0 for n in shape):
        raise UserError(f"{section.path}.input-size should be a list such as [1, 3, 224, 224], not {shape!r}")
    return known, tuple(shape)


def _parts(top: _Section) -> tuple[list[_Section], list[_Section]]:
    """The nodes and the links, in the file's order of ids."""
    if "sensor" in top:
        return [top.section("sensor")], [top.section("link")] if "link" in top else []
    if "components" in top:
        parts = _by_id(top.sections("components"))
        nodes = [part for part in parts if _is_node(part)]
        links = [part for part in parts if not _is_node(part)]
        if "system" in top:
            top.get("system")  # says the same as components, in a later form
    elif "system" in top:
        system = top.section("system")
        nodes = _by_id(system.sections("compute"))
        links = system.sections("link") if "link" in system else []
    else:
        raise UserError("the file has neither sensor nor components nor system; is it a configuration of CNNParted?")
    if not nodes:
        raise UserError("the file has no node with an accelerator")
    return nodes, links


def _sensor(nodes: list[_Section], notes: list[str]) -> tuple[_Section, list[_Section]]:
    """The sensor node, which is the first that Timeloop simulates, and the nodes after it.

    Raises UserError, with what is wrong with the first, where there is none.
    """
    for i, node in enumerate(nodes):
        if "timeloop" in node or ("evaluation" in node and node.section("evaluation").data.get("simulator") in _OURS):
            for before in nodes[:i]:
                before.leave_out(_ONLY_TIMELOOP)
                notes.append(f"{before.path} has no counterpart here; {node.path} is the sensor node")
            return node, nodes[i + 1 :]
    _simulator(nodes[0])
    return nodes[0], nodes[1:]


def _by_id(parts: list[_Section]) -> list[_Section]:
    """In the order of their ids; one without comes first, as number 0. Raises UserError for an id that is no number."""
    for part in parts:
        if type(part.data.get("id", 0)) is not int:
            raise UserError(f"{part.path}.id should be a whole number, not {_short(part.data['id'])}")
    return sorted(parts, key=lambda part: part.data.get("id", 0))


def _is_node(part: _Section) -> bool:
    return any(key in part for key in ("evaluation", "timeloop", "zigzag", "mnsim", "generic", "device"))


def _simulator(node: _Section) -> _Section:
    """The section that says which accelerator a node has. Raises UserError where it is not Timeloop's."""
    if "timeloop" in node:
        return node.section("timeloop")
    if "evaluation" in node:
        section = node.section("evaluation")
        simulator = section.get("simulator")
        if simulator in _OURS:
            return section
        raise UserError(f"{node.path} is simulated by {simulator}; only nodes of Timeloop can be imported")
    raise UserError(f"{node.path} has no timeloop accelerator; only nodes of Timeloop can be imported")


def _accelerator(simulator: _Section, notes: list[str]) -> tuple[str, float]:
    from search_spaces import accelerators

    name = simulator.get("accelerator")
    known = next((own for own in accelerators.names() if str(name).rstrip("0123456789") == own), None)
    if known is None:
        raise unknown("accelerator", name, accelerators.names(), add="search_spaces/accelerators/<name>.py")
    if name in _SIZES:
        notes.append(f"{name} is {known} with the sizes of CNNParted's file, but our word width")
    elif name != known:
        notes.append(f"{name} has sizes and word widths of its own in CNNParted; {known} with our defaults stands in")
    frequency = simulator.number("frequency")
    if frequency is None:
        raise UserError(f"{simulator.path} has no frequency in Hz")
    return known, frequency / 1e6


def _word_bits(accelerator: str) -> int:
    from search_spaces import accelerators

    return accelerators.build(accelerator).word_bits


def _mapping(simulator: _Section, notes: list[str]) -> str:
    """The metric that chooses a mapping: the first one the file optimises for."""
    if "mapper" not in simulator:
        return "delay"
    wanted = simulator.section("mapper").get("optimization-metrics") or ["delay", "energy"]
    first = wanted[0] if isinstance(wanted, list) else str(wanted)
    if first not in _METRICS:
        notes.append(f"the mapper's metric {first!r} has no counterpart; edp stands in")
        return "edp"
    return str(first)


def _link(section: _Section, settings: dict[str, Any], notes: list[str]) -> tuple[str, int | None]:
    """The link's name and the largest tensor it may carry, in elements; its settings are filled in."""
    limit = section.whole("max_out_size")
    for name, value in (
        ("tensor_bits", section.whole("data_bit_width")),
        ("frame_rate_fps", section.number("fps")),
    ):
        if value is not None:
            settings[name] = value
    if "ethernet" not in section:
        notes.append(f"{section.path} is no Ethernet; {_STAND_IN_LINK} stands in")
        return _STAND_IN_LINK, limit
    ethernet = section.section("ethernet")
    mode = str(ethernet.get("eth_mode") or "BASE1000-T")
    if mode not in _LINKS:
        raise unknown("Ethernet mode", mode, _LINKS)
    settings["cable_m"] = ethernet.number("cable_len_m") or 5.0
    if ethernet.get("enable_eee"):
        settings["phy_energy"] = "frame"
        notes.append("Energy-Efficient Ethernet is accounted over the frame period here, by the PHY's own figures")
    else:
        settings["phy_energy"] = "active"
    return _LINKS[mode], limit


def _edge(top: _Section, others: list[_Section], settings: dict[str, Any], notes: list[str]) -> str:
    """The edge node: measured as the file says, another accelerator where that can be, else the default."""
    from evaluators import edge

    section = top.section("edge") if "edge" in top else next((part for part in others[:1] if "device" in part), None)
    if section is not None:
        for extra in others[1:]:
            extra.leave_out("a sensor and an edge node are asked about")
        device = section.get("device") or "cpu"
        for key, name in (("num_runs", "edge_runs"), ("max_threads", "edge_threads")):
            value = section.whole(key)
            if value is not None:
                settings[name] = value
        name = f"measured:{device}"
        edge.check_name(name)
        return name
    default = "roofline:jetson-tx2"
    if not others:
        notes.append(f"the file has no edge node; {default} stands in")
        return default
    try:
        simulator = _simulator(others[0])
        accelerator, clock_mhz = _accelerator(simulator, notes)
        parameters = {"clock_mhz": f"{clock_mhz:g}", **_SIZES.get(str(simulator.get("accelerator")), {})}
        name = ",".join([f"accelerator:{accelerator}", *(f"{knob}={value}" for knob, value in parameters.items())])
        edge.check_name(name)
        notes.append(
            "CNNParted's energy is that of all nodes, here it is the sensor's; for theirs write "
            'objectives=("total_energy_j", "latency_s") into the StudySpec'
        )
    except UserError as error:
        why = str(error).partition(";")[0]
        notes.append(f"{others[0].path} cannot be the edge node ({why}); {default} stands in")
        name = default
    others[0].get("max_memory_size"), others[0].get("bits")
    for extra in others[1:]:
        extra.leave_out("a sensor and an edge node are asked about")
    return name


_SCRIPT = '''"""{network} as {source} has it: one sensor node, one link, one edge node, in CNNParted's conventions.

    paretocut run {name}.py

Every knob has one value, the file's or the template's own: give it more, and the study searches them together.
{remarks}"""

from dse import Constraint, StudySpec, launch
from evaluators.sensor import SensorSettings
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space


def study() -> StudySpec:
    """The cuts of {network}, in sensor energy and end-to-end latency."""
    network = networks.load({network_name!r}, input_shape={shape})
    space = sensor_edge_space(
        network,
{knobs}    )
    settings = SystemSettings(
        sensor=SensorSettings(
            mapping="{mapping}",
            operators="conv",  # "all" also costs pooling, additions and the like
            dvfs="off",  # "on": the supply follows the clock
            energy_table="timeloop-be27768",  # "default": the components' real widths
        ),
        framing="cnnparted",  # "802.3": what really goes over the wire
{settings}    )
    return StudySpec(
        network=network,
        space=space,
        settings=settings,
        constraints=({constraints},),
        algorithm="exact",
    )


if __name__ == "__main__":
    launch(study)
'''

_KNOBS = ("pe_cols", "pe_rows", "glb_kib", "input_buffer_scale", "weight_buffer_scale", "accum_buffer_scale")


def script_text(found: Imported, name: str) -> str:
    """The study as a script; `name` is the script's own."""
    from search_spaces import accelerators

    sizes = {**accelerators.defaults(found.accelerator), **found.knobs}
    clock = int(found.clock_mhz) if found.clock_mhz == int(found.clock_mhz) else found.clock_mhz
    knobs: dict[str, str] = {}
    if found.max_cut_elements is not None:
        cuts = "network.cuts"
        knobs["cuts"] = (
            f"[c.name for c in {cuts} if c.elements < {found.max_cut_elements} or c in ({cuts}[0], {cuts}[-1])]"
        )
    knobs["accelerators"] = f'("{found.accelerator}",)'
    knobs |= {knob: f"({sizes[knob]!r},)" for knob in _KNOBS}
    knobs |= {"clock_mhz": f"({clock!r},)", "drams": '("lpddr4",)', "links": f'("{found.link}",)'}
    settings = {**found.settings, "edge": found.edge}
    constraints = ['Constraint("link_utilisation", 1.0)']
    if found.max_memory_bytes is not None:
        constraints.append(f'Constraint("sensor_memory_bytes", {found.max_memory_bytes})')
    remarks = [f"- {_prose(note)}" for note in found.notes]
    return _SCRIPT.format(
        network=_prose(found.network),
        network_name=found.network,
        source=_prose(Path(found.source).name),
        name=name,
        shape=found.input_shape,
        remarks="\n".join(["", "Mind:", *remarks, ""]) if remarks else "",
        knobs="".join(f"        {key}={value},\n" for key, value in knobs.items()),
        mapping=found.mapping,
        settings="".join(f"        {key}={value!r},\n" for key, value in settings.items()),
        constraints=", ".join(constraints),
    )


def _prose(text: str) -> str:
    """Text that can stand in a docstring."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())
