"""The exact front of a space of a million designs: seconds with a warm memo, memory, and its certificate.

    python experiments/benchmarks/exact.py                       1,044,480 designs of SqueezeNet V1.1
    python experiments/benchmarks/exact.py --mapping pareto      the same with all mappings of all layers

The first run maps 1,024 architectures (minutes, kept in the memo); what is measured is a fresh process after that.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from dse import DEFAULT_CONSTRAINTS, Constraint, StudySpec
from dse.cli import run_script
from evaluators.sensor import SensorSettings
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space

HEAVY = ("torch", "numba", "optuna", "pymoo", "matplotlib", "pandas")
"""Modules that take seconds or many megabytes to import."""


def study(mapping: str) -> StudySpec:
    """1,024 architectures × 17 cuts × 20 clocks × 3 links."""
    network = networks.load("squeezenet1_1", input_shape=(1, 3, 227, 227))
    return StudySpec(
        network=network,
        space=sensor_edge_space(
            network,
            pe_cols=(2, 4, 6, 8, 10, 12, 14, 16),
            pe_rows=(4, 8, 12, 16),
            glb_kib=(64, 128, 256, 512),
            clock_mhz=tuple(range(25, 501, 25)),
        ),
        settings=SystemSettings(sensor=SensorSettings(mapping=cast("Any", mapping))),
        constraints=(*DEFAULT_CONSTRAINTS, Constraint("area_mm2", 4.0)),
    )


def measure(mapping: str, workers: int) -> dict[str, Any]:
    """One run in this process: seconds of the search and of the whole process' memory, and what was found."""
    from dse.certificate import certificate_of
    from dse.run import run_study
    from evaluators.memo import Memo, default_cache_path

    spec = study(mapping)
    with TemporaryDirectory() as folder:
        before, processor = time.perf_counter(), time.process_time()
        memo = Memo(default_cache_path())
        result = run_study(spec, Path(folder) / "exact", workers=workers, memo=memo)
        seconds, processor = time.perf_counter() - before, time.process_time() - processor
    certificate = certificate_of(result)
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "memo_misses": memo.misses,
        "imported": [name for name in HEAVY if name in sys.modules],
        "certificate": str(certificate),
        "sha256": result.front.sha256(),
        "front_points": result.front.size,
        "designs": result.counts.designs,
    }


def main(
    mapping: Annotated[str, typer.Option(help="edp, delay, energy or pareto.")] = "edp",
    repeat: Annotated[int, typer.Option(min=1, help="Runs, each in a fresh process; their median is shown.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Processes that map what the memo lacks.")] = 2,
    here: Annotated[bool, typer.Option(help="Measure one run in this process and print it as JSON.")] = False,
) -> None:
    """The exact front of a million designs: seconds, memory, certificate."""
    if here:
        typer.echo(json.dumps(measure(mapping, workers)))
        return
    SensorSettings(mapping=cast("Any", mapping))  # refuses what is none before any process is started
    console = Console(highlight=False, soft_wrap=True)
    command = [sys.executable, __file__, "--here", "--mapping", mapping, "--workers", str(workers)]
    runs: list[dict[str, Any]] = []
    while len(runs) < repeat:
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        if found["memo_misses"]:
            console.print(f"the memo lacked {found['memo_misses']:,} layers: {found['seconds']:.0f} s in all")
        else:
            runs.append(found)
    seconds, peak = median(run["seconds"] for run in runs), max(run["peak_rss_bytes"] for run in runs)
    first, processor = runs[0], median(run["processor_seconds"] for run in runs)
    equal = len({run["sha256"] for run in runs}) == 1
    console.print(f"mapping {mapping}, warm memo, {repeat} fresh processes:")
    console.print(
        f"  {first['designs']:,} designs in {seconds:.2f} s (median; {processor:.2f} s of one processor), "
        f"{first['designs'] / seconds:,.0f} designs/s"
    )
    imported = ", ".join(first["imported"]) or "none"
    console.print(f"  peak memory of the process {peak / 1e6:.0f} MB; imported of {', '.join(HEAVY)}: {imported}")
    console.print(f"  front of {first['front_points']:,} points, {'the same' if equal else 'NOT THE SAME'} in all runs")
    console.print(f"  {first['certificate']}")


if __name__ == "__main__":
    run_script(main, __file__)
