"""Timeloop beside our mapper on SqueezeNet V1.1 at 224: equal counts, time per layer, energy × delay.

    python experiments/benchmarks/timeloop.py                      needs timeloop-mapper and timeloop-model on the PATH
    python experiments/benchmarks/timeloop.py simba_like --threads 2

One core each: layers are searched one after the other, the tool with one thread, ours after its kernel is compiled.
Energies are our table's at 5 ns with LPDDR4, given to both. The tool stops after 100 suboptimal mappings in a row, as
in CNNParted.
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median

from dse.cli import run_application
from evaluators.mapper.counts import count
from evaluators.mapper.layer import map_layer
from evaluators.mapper.result import best_mappings
from evaluators.memo import Memo
from evaluators.timeloop import MAPPER, MODEL, Searched, SearchSettings, Timeloop
from search_spaces import accelerators, networks
from search_spaces.accelerators import Architecture
from search_spaces.types import ConvShape

METRICS = ("edp", "delay", "energy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("accelerators", nargs="*", default=["eyeriss_like", "simba_like"])
    parser.add_argument("--threads", type=int, default=1, help="threads of the tool's search")
    options = parser.parse_args()
    network = networks.load("squeezenet1_1", input_shape=(1, 3, 224, 224))
    shapes: dict[ConvShape, str] = {}
    for layer in network.layers:
        if layer.shape is not None:
            shapes.setdefault(layer.shape.one_group, layer.name)
    tool = Timeloop(Memo())
    print(f"{tool.says(MODEL)}, {tool.says(MAPPER)}, {options.threads} thread(s); {len(shapes)} layer shapes")
    for name in options.accelerators:
        architecture = accelerators.build(name)
        counts(tool, architecture, shapes)
        search(tool, architecture, shapes, SearchSettings(threads=options.threads))


def counts(tool: Timeloop, architecture: Architecture, shapes: dict[ConvShape, str]) -> None:
    """timeloop-model on our optimal mappings for every metric."""
    memo = Memo()
    equal = total = rounded = 0
    seconds = time.perf_counter()
    for shape, layer in shapes.items():
        for mapping in {best_mappings(shape, architecture, memo, metric=metric)[0].mapping for metric in METRICS}:
            (theirs,) = tool.model([(shape, architecture, mapping)])
            total += 1
            if isinstance(theirs, Exception):
                print(f"  {layer}: {theirs}")
                continue
            ours = count(architecture, shape, mapping)
            same = (ours.macs, ours.compute_cycles) == (theirs.macs, theirs.compute_cycles)
            same &= abs(ours.cycles - theirs.cycles) <= 1
            rounded += same and ours.cycles != theirs.cycles
            for mine, level in zip(ours.levels, theirs.levels, strict=True):
                for what in ("reads", "fills", "updates"):
                    words = tuple(getattr(mine.tensors[t], what) if t in mine.tensors else 0 for t in "WIO")
                    same &= getattr(level, what) == words
            equal += same
    seconds = time.perf_counter() - seconds
    print(
        f"{architecture.name}: timeloop-model counts {equal} of {total} of our mappings as we do "
        f"({rounded} of them one cycle off by its rounding), {seconds / total:.2f} s each"
    )


def search(tool: Timeloop, architecture: Architecture, shapes: dict[ConvShape, str], settings: SearchSettings) -> None:
    """timeloop-mapper and our mapper, both timed layer by layer, and what each found."""
    map_layer(next(iter(shapes)), architecture)  # compiles the kernel
    tool_s, our_s, ratios = [], [], []
    for shape, layer in shapes.items():
        start = time.perf_counter()
        (theirs,) = tool.search([(shape, architecture)], settings)
        tool_s.append(time.perf_counter() - start)
        start = time.perf_counter()
        map_layer(shape, architecture)
        our_s.append(time.perf_counter() - start)
        (ours,) = best_mappings(shape, architecture, Memo())
        if not isinstance(theirs, Searched):
            print(f"  {layer}: {theirs}")
            continue
        ratios.append(theirs.output.cycles * theirs.output.energy_pj / (ours.cycles * ours.energy_j * 1e12))
        print(
            f"  {layer:22} tool {tool_s[-1]:6.2f} s, ours {our_s[-1] * 1e3:7.2f} ms; "
            f"energy × delay of the tool {ratios[-1]:6.3f} times ours"
        )
    print(
        f"{architecture.name}: time per layer: tool {median(tool_s):.2f} s at the median ({sum(tool_s):.1f} s in all), "
        f"ours {median(our_s) * 1e3:.2f} ms ({sum(our_s) * 1e3:.1f} ms in all), {sum(tool_s) / sum(our_s):,.0f} times\n"
        f"{architecture.name}: energy × delay of its mapper over our optimum: {median(ratios):.3f} at the median, "
        f"{max(ratios):.2f} at worst, {min(ratios):.6f} at best"
    )


if __name__ == "__main__":
    sys.exit(run_application(lambda **_: main(), (), __file__))  # argparse reads the arguments
