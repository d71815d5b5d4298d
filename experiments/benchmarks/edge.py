"""Measuring the edge node: "segments" (one pass times all cuts) against "suffix" (each remainder, as the paper).

    python experiments/benchmarks/edge.py                          the paper's three CNNs, 50 runs, CPU, and CUDA if any
    python experiments/benchmarks/edge.py --network squeezenet1_1 --runs 20 --threads 1 --repeat 3 --json
    python experiments/benchmarks/edge.py --network net.onnx --mode tensor                 by onnxruntime

Printed for every network: seconds of both methods, their ratio beside half the number of cuts, and how far apart both
are at each cut. Methods take turns (--repeat times each, the median of all is compared), so that a machine that slows
down slows both. Meant for an idle machine; the load average is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from statistics import median
from typing import get_args

from dse.cli import run_application
from evaluators.edge import measured
from search_spaces import networks
from search_spaces.types import CutMode, Network

NETWORKS = ("fcn_resnet50", "googlenet", "squeezenet1_1")
METHODS = ("suffix", "segments")
SHORT = 0.01
"""Remainders under this share of the whole network are counted apart: microseconds, mostly the call itself."""


@dataclass(frozen=True)
class Row:
    """One network on one device: seconds that measuring took, and the latencies of its cuts by both methods."""

    network: str
    device: str
    cuts: tuple[str, ...]
    seconds: dict[str, float]
    latency_s: dict[str, tuple[float, ...]]
    spread: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.seconds["suffix"] / self.seconds["segments"]

    @property
    def differences(self) -> list[tuple[str, float, bool]]:
        """(cut, segments / suffix - 1, whether the remainder is a short one) of every cut that leaves something."""
        both = zip(self.cuts, self.latency_s["suffix"], self.latency_s["segments"], strict=True)
        whole = max(self.latency_s["suffix"])
        return [(cut, b / a - 1, a < SHORT * whole) for cut, a, b in both if a > 0]


def measure(network: Network, device: str, runs: int, threads: int | None, repeat: int) -> Row:
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    latencies: dict[str, list[list[float]]] = {method: [] for method in METHODS}
    spreads: dict[str, list[float]] = {method: [] for method in METHODS}
    name = ""
    measured.measure(network, device=device, runs=2, threads=threads)  # imports, code generation, first allocations
    for _ in range(repeat):
        for method in METHODS:
            start = time.perf_counter()
            found = measured.measure(network, device=device, method=method, runs=runs, threads=threads)
            seconds[method].append(time.perf_counter() - start)
            latencies[method].append([cut["latency_s"] for cut in found["cuts"]])
            spreads[method].append(found["cuts"][0]["iqr_s"] / found["cuts"][0]["latency_s"])
            name = f"{found['device']}, {found['environment']['threads']} threads"
    return Row(
        network=network.name,
        device=name,
        cuts=tuple(cut.name for cut in network.cuts),
        seconds={method: median(found) for method, found in seconds.items()},
        latency_s={
            method: tuple(median(at_cut) for at_cut in zip(*found, strict=True)) for method, found in latencies.items()
        },
        spread={method: median(found) for method, found in spreads.items()},
    )


def report(row: Row, runs: int) -> None:
    aim = len(row.cuts) / 2
    print(f"\n{row.network} on {row.device}, {runs} runs, {len(row.cuts)} cuts")
    print(
        f"  suffix {row.seconds['suffix']:.2f} s, segments {row.seconds['segments']:.2f} s: ratio {row.ratio:.1f} "
        f"(aim: at least half the cuts, {aim:.1f}: {'met' if row.ratio >= aim else 'missed'})"
    )
    all_rest = sum(row.latency_s["suffix"]) / max(row.latency_s["suffix"])
    print(f"  all remainders together are {all_rest:.1f} whole networks: more than that no single pass can save")
    print(f"  interquartile range of the whole network: {', '.join(f'{m} {row.spread[m]:.1%}' for m in METHODS)}")
    print(f"  {'cut':32} {'suffix ms':>10} {'segments ms':>12} {'difference':>11}")
    both = {cut: (a, b) for cut, a, b in zip(row.cuts, *(row.latency_s[m] for m in METHODS), strict=True)}
    for cut, difference, short in row.differences:
        a, b = both[cut]
        print(f"  {cut:32} {a * 1e3:10.3f} {b * 1e3:12.3f} {difference:+11.1%}{'  (short)' if short else ''}")
    sizes = sorted(abs(difference) for _, difference, short in row.differences if not short)
    short = [abs(difference) for _, difference, is_short in row.differences if is_short]
    held = "met" if median(sizes) < 0.05 and sizes[-1] < 0.15 else "missed"
    print(f"  difference: median {median(sizes):.1%}, worst {sizes[-1]:.1%} (aim: under 5 % and 15 %: {held})")
    if short:
        print(f"  and of the {len(short)} remainders under {SHORT:.0%} of the network: worst {max(short):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help="a network (repeat); default: the paper's three")
    parser.add_argument("--mode", choices=get_args(CutMode), default="block", help="cut mode; of an ONNX file: tensor")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--repeat", type=int, default=1, help="how often each method takes its turn")
    parser.add_argument("--threads", type=int, help="default: torch's choice, or a core each")
    parser.add_argument("--device", action="append", choices=measured.DEVICES, help="default: cpu, and cuda if there")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    import torch

    cuda = torch.cuda.is_available()
    devices = given.device or (["cpu", "cuda"] if cuda else ["cpu"])
    rows = []
    if not given.json:
        print(f"torch {torch.__version__}, {os.cpu_count()} CPUs, load average {os.getloadavg()[0]:.1f}")
    for device in devices:
        for name in given.network or NETWORKS:
            row = measure(networks.load(name, None, given.mode), device, given.runs, given.threads, given.repeat)
            rows.append(row)
            if not given.json:
                report(row, given.runs)
    if given.json:
        print(json.dumps([{**vars(row), "ratio": row.ratio, "differences": row.differences} for row in rows], indent=1))
    elif not cuda:
        print("\nno CUDA device here: its path was not measured")


if __name__ == "__main__":
    sys.exit(run_application(lambda **_: main(), (), __file__))  # argparse reads the arguments
