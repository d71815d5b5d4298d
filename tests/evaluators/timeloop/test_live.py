"""The real tool, where it is on the PATH: it counts our mappings as we do, and its mapper finds nothing better."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from dse.judges import Asked, model_rows
from evaluators.components import dram_access_pj
from evaluators.mapper.counts import count, energies_pj, overflow
from evaluators.mapper.energy import EnergyTable, price
from evaluators.mapper.mapping import Mapping, concrete
from evaluators.mapper.mapspace import mapspace
from evaluators.mapper.recorded import read
from evaluators.mapper.result import best_mappings
from evaluators.memo import Memo
from evaluators.sensor import SensorSettings
from evaluators.timeloop import Searched, SearchSettings, Timeloop, TimeloopError
from evaluators.timeloop.evaluate import MAPPER
from evaluators.timeloop.front_end import FrontEnd, InputFormat, find
from evaluators.timeloop.output import Output
from evaluators.timeloop.process import Job, Run, run_all
from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign
from search_spaces.types import ConvShape
from tests.reference import recorded as recorded_figures

pytestmark = [
    pytest.mark.timeloop,
    pytest.mark.skipif(shutil.which(MAPPER) is None, reason=f"no {MAPPER} on the PATH"),
]

SHAPES = {
    "stride": ConvShape(N=1, C=3, M=64, P=27, Q=27, R=3, S=3, stride_w=2, stride_h=2),
    "dilation": ConvShape(N=1, C=16, M=32, P=14, Q=14, R=3, S=3, dilation_w=2, dilation_h=2),
    "padded": ConvShape(N=1, C=6, M=21, P=8, Q=8, R=1, S=1),
    "batch": ConvShape(N=2, C=8, M=16, P=7, Q=7, R=3, S=3),
}


@pytest.fixture(scope="module")
def memo() -> Memo:
    return Memo()


@pytest.fixture(scope="module", params=["0.3", "0.4"])
def input_format(request: pytest.FixtureRequest) -> InputFormat:
    """What the tool reads; 0.4 only where its front end is."""
    if request.param == "0.4" and not isinstance(found := find(), FrontEnd):
        pytest.skip(found)
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("accelerator", accelerators.names())
def test_its_model_counts_our_mappings_as_we_do(
    accelerator: str, shape: ConvShape, memo: Memo, input_format: InputFormat
) -> None:
    architecture = accelerators.build(accelerator)
    for mapped in best_mappings(shape, architecture, memo, metric="pareto")[:4]:
        (theirs,) = Timeloop(memo, input_format=input_format).model([(shape, architecture, mapped.mapping)])
        _counts_as_we_do(theirs, shape, architecture, mapped.mapping)
        assert isinstance(theirs, Output) and theirs.energy_pj == pytest.approx(mapped.energy_j * 1e12, rel=1e-9)


def _counts_as_we_do(
    theirs: Output | IllegalDesign, shape: ConvShape, architecture: Architecture, mapping: Mapping
) -> None:
    assert not isinstance(theirs, IllegalDesign), theirs
    ours = count(architecture, shape, mapping)
    assert (theirs.compute_cycles, theirs.macs) == (ours.compute_cycles, ours.macs)
    assert abs(theirs.cycles - ours.cycles) <= 1
    priced = price(architecture)
    dram_pj = dram_access_pj(priced.dram, "lpddr4")
    reads, writes = [*priced.read_pj[:-1], dram_pj], [*priced.write_pj[:-1], dram_pj]
    energies = energies_pj(ours, concrete(architecture, mapping), reads, writes, list(priced.clusters))
    for level, counted, pj in zip(theirs.levels, ours.levels, energies, strict=True):
        for name in ("reads", "fills", "updates"):
            words = tuple(getattr(counted.tensors[t], name) if t in counted.tensors else 0 for t in "WIO")
            assert getattr(level, name) == words, (level.name, name)
        assert level.energy_pj == pytest.approx(pj, rel=1e-9), level.name
        assert not counted.tensors or level.instances_used == counted.instances_used, level.name


def _as_be27768(
    mappings: list[tuple[ConvShape, Architecture, Mapping]], runs: Path, table: EnergyTable = "default"
) -> list[Output | IllegalDesign]:
    """What the tool says of mappings, in a state whose counts are ours: newer ones complain of words with hyphens."""
    found = Timeloop(Memo(), input_format="0.3", runs=runs).model(mappings, table=table, workers=2)
    _skip_newer(runs)
    return found


def _skip_newer(runs: Path) -> None:
    if any("Hyphenated" in log.read_text() for log in runs.glob("*/run.log")):
        pytest.skip("states since 2024 count more reuse than be27768, whose counts are ours")


SIZES = {
    "pe_cols": (2, 4, 7, 8, 12, 16), "pe_rows": (2, 3, 4, 8, 12), "glb_kib": (32, 50, 64, 128, 256),
    "input_buffer_scale": (0.5, 1, 2), "weight_buffer_scale": (0.5, 1, 2), "accum_buffer_scale": (0.5, 1, 2),
}  # fmt: skip
BOUNDS = {
    "N": (1, 1, 2, 3), "C": (1, 3, 4, 12, 16, 21, 64), "M": (1, 2, 8, 20, 24, 96), "P": (1, 4, 7, 13, 28, 56),
    "Q": (1, 3, 8, 14, 55), "R": (1, 1, 2, 3, 5, 7), "S": (1, 1, 2, 3, 4, 7),
    "stride_w": (1, 1, 2, 3), "stride_h": (1, 1, 2, 4), "dilation_w": (1, 1, 2, 6), "dilation_h": (1, 1, 3),
}  # fmt: skip


@pytest.mark.parametrize("accelerator", accelerators.names())
def test_its_model_counts_random_mappings_as_we_do_and_rejects_the_same(accelerator: str, tmp_path: Path) -> None:
    """Any layers, template sizes and factors that the mesh has room for: half of them searched for one that fits."""
    dice = random.Random(accelerator)
    cases = []
    while len(cases) < 60:
        shape = ConvShape(**{name: dice.choice(values) for name, values in BOUNDS.items()})
        try:
            architecture = accelerators.build(accelerator, {name: dice.choice(of) for name, of in SIZES.items()})
            price(architecture)
            space = dice.choice(mapspace(architecture, shape).variants)
        except IllegalDesign:
            continue
        for _ in range(dice.choice((1, 50))):
            rows = {dim: dice.randrange(len(factors)) for dim, factors in space.factors.items()}
            mapping = space.mapping(rows, dice.randrange(len(space.orders)))
            why = overflow(architecture, shape, mapping)
            if why is None:
                break
        if why is None or "mesh" not in why:
            cases.append((shape, architecture, mapping, why))
    answers = _as_be27768([case[:3] for case in cases], tmp_path)
    for theirs, (shape, architecture, mapping, why) in zip(answers, cases, strict=True):
        if why is not None:
            assert isinstance(theirs, IllegalDesign), (why, shape, mapping.to_text())
        else:
            _counts_as_we_do(theirs, shape, architecture, mapping)
    assert sum(why is None for *_, why in cases) >= 20


@pytest.mark.parametrize("accelerator", accelerators.names())
def test_its_model_takes_our_remainders(accelerator: str, memo: Memo, tmp_path: Path) -> None:
    """With every tile full it counts as we do; as they are it rounds up, never down."""
    shape, chip = ConvShape(N=1, C=67, M=71, P=7, Q=13, R=1, S=1), accelerators.build(accelerator)
    found = best_mappings(shape, chip, memo, metric="pareto", factors="imperfect")
    asked = {Asked(shape, chip, "lpddr4", m.mapping.to_text()): "layer" for m in found if m.mapping.ragged}
    assert asked
    tool = Timeloop(memo, input_format="0.3", runs=tmp_path)
    rows = model_rows(asked, tool, SensorSettings(factors="imperfect"), "lpddr4", 1, None)
    for row in rows:
        assert not row.differences
    _skip_newer(tmp_path)
    for row in rows:
        if not row.unjudged:
            assert row.tool_cycles >= row.cycles - 1
            assert row.tool_energy_j >= row.energy_j * (1 - 1e-9)
    assert not all(row.unjudged for row in rows)


@pytest.mark.parametrize(
    ("accelerator", "metric"),
    [(name, "edp") for name in accelerators.names()] + [("eyeriss_like", "delay"), ("simba_like", "energy")],
)
def test_its_mapper_searches_our_mapspace_and_finds_nothing_better(
    accelerator: str, metric: str, memo: Memo, input_format: InputFormat
) -> None:
    architecture, shape = accelerators.build(accelerator), SHAPES["stride"]
    settings = SearchSettings(metric=metric, victory=10)  # type: ignore[arg-type]
    (theirs,) = Timeloop(memo, limit_s=120, input_format=input_format).search([(shape, architecture)], settings)
    assert isinstance(theirs, Searched), theirs
    (ours,) = best_mappings(shape, architecture, memo, metric=metric)  # type: ignore[arg-type]
    pj, cycles = ours.energy_j * 1e12, ours.cycles
    figures = {
        "edp": (theirs.output.energy_pj * theirs.output.cycles, pj * cycles),
        "delay": (theirs.output.cycles, cycles - 1),  # the tool's doubles may round to one cycle less
        "energy": (theirs.output.energy_pj, pj),
    }
    found, best = figures[metric]
    assert found >= best * (1 - 1e-9)
    if accelerator != "simple_output_stationary":  # there we leave out loop orders that others do as well as
        assert theirs.mapspace_size == mapspace(architecture, shape).size
    counted = count(architecture, shape, theirs.mapping)
    assert counted.compute_cycles == theirs.output.compute_cycles
    used = [level.instances_used for level in theirs.output.levels]
    assert [level.instances_used for level in counted.levels] == used


@pytest.mark.parametrize("name", ["eyeriss", "simba"])
def test_random_mappings_give_the_recorded_figures(name: str, tmp_path: Path) -> None:
    """What another installation of the tool recorded from CNNParted's own templates; rejected mappings as well."""
    given = list(read(recorded_figures(f"timeloop/fixed_mappings_{name}.jsonl")))[:40]
    architecture = accelerators.build(given[0].accelerator)
    mappings = [(line.shape, architecture, line.loops(architecture)) for line in given]
    outputs = _as_be27768(mappings, tmp_path, table="timeloop-be27768")
    for line, output in zip(given, outputs, strict=True):
        assert isinstance(output, IllegalDesign) != line.accepted, line.line
        if isinstance(output, IllegalDesign):
            continue
        assert output.cycles == line.cycles
        assert output.energy_pj == pytest.approx(line.energy_pj, rel=1e-9)
        for level in output.levels:
            assert (level.reads, level.updates, level.fills) == line.accesses[level.name], level.name


def test_both_formats_give_the_same_figures(memo: Memo) -> None:
    """A random mapping, which the tool counts one way in its old states and another way in the new ones."""
    if not isinstance(found := find(), FrontEnd):
        pytest.skip(found)
    given = [line for line in read(recorded_figures("timeloop/fixed_mappings_simba.jsonl")) if line.accepted][:8]
    architecture = accelerators.build(given[0].accelerator)
    mappings = [(line.shape, architecture, line.loops(architecture)) for line in given]
    v03, v04 = (Timeloop(memo, input_format=said).model(mappings) for said in ("0.3", "0.4"))  # type: ignore[arg-type]
    assert v03 == v04


def test_what_cannot_be_mapped_has_no_mapping(memo: Memo, input_format: InputFormat) -> None:
    tall = ConvShape(N=1, C=4, M=8, P=8, Q=8, R=1, S=13)
    (found,) = Timeloop(memo, input_format=input_format).search(
        [(tall, accelerators.build("eyeriss_like"))], SearchSettings()
    )
    assert isinstance(found, IllegalDesign)


def test_the_same_search_gives_the_same_result(memo: Memo) -> None:
    """One thread, so a study does not depend on when it runs."""
    layer = (SHAPES["stride"], accelerators.build("eyeriss_like"))
    assert Timeloop(Memo()).search([layer], SearchSettings()) == Timeloop(Memo()).search([layer], SearchSettings())


def test_a_broken_input_is_an_error_with_its_cause(tmp_path: Path) -> None:
    path = Path(str(shutil.which(MAPPER)))
    job = Job("nothing", ("in.yaml",), {"in.yaml": "a: [1,2\n"})
    ended: list[Run] = []
    run_all(path, [job], lambda _, run: ended.append(run), limit_s=60, runs=tmp_path)
    (run,) = ended
    from evaluators.timeloop.failures import failure

    error = failure(MAPPER, job.what, run.argv, run.folder, run.log, status=run.status)
    assert isinstance(error, TimeloopError)
    assert "not well-formed YAML" in str(error)
