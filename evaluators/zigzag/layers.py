"""Layers mapped by ZigZag for the sensor model: one mapping each, in a process of its own, remembered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import yaml

from evaluators.components import dram_access_pj
from evaluators.mapper.energy import EnergyTable, price
from evaluators.mapper.layer import Candidate, LayerMappings
from evaluators.mapper.mapping import bounds, padded
from evaluators.memo import Memo, digest
from evaluators.timeloop.failures import failure
from evaluators.timeloop.process import Job, Run, run_all
from evaluators.timeloop.render import SearchMetric
from evaluators.zigzag.render import hardware, spatial_hints, workload
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape

__all__ = ["LIMIT_S", "VERSION", "ZigzagLayers"]

VERSION = 2
"""Bumped by hand whenever the same run would be read differently; part of every memo key."""

LIMIT_S = 1800.0
LPF_LIMIT = 6
"""How many loop prime factors its search permutes: the package's own default."""

_KIND = "zigzag"
_DRAM = "lpddr4"
_OPT = {"edp": "EDP", "delay": "latency", "energy": "energy"}
_MISSING = "zigzag is not installed; pip install 'paretocut[zigzag]'"


class ZigzagLayers:
    """Maps layers with the package `zigzag-dse`. Raises UserError where it is not installed.

    The search charges DRAM as LPDDR4; clock, supply and another DRAM are applied to the mapping found.
    """

    def __init__(
        self, memo: Memo, metric: SearchMetric, table: EnergyTable = "default", *, limit_s: float = LIMIT_S
    ) -> None:
        if find_spec("zigzag") is None:
            raise UserError(_MISSING)
        try:
            self._release = version("zigzag-dse")
        except PackageNotFoundError:
            raise UserError(_MISSING) from None
        self._memo = memo
        self._metric = metric
        self._table = table
        self._limit_s = limit_s

    @property
    def version(self) -> str:
        return f"zigzag-dse {self._release}, wrapper {VERSION}, {self._metric}, lpf_limit {LPF_LIMIT}"

    @property
    def simulator(self) -> str:
        return f"zigzag-dse {self._release}"

    def map_layers(
        self, pairs: Sequence[tuple[ConvShape, Architecture]]
    ) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]:
        """One mapping for one group of each layer. Raises UserError where the package fails."""
        return self._answers(pairs, 1, None)

    def prepare_layers(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Run what the memo does not know, `workers` layers at once; each takes many seconds."""
        self._answers(pairs, workers, progress)

    def _answers(
        self,
        pairs: Sequence[tuple[ConvShape, Architecture]],
        workers: int,
        progress: Callable[[int, int], None] | None,
    ) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]:
        wanted = list(dict.fromkeys((shape.one_group, architecture) for shape, architecture in pairs))
        jobs = [self._job(*pair) for pair in wanted]
        keys = [{"input": digest([job.files, job.arguments]), "by": self.version} for job in jobs]
        known = self._memo.get_many(_KIND, keys)
        missing = [i for i, answer in enumerate(known) if answer is None]
        done = len(wanted) - len(missing)
        if progress is not None:
            progress(done, len(wanted))
        todo = [jobs[i] for i in missing]

        def take(at: int, run: Run) -> None:
            nonlocal done
            i = missing[at]
            known[i] = self._read(run)
            self._memo.put(_KIND, keys[i], known[i])
            run.discard()
            done += 1
            if progress is not None:
                progress(done, len(wanted))

        run_all(Path(sys.executable), todo, take, limit_s=self._limit_s, workers=workers)
        return {
            pair: self._mappings(pair, answer) for pair, answer in zip(wanted, known, strict=True) if answer is not None
        }

    def _job(self, shape: ConvShape, architecture: Architecture) -> Job:
        layer = " ".join(f"{dim}={n}" for dim, n in bounds(shape).items())
        files = {
            "hardware.yaml": hardware(price(architecture, self._table), _DRAM),
            "mapping.yaml": spatial_hints(architecture),
            "workload.yaml": workload(shape, architecture),
        }
        return Job(
            f"{layer} on {architecture.name}",
            ("-m", "evaluators.zigzag.child", _OPT[self._metric], str(LPF_LIMIT)),
            {name: yaml.safe_dump(data, sort_keys=False) for name, data in files.items()},
        )

    def _read(self, run: Run) -> dict[str, Any]:
        """The figures of a run. Raises TimeloopError, with a trail, where it gave none; its folder is then kept."""
        because = None
        if run.status is None:
            because = f"it ran for more than {self._limit_s:g} s"
        elif run.status == 0:
            try:
                found: dict[str, Any] = json.loads((run.folder / "result.json").read_text())
                return found
            except (OSError, ValueError) as error:
                because = f"its result cannot be read ({error})"
        log = run.log
        because = because or next((line.strip() for line in reversed(log.splitlines()) if line.strip()), None)
        raise failure("zigzag", run.job.what, run.argv, run.folder, log, status=run.status, because=because)

    def _mappings(self, pair: tuple[ConvShape, Architecture], answer: dict[str, Any]) -> LayerMappings:
        """Its one mapping as our mapper would give it; how many it looked at, and its loops, stay its own."""
        shape, architecture = pair
        dram_pj = dram_access_pj(price(architecture, self._table).dram, _DRAM)
        candidate = Candidate(
            round(answer["cycles"]),
            round(answer["compute_cycles"]),
            answer["storage_pj"] - answer["dram_pj"],
            round(answer["dram_pj"] / dram_pj),
            "",
        )
        return LayerMappings(0, 0, prod(padded(shape, architecture).values()), shape.macs, (candidate,))
