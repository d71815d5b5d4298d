"""The parser on outputs that the real tool left (be27768), and on what a crash or a full disk leaves of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.mapper.counts import count
from evaluators.timeloop.failures import accelergy_says, cause_of, nothing_maps, warnings_in
from evaluators.timeloop.output import (
    Broken,
    Output,
    dummies,
    mapspace_size,
    read_area_um2,
    read_directives,
    read_mapping,
    read_output,
    read_streamed,
)
from evaluators.timeloop.v04 import inserted
from search_spaces import accelerators
from search_spaces.types import ConvShape
from tests.timeloop import RECORDED

Unpack = Callable[[str], Path]
MAPPER = "timeloop-mapper"
FEATURES_0 = ConvShape(N=1, C=3, M=64, P=111, Q=111, R=3, S=3, stride_w=2, stride_h=2)


def test_figures_are_those_of_the_tools_own_summary(recorded: Unpack) -> None:
    """`timeloop-mapper.stats.txt` of these runs says 221778 cycles, 239.42 uJ and 168 instances of a MAC unit."""
    output = read_output(recorded("eyeriss_like_00"), MAPPER)
    assert output is not None
    assert (output.cycles, output.compute_cycles, output.macs, output.mac_units) == (221778, 221778, 21290688, 168)
    assert output.energy_pj * 1e-6 == pytest.approx(239.42, abs=0.005)
    psum, weights = output.level("psum_spad"), output.level("weights_spad")
    assert (psum.reads, psum.updates, psum.fills) == ((0, 0, 197136), (0, 0, 221778), (0, 0, 0))
    assert psum.energy_pj == pytest.approx(10087315.07, abs=0.005)
    assert (weights.fills, weights.instances_used, weights.instances) == ((18, 0, 0), 96, 168)
    assert output.level("DRAM").accesses == 432 + 37297 + 197136


@pytest.mark.parametrize(("run", "accelerator"), [("eyeriss_like_00", "eyeriss_like"), ("simba_like_00", "simba_like")])
def test_recorded_mappings_count_as_ours_do(run: str, accelerator: str, recorded: Unpack) -> None:
    folder = recorded(run)
    output = read_output(folder, MAPPER)
    assert output is not None
    mapping = read_mapping(folder, MAPPER, [level.name for level in output.levels])
    ours = count(accelerators.build(accelerator), FEATURES_0, mapping)
    assert (ours.cycles, ours.compute_cycles, ours.macs) == (output.cycles, output.compute_cycles, output.macs)
    for theirs, level in zip(output.levels, ours.levels, strict=True):
        assert theirs.instances_used == level.instances_used
        for name in ("reads", "fills", "updates"):
            figures = tuple(getattr(level.tensors[t], name) if t in level.tensors else 0 for t in "WIO")
            assert getattr(theirs, name) == figures, (level.name, name)


def test_clusters_are_charged_as_one(recorded: Unpack) -> None:
    """192 of 256 Simba weight registers work, in 4 clusters of 64: 4 × (110889 + 999) accesses × 0.489 pJ."""
    output = read_output(recorded("simba_like_00"), MAPPER)
    assert output is not None
    registers = output.level("PEWeightRegs")
    assert registers.instances_used == 192
    assert registers.energy_pj == pytest.approx(4 * 111888 * 0.489007537688, rel=1e-9)
    assert output.energy_pj == pytest.approx(186642533.76706752, rel=1e-12)  # the recorded total of this run


def test_what_streams_through_a_level(recorded: Unpack, tmp_path: Path) -> None:
    """Eyeriss states 16 words per cycle for its buffer and none for 14 stand-ins and DRAM; the dearest row counts.

    Where the table knows another action only, the tool takes that.
    """
    actions = [("read", 3.0), ("read", 74.1), ("write", 75.2), ("write", 1.0), ("idle", 0.1)]
    rows = [{"name": name, "arguments": None, "energy": pj} for name, pj in actions]
    table = tmp_path / "energies.yaml"
    access = [{"name": "access", "arguments": None, "energy": 500.0}]
    tables = [("system.eyeriss.shared_glb", rows), ("system.DRAM", access)]
    table.write_text(json.dumps({"ERT": {"tables": [{"name": n, "actions": found} for n, found in tables]}}))
    *_, column, buffer, dram = read_streamed(recorded("eyeriss_like_00"), MAPPER, table)
    assert (buffer.name, buffer.block, buffer.read_pj, buffer.write_pj) == ("shared_glb", 4, 74.1, 75.2)
    assert (buffer.read_words_per_cycle, buffer.write_words_per_cycle) == (16, 16)
    assert (column.read_words_per_cycle, column.shared_words_per_cycle, column.read_pj) == (14, None, None)
    assert (dram.name, dram.block, dram.read_words_per_cycle, dram.read_pj) == ("DRAM", 4, None, 500.0), "any action"
    table.write_text("ERT: {tables: [{name: system.shared_glb}]}")
    with pytest.raises(Broken, match=r"energies\.yaml cannot be read"):
        read_streamed(recorded("simba_like_00"), MAPPER, table)


def test_area_is_components_times_instances(recorded: Unpack) -> None:
    """Eyeriss: 168 PEs of a MAC and three scratchpads, 14 stand-in buffers, one global buffer."""
    folder = recorded("eyeriss_like_00")
    output = read_output(folder, MAPPER)
    assert output is not None
    expected = 168 * (1239.5 + 379.68 + 3634.68 + 414.68) + 14 * 235.68 + 1162549.0
    table = folder / f"{MAPPER}.ART.yaml"
    assert read_area_um2(table, output, inserted) == pytest.approx(expected)
    rows = table.read_text()
    table.write_text(rows.replace("DRAM\n        area: 0.0", "DRAM\n        area: 5e6"))
    assert read_area_um2(table, output, inserted) == pytest.approx(expected), "DRAM is not on the chip"
    others = "".join(
        f"      - {{name: '{name}', area: 10.0}}\n"
        for name in ("system.eyeriss.router", "system.eyeriss.row[0..11].PE[0..13].adder[0..1]")
    )
    table.write_text(rows + others)
    assert read_area_um2(table, output, inserted) == pytest.approx(expected + 10 + 12 * 14 * 2 * 10)
    for broken in ("ART: {tables: [{name: a}]}", "ART: [1,2", ""):
        table.write_text(broken)
        with pytest.raises(Broken):
            read_area_um2(table, output, inserted)


def test_output_survives_the_memo(recorded: Unpack) -> None:
    output = read_output(recorded("simba_like_00"), MAPPER)
    assert output is not None
    assert Output.from_json(json.loads(json.dumps(output.to_json()))) == output


def test_no_result_is_none_and_damage_is_named(recorded: Unpack) -> None:
    assert read_output(recorded("fail_eyeriss_S13"), MAPPER) is None
    folder = recorded("simba_like_00")
    path = folder / f"{MAPPER}.map+stats.xml"
    whole = path.read_bytes()
    for size in (0, 1000, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:size])
        with pytest.raises(Broken, match="cut off or damaged"):
            read_output(folder, MAPPER)
    path.write_bytes(whole.replace(b"<reads>", b"<words>").replace(b"</reads>", b"</words>"))
    with pytest.raises(Broken, match="not what the tool writes"):
        read_output(folder, MAPPER)
    mapping = folder / f"{MAPPER}.map.yaml"
    mapping.write_text(mapping.read_text()[:400])
    with pytest.raises(Broken):
        read_mapping(folder, MAPPER, ["PEWeightRegs"])
    (folder / f"{MAPPER}.map.yaml").unlink()
    with pytest.raises(Broken):
        read_mapping(folder, MAPPER, ["PEWeightRegs"])


def test_made_up_figures_are_found(recorded: Unpack) -> None:
    assert dummies(recorded("eyeriss_like_00"), MAPPER) == ()
    folder = recorded("fail_tech32")
    made_up = dummies(folder, MAPPER)
    assert "system.eyeriss.PE[0..167].mac" in made_up
    assert "system.DRAM" not in made_up
    assert set(dummies(folder, MAPPER, "ART")) == set(made_up)


def test_the_log_is_read() -> None:
    log = (RECORDED / "simba_like_00" / "console.log").read_text()
    assert warnings_in(log) == ("Constraint C=4 exceeds problem dimension C=3, ignoring.",)
    assert mapspace_size(log) == 14175 * 24 * 512
    quiet = (RECORDED / "eyeriss_like_00" / "console.log").read_text()
    assert warnings_in(quiet) == ()
    assert not nothing_maps(quiet)
    assert nothing_maps((RECORDED / "fail_eyeriss_S13" / "tl.log").read_text())


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("fail_no_accelergy", "Accelergy is not installed"),
        ("fail_simba_M21", "does not divide the layer"),
        ("fail_bad_target", "names a level that the architecture does not have"),
        ("fail_bad_algo", "algorithm is misspelt"),
        ("fail_bad_meshX", "meshX does not divide"),
        ("fail_eyeriss_S13", "no mapping was found"),
    ],
)
def test_the_likeliest_cause(case: str, cause: str) -> None:
    assert cause in str(cause_of((RECORDED / case / "tl.log").read_text()))


def test_accelergys_own_words(tmp_path: Path) -> None:
    assert accelergy_says(tmp_path, "timeloop-mapper") is None
    log = tmp_path / "timeloop-mapper.accelergy.log"
    log.write_text('|| ValueError: Required key "technology" not found\n====\nAccelergy has crashed. Error above. \n')
    assert accelergy_says(tmp_path, "timeloop-mapper") == (
        'Accelergy failed: ValueError: Required key "technology" not found'
    )
    log.write_text("sh: 1: accelergy: not found\n")
    assert accelergy_says(tmp_path, "timeloop-mapper") == "Accelergy failed: sh: 1: accelergy: not found"
    log.write_text("")
    assert accelergy_says(tmp_path, "timeloop-mapper") is None


@pytest.mark.parametrize("broken", [b"\xdb", b"ERT_summary: a", b"ERT_summary: {table_summary: [a]}", b"[", b""])
def test_a_damaged_summary_is_named(broken: bytes, tmp_path: Path) -> None:
    (tmp_path / f"{MAPPER}.ERT_summary.yaml").write_bytes(broken)
    with pytest.raises(Broken, match=r"ERT_summary\.yaml cannot be read"):
        dummies(tmp_path, MAPPER)
    (tmp_path / f"{MAPPER}.map.yaml").write_bytes(broken)
    with pytest.raises(Broken, match=r"map\.yaml cannot be read"):
        read_directives(tmp_path, MAPPER)
