"""The sensor model on Timeloop (a stand-in that replays recorded runs): priced, marked and remembered apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluators import edge
from evaluators.components import dram_access_pj
from evaluators.mapper.energy import price
from evaluators.memo import Memo
from evaluators.sensor import SensorModel, SensorSettings
from evaluators.timeloop.evaluate import MAPPER
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape, Cut, Layer, Network, Tensor
from tests.timeloop import StandIn

SIMBA = accelerators.build("simba_like")
SHAPE = ConvShape(N=1, C=6, M=128, P=111, Q=111, R=3, S=3, stride_w=2, stride_h=2, groups=2)
LAYERS = (
    Layer("conv", "conv2d", "mac", (-1,), 6 * 223 * 223, 128 * 111 * 111, 3456, SHAPE),
    Layer("pool", "max_pool2d", "move", (0,), 128 * 111 * 111, 128 * 5 * 5),
)
NETWORK = Network(
    "two",
    Tensor("input", (1, 6, 223, 223)),
    LAYERS,
    (
        Cut("input", frozenset(), (Tensor("input", (1, 6, 223, 223)),)),
        Cut("all", frozenset({0, 1}), (Tensor("pool", (1, 128, 5, 5)),)),
    ),
    "block",
)
OURS = SensorSettings(dvfs="off", energy_table="timeloop-be27768")
THEIRS = SensorSettings(dvfs="off", energy_table="timeloop-be27768", accelerator_model="timeloop")


def test_a_layer_costs_what_the_tool_says(stand_in: StandIn) -> None:
    """Two groups of the recorded layer: 110889 cycles; 186642533.767 pJ, whose DRAM share is charged by its type."""
    stand_in.does("simba_like_00")
    costs = SensorModel(THEIRS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert costs.cycles[0] == 2 * 110889
    assert costs.latency_s[0] == 2 * 110889 / 200e6
    assert costs.energy_j[0] == pytest.approx(2 * 186642533.76706752e-12, rel=1e-9)
    assert costs.dram_j[0] == pytest.approx(2 * 60125696e-12, rel=1e-12)
    hbm2 = SensorModel(THEIRS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "hbm2")
    pj = dram_access_pj(price(SIMBA, "timeloop-be27768").dram, "hbm2")
    assert hbm2.dram_j[0] == pytest.approx(2 * 117433 * pj * 1e-12)


def test_moving_words_is_not_the_tools_business(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00")
    theirs = SensorModel(THEIRS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    ours = SensorModel(OURS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert theirs.energy_j[1] == ours.energy_j[1] > 0
    assert len(stand_in.folders) == 1


def test_an_edge_accelerator_names_the_tool_too(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00")
    theirs = edge.profile(NETWORK, "accelerator:simba_like,clock_mhz=200", memo=Memo(), settings=THEIRS)
    assert theirs.provenance.startswith("simulated by timeloop-mapper (sha256 ")
    assert theirs.notes[0].startswith("timeloop-mapper (sha256 ")
    ours = edge.profile(NETWORK, "accelerator:simba_like,clock_mhz=200", memo=Memo(), settings=OURS)
    assert ours.provenance == "simulated"


def test_figures_name_the_tool(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00")
    costs = SensorModel(THEIRS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert costs.time_provenance([0]).startswith("simulated by timeloop-mapper (sha256 ")
    assert "counts by timeloop-mapper" in costs.energy_provenance([0])
    ours = SensorModel(OURS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert (ours.time_provenance([0]), ours.energy_provenance([0])) == ("simulated", ours.provenance)


def test_the_models_share_a_memo_and_no_entry(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.does("simba_like_00")
    memo = Memo(tmp_path / "memo.db")
    ours = [SensorModel(OURS, memo).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4").energy_j for _ in range(2)]
    theirs = SensorModel(THEIRS, memo).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4").energy_j
    again = SensorModel(OURS, memo).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4").energy_j
    assert np.array_equal(ours[0], again)
    assert theirs[0] > ours[0][0], "the recorded mapping is not the optimum"
    assert memo.info().entries == {"mapping": 1, MAPPER: 1}


def test_the_version_tells_models_and_builds_apart(stand_in: StandIn, tmp_path: Path) -> None:
    versions = {SensorModel(OURS, Memo()).version, SensorModel(THEIRS, Memo()).version}
    with (tmp_path / "bin" / MAPPER).open("a") as file:
        file.write("# another build\n")
    versions.add(SensorModel(THEIRS, Memo()).version)
    versions.add(SensorModel(SensorSettings(mapping="delay", accelerator_model="timeloop"), Memo()).version)
    assert len(versions) == 4


def test_what_does_not_map_is_named(stand_in: StandIn) -> None:
    stand_in.does("fail_eyeriss_S13")
    costs = SensorModel(THEIRS, Memo()).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert "conv: timeloop-mapper finds no mapping" in costs.unmapped[0]
    assert np.isnan(costs.energy_j[0])


def test_preparing_runs_every_layer_once(stand_in: StandIn) -> None:
    stand_in.does("simba_like_00")
    memo = Memo()
    told: list[tuple[int, int]] = []
    SensorModel(THEIRS, memo).prepare(NETWORK, [SIMBA], workers=2, progress=lambda *at: told.append(at))
    assert told == [(0, 1), (1, 1)]
    SensorModel(THEIRS, memo).layer_costs(NETWORK, SIMBA, 200e6, "lpddr4")
    assert len(stand_in.folders) == 1


def test_what_the_tool_cannot_is_refused() -> None:
    with pytest.raises(UserError, match="one mapping"):
        SensorSettings(mapping="pareto", accelerator_model="timeloop")
    with pytest.raises(UserError, match="no accelerator model 'timelop'; did you mean 'timeloop'"):
        SensorSettings(accelerator_model="timelop")  # type: ignore[arg-type]


def test_a_model_without_its_tool_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="not on the PATH"):
        SensorModel(THEIRS, Memo())
