"""`exact` against walking through every design one by one."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dse.algorithms.exact import Baselines, Table
from dse.certificate import certificate_of
from dse.compare import compare
from dse.console import console
from dse.front import Front
from dse.report import write_results
from dse.report.table import front_table, summary
from dse.result import StudyResult, read_result
from dse.run import run_study
from dse.study import Constraint, Evaluator, StudySpec
from evaluators.costs import METRICS
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import Knob
from tests.dse import fakes


def breaks(constraint: Constraint, value: float) -> bool:
    if constraint.maximum is not None:
        return value > constraint.maximum
    return constraint.minimum is not None and value < constraint.minimum


def enumerate_slowly(spec: StudySpec, evaluator: Evaluator) -> tuple[Front, Counter[str], Counter[str]]:
    """The front, and how many designs are illegal or infeasible and why, from single evaluations."""
    illegal: Counter[str] = Counter()
    infeasible: Counter[str] = Counter()
    rows, indices = [], []
    for position in range(spec.space.size):
        point = spec.space.decode(spec.space.indices_of(position))
        try:
            metrics = evaluator.metrics(point)
        except IllegalDesign as error:
            illegal[error.reason] += 1
            continue
        broken = [c for c in spec.constraints if breaks(c, metrics[c.metric])]
        infeasible.update(str(c) for c in broken)
        if not broken:
            rows.append([metrics[name] for name in METRICS])
            indices.append(point.indices)
    values = np.array(rows)
    return Front.of(spec.objectives, METRICS, np.array(indices), values), illegal, infeasible


def assert_equal(result: StudyResult, spec: StudySpec) -> None:
    front, illegal, infeasible = enumerate_slowly(spec, fakes.FakeEvaluator())
    assert result.front.indices.tolist() == front.indices.tolist()
    assert result.front.metrics.tolist() == front.metrics.tolist()
    assert result.front.sha256() == front.sha256()
    assert result.counts.illegal == illegal
    assert result.counts.infeasible == infeasible
    assert result.counts.designs == spec.space.size
    assert result.exact


@pytest.mark.parametrize(
    "objectives",
    [("sensor_energy_j", "latency_s"), ("latency_s", "area_mm2"), ("sensor_energy_j", "latency_s", "area_mm2")],
)
def test_exact_equals_a_slow_enumeration(tmp_path: Path, objectives: tuple[str, ...]) -> None:
    spec = fakes.spec("exact", space=fakes.small_space(), objectives=objectives)
    result = run_study(spec, tmp_path, evaluator=fakes.FakeEvaluator())
    assert len(result.front) > result.front.size or objectives != ("sensor_energy_j", "latency_s")
    assert_equal(result, spec)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pes=st.lists(st.sampled_from([1, 2, 4, 8, 16, 32]), min_size=1, max_size=2, unique=True),
    clocks=st.lists(st.sampled_from([25, 100, 400, 800]), min_size=1, max_size=2, unique=True),
    area=st.floats(0.5, 10),
    power=st.floats(0.01, 0.5),
    rate=st.floats(1, 200),
    objectives=st.sampled_from(
        [
            ("sensor_energy_j", "latency_s"),
            ("latency_s", "sensor_energy_j", "area_mm2"),
            ("link_latency_s", "sensor_memory_bytes", "sensor_energy_j", "area_mm2"),
        ]
    ),
)
def test_exact_equals_a_slow_enumeration_on_any_space(
    tmp_path_factory: pytest.TempPathFactory,
    pes: list[int],
    clocks: list[int],
    area: float,
    power: float,
    rate: float,
    objectives: tuple[str, ...],
) -> None:
    spec = fakes.spec(
        "exact",
        objectives=objectives,
        space=fakes.space(pes, clocks),
        constraints=(
            Constraint("area_mm2", area),
            Constraint("sensor_power_w", power),
            Constraint("throughput_fps", minimum=rate),
        ),
    )
    result = run_study(spec, tmp_path_factory.mktemp("any"), evaluator=fakes.FakeEvaluator())
    if not len(result.front):
        assert result.counts.feasible == 0
        return
    assert_equal(result, spec)


def test_an_interrupted_exact_study_goes_on_to_the_same_front(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.space(pes=(2, 4, 8), clocks=(100, 800)))
    whole = run_study(spec, tmp_path / "whole", evaluator=fakes.FakeEvaluator())
    parts = tmp_path / "parts"
    # In the middle of the 108 architectures: those that were visited before are committed.
    stopped = run_study(spec, parts, evaluator=fakes.FakeEvaluator(interrupt_after=1500))
    assert stopped.session is not None and stopped.session.stopped_by == "interrupt"
    assert not stopped.exact and 0 < stopped.counts.designs < spec.space.size
    resumed = run_study(spec, parts, evaluator=fakes.FakeEvaluator())
    assert resumed.session is not None and resumed.session.resumed_trials == stopped.counts.designs
    assert resumed.exact and resumed.front.sha256() == whole.front.sha256()
    assert resumed.counts == whole.counts and resumed.baselines == whole.baselines


def test_an_architecture_that_is_half_added_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    whole = run_study(spec, tmp_path / "whole", evaluator=fakes.FakeEvaluator())
    add, calls = Baselines.add, 0

    def interrupted(self: Baselines, table: Table) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt
        add(self, table)

    monkeypatch.setattr(Baselines, "add", interrupted)
    stopped = run_study(spec, tmp_path / "parts", evaluator=fakes.FakeEvaluator())
    assert stopped.session is not None and stopped.session.stopped_by == "interrupt"
    resumed = run_study(spec, tmp_path / "parts", evaluator=fakes.FakeEvaluator())
    assert resumed.exact and resumed.front.sha256() == whole.front.sha256()
    assert resumed.counts == whole.counts and resumed.baselines == whole.baselines


def test_a_time_limit_is_looked_at_after_every_architecture(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    whole = run_study(spec, tmp_path / "whole", evaluator=fakes.FakeEvaluator())
    per_architecture = spec.space.size // sum(1 for _ in spec.space.architectures())
    visited = 0
    while not (found := run_study(spec, tmp_path / "parts", evaluator=fakes.FakeEvaluator(), time_limit=1e-9)).exact:
        assert found.session is not None and found.session.stopped_by == "time limit"
        assert found.counts.designs == visited + per_architecture
        visited = found.counts.designs
    assert found.front.sha256() == whole.front.sha256()
    assert found.counts == whole.counts and found.baselines == whole.baselines


class SlowMapper(fakes.FakeEvaluator):
    """Maps the layers of one architecture after the other, `step_s` each, and says so."""

    step_s = 0.02
    mapped = 0

    def prepare(self, points: Sequence[Any], *, workers: int = 1, progress: Any = None) -> None:
        for done in range(len(points)):
            progress(done, len(points))
            time.sleep(self.step_s)
            self.mapped += 1


def test_a_time_limit_also_ends_the_mapping_of_layers(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    slow = SlowMapper()
    found = run_study(spec, tmp_path, evaluator=slow, time_limit=0.05)
    assert found.session is not None and found.session.stopped_by == "time limit"
    architectures = sum(1 for _ in spec.space.architectures())
    assert 0 < found.counts.designs < spec.space.size and slow.mapped < architectures


def test_the_certificate_of_designs_says_where_each_went(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    result = run_study(spec, tmp_path, evaluator=fakes.FakeEvaluator(), finish=write_results)
    front, illegal, _ = enumerate_slowly(spec, fakes.FakeEvaluator())
    proof = certificate_of(result)
    assert proof is not None and proof.complete and proof.combinations is None and proof.bounded == 0
    feasible = sum(
        all(not breaks(c, metrics[c.metric]) for c in spec.constraints)
        for _, metrics in fakes.legal(spec, fakes.FakeEvaluator())
    )
    assert proof.cannot_exist == sum(illegal.values())
    assert proof.excluded == spec.space.size - proof.cannot_exist - feasible
    assert proof.beaten == feasible - len(front)
    assert (proof.front_designs, proof.front_points) == (len(front), front.size)
    assert proof.front_sha256 == front.sha256()
    assert f"{proof.beaten:,} beaten + {len(front):,} on the front" in summary(result)
    assert json.loads((tmp_path / "run.json").read_text())["certificate"] == json.loads(json.dumps(proof.as_json()))
    assert certificate_of(read_result(tmp_path)) == proof


def test_a_certificate_of_half_a_space_proves_nothing(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    half = run_study(spec, tmp_path, evaluator=fakes.FakeEvaluator(), time_limit=1e-9)
    proof = certificate_of(half)
    assert proof is not None and not proof.complete and proof.visited < proof.space_size
    assert "Certificate" not in summary(half)


def test_a_heuristic_has_no_certificate(tmp_path: Path) -> None:
    spec = fakes.spec("random", space=fakes.small_space(), batch_size=8)
    assert certificate_of(run_study(spec, tmp_path, budget=16, evaluator=fakes.FakeEvaluator())) is None


def test_three_objectives_go_all_the_way(tmp_path: Path) -> None:
    """Table, files, plot and comparison of a front of three objectives, with a metric that the table lacks."""
    objectives = ("sensor_energy_j", "latency_s", "sensor_memory_bytes")
    spec = fakes.spec("exact", space=fakes.small_space(), objectives=objectives)
    exact = run_study(spec, tmp_path / "exact", evaluator=fakes.FakeEvaluator(), finish=write_results)
    assert_equal(exact, spec)
    with (tmp_path / "exact" / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = np.array([[float(row[name]) for name in objectives] for row in rows])
    assert values.tolist() == exact.front.values.tolist()
    assert (tmp_path / "exact" / "front.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((tmp_path / "exact" / "run.json").read_text())
    assert record["front_sha256"] == exact.front.sha256() and record["hypervolume"]["value"] > 0
    screen = console()
    with screen.capture() as captured:
        screen.print(front_table(exact))
    assert "memory" in captured.get()
    few = replace(spec, algorithm="random", batch_size=8)
    run_study(few, tmp_path / "random", budget=64, evaluator=fakes.FakeEvaluator())
    (group,) = compare([tmp_path / "exact", tmp_path / "random"]).groups
    shares = {entry.label: entry.share for entry in group.entries}
    assert shares["exact"] == 1.0 and 0 < shares["random"] < 1


def test_baselines_are_the_best_of_each_extreme(tmp_path: Path) -> None:
    spec = fakes.spec("exact", space=fakes.small_space())
    result = run_study(spec, tmp_path, evaluator=fakes.FakeEvaluator())
    found = dict(fakes.feasible(spec, fakes.FakeEvaluator()))
    best = {baseline.label: baseline for baseline in result.baselines}
    for place, cut in (("all on the edge", 0), ("all on the sensor", len(fakes.CUTS) - 1)):
        for objective in spec.objectives:
            expected = min(m[objective] for i, m in found.items() if i[0] == cut)
            label = next(label for label in best if label.startswith(place) and objective in label)
            assert best[label].metrics[objective] == expected
            assert found[best[label].indices] == best[label].metrics
            assert not best[label].broken


def test_a_space_without_the_last_cut_has_no_baseline_on_the_sensor(tmp_path: Path) -> None:
    space = fakes.small_space()
    fewer = replace(space, knobs=(Knob("cut", ("conv1", "Identity")), *space.knobs[1:]))
    result = run_study(fakes.spec("exact", space=fewer), tmp_path, evaluator=fakes.FakeEvaluator())
    assert result.baselines and all(b.label.startswith("all on the edge") for b in result.baselines)
    assert all(result.design(b.indices)["cut"] == "Identity" for b in result.baselines)


def test_a_baseline_that_must_break_a_constraint_says_so(tmp_path: Path) -> None:
    spec = replace(
        fakes.spec("exact", space=fakes.small_space()),
        constraints=(Constraint("link_utilisation", 1.0), Constraint("sensor_memory_bytes", 5e5)),
    )
    result = run_study(spec, tmp_path, evaluator=fakes.FakeEvaluator())
    sensor = [b for b in result.baselines if b.label.startswith("all on the sensor")]
    assert sensor and all(b.broken == ("sensor_memory_bytes <= 500000",) for b in sensor)


def test_an_energy_of_the_edge_needs_its_power(tmp_path: Path) -> None:
    """A measurement does not know the power; 0 J would be a front that nobody can act on."""
    from evaluators.memo import Memo
    from evaluators.system import SystemSettings
    from search_spaces.space import sensor_edge_space
    from tests.fakes import toy_network

    network = toy_network()
    settings = SystemSettings(edge="measured:cpu")
    spec = StudySpec(network, sensor_edge_space(network), settings, objectives=("total_energy_j", "latency_s"))
    with pytest.raises(UserError, match="total_energy_j needs the power"):
        run_study(spec, tmp_path / "out", memo=Memo(None))
    assert not (tmp_path / "out").exists()


def test_exact_equals_a_slow_enumeration_of_the_real_system(tmp_path: Path) -> None:
    """The system's own blocks against its own single evaluations, with an accelerator model of closed forms."""
    from evaluators.memo import Memo
    from evaluators.system import System, SystemSettings
    from search_spaces.space import sensor_edge_space
    from tests.fakes import FakeSensor, toy_network

    network = toy_network()
    space = sensor_edge_space(network, pe_cols=(4, 14), pe_rows=(12,), glb_kib=(64,), clock_mhz=(50, 200, 500))
    spec = StudySpec(
        network, space, SystemSettings(), constraints=(Constraint("link_utilisation", 1.0), Constraint("area_mm2", 9.0))
    )

    def system() -> System:
        return System(network, spec.settings, Memo(None), sensor_model=FakeSensor(limit_hz=4e8))

    result = run_study(spec, tmp_path, evaluator=system())
    front, illegal, infeasible = enumerate_slowly(spec, system())
    assert illegal and result.counts.illegal == illegal and result.counts.infeasible == infeasible
    assert result.front.sha256() == front.sha256() and result.front.size > 1
    assert result.front.metrics.tolist() == front.metrics.tolist()
