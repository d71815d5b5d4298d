"""The exact front over mappings against one evaluation for every design and every combination of mappings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from moocore import is_nondominated

from dse.algorithms.exact import table
from dse.certificate import certificate_of
from dse.console import console
from dse.report import designs, write_results
from dse.report.table import front_table, summary
from dse.result import read_result
from dse.run import run_study
from dse.study import Constraint, StudySpec
from evaluators.memo import Memo
from evaluators.sensor import LayerGrid, SensorSettings
from evaluators.system import System, SystemSettings
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.space import sensor_edge_space
from search_spaces.types import Knob, Network
from tests.fakes import FakeSensor, toy_network

NETWORK = toy_network()
COSTED = [i for i, layer in enumerate(NETWORK.layers) if layer.cost != "free"]
SPACE = sensor_edge_space(
    NETWORK,
    cuts=("Identity", "conv1", "left+pool", "add"),
    pe_cols=(4, 14),
    pe_rows=(12,),
    glb_kib=(64,),
    input_buffer_scale=(1.0,),
    weight_buffer_scale=(1.0,),
    clock_mhz=(5, 20, 600),
    links=("1000base-t", "10gbase-t"),
)
PARETO = SystemSettings(sensor=SensorSettings(mapping="pareto"))
UNBOUND = (Constraint("link_utilisation", 1.0),)


def study(**changes: object) -> StudySpec:
    return replace(StudySpec(NETWORK, SPACE, PARETO, constraints=UNBOUND), **changes)  # type: ignore[arg-type]


def evaluator(settings: SystemSettings = PARETO, **sensor: object) -> System:
    model = FakeSensor(limit_hz=5e8, pareto=settings == PARETO, **sensor)  # type: ignore[arg-type]
    return System(NETWORK, settings, Memo(None), sensor_model=model)


@cache
def everything() -> list[tuple[tuple[int, ...], dict[str, float]]]:
    """Knob indices and metrics of every legal design with every combination of mappings."""
    rows = []
    before = COSTED[:-1]  # of the layers before the last cut of the space
    points = [SPACE.decode(SPACE.indices_of(position)) for position in range(SPACE.size)]
    for picks in product(range(len(FakeSensor.MAPPINGS)), repeat=len(before)):
        one = evaluator(SystemSettings(), picks=dict(zip(before, picks, strict=True)))
        for point in points:
            if point["clock_mhz"] != 600:
                rows.append((point.indices, one.metrics(point)))
    return rows


@pytest.mark.parametrize(
    "objectives",
    [("sensor_energy_j", "latency_s"), ("latency_s", "area_mm2", "sensor_energy_j"), ("sensor_energy_j", "area_mm2")],
)
@pytest.mark.parametrize(
    "constraints",
    [
        UNBOUND,
        (*UNBOUND, Constraint("throughput_fps", minimum=800), Constraint("area_mm2", 1.0)),
        (Constraint("sensor_power_w", 0.1), Constraint("sensor_latency_s", 2e-4)),
    ],
)
def test_the_front_equals_all_designs_with_all_mappings(
    objectives: tuple[str, ...], constraints: tuple[Constraint, ...], tmp_path: Path
) -> None:
    spec = study(objectives=objectives, constraints=constraints)
    result = run_study(spec, tmp_path, evaluator=evaluator())
    feasible = [row for row in everything() if all(c.violation(row[1]) <= 0 for c in constraints)]
    values = np.array([[metrics[name] for name in objectives] for _, metrics in feasible])
    best = is_nondominated(values, keep_weakly=True)
    expected = {(row[0], tuple(value)) for row, value, on in zip(feasible, values.tolist(), best, strict=True) if on}
    front = result.front
    found = list(zip(map(tuple, front.indices.tolist()), map(tuple, front.values.tolist()), strict=True))
    assert set(found) == expected
    assert len(set(found)) == len(found)
    assert len(found) > 1
    assert (result.front.column("mappings_changed") > 0).any() or "latency_s" not in objectives
    for i in range(len(front)):
        row = front.row(i)
        point, number = SPACE.decode(front.indices[i]), int(row.pop("mapping_point"))
        changed = row.pop("mappings_changed")
        assert evaluator().metrics(point, number) == row
        assert 0 <= changed <= len(COSTED)
    assert result.exact


def test_the_certificate_accounts_for_every_design(tmp_path: Path) -> None:
    spec = study(constraints=(*UNBOUND, Constraint("area_mm2", 1.0)))
    result = run_study(spec, tmp_path, evaluator=evaluator(), finish=write_results)
    proof = certificate_of(result)
    assert proof is not None and proof.complete
    assert proof.visited == proof.space_size == SPACE.size
    parts = (proof.cannot_exist, proof.excluded, proof.bounded, proof.beaten, proof.front_designs)
    assert sum(parts) == SPACE.size and min(parts) > 0
    illegal: Counter[str] = Counter()
    excluded = combinations = 0
    for position in range(SPACE.size):
        point = SPACE.decode(SPACE.indices_of(position))
        try:
            metrics = evaluator(SystemSettings()).metrics(point)
        except IllegalDesign as error:
            illegal[error.reason] += 1
            continue
        excluded += metrics["area_mm2"] > 1.0
        layers = next(cut.layers for cut in NETWORK.cuts if cut.name == point["cut"])
        combinations += 2 ** sum(i in layers for i in COSTED)  # one of three mappings is beaten
    assert proof.illegal == illegal and proof.cannot_exist == sum(illegal.values())
    assert proof.excluded == excluded
    assert proof.combinations == combinations
    assert f"{combinations:,} with each choice of mappings" in summary(result)
    again = read_result(tmp_path)
    assert certificate_of(again) == proof
    rows = designs(result)
    assert all(isinstance(row["mapping_point"], int) for row in rows)
    shown = console()
    with shown.capture() as captured:
        shown.print(front_table(result))
    assert f"{rows[0]['mapping_point']} ({rows[0]['mappings_changed']})" in captured.get()


class Choosy(FakeSensor):
    """Refuses the narrower array altogether, as a component outside the tables does."""

    def layer_grid(
        self, network: Network, architecture: Architecture, places: Sequence[tuple[float, str]]
    ) -> LayerGrid:
        if dict(architecture.parameters)["pe_cols"] == 4:
            raise IllegalDesign("not in the tables", "too narrow")
        return super().layer_grid(network, architecture, places)


def test_architectures_that_cannot_exist_are_passed_over(tmp_path: Path) -> None:
    choosy = System(NETWORK, PARETO, Memo(None), sensor_model=Choosy(limit_hz=5e8, pareto=True))
    result = run_study(study(), tmp_path / "out", evaluator=choosy)
    wide = replace(SPACE, knobs=tuple(Knob("pe_cols", (14,)) if k.name == "pe_cols" else k for k in SPACE.knobs))
    alone = run_study(study(space=wide), tmp_path / "wide", evaluator=evaluator())
    assert result.front.values.tolist() == alone.front.values.tolist()
    assert result.counts.illegal["not in the tables"] == SPACE.size // 2
    assert result.counts.combinations == alone.counts.combinations


def test_stopping_often_changes_nothing(tmp_path: Path) -> None:
    whole = run_study(study(), tmp_path / "whole", evaluator=evaluator())
    parts = tmp_path / "parts"
    runs = 1
    while not (found := run_study(study(), parts, evaluator=evaluator(), time_limit=1e-9)).exact:
        assert found.session is not None and found.session.stopped_by == "time limit"
        runs += 1
    assert runs == sum(1 for _ in SPACE.architectures())
    assert found.front.sha256() == whole.front.sha256()
    assert found.front.metrics.tolist() == whole.front.metrics.tolist()
    assert found.counts == whole.counts and found.baselines == whole.baselines


def test_baselines_are_the_best_over_all_mappings(tmp_path: Path) -> None:
    ends = Knob("cut", (NETWORK.cuts[0].name, NETWORK.cuts[-1].name))
    space = replace(SPACE, knobs=(ends, *SPACE.knobs[1:]))
    result = run_study(study(space=space), tmp_path, evaluator=evaluator())
    least = {}
    for picks in product(range(len(FakeSensor.MAPPINGS)), repeat=len(COSTED)):
        if len(set(picks)) > 1:  # sums are least where every layer is
            continue
        one = evaluator(SystemSettings(), picks=dict(zip(COSTED, picks, strict=True)))
        for position in range(space.size):
            point = space.decode(space.indices_of(position))
            if point["clock_mhz"] == 600:
                continue
            metrics = one.metrics(point)
            for objective in ("sensor_energy_j", "latency_s"):
                key = point["cut"], objective
                least[key] = min(least.get(key, np.inf), metrics[objective])
    for baseline in result.baselines:
        place = "Identity" if "edge" in baseline.label else "fc"
        for objective in ("sensor_energy_j", "latency_s"):
            if objective in baseline.label:
                assert baseline.metrics[objective] == least[place, objective]
    assert {b.label.split(",")[0] for b in result.baselines} == {"all on the edge", "all on the sensor"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "nsga2"}, "only algorithm exact compares, not nsga2"),
        ({"constraints": (Constraint("latency_s", minimum=1e-3),)}, "asks for worse mappings"),
        ({"constraints": (Constraint("throughput_fps", 100.0),)}, "asks for worse mappings"),
    ],
)
def test_what_the_front_over_mappings_cannot_answer_is_refused(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run_study(study(**changes), tmp_path / "out", memo=Memo(None))
    assert not (tmp_path / "out").exists()


def test_a_table_of_designs_needs_one_cost_for_each() -> None:
    with pytest.raises(UserError, match="many costs"):
        table(evaluator(), SPACE, next(SPACE.architectures()), UNBOUND)
