"""The edge node measured: the sub-network after each cut, really executed and timed by torch.utils.benchmark."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.edge.profile import EdgeProfile
from search_spaces.errors import UserError
from search_spaces.types import Network

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils import benchmark

__all__ = ["DEVICES", "device_name", "measure"]

DEVICES = ("cpu", "cuda")


def device_name(device: str) -> str:
    """What the machine calls its processor; raises UserError for CUDA where there is none."""
    _check_device(device)
    if device == "cpu":
        return _cpu_name()
    import torch

    return str(torch.cuda.get_device_name())


def measure(
    network: Network,
    *,
    device: str = "cpu",
    runs: int = 1000,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> EdgeProfile:
    """Median seconds of `runs` single executions of everything after each cut (PAPER, section Edge).

    Random weights and input, 32-bit floats, no gradients; warmed up, and synchronised on CUDA. `threads` defaults
    to torch's own choice for the machine. A cut that leaves nothing takes 0 s. The power of the device is not
    measured: 0. `progress` is told (cuts done, cuts in all).
    """
    if runs < 1:
        raise UserError(f"edge runs are at least 1, not {runs}; the paper takes the median of 1000")
    if threads is not None and threads < 1:
        raise UserError(f"edge threads are at least 1, not {threads}; leave it out for torch's own choice")
    name = device_name(device)
    import torch

    from search_spaces.networks import build_module
    from search_spaces.networks.split import Splitter

    threads = torch.get_num_threads() if threads is None else threads
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        splitter = Splitter(network, build_module(network.name).to(device))
        source = torch.rand(network.input.shape).to(device)
        latency_s: list[float] = []
        spread = 0.0
        for done, cut in enumerate(network.cuts):
            if progress is not None:
                progress(done, len(network.cuts))
            halves = splitter.split(cut)
            if halves.tail is None:
                latency_s.append(0.0)
                continue
            timed = _timed(halves.tail, halves.head(source), runs, threads)
            if timed.median > max(latency_s, default=0.0):
                spread = timed.iqr / timed.median
            latency_s.append(float(timed.median))
        if progress is not None:
            progress(len(network.cuts), len(network.cuts))
    return EdgeProfile(
        device=f"{device}: {name}",
        latency_s=tuple(latency_s),
        power_w=0.0,
        provenance="measured",
        notes=(
            f"median of {runs} runs on {name}, torch {torch.__version__}, {threads} threads, 32-bit floats",
            "power of the device not measured",
            f"interquartile range {100 * spread:.0f} % of the median for the largest remainder",
        ),
    )


def _timed(module: nn.Module, inputs: tuple[torch.Tensor, ...], runs: int, threads: int) -> benchmark.Measurement:
    """The durations of single runs in seconds; each is timed on its own, between two synchronisations."""
    from torch.utils import benchmark

    durations: list[float] = []
    benchmark.Timer(
        "start = timer(); module(*inputs); durations.append(timer() - start)",
        globals={"timer": benchmark.timer, "module": module, "inputs": inputs, "durations": durations},
        num_threads=threads,
    ).timeit(runs)  # warms up with a hundredth of the runs, at least 2, whose durations come first
    spec = benchmark.TaskSpec("module(*inputs)", "pass", num_threads=threads)
    return benchmark.Measurement(1, durations[-runs:], spec)


def _check_device(device: str) -> None:
    if device not in DEVICES:
        raise UserError(f"edge networks are measured on {' or '.join(DEVICES)}, not {device!r}")
    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UserError("no CUDA device to measure on; use measured:cpu, or a roofline such as roofline:jetson-tx2")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return (models and models[0]) or platform.processor() or platform.machine()
