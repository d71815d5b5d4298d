"""Search on real spaces: the exact front's time, and what each heuristic reaches of it.

    python experiments/benchmarks/search.py                 SqueezeNet V1.1, 5 seeds, 2,000 evaluations
    python experiments/benchmarks/search.py --network googlenet --seeds 1 --budget 500 --algorithm nsga2
"""

from __future__ import annotations

import runpy
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from moocore import is_nondominated
from numpy import concatenate
from rich.console import Console
from rich.table import Table

from dse.front import hypervolume, reference_point
from dse.run import run_study
from dse.store import read_store
from evaluators.memo import Memo, default_cache_path


def main(
    network: Annotated[str, typer.Option(help="squeezenet, googlenet or fcn_resnet50.")] = "squeezenet",
    budget: Annotated[int, typer.Option(help="Evaluations of a heuristic.")] = 2000,
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 5,
    algorithm: Annotated[list[str] | None, typer.Option(help="Heuristics to run (repeat).")] = None,
    workers: Annotated[int, typer.Option(help="Processes that map layers.")] = 2,
) -> None:
    """Hypervolume share of each heuristic's front in the exact one's, under one reference point."""
    console = Console()
    script = Path(__file__).parents[1] / f"{network}.py"
    spec = runpy.run_path(str(script), run_name="benchmark")["study"]()
    with TemporaryDirectory() as folder:
        for state in ("memo as it is", "warm memo"):
            memo = Memo(default_cache_path())
            before = time.perf_counter()
            exact = run_study(
                replace(spec, algorithm="exact"), Path(folder) / f"exact {state}", workers=workers, memo=memo
            )
            seconds = time.perf_counter() - before
            console.print(
                f"exact, {state} ({memo.misses:,} misses): {spec.space.size:,} designs in {seconds:.2f} s, "
                f"{spec.space.size / seconds:,.0f} designs/s, front of {exact.front.size} points"
            )
        reference = reference_point([exact.front])
        best = hypervolume(exact.front, reference)
        point = ", ".join(f"{n} {v:.4g}" for n, v in zip(exact.front.objectives, reference, strict=True))
        console.print(f"reference point: {point} (the exact front's worst plus 10 % of its range)")
        table = Table(
            "algorithm",
            "share of the exact hypervolume, per seed",
            "median",
            "worst",
            "s per run",
            "repeats",
            "beats exact",
        )
        for name in algorithm or ["nsga2", "optuna-nsga2", "random"]:
            shares, times, repeats, better = [], [], 0, 0
            for seed in range(1, seeds + 1):
                out = Path(folder) / f"{name}-{seed}"
                before = time.perf_counter()
                memo = Memo(default_cache_path())
                found = run_study(
                    replace(spec, algorithm=name, seed=seed), out, budget=budget, workers=workers, memo=memo
                )
                times.append(time.perf_counter() - before)
                shares.append(hypervolume(found.front, reference) / best)
                store = read_store(out)
                designs = [trial.indices for trial in store.trials()]
                store.close()
                repeats += len(designs) - len(set(designs))
                both = concatenate([exact.front.distinct, found.front.distinct])
                better += int((~is_nondominated(both, keep_weakly=True)[: exact.front.size]).sum())
            table.add_row(
                name, " ".join(f"{s:.1%}" for s in shares), f"{median(shares):.1%}", f"{min(shares):.1%}",
                f"{median(times):.1f}", str(repeats), str(better),
            )  # fmt: skip
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
