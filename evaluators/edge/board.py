"""Times what a network needs after each of its cuts, on the computer at hand: as part of paretocut or alone.

Edge boards ship an old Python and a vendor's torch. This module therefore needs Python 3.8, torch 2.0, torchvision
and the standard library, nothing else; `paretocut profile --script` writes it as one file with the plan of a network
in it: which operators (torch.fx nodes, by name) lie between which cuts. `onnx_board` times ONNX networks with what is
here.

Method "segments" runs the network over and over and reads the clock at every cut; what follows a cut is the sum of its
segments. What runs on its own finds its weights in the cache, which after a pass through the whole network it does not
(up to a fifth of its time), and in the shortest remainders reading the clock matters. So a remainder of each size, and
all the shortest, are timed again on their own in a share of the runs, and those between are scaled as their neighbours.
Method "suffix", the founding paper's, times the rest of the network
after each cut on its own.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib
import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

FORMAT = "paretocut edge profile"
VERSION = 1
METHODS = ("segments", "suffix")
DEVICES = ("cpu", "cuda")
LEAST_RUNS = 20
"""No interval is called tight with fewer runs."""

SHORT = 0.05
"""Remainders below this share of the whole network are always timed on their own, and not to the wanted precision."""

Plan = Mapping  # [str, Any]; Python 3.8 cannot subscript it
"""A network's name, input, cuts and sections; how to build it where it is profiled alone."""

Progress = Callable  # [[int, int], None]

ALONE_RUNS = 0.2
"""What "segments" times on its own as well takes this share of the runs, though at least LEAST_RUNS."""

RAPL_SECONDS = 30.0
"""How often a processor's energy counter is read: it begins again after tens of kilojoules."""

PLAN: Plan | None = None
"""Filled in by `paretocut profile --script`."""


class ProfileError(Exception):
    """What cannot be measured, in one line."""


def measure(
    module: Any,
    plan: Plan,
    device: str = "cpu",
    method: str = "segments",
    runs: int = 1000,
    threads: int | None = None,
    precision: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The profile of a network: a JSON-able dict with median and interquartile range in seconds for every cut.

    `runs` is the number of runs, or with a `precision` (the half-width of the median's 95 % interval over the median)
    the most there will be. `threads` defaults to torch's choice. `progress` is told (done, in all).
    """
    import torch

    check(device, method, runs, threads, precision)
    check_cuda(device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            source = torch.rand(plan["input"]).to(device)
            network = _Network(module.to(device), plan, device)
            versions = {"torch": str(torch.__version__), "torchvision": _torchvision(), **cuda(device)}
            return timed(network, source, device, method, runs, torch.get_num_threads(), precision, progress, versions)
    except RuntimeError as error:  # torch's own, such as memory that is used up
        raise ProfileError(f"{plan['network']} does not run here: {_first_line(error)}") from None
    finally:
        torch.set_num_threads(before)


def timed(
    network: Any,
    source: Any,
    device: str,
    method: str,
    runs: int,
    threads: int,
    precision: float | None,
    progress: Progress | None,
    versions: Mapping[str, Any],
) -> dict[str, Any]:
    """The profile of a network that is made of sections as `_Network` is; `versions` are those of what runs it."""
    plan = network.plan
    time_it = _segments if method == "segments" else _suffixes
    with _Energy(device) as energy:
        samples, warm_up = time_it(network, source, runs, precision, progress or (lambda done, total: None))
    cuts = [
        dict(name=cut["name"], elements=cut["elements"], **_statistics(times))
        for cut, times in zip(plan["cuts"], samples)
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": plan["network"],
        "input": list(plan["input"]),
        "cut_modes": [plan["cut_mode"]],
        "device": device + ": " + device_name(device),
        "method": method,
        "warm_up_runs": warm_up,
        "power_w": energy.power_w,
        "power_from": energy.source,
        "environment": {**versions, **environment(threads)},
        "cuts": cuts,
    }


def check(device: str, method: str, runs: int, threads: int | None, precision: float | None) -> None:
    """Raise ProfileError for a choice that does not exist."""
    if device not in DEVICES:
        raise ProfileError(f"a network is measured on cpu or cuda, not {device!r}")
    if method not in METHODS:
        raise ProfileError(f"a network is measured by the method segments or suffix, not {method!r}")
    if runs < 1:
        raise ProfileError(f"measuring an edge node needs at least 1 run, not {runs}")
    if threads is not None and threads < 1:
        raise ProfileError(f"an edge node runs on at least 1 thread, not {threads}")
    if precision is not None and not 0 < precision < 1:
        raise ProfileError(f"a precision is a share between 0 and 1, such as 0.02, not {precision:g}")


def check_cuda(device: str) -> None:
    """Raise ProfileError where CUDA is wanted and torch finds none."""
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ProfileError(
                "no CUDA device to measure on; take the CPU (measured:cpu, or --device cpu), "
                "or a roofline such as roofline:jetson-tx2"
            )


def share(text: str) -> float:
    """0.02 of "2%" and of "0.02"; raises ProfileError."""
    try:
        return float(text.rstrip("% ")) / (100 if text.rstrip().endswith("%") else 1)
    except ValueError:
        raise ProfileError(f"a precision is a share such as 2% or 0.02, not {text!r}") from None


def check_power(power_w: float | None) -> None:
    """Raise ProfileError for what is no power in watts."""
    if power_w is not None and not (math.isfinite(power_w) and power_w >= 0):
        raise ProfileError(f"a power is a number of watts of at least 0, not {power_w:g}")


def runs_of(profile: Mapping[str, Any]) -> str:
    """How often what follows a cut was run: "1000", or "20 to 140" where that differs."""
    counts = [cut["runs"] for cut in profile["cuts"] if cut["latency_s"]] or [0]
    return str(counts[0]) if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


class _Network:
    """The operators of a module as sections between cuts.

    `whole_is_sections` says whether running the sections one after the other takes what the whole network does.
    """

    whole_is_sections = True

    def __init__(self, module: Any, plan: Plan, device: str) -> None:
        from torch import fx

        exported = isinstance(module, fx.GraphModule) and any(
            hasattr(n.target, "overloadpacket") for n in module.graph.nodes
        )
        self.module = module
        self.plan = plan
        self.cuda = device == "cuda"
        try:
            self.graph = module.graph if exported else _traced(module)
        except Exception as error:  # torch.fx raises many types
            raise ProfileError(f"{plan['network']} cannot be traced by torch.fx: {_first_line(error)}") from None
        self.device = device
        self._move_constants()
        section_of = {name: i for i, names in enumerate(plan["segments"]) for name in names}
        present = {node.name for node in self.graph.nodes}
        missing = [name for name in section_of if name not in present]
        if missing:
            raise ProfileError(
                f"the network here has no operator {missing[0]}: it is not the one that was cut (other version of "
                "torchvision or of your code?)"
            )
        self.section_of: dict[Any, int] = {}
        current = 0
        for node in self.graph.nodes:  # shapes and their arithmetic go with the operator before them
            current = max(current, section_of.get(node.name, current))
            self.section_of[node] = current
        self.source = next(node for node in self.graph.nodes if node.op == "placeholder")
        self.sections = [_Part(self, {i}) for i in range(len(plan["segments"]))]

    def _move_constants(self) -> None:
        """Tensors that are no parameters or buffers stay where they were made when a module moves to a device."""
        import torch

        for node in self.graph.nodes:
            if node.op == "get_attr":
                path, _, name = node.target.rpartition(".")
                owner = self.module.get_submodule(path)
                value = getattr(owner, name)
                if isinstance(value, torch.Tensor) and value.device.type != self.device:
                    setattr(owner, name, value.to(self.device))

    def part(self, wanted: set[int]) -> _Part:
        """Some sections as one module."""
        return _Part(self, wanted)

    def synchronise(self) -> None:
        """Wait until everything has been computed."""
        if self.cuda:
            import torch

            torch.cuda.synchronize()


def _traced(module: Any) -> Any:
    """The graph of a module; what has a default is no input of the network and keeps it."""
    from torch import fx

    class Tracer(fx.Tracer):  # type: ignore[misc, unused-ignore]
        def create_args_for_root(self, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
            forward, given = super().create_args_for_root(*args, **kwargs)
            for i, value in enumerate(given):
                if isinstance(value, fx.Proxy) and value.node.args:
                    given[i] = value.node.args[0]
                    self.graph.erase_node(value.node)
            return forward, given

    return Tracer().trace(module)


class _Part:
    """Some sections as one module; `inputs` and `outputs` are the nodes whose values go in and come out."""

    def __init__(self, network: _Network, wanted: set[int]) -> None:
        import torch
        from torch import fx

        def here(value: Any) -> Any:  # an exported program says where it makes tensors: where it was exported
            return torch.device(network.device) if isinstance(value, torch.device) else value

        graph = network.graph
        inside = {
            n
            for n, i in network.section_of.items()
            if i in wanted and n.op not in ("placeholder", "output", "get_attr")
        }
        read = {source for node in inside for source in node.all_input_nodes}
        self.inputs = [n for n in graph.nodes if n in read and n not in inside and n.op != "get_attr"]
        self.outputs = [n for n in graph.nodes if n in inside and any(user not in inside for user in n.users)]
        part = fx.Graph()
        copies = {node: part.placeholder(f"value_{i}") for i, node in enumerate(self.inputs)}
        for node in graph.nodes:
            if node in inside or (node.op == "get_attr" and node in read):
                made = copies[node] = part.node_copy(node, copies.__getitem__)
                made.args = fx.node.map_aggregate(made.args, here)
                made.kwargs = fx.node.map_aggregate(made.kwargs, here)
        part.output(tuple(copies[node] for node in self.outputs))
        self.run = fx.GraphModule(network.module, part).forward  # a module's call would cost microseconds more


def _crossing(network: _Network, source: Any) -> dict[Any, Any]:
    """Every value that crosses between sections, from one run."""
    values = {network.source: _fresh(source)}
    for section in network.sections:
        values.update(zip(section.outputs, section.run(*[values[name] for name in section.inputs])))
    return values


def _last_uses(sections: Sequence[_Part]) -> list[list[Any]]:
    """Per section what no later one reads."""
    last = {name: i for i, section in enumerate(sections) for name in section.inputs}
    return [[name for name in section.inputs if last[name] == i] for i, section in enumerate(sections)]


def _segments(
    network: _Network, source: Any, runs: int, precision: float | None, progress: Progress
) -> tuple[list[list[float]], int]:
    """Per cut the seconds of what follows it, in every run; one clock reading between two sections."""
    tails = [_ranges(cut["tail"]) for cut in network.plan["cuts"]]
    samples: list[list[float]] = [[] for _ in tails]
    clock, sections = time.perf_counter, network.sections
    drops = _last_uses(sections)  # what nobody needs any more is freed, as in an ordinary run

    def once() -> list[float]:
        values = {network.source: _fresh(source)}
        network.synchronise()
        stamps = [clock()]
        for section, unused in zip(sections, drops):
            results = section.run(*[values[node] for node in section.inputs])
            network.synchronise()
            stamps.append(clock())
            for node in unused:
                del values[node]
            values.update(zip(section.outputs, results))
            results = None
        return [after - before for before, after in zip(stamps, stamps[1:])]

    def sum_up() -> None:
        for sections_s in times[len(samples[0]) :]:
            ends = [0.0, *accumulate(sections_s)]
            for sums, ranges in zip(samples, tails):
                sums.append(sum((ends[end] - ends[start] for start, end in ranges), 0.0))

    warm_up = max(2, runs // 100)
    for _ in range(warm_up):
        once()
    times: list[list[float]] = []
    for done in range(runs):
        progress(done, runs)
        times.append(once())
        if precision and done + 1 >= LEAST_RUNS and (done + 1) % 10 == 0:
            sum_up()
            if _all_tight(samples, precision):
                break
    sum_up()
    middles = [_quantile(sorted(sums), 0.5) for sums in samples]
    alone = _sizes(middles, 0.5 if network.whole_is_sections else 1.0)
    crossing = _crossing(network, source) if alone else {}
    few = len(times) if precision else min(runs, max(LEAST_RUNS, round(ALONE_RUNS * runs)))
    scales = {max(middles): 1.0}
    short_s = SHORT * max(middles)
    for i in alone:
        tail = set(network.plan["cuts"][i]["tail"])
        samples[i] = _alone(network, crossing, tail, warm_up, few, precision, short_s)
        if middles[i] > short_s:
            scales[middles[i]] = _quantile(sorted(samples[i]), 0.5) / middles[i]
    for i in set(range(len(middles))).difference(alone):
        scale = _between(scales, middles[i])
        samples[i] = [scale * seconds for seconds in samples[i]]
    progress(runs, runs)
    return samples, warm_up


def _ranges(tail: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges: where each starts and the number after its end."""
    inside = set(tail)
    return list(zip([i for i in tail if i - 1 not in inside], [i + 1 for i in tail if i + 1 not in inside]))


def _sizes(middles: Sequence[float], largest: float = 0.5) -> list[int]:
    """The remainders that are timed on their own: one of each size, by halves of the whole, and all the short ones.

    The first is at most `largest` of the whole. Those by halves take one pass through the whole network together.
    """
    whole = max(middles)
    chosen, below = [], whole * largest
    for i in sorted(range(len(middles)), key=middles.__getitem__, reverse=True):
        if 0 < middles[i] <= max(below, SHORT * whole):
            chosen.append(i)
            below = middles[i] / 2
    return chosen


def _between(values: Mapping[float, float], at: float) -> float:
    """Linear between the nearest two of some points; the value of the nearest outside them."""
    low = max((x for x in values if x <= at), default=min(values))
    high = min((x for x in values if x >= at), default=max(values))
    share = (at - low) / (high - low) if high > low else 0.0
    return values[low] + share * (values[high] - values[low])


def _suffixes(
    network: _Network, source: Any, runs: int, precision: float | None, progress: Progress
) -> tuple[list[list[float]], int]:
    """Per cut the seconds of single runs of everything after it."""
    crossing = _crossing(network, source)
    warm_up = max(2, runs // 100)
    found = []
    whole_s = 0.0
    for done, cut in enumerate(network.plan["cuts"]):
        progress(done, len(network.plan["cuts"]))
        times = [0.0]
        if cut["tail"]:
            times = _alone(network, crossing, set(cut["tail"]), warm_up, runs, precision, SHORT * whole_s)
        whole_s = max(whole_s, _quantile(sorted(times), 0.5))
        found.append(times)
    progress(len(found), len(found))
    return found, warm_up


def _alone(
    network: _Network,
    crossing: Mapping[Any, Any],
    tail: set[int],
    warm_up: int,
    runs: int,
    precision: float | None,
    short_s: float,
) -> list[float]:
    """The seconds of single runs of some sections; a time below `short_s` is precise enough after the least runs."""
    rest = network.part(tail)
    times: list[float] = []
    for run in range(-warm_up, runs):
        inputs = [_fresh(crossing[node]) for node in rest.inputs]  # an operator may overwrite what it is given
        network.synchronise()
        start = time.perf_counter()
        rest.run(*inputs)
        network.synchronise()
        if run >= 0:
            times.append(time.perf_counter() - start)
        if precision and len(times) >= LEAST_RUNS and len(times) % 10 == 0:
            middle = _quantile(sorted(times), 0.5)
            if middle < short_s or _half_width(times) <= precision * middle:
                break
    return times


def _fresh(value: Any) -> Any:
    return value.clone() if hasattr(value, "clone") else value


def _all_tight(samples: Sequence[Sequence[float]], precision: float) -> bool:
    """Whether the median of every remainder that matters is known to the wanted precision."""
    middles = [sorted(times)[len(times) // 2] for times in samples]
    whole = max(middles)
    return all(
        middle < SHORT * whole or _half_width(times) <= precision * middle for times, middle in zip(samples, middles)
    )


def _half_width(times: Iterable[float]) -> float:
    """Half of the 95 % interval of the median, by the ranks of the sorted times (no assumption on their spread)."""
    ordered = sorted(times)
    n = len(ordered)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = max(0, math.floor(n / 2 - reach)), min(n - 1, math.ceil(n / 2 + reach))
    return (ordered[high] - ordered[low]) / 2


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two nearest ranks."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def _statistics(times: Sequence[float]) -> dict[str, Any]:
    """Median, interquartile range, number of runs, and of those above the third quartile by three such ranges."""
    ordered = sorted(times)
    first, third = _quantile(ordered, 0.25), _quantile(ordered, 0.75)
    outliers = sum(t > third + 3 * (third - first) for t in ordered)
    return {
        "latency_s": _quantile(ordered, 0.5), "iqr_s": third - first, "runs": len(ordered), "outliers": outliers,
    }  # fmt: skip


# the computer


def device_name(device: str) -> str:
    """What the computer calls its processor."""
    if device == "cuda":
        try:
            import torch

            return str(torch.cuda.get_device_name())
        except (ImportError, AssertionError, RuntimeError):  # another runtime may have CUDA where torch has not
            # and does not say on which of several GPUs it runs
            names = dict.fromkeys(_said("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"))
            return " or ".join(names) or _text(Path("/proc/device-tree/model")).rstrip("\0") or "unknown GPU"
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    board = _text(Path("/proc/device-tree/model")).rstrip("\0")
    return board or (models and models[0]) or platform.processor() or platform.machine()


def _torchvision() -> str:
    try:
        return str(importlib.import_module("torchvision").__version__)
    except Exception:  # a vendor's torch may come without one that works
        return ""


def cuda(device: str) -> dict[str, Any]:
    """CUDA and cuDNN, and whether convolutions round what they are given to TensorFloat-32 (10 bits of mantissa).

    GPUs from Ampere on do unless torch is told otherwise.
    """
    if device != "cuda":
        return {}
    import torch

    return {
        "cuda": str(torch.version.cuda),
        "cudnn": torch.backends.cudnn.version(),
        "tf32": bool(torch.backends.cudnn.allow_tf32) and torch.cuda.get_device_capability()[0] >= 8,
    }


def environment(threads: int) -> dict[str, Any]:
    """Machine, threads and power mode."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system() + " " + platform.release(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "power_mode": power_mode(),
        "made": datetime.date.today().isoformat(),
    }


def power_mode() -> str:
    """What a Jetson or the first core's clock is set to."""
    modes = [line for line in _said("nvpmodel", "-q") if "Power Mode" in line]
    if modes:
        return modes[0].split(":", 1)[1].strip()
    governor = _text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
    return "governor " + governor if governor else "unknown"


def _said(*command: str) -> list[str]:
    """The lines that a program writes; none where there is no such program."""
    try:
        said = subprocess.run(list(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
        return said.stdout.decode(errors="replace").splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


class _Energy:
    """Mean power while measuring, from the first sensor there is: NVML, a Jetson's INA3221, RAPL; else None."""

    def __init__(self, device: str, root: Path = Path("/")) -> None:
        self.power_w: float | None = None
        self.source: str | None = None
        self._root = root
        self._counters: list[tuple[str, Callable[[], float | None]]] = (
            [("nvml", _nvml_j)] if device == "cuda" else [("rapl", self._rapl_j)]
        )
        self._packages: dict[Path, tuple[float, float]] = {}
        self._samples: list[float] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> _Energy:
        self._rails = self._ina_rails()
        self._began = [read() for _, read in self._counters]
        self._start = time.perf_counter()
        if self._rails or self._packages:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._start
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
        if self._samples:
            self.power_w, self.source = sum(self._samples) / len(self._samples), "Jetson INA3221, whole module"
        for (name, read), began in zip(self._counters, self._began):
            ended = read()
            if self.power_w is None and began is not None and ended is not None and ended > began:
                self.power_w, self.source = (ended - began) / seconds, name

    def _sample(self) -> None:
        while not self._stop.wait(0.05 if self._rails else RAPL_SECONDS):
            watts = [w for w in (rail() for rail in self._rails) if w is not None]
            if watts:
                self._samples.append(sum(watts))
            if not self._rails:
                self._rapl_j()

    def _ina_rails(self) -> list[Callable[[], float | None]]:
        """Readers, in watts, of the rail that feeds the whole module (VDD_IN, POM_5V_IN)."""
        rails: list[Callable[[], float | None]] = []
        for path in sorted(self._root.glob("sys/bus/i2c/drivers/ina3221*/*/**/*")):
            name = path.name
            if name.startswith(("in", "rail_name_")) and _text(path) in ("VDD_IN", "POM_5V_IN"):
                number = "".join(c for c in name if c.isdigit())
                folder = path.parent
                if name.startswith("rail_name_"):
                    rails.append(partial(_scaled, folder / f"in_power{number}_input", 1e-3))  # milliwatts
                else:
                    rails.append(partial(_volts_amperes, folder / f"in{number}_input", folder / f"curr{number}_input"))
        return rails

    def _rapl_j(self) -> float | None:
        """Joules counted so far by all processor packages; a counter that fell has begun again after its range.

        Other domains are parts of packages, or the whole board.
        """
        names = self._root.glob("sys/class/powercap/intel-rapl:*/name")
        for folder in [path.parent for path in names if _text(path).startswith("package")]:
            now, span = _scaled(folder / "energy_uj", 1e-6), _scaled(folder / "max_energy_range_uj", 1e-6)
            if now is None:  # only root may read it
                return None
            before, counted = self._packages.get(folder, (now, now))
            if now < before and span is None:
                return None
            self._packages[folder] = (now, counted + now - before + (span or 0.0) * (now < before))
        return sum(counted for _, counted in self._packages.values()) if self._packages else None


def _scaled(path: Path, factor: float) -> float | None:
    text = _text(path)
    try:
        return float(text) * factor
    except ValueError:
        return None


def _volts_amperes(millivolts: Path, milliamperes: Path) -> float | None:
    volts, amperes = _scaled(millivolts, 1e-3), _scaled(milliamperes, 1e-3)
    return None if volts is None or amperes is None else volts * amperes


def _nvml_j() -> float | None:
    """Joules counted so far by the GPU that torch runs on; None where torch or NVML does not say which that is."""
    try:
        import torch

        uuid = getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "uuid", None)  # since torch 2.5
    except (ImportError, AssertionError, RuntimeError):  # of a runtime that has CUDA where torch has not
        uuid = None
    handle, count, millijoules = ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_ulonglong()
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2():
            return None
        if uuid is not None:
            failed = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode(), ctypes.byref(handle))  # as NVML writes it
        elif nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) or count.value != 1:
            return None
        else:
            failed = nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle))
        if failed or nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules)):
            return None
        return millijoules.value * 1e-3
    except (OSError, AttributeError):
        return None


# alone, on a board


def build(recipe: Mapping[str, Any]) -> Any:
    """The module that a plan names, with random weights."""
    import torch

    if "factory" in recipe:
        name, function = recipe["factory"].split(":")
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = getattr(importlib.import_module(name), function)()
        except Exception as error:  # the user's code may raise anything
            said = f"{type(error).__name__}: {_first_line(error)}"
            raise ProfileError(f"cannot make the network {recipe['factory']} here: {said}") from None
        if not isinstance(module, torch.nn.Module):
            raise ProfileError(f"{recipe['factory']}() must return a torch.nn.Module, not {type(module).__name__}")
        return module.eval()
    try:
        models = importlib.import_module("torchvision.models")
    except Exception as error:  # one that was made for another torch raises a RuntimeError
        raise ProfileError(f"torchvision cannot be imported here: {_first_line(error)}") from None
    place = models.segmentation if recipe.get("segmentation") else models
    try:
        make = getattr(place, recipe["torchvision"])
    except AttributeError:
        raise ProfileError(f"torchvision here has no network {recipe['torchvision']}") from None
    return make(weights=None, **recipe["options"]).eval()


def check_out(path: Path) -> None:
    """Raise ProfileError where no profile can be written, before anything is measured."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "is a folder")
        part = path.with_name(path.name + ".part")
        part.touch()
        part.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def write(path: Path, profile: Mapping[str, Any]) -> None:
    """Write a profile whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(profile, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ProfileError:
    return ProfileError(f"cannot write {path}: {str(error.strerror).lower()}; choose another --out")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _line(done: int, total: int) -> None:
    if sys.stderr.isatty() or done == total or done % max(1, total // 10) == 0:
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r{done} of {total}{end}" if sys.stderr.isatty() else f"{done} of {total}\n")
        sys.stderr.flush()


def _options(plan: Plan) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Profile {plan['network']} on this computer.")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--method", choices=METHODS, default="segments")
    parser.add_argument("--runs", type=int, default=1000, help="runs, or the most runs with --precision")
    parser.add_argument("--precision", help="stop when every median is known to this share, such as 2%%")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--power-w", type=float, help="power of the board in watts, where it has no sensor")
    parser.add_argument("--out", required=True, help="the profile to write, e.g. board.json")
    return parser.parse_args()


def main(plan: Plan, run: Callable[..., dict[str, Any]]) -> None:
    """The command line of the version for a board; `run` measures, given the options of `measure` by position."""
    given = _options(plan)
    try:
        check_power(given.power_w)
        precision = None if given.precision is None else share(given.precision)
        check(given.device, given.method, given.runs, given.threads, precision)
        check_out(Path(given.out))
        profile = run(given.device, given.method, given.runs, given.threads, precision, _line)
        if given.power_w is not None:
            profile.update(power_w=given.power_w, power_from="given")
        write(Path(given.out), profile)
    except ProfileError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped, nothing was written\n")
        sys.exit(130)
    said = f"{given.out}: {len(profile['cuts'])} cuts of {profile['network']}, {runs_of(profile)} runs"
    whole = max(profile["cuts"], key=lambda cut: cut["latency_s"])
    sys.stderr.write(f"{said}; all of it takes {1e3 * whole['latency_s']:.3f} ms (median)\n")


def _planned(device: str, *options: Any) -> dict[str, Any]:
    """The profile of the network that PLAN says how to build; raises ProfileError."""
    assert PLAN is not None
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        raise ProfileError(f"this needs torch 2.0 or newer, which cannot be imported: {_first_line(error)}") from None
    if int(torch.__version__.split(".")[0]) < 2:
        raise ProfileError(f"this needs torch 2.0 or newer, not {torch.__version__}")
    check_cuda(device)
    return measure(build(PLAN["build"]), PLAN, device, *options)


if __name__ == "__main__" and PLAN is not None:
    main(PLAN, _planned)
