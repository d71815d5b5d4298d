"""How long the proven optimum takes, beside recorded Timeloop runs: one core, after warm-up, everything in one run.

python experiments/benchmarks/mapper.py [--repeats 5] [--networks squeezenet1_1 resnet50] [--batch 500 --workers 2]

Prints per template: distinct convolutions, milliseconds for all of them together (least of the repeats), the
mappings that stands for (factorizations × loop orders, and those that fit), mappings counted exactly, mappings per
second, seconds per distinct layer, and, where runs of Timeloop's mapper are recorded, its wall time over ours and its
energy × delay over the optimum. What bounds the time is the enumeration: laying out the tables and testing what fits
takes most of it, exact counting almost none, because bounds close nearly every mapping first.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
RECORDED = (ROOT.parent / "shared" / "reference" / "timeloop", ROOT / "tests" / "data" / "timeloop")
RUNS = {
    "squeezenet1_1": ("mapper_runs_squeezenet1_1_224.csv", "mapper_runs_squeezenet1_1_224_sos_gemmini.csv"),
    "resnet50": ("mapper_runs_resnet50_224_eyeriss.csv", "mapper_runs_resnet50_224_simba.csv"),
}
INPUT = (1, 3, 224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=["squeezenet1_1", "resnet50"])
    parser.add_argument("--accelerators", nargs="+", default=None)
    parser.add_argument("--batch", type=int, default=0, help="also map SqueezeNet V1.1 on this many architectures")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    from search_spaces import accelerators, networks

    size = "x".join(map(str, INPUT))
    print(f"Python {sys.version.split()[0]}, one process; networks at {size}; energy table timeloop-be27768")
    for network in options.networks:
        traced = networks.load(network, INPUT)
        convolutions = [la.shape for la in traced.layers if la.operator.startswith("conv") and la.shape is not None]
        shapes = sorted({shape.one_group for shape in convolutions}, key=repr)
        for name in options.accelerators or accelerators.names():
            measure(network, name, shapes, options.repeats)
    if options.batch:
        batch(options.batch, options.workers)


def batch(count: int, workers: int) -> None:
    """SqueezeNet V1.1 on many different architectures of both kinds, with an empty memo and again with a full one."""
    from evaluators.memo import Memo
    from evaluators.sensor import SensorModel, SensorSettings
    from search_spaces import accelerators, networks

    choices = itertools.product((2, 3, 4, 6, 8, 10, 12, 14, 16), (4, 6, 8, 12), (32, 64, 128, 256), (0.25, 0.5, 1.0))
    sizes = [dict(zip(("pe_cols", "pe_rows", "glb_kib", "weight_buffer_scale"), c, strict=True)) for c in choices]
    chips = [
        accelerators.build(name, parameters)
        for parameters in sizes[:: max(len(sizes) * 2 // count, 1)]
        for name in ("eyeriss_like", "simba_like")
    ][:count]
    traced = networks.load("squeezenet1_1", (1, 3, 227, 227))
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for _ in range(2):
            with Memo(Path(folder) / "memo.db") as memo:
                start = time.perf_counter()
                SensorModel(SensorSettings(), memo).prepare(traced, chips, workers=workers)
                seconds.append(time.perf_counter() - start)
    print(
        f"squeezenet1_1 at 227 on {len(set(chips))} architectures, {workers} workers: "
        f"{seconds[0]:.1f} s with an empty memo, {seconds[1]:.2f} s with a full one"
    )


def measure(network: str, name: str, shapes: list, repeats: int) -> None:
    from evaluators.mapper.energy import price
    from evaluators.mapper.kernel import search
    from evaluators.mapper.layer import map_layer
    from evaluators.mapper.mapspace import mapspace
    from evaluators.mapper.tables import rows_of_m, tables
    from search_spaces import accelerators

    architecture = accelerators.build(name)
    priced = price(architecture, "timeloop-be27768")
    found = {shape: map_layer(shape, architecture, "timeloop-be27768") for shape in shapes}  # compiles, too
    best_s = laying_s = float("inf")
    counted = 0
    for _ in range(repeats):
        laying, counted, start = 0.0, 0, time.perf_counter()
        for shape in shapes:
            archive, keys, points = np.empty((64, 3)), np.empty((64, 9), dtype=np.int64), 0
            for kept in mapspace(architecture, shape).variants:
                began = time.perf_counter()
                laid = tables(kept, shape, priced)
                rows = rows_of_m(laid)
                laying += time.perf_counter() - began
                _, exactly, archive, keys, points = search(laid, rows, archive, keys, points, 0)
                counted += exactly
        elapsed = time.perf_counter() - start
        if elapsed < best_s:
            best_s, laying_s = elapsed, laying
    size = sum(f.mapspace_size for f in found.values())
    valid = sum(f.mapspace_valid for f in found.values())
    print(
        f"{network} on {name}: {len(shapes)} distinct convolutions in {best_s * 1e3:.1f} ms "
        f"({best_s / len(shapes):.5f} s each; {laying_s * 1e3:.1f} ms of it laying out tables); "
        f"{size:,} mappings, {valid:,} fit, {counted:,} counted exactly; {size / best_s / 1e6:,.0f} million mappings/s"
    )
    wall_s, ratios = recorded(network, name, found, priced.mac.read_pj)
    if ratios:
        print(
            f"    recorded Timeloop mapper (2 threads, stops after 100 misses): {wall_s:.1f} s, "
            f"{wall_s / best_s:,.0f} times as long; its energy × delay over the optimum: "
            f"median {np.median(ratios):.3f}, worst {max(ratios):.2f}"
        )


def recorded(network: str, name: str, found: dict, mac_pj: float) -> tuple[float, list[float]]:
    """Wall seconds of the recorded runs over the distinct shapes, and energy × delay over the optimum of each."""
    from search_spaces.types import ConvShape

    wall_s, ratios, seen = 0.0, [], set()
    for file in RUNS.get(network, ()):
        path = next((folder / file for folder in RECORDED if (folder / file).is_file()), None)
        if path is None:
            continue
        with path.open(newline="") as lines:
            for row in csv.DictReader(lines):
                shape = ConvShape(
                    **{dim: int(row[dim]) for dim in "NCMPQRS"},
                    stride_w=int(row["Wstride"]), stride_h=int(row["Hstride"]),
                    dilation_w=int(row["Wdilation"]), dilation_h=int(row["Hdilation"]),
                )  # fmt: skip
                if row["acc"] != name or row["found"] != "1" or shape not in found or shape in seen:
                    continue
                seen.add(shape)
                wall_s += 0.0 if row["wall_s"] == "dup" else float(row["wall_s"])
                optimum = min(
                    c.cycles * (c.on_chip_pj + c.dram_accesses * 512.0 + found[shape].macs * mac_pj)
                    for c in found[shape].candidates
                )
                ratios.append(int(row["cycles"]) * float(row["energy_pJ"]) / optimum)
    return wall_s, ratios


if __name__ == "__main__":
    main()
