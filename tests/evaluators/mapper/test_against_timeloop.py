"""Every count, cycle and energy that Timeloop recorded, beside ours; and its mapper's best beside our optimum."""

import csv
import json
from functools import cache
from pathlib import Path

import pytest

from evaluators.mapper.against import compare
from evaluators.mapper.energy import price
from evaluators.mapper.layer import map_layer
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape
from tests.reference import EXCERPTS, recorded

DRAM_PJ = 512.0


@pytest.mark.parametrize("template", ["eyeriss", "simba"])
def test_counts_of_given_mappings_equal_the_tools(template: str) -> None:
    report = compare(recorded(f"timeloop/fixed_mappings_{template}.jsonl"))
    assert report.accepted >= 100
    assert report.rejected >= 10
    assert report.agree == report.lines, report.first_difference
    assert report.worst_energy < 1e-9


@pytest.mark.parametrize("template", ["eyeriss", "simba"])
def test_a_wrong_count_is_found_and_named(template: str, tmp_path: Path) -> None:
    lines = (EXCERPTS / f"timeloop/fixed_mappings_{template}.jsonl").read_text().splitlines()[:3]
    broken = json.loads(lines[1])
    broken["accesses"]["DRAM"]["r"][1] += 1
    path = tmp_path / "given.jsonl"
    path.write_text("\n".join([lines[0], json.dumps(broken), lines[2]]))
    report = compare(path)
    assert report.agree == 2
    assert [(d.line, d.what) for d in report.first_difference] == [(2, "DRAM reads of I")]


@pytest.mark.parametrize(
    "change",
    [
        {"map": [["DRAM"]]},
        {"map": [["DRAM", "sideways", {}, "NMCPQRS", None]]},
        {"map": [["DRAM", "temporal", {"N": "many"}, "NMCPQRS", None]]},
        {"accesses": {"DRAM": {"r": [1, 2]}}},
        {"cycles": None},
        {"layer": {"C": 1}},
    ],
)
def test_a_line_of_another_format_is_named_in_one_line(change: dict[str, object], tmp_path: Path) -> None:
    lines = (EXCERPTS / "timeloop/fixed_mappings_eyeriss.jsonl").read_text().splitlines()[:2]
    assert json.loads(lines[1])["ok"]
    path = tmp_path / "given.jsonl"
    path.write_text("\n".join([lines[0], json.dumps(json.loads(lines[1]) | change)]))
    with pytest.raises(UserError, match="line 2 is no recorded mapping") as refused:
        compare(path)
    assert "\n" not in str(refused.value)


def _rows(name: str) -> list[dict[str, str]]:
    with recorded(f"timeloop/{name}").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["found"] == "1"]
    assert len(rows) >= 20
    return rows


def _parameters(row: dict[str, str]) -> dict[str, int | float | str]:
    """The knobs of a recorded variant: sizes it names, the template's own for the rest."""
    if "pe_x" in row:
        return {"pe_cols": int(row["pe_x"]), "pe_rows": int(row["pe_y"]), "glb_kib": int(row["glb_KiB"])}
    if "n_pe" in row:
        return {
            "pe_cols": int(row["n_pe"]),
            "pe_rows": 1,
            "glb_kib": int(row["glb_KiB"]),
            "input_buffer_scale": int(row["inbuf_depth"]) / 8192,
            "weight_buffer_scale": int(row["wbuf_depth"]) / 4096,
            "accum_buffer_scale": int(row["accbuf_depth"]) / 128,
        }
    return {}


@cache
def _candidates(shape: ConvShape, accelerator: str, parameters: tuple[tuple[str, int | float | str], ...]):
    architecture = accelerators.build(accelerator, dict(parameters))
    found = map_layer(shape, architecture, "timeloop-be27768")
    mac_pj = price(architecture, "timeloop-be27768").mac.read_pj
    return [(c.cycles, c.on_chip_pj + c.dram_accesses * DRAM_PJ + found.macs * mac_pj) for c in found.candidates]


def _shape(row: dict[str, str]) -> ConvShape:
    return ConvShape(
        **{dim: int(row[dim]) for dim in "NCMPQRS"},
        stride_w=int(row["Wstride"]), stride_h=int(row["Hstride"]),
        dilation_w=int(row["Wdilation"]), dilation_h=int(row["Hdilation"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    "file",
    [
        "mapper_runs_squeezenet1_1_224.csv",
        "mapper_runs_eyeriss_variants.csv",
        "mapper_runs_simba_variants.csv",
        "mapper_runs_resnet50_224_eyeriss.csv",
        "mapper_runs_resnet50_224_simba.csv",
        "mapper_runs_squeezenet1_1_224_sos_gemmini.csv",
    ],
)
def test_our_optimum_is_never_worse_than_the_tools_mapper(file: str) -> None:
    gains = []
    for row in _rows(file):
        found = _candidates(_shape(row), row["acc"], tuple(_parameters(row).items()))
        cycles, energy_pj = int(row["cycles"]), float(row["energy_pJ"]) / int(row.get("groups") or 1)
        least = min(found)
        assert least[0] < cycles or (least[0] == cycles and least[1] <= energy_pj * (1 + 1e-9)), row["layer"]
        gains.append(cycles * energy_pj / min(c * e for c, e in found))
        assert gains[-1] >= 1 - 1e-9, row["layer"]
    gains.sort()
    print(f"{file}: energy × delay of the tool over ours: median {gains[len(gains) // 2]:.3f}, worst {gains[-1]:.2f}")


@pytest.mark.parametrize("file", ["mapper_runs_eyeriss_variants.csv", "mapper_runs_simba_variants.csv"])
def test_areas_equal_the_tools_tables(file: str) -> None:
    for row in _rows(file):
        architecture = accelerators.build(row["acc"], _parameters(row))
        assert price(architecture, "timeloop-be27768").area_mm2 * 1e6 == pytest.approx(float(row["area_um2"]), rel=1e-6)
