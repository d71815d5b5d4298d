"""Comparing: what is ranked with what, against which front, and what is told across questions."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dse.compare import Comparison, asked, compare
from dse.console import console
from dse.front import Front
from dse.report import write_results
from dse.report.comparison import comparison_csv, comparison_tables
from dse.report.plot_compare import plot_compare
from dse.result import StudyResult
from dse.run import run_study
from dse.study import Constraint, StudySpec
from search_spaces.errors import UserError
from tests.dse import fakes


def run(spec: StudySpec, out: Path, budget: int | None = None) -> StudyResult:
    """`exact` with its files: its `run.json` is how it is found beside others."""
    finish = write_results if spec.algorithm == "exact" else None
    return run_study(spec, out, budget=budget, evaluator=fakes.FakeEvaluator(), finish=finish)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One question exactly, by two algorithms with three and one seeds; another one; one with three objectives."""
    root = tmp_path_factory.mktemp("studies")
    small = fakes.small_space()
    run(fakes.spec("exact", space=small), root / "exact")
    for seed in (1, 2, 3):
        run(fakes.spec("random", space=small, seed=seed), root / f"random-{seed}", 60)
    run(fakes.spec("nsga2", space=small, batch_size=20), root / "nsga2", 200)
    other = (Constraint("link_utilisation", 1.0), Constraint("area_mm2", 3.0))
    run(fakes.spec("random", space=small, constraints=other), root / "strict", 60)
    three = ("sensor_energy_j", "latency_s", "area_mm2")
    for seed in (1, 2):
        run(fakes.spec("random", space=small, objectives=three, seed=seed), root / f"three-{seed}", 60)
    return root


def shown(comparison: Comparison) -> str:
    screen = console()
    with screen.capture() as captured:
        screen.print(comparison_tables(comparison))
    return captured.get()


def test_one_question_is_measured_against_its_exact_front(studies: Path) -> None:
    names = ["random-1", "random-2", "random-3", "nsga2", "exact"]
    (group,) = compare([studies / name for name in names]).groups
    assert group.exact is not None and not group.beside
    assert [entry.label for entry in group.entries] == names
    *heuristics, exact = group.entries
    assert (exact.share, exact.igd_plus, exact.epsilon, exact.found, exact.reached) == (1, 0, 0, 1, {})
    for entry in heuristics:
        assert 0 < entry.share < 1 and entry.igd_plus and entry.epsilon
        assert entry.effort.evaluations == entry.result.counts.designs
        assert entry.hypervolume == pytest.approx(entry.share * exact.hypervolume)
        exactly = {tuple(v) for v in exact.front.distinct.tolist()}
        found = sum(tuple(v) in exactly for v in entry.front.distinct.tolist())
        assert entry.found == pytest.approx(found / exact.front.size), "only an equal point covers an exact one"
    assert group.covers("exact", "random") == 1
    over = group.over_seeds("random")
    assert over["seeds"] == 3 and over["share"]["worst"] == min(entry.share for entry in heuristics[:3])
    assert over["share"]["median"] == median(entry.share for entry in heuristics[:3])


def test_the_scale_is_that_of_the_question_not_of_what_is_compared(studies: Path) -> None:
    (alone,) = compare([studies / "random-1"]).groups
    (all_,) = compare([studies / name for name in ("nsga2", "random-2", "random-1")]).groups
    assert alone.exact is not None and alone.beside and alone.exact.folder == studies / "exact"
    assert alone.entries[0].hypervolume == all_.entries[2].hypervolume
    assert alone.entries[0].as_json() == all_.entries[2].as_json()
    assert "found beside the studies" in " ".join(shown(compare([studies / "random-1"])).split())


def test_a_damaged_exact_study_beside_is_passed_over(studies: Path, tmp_path: Path) -> None:
    for name in ("exact", "random-1"):
        shutil.copytree(studies / name, tmp_path / name)
    shutil.copytree(studies / "exact", tmp_path / "damaged")
    (tmp_path / "damaged/study.db").write_bytes(b"SQLite format 3\0" + b"x" * 4096)
    (group,) = compare([tmp_path / "random-1"]).groups
    assert group.exact is not None and group.exact.folder == tmp_path / "exact"
    with pytest.raises(UserError):
        compare([tmp_path / "random-1", tmp_path / "damaged"])


def test_without_an_exact_front_the_union_is_the_reference(studies: Path) -> None:
    (group,) = compare([studies / "three-1", studies / "three-2"]).groups
    assert group.exact is None and not group.beside
    both = np.concatenate([entry.front.distinct for entry in group.entries])
    slow = [p for p in both.tolist() if not any(all(np.array(q) <= p) and q != p for q in both.tolist())]
    assert group.yardstick.front.tolist() == sorted(map(list, {tuple(p) for p in slow}))
    assert group.attainment("random") is not None
    assert "for want of an exact one" in " ".join(shown(Comparison((group,))).split())


def test_a_search_over_architectures_counts_all_their_designs(studies: Path, tmp_path: Path) -> None:
    run(fakes.spec("memetic", space=fakes.small_space()), tmp_path / "memetic", 30)
    (group,) = compare([studies / "exact", tmp_path / "memetic"]).groups
    entry = group.entries[1]
    per_architecture = 6 * 2 * 3  # cuts, clocks and links
    assert (entry.effort.architectures, entry.effort.evaluations) == (30, 30 * per_architecture)
    assert entry.effort.seconds is not None and entry.effort.seconds > 0
    assert entry.effort.evaluations == entry.result.counts.designs
    reached = entry.reached[0.9]
    assert reached is not None and reached.evaluations == reached.architectures * per_architecture
    assert reached.seconds is not None and reached.seconds <= entry.effort.seconds


def test_different_questions_are_not_ranked(studies: Path) -> None:
    comparison = compare([studies / name for name in ("random-1", "strict", "random-2", "three-1")])
    assert [[entry.label for entry in group.entries] for group in comparison.groups] == [
        ["random-1", "random-2"],
        ["strict"],
        ["three-1"],
    ]
    first, strict, three = comparison.groups
    assert not first.differs
    assert any("constraints" in text and "area_mm2 <= 3" in text for text in strict.differs)
    assert any("objectives" in text for text in three.differs)
    assert strict.exact is None, "the exact front of another question is no reference"
    text = " ".join(shown(comparison).split())
    assert "Question 2" in text and "differs from question 1 in constraints" in text and "not ranked" in text


def test_a_field_that_is_none_is_no_other_question(studies: Path, tmp_path: Path) -> None:
    """A later version asks with a setting that an earlier one did not have, and leaves it out."""

    class Later(fakes.FakeEvaluator):
        def fingerprint(self) -> dict[str, Any]:
            return super().fingerprint() | {"settings": {"macs": self.settings.macs, "files": None}}

    spec = fakes.spec("random", space=fakes.small_space(), seed=7)
    run_study(spec, tmp_path / "later", budget=60, evaluator=Later())
    (group,) = compare([tmp_path / "later", studies / "exact"]).groups
    assert group.exact is not None and group.entries[0].share < 1


def test_what_a_front_saves_is_relative_to_its_own_baselines(studies: Path) -> None:
    (group,) = compare([studies / "exact"]).groups
    assert group.exact is not None
    front: Front = group.exact.front
    for place, cut in (("all on the sensor", "fc"), ("all on the edge", "Identity")):
        figures = group.relative(place)
        here = [b for b in group.exact.baselines if group.exact.design(b.indices)["cut"] == cut]
        for name in front.objectives:
            best = min(b.metrics[name] for b in here)
            assert figures[name]["least"] == pytest.approx(front.column(name).min() / best - 1)
            assert figures[name]["least"] <= figures[name]["knee"]
            assert figures[name]["breaks_a_constraint"] is False


def test_on_a_narrow_terminal_no_figure_is_cut_off(studies: Path) -> None:
    comparison = compare([studies / name for name in ("random-1", "random-2", "nsga2", "exact")])
    screen = Console(width=100)
    with screen.capture() as captured:
        screen.print(comparison_tables(comparison, wide=False))
    assert "…" not in captured.get() and "random-1" in captured.get()


def test_seeds_of_another_batch_size_are_another_variant(studies: Path, tmp_path: Path) -> None:
    spec = fakes.spec("nsga2", space=fakes.small_space(), batch_size=10)
    run(spec, tmp_path / "nsga2-10", 60)
    (group,) = compare([studies / "nsga2", tmp_path / "nsga2-10"]).groups
    assert list(group.variants) == ["nsga2, batches of 20", "nsga2, batches of 10"]


def test_a_warm_start_is_always_told(studies: Path, tmp_path: Path) -> None:
    spec = fakes.spec("nsga2", space=fakes.small_space(), batch_size=20)
    a, b = ((0,) * len(spec.space.knobs),), ((1,) + (0,) * (len(spec.space.knobs) - 1),)
    run(replace(spec, warm_start=a), tmp_path / "a", 60)
    run(replace(spec, warm_start=a, seed=2), tmp_path / "a2", 60)
    (group,) = compare([tmp_path / "a", tmp_path / "a2"]).groups
    assert list(group.variants) == ["nsga2, warm start (1 design)"] and "warm start (1 design)" in shown(
        Comparison((group,))
    )
    (group,) = compare([tmp_path / "a", studies / "nsga2"]).groups
    assert list(group.variants) == ["nsga2, warm start (1 design)", "nsga2"]
    run(replace(spec, warm_start=b), tmp_path / "b", 60)
    (group,) = compare([tmp_path / "a", tmp_path / "a2", tmp_path / "b"]).groups
    assert [len(entries) for entries in group.variants.values()] == [2, 1], "another start of as many designs"


def test_the_median_of_two_seeds_is_the_best_in_table_and_plot(studies: Path) -> None:
    (group,) = compare([studies / "random-1", studies / "random-2"]).groups
    over = group.over_seeds("random")
    assert over["share"]["median"] == max(entry.share for entry in group.entries) > over["share"]["worst"]
    assert over["epsilon"]["median"] == min(entry.epsilon or 0 for entry in group.entries)
    best, middle, _ = group.attainment("random") or []
    assert np.array_equal(best, middle)
    assert "Over seeds: best of two, in brackets the worst" in shown(Comparison((group,)))
    (group,) = compare([studies / f"random-{seed}" for seed in (1, 2, 3)]).groups
    assert "Over seeds: median, in brackets the worst" in shown(Comparison((group,)))


def test_a_width_that_is_the_only_one_is_no_knob() -> None:
    question = {"settings.tensor_bits": 32, "order": ["cut", "link"]}
    knob = {"settings.tensor_bits": 16, "order": ["cut", "link", "tensor_bits"], "knob tensor_bits": [32]}
    assert asked(question) == asked(knob)
    assert asked(question) != asked(knob | {"knob tensor_bits": [8]})
    assert asked(question) != asked(knob | {"knob tensor_bits": [32, 8]})


def test_the_csv_has_what_the_json_has(studies: Path) -> None:
    comparison = compare([studies / name for name in ("exact", "random-1", "three-1")])
    rows = list(csv.DictReader(io.StringIO(comparison_csv(comparison))))
    entries = [entry for group in comparison.as_json()["groups"] for entry in group["results"]]
    assert [row["name"] for row in rows] == ["exact", "random-1", "three-1"]
    for row, entry in zip(rows, entries, strict=True):
        assert float(row["hypervolume_share"]) == entry["hypervolume_share"]
        assert float(row["knee_latency_s"]) == entry["knee"]["latency_s"]
        reached = entry["reached"].get("90%")
        assert row["evaluations_to_90_percent"] == ("" if reached is None else str(reached["evaluations"]))


def test_a_study_without_a_feasible_design_stands_beside_others(tmp_path: Path) -> None:
    spec = fakes.spec("random", space=fakes.small_space(), batch_size=2)
    probe = fakes.FakeEvaluator()
    run_study(spec, tmp_path / "probe", budget=2, evaluator=probe)
    asked = [probe.metrics(spec.space.decode(indices)) for indices in probe.asked[:2]]
    # A bound that the first two designs break.
    spec = replace(spec, constraints=(Constraint("latency_s", 0.999 * min(m["latency_s"] for m in asked)),))
    run(spec, tmp_path / "none", 2)
    with pytest.raises(UserError, match="no feasible design yet"):
        compare([tmp_path / "none"])
    run(replace(spec, algorithm="exact", batch_size=None), tmp_path / "exact")
    (group,) = compare([tmp_path / "exact", tmp_path / "none"]).groups
    assert group.entries[0].front.size and not group.entries[1].front.size
    assert group.entries[1].share == 0 and group.entries[1].igd_plus is None
    assert "–" in shown(Comparison((group,)))


@pytest.mark.parametrize(
    "names", [("exact", "random-1", "random-2", "nsga2"), ("three-1", "three-2", "strict", "exact")]
)
def test_a_comparison_is_drawn(names: tuple[str, ...], studies: Path, tmp_path: Path) -> None:
    plot_compare(compare([studies / name for name in names]), tmp_path / "fronts.png")
    assert (tmp_path / "fronts.png").read_bytes().startswith(b"\x89PNG")
