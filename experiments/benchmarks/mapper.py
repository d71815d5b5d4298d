"""How long the proven optimum takes, beside recorded Timeloop runs: one core, after warm-up, everything in one run.

python experiments/benchmarks/mapper.py [--repeats 5] [--networks squeezenet1_1 resnet50] [--accelerators NAME ...]
    [--imperfect] [--memory] [--batch 500 --workers 2]

Prints per template: distinct convolutions, milliseconds for all of them together (CPU time of the one process, least of
the repeats; on an idle core that is the wall time), the mappings that stands for (factorizations × loop orders, and
those that fit), mappings counted exactly, mappings per second, and, where runs of Timeloop's mapper are recorded, its
wall time over ours and its energy × delay over the optimum. Then what bounds the time: shares of laying out tables, of
enumeration (testing what fits and bounding rows, measured by a search that has nothing left to find), and of what is
left, bounding tilings and counting exactly; and how many bytes one search goes through, which says whether memory
could be the limit.

--imperfect compares energy × delay of SqueezeNet V1.1 with perfect and with imperfect factors at 224 and 227 (feature
maps of 111 or 113, 55, 27 and 13); --memory maps every layer of six networks on every template and prints the most
memory and time that any layer takes.
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

from dse.cli import run_application

ROOT = Path(__file__).parents[2]
RECORDED = (ROOT.parent / "shared" / "reference" / "timeloop", ROOT / "tests" / "data" / "timeloop")
RUNS = {
    "squeezenet1_1": ("mapper_runs_squeezenet1_1_224.csv", "mapper_runs_squeezenet1_1_224_sos_gemmini.csv"),
    "resnet50": ("mapper_runs_resnet50_224_eyeriss.csv", "mapper_runs_resnet50_224_simba.csv"),
}
INPUT = (1, 3, 224, 224)
MANY = ("mobilenet_v2", "efficientnet_b0", "resnet18", "resnet50", "vgg16", "fcn_resnet50")
DRAM_ACCESS_PJ = 512.0
"""64 bits of LPDDR4 at 8 pJ per bit, as the recorded runs charge."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=["squeezenet1_1", "resnet50"])
    parser.add_argument("--accelerators", nargs="+", default=None)
    parser.add_argument("--imperfect", action="store_true", help="also compare perfect with imperfect factors")
    parser.add_argument("--memory", action="store_true", help="also the most memory of any layer of six networks")
    parser.add_argument("--batch", type=int, default=0, help="also map SqueezeNet V1.1 on this many architectures")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    from search_spaces import accelerators

    templates = options.accelerators or accelerators.names()
    size = "x".join(map(str, INPUT))
    print(f"Python {sys.version.split()[0]}, one process; networks at {size}; energy table timeloop-be27768")
    for network in options.networks:
        for name in templates:
            measure(network, name, distinct_convolutions(network, INPUT), options.repeats)
    if options.imperfect:
        for name in templates:
            for pixels in (224, 227):
                compare_factors(name, pixels)
    if options.memory:
        memory(templates)
    if options.batch:
        batch(options.batch, options.workers)


def distinct_convolutions(network: str, shape: tuple[int, ...]) -> list:
    from search_spaces import networks

    traced = networks.load(network, shape)
    convolutions = [la.shape for la in traced.layers if la.operator.startswith("conv") and la.shape is not None]
    return sorted({shape.one_group for shape in convolutions}, key=repr)


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


def search_all(laid_out: list, closed: bool = False) -> int:
    """Search mapspaces that lie ready; with `closed` an entry beats whatever could be found. Returns exact counts."""
    from evaluators.mapper.kernel import AT_ONCE, search

    counted = 0
    for per_layer in laid_out:
        archive, keys, points = np.empty((64, 3)), np.empty((64, 10), dtype=np.int64), 0
        if closed:
            archive[0], keys[0], points = 0.0, 0, 1
        for tag, (laid, rows) in enumerate(per_layer):
            if laid.rows.all():
                _, exactly, archive, keys, points = search(laid, rows, archive, keys, points, tag, AT_ONCE)
                counted += exactly
    return counted


def least_s(repeats: int, work, *arguments) -> float:
    """Least CPU time of some repeats, in seconds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        work(*arguments)
        best = min(best, time.process_time() - start)
    return best


def measure(network: str, name: str, shapes: list, repeats: int) -> None:
    from evaluators.mapper.energy import price
    from evaluators.mapper.layer import map_layer
    from evaluators.mapper.mapspace import mapspace
    from evaluators.mapper.tables import rows_of_m, tables
    from search_spaces import accelerators

    architecture = accelerators.build(name)
    priced = price(architecture, "timeloop-be27768")
    found = {shape: map_layer(shape, architecture, "timeloop-be27768") for shape in shapes}  # compiles, too

    def lay_out() -> list:
        result = []
        for shape in shapes:
            laid = [tables(kept, shape, priced) for kept in mapspace(architecture, shape).variants]
            result.append([(one, rows_of_m(one)) for one in laid])
        return result

    def whole() -> None:
        for shape in shapes:
            map_layer(shape, architecture, "timeloop-be27768")

    whole_s = least_s(repeats, whole)
    laying_s = least_s(repeats, lay_out)
    laid_out = lay_out()
    counted = search_all(laid_out)
    searching_s = least_s(repeats, search_all, laid_out)
    listing_s = min(least_s(repeats, search_all, laid_out, True), searching_s)
    size = sum(f.mapspace_size for f in found.values())
    valid = sum(f.mapspace_valid for f in found.values())
    print(
        f"{network} on {name}: {len(shapes)} distinct convolutions in {whole_s * 1e3:.1f} ms "
        f"({whole_s / len(shapes) * 1e3:.2f} ms each); {size:,} mappings, {valid:,} fit, {counted:,} counted exactly; "
        f"{size / whole_s / 1e6:,.0f} million mappings/s, {valid / whole_s / 1e6:,.1f} million fitting ones/s"
    )
    shares = {
        "laying out tables": laying_s,
        "enumeration (what fits, and bounds of rows)": listing_s,
        "bounds of tilings and exact counts": searching_s - listing_s,
        "writing down mappings": max(whole_s - laying_s - searching_s, 0.0),
    }
    total_s = sum(shares.values())
    most = max(shares, key=lambda share: shares[share])
    words = max(
        sum(part.nbytes for part in (*laid, *rows) if isinstance(part, np.ndarray))
        for p in laid_out
        for laid, rows in p
    )
    print(
        f"    bounded by {most}: "
        + ", ".join(f"{share} {seconds / total_s:.0%}" for share, seconds in shares.items())
        + f"; not by memory: one search goes through at most {words / 1024:,.0f} KiB{_cache()}"
    )
    wall_s, ratios = recorded(network, name, found, priced.mac.read_pj)
    if ratios:
        print(
            f"    recorded Timeloop mapper (2 threads, stops after 100 misses): {wall_s:.1f} s, "
            f"{wall_s / whole_s:,.0f} times as long; its energy × delay over the optimum: "
            f"median {np.median(ratios):.3f}, worst {max(ratios):.2f}"
        )


def _cache() -> str:
    """Size of the first core's second-level cache, where the system tells."""
    size = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    return f", the second-level cache has {size.read_text().strip()}" if size.is_file() else ""


def compare_factors(name: str, pixels: int) -> None:
    """Energy × delay of SqueezeNet V1.1's convolutions, each with its best mapping, by both kinds of factors."""
    from evaluators.mapper.energy import price
    from evaluators.mapper.layer import map_layer
    from search_spaces import accelerators

    architecture = accelerators.build(name)
    mac_pj = price(architecture).mac.read_pj
    shapes = distinct_convolutions("squeezenet1_1", (1, 3, pixels, pixels))
    map_layer(shapes[0], architecture, factors="imperfect")  # compiles
    best, seconds = {}, {}
    for factors in ("perfect", "imperfect"):
        start = time.process_time()
        found = [map_layer(shape, architecture, factors=factors) for shape in shapes]
        seconds[factors] = time.process_time() - start
        best[factors] = np.array(
            [
                min(
                    (
                        (c.cycles, c.on_chip_pj + c.dram_accesses * DRAM_ACCESS_PJ + f.macs * mac_pj)
                        for c in f.candidates
                    ),
                    key=np.prod,
                )
                for f in found
            ]
        )
    gains = best["perfect"].prod(axis=1) / best["imperfect"].prod(axis=1)
    cycles, energy = best["perfect"].sum(axis=0) / best["imperfect"].sum(axis=0)
    print(
        f"squeezenet1_1 at {pixels} on {name}, perfect over imperfect factors: energy × delay of a convolution median "
        f"{np.median(gains):.3f}, most {gains.max():.2f}, least {gains.min():.3f}; all {len(shapes)} distinct ones: "
        f"cycles {cycles:.3f}, energy {energy:.3f}; {seconds['perfect'] * 1e3:.0f} ms and "
        f"{seconds['imperfect'] * 1e3:.0f} ms"
    )


def memory(templates: list[str]) -> None:
    """The most memory beyond what the process had before, and the most time, that any layer of six networks takes."""
    from evaluators.mapper.layer import map_layer
    from search_spaces import accelerators, networks
    from search_spaces.errors import IllegalDesign

    shapes = {}
    for network in MANY:
        for layer in networks.load(network).layers:
            if layer.shape is not None:
                shapes.setdefault(layer.shape.one_group, f"{network} {layer.name}")
    for name in templates:
        architecture = accelerators.build(name)
        for factors in ("perfect", "imperfect"):
            map_layer(next(iter(shapes)), architecture, factors=factors)  # compiles
            mib, seconds, unmapped = [], [], 0
            for shape in shapes:
                before = _resident_mib(reset_peak=True)
                start = time.process_time()
                try:
                    map_layer(shape, architecture, factors=factors)
                except IllegalDesign:
                    unmapped += 1
                seconds.append(time.process_time() - start)
                mib.append(_resident_mib(peak=True) - before)
            labels = list(shapes.values())
            print(
                f"{name}, {factors} factors: {len(shapes)} distinct layers of {', '.join(MANY)} in "
                f"{sum(seconds):.1f} s ({unmapped} do not map); most memory of one {max(mib):.0f} MiB "
                f"({labels[int(np.argmax(mib))]}), "
                f"most time {max(seconds):.2f} s ({labels[int(np.argmax(seconds))]})"
            )


def _resident_mib(peak: bool = False, reset_peak: bool = False) -> float:
    """Memory of this process, or the most it had since it was last reset (Linux)."""
    if reset_peak:
        Path("/proc/self/clear_refs").write_text("5")
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


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
                    c.cycles * (c.on_chip_pj + c.dram_accesses * DRAM_ACCESS_PJ + found[shape].macs * mac_pj)
                    for c in found[shape].candidates
                )
                ratios.append(int(row["cycles"]) * float(row["energy_pJ"]) / optimum)
    return wall_s, ratios


if __name__ == "__main__":
    sys.exit(run_application(lambda **_: main(), (), __file__))  # argparse reads the arguments
