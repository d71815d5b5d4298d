"""The experiments' claims, on small versions of their questions."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from dse import DEFAULT_CONSTRAINTS, StudySpec
from evaluators.memo import Memo
from evaluators.system import SystemSettings
from search_spaces import networks
from search_spaces.space import sensor_edge_space

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(EXPERIMENTS / "clock_and_link.py"), run_name="experiment")


def test_clock_and_link_are_decisions_and_each_for_its_reason(script: dict[str, Any], tmp_path: Path) -> None:
    """SqueezeNet V1.1 on one chip: several clocks and links on the front, one without what makes the others cheaper."""
    network = networks.load("squeezenet1_1", (1, 3, 64, 64))
    space = sensor_edge_space(
        network, accelerators=("eyeriss_like",), pe_cols=(8,), pe_rows=(4,), glb_kib=(64,), input_buffer_scale=(1.0,),
        weight_buffer_scale=(1.0,), clock_mhz=(25, 100, 400, 500, 600),
    )  # fmt: skip
    spec = StudySpec(network, space, SystemSettings(), constraints=DEFAULT_CONSTRAINTS)
    memo = Memo()
    found = script["fronts"](spec, tmp_path, memo)
    clocks = {name: script["on_front"](front, "clock_mhz") for name, front in found.items()}
    links = {name: script["on_front"](front, "link") for name, front in found.items()}
    as_it_is = found["as it is"]
    assert len(clocks["as it is"]) >= 3 and len(links["as it is"]) == 3
    assert clocks['dvfs="off"'] == [600] and links['phy_energy="active"'] == ["10gbase-t"]

    chosen = script["widest"](as_it_is, "clock_mhz")
    rows = script["over_clocks"](spec, as_it_is, chosen, memo)
    floor = [row for row in rows if row.supply_v == rows[0].supply_v]
    dynamic_j = [row.dynamic_j for row in floor]
    assert len(floor) >= 2 and max(dynamic_j) < 1.02 * min(dynamic_j), "only the choice of mappings changes"
    assert rows[-1].dynamic_j > 1.1 * floor[-1].dynamic_j and rows[-1].leakage_j < rows[0].leakage_j
    assert not rows[0].on_front, "slower than the supply's floor only leaks longer"
    for row in rows:
        if row.on_front:
            point = space.decode(space.encode({**chosen, "clock_mhz": row.clock_mhz}))
            own = [i for i, knobs in enumerate(script["designs"](as_it_is)) if knobs == dict(point.knobs)]
            assert as_it_is.front.row(own[0])["accelerator_energy_j"] == pytest.approx(row.energy_j, rel=1e-9)

    over = script["over_links"](spec, as_it_is, script["widest"](as_it_is, "link"), memo)
    assert [row.phy_j for row in over] == sorted(row.phy_j for row in over)
    assert [row.link_s for row in over] == sorted((row.link_s for row in over), reverse=True)
    script["plot"](rows, as_it_is, "a chip", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("script", "option", "says"),
    [
        ("clock_and_link.py", ["--network", "squeezenet"], "No such option"),
        ("benchmarks/search.py", ["--networks", "sqeezenet"], "did you mean 'squeezenet'"),
        ("benchmarks/exact.py", ["--mapping", "edpp"], "did you mean 'edp'"),
        ("benchmarks/networks.py", ["--networks", "mobilenet_v4"], "no network 'mobilenet_v4'"),
        ("benchmarks/edge.py", ["--network", "mobilenet_v4"], "no network 'mobilenet_v4'"),
        ("benchmarks/timeloop.py", [], "timeloop-model is not on the PATH"),
    ],
)
def test_a_mistake_is_one_line(
    script: str, option: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [script, *option])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXPERIMENTS / script), run_name="__main__")
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and says in errors and errors.count("\n") == 1
