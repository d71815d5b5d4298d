"""Every count, cycle and energy that Timeloop recorded, beside ours; and its mapper's best beside our optimum."""

import csv
import json
from functools import cache
from pathlib import Path

import pytest

from evaluators.mapper.against import compare
from evaluators.mapper.energy import price
from evaluators.mapper.layer import map_layer
from evaluators.mapper.recorded import read
from search_spaces import accelerators
from search_spaces.errors import UserError
from search_spaces.types import ConvShape
from tests.reference import EXCERPTS, SHARED, recorded

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
        {"cycles": float("inf")},
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


TABLES = [
    "mapper_runs_squeezenet1_1_224.csv",
    "mapper_runs_eyeriss_variants.csv",
    "mapper_runs_simba_variants.csv",
    "mapper_runs_resnet50_224_eyeriss.csv",
    "mapper_runs_resnet50_224_simba.csv",
    "mapper_runs_squeezenet1_1_224_sos_gemmini.csv",
]
WITH_MAPPINGS = EXCERPTS / "timeloop/mapper_runs_with_mappings.csv"
"""Eight rows of these tables: eyeriss_like and simba_like, one variant of each, simple_output_stationary keeping
nothing, weights or inputs in the global buffer, and gemmini_like; and one row for which the tool found nothing."""


@pytest.mark.parametrize(
    "path", [WITH_MAPPINGS, *(p for name in TABLES if (p := SHARED / "timeloop" / name).is_file())]
)
def test_every_count_of_what_the_tools_mapper_chose_is_ours(path: Path) -> None:
    report = compare(path)
    assert report.accepted == report.lines >= 7
    assert report.agree == report.lines, report.first_difference
    assert report.worst_energy < 1e-9
    assert report.worst_area is None or report.worst_area < 1e-9


def _table(rows: list[dict[str, str]], path: Path, columns: list[str] | None = None) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_table_of_runs_may_be_in_any_order_and_have_more_columns(tmp_path: Path) -> None:
    with WITH_MAPPINGS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["mine", *sorted(rows[0])]
    report = compare(_table([{**row, "mine": "x"} for row in reversed(rows)], tmp_path / "shuffled.csv", columns))
    assert (report.agree, report.lines) == (len(rows) - 1, len(rows) - 1)


def test_figures_of_a_grouped_layer_may_be_of_all_groups(tmp_path: Path) -> None:
    with WITH_MAPPINGS.open(newline="") as file:
        row = next(csv.DictReader(file))
    of_all = {**row, "groups": "3", "M": str(3 * int(row["M"])), "C": str(3 * int(row["C"]))}
    of_all |= {name: str(3 * float(row[name])).removesuffix(".0") for name in ("cycles", "compute_cycles", "energy_pJ")}
    report = compare(_table([{**row, "groups": "3"}, of_all], tmp_path / "grouped.csv"))
    assert report.agree == 2 and report.worst_energy < 1e-9, report.first_difference


def test_json_lines_need_not_say_what_a_level_keeps(tmp_path: Path) -> None:
    """simple_output_stationary's global buffer keeps what was accessed there; a rejected mapping may have kept all."""
    lines = []
    for given in read(WITH_MAPPINGS):
        entries: list[object] = []
        for name, level in given.levels.items():
            entries.append([name, "temporal", dict(level.temporal), "".join(d for d, _ in level.temporal), None])
            order = "".join(d for d, _ in level.spatial)
            entries.append([name, "spatial", dict(level.spatial), order, len(level.x)])
        layer = {dim: getattr(given.shape, dim) for dim in "NCMPQRS"}
        layer |= {"Wstride": given.shape.stride_w, "Hstride": given.shape.stride_h}
        accesses = {name: dict(zip("ruf", words, strict=True)) for name, words in given.accesses.items()}
        line = {"acc": given.accelerator, "layer": layer, "map": entries, "ok": 1, "accesses": accesses}
        line |= {"cycles": given.cycles, "compute_cycles": given.compute_cycles, "energy_pJ": given.energy_pj}
        if given.accelerator == "simple_output_stationary":
            lines.append(line)
    rejected = {**lines[0], "layer": {**lines[0]["layer"], "P": 1110}, "ok": 0, "accesses": None}  # type: ignore[dict-item]
    rejected["map"] = [["shared_glb", "temporal", {"P": 1110, "Q": 111}, "PQ", None]]
    path = tmp_path / "given.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in [*lines, rejected]))
    report = compare(path)
    assert (report.accepted, report.rejected) == (3, 1)
    assert report.agree == 4 and report.worst_energy < 1e-9, report.first_difference


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mapping": "DRAM [ Weights:1 (1) ]\n| for P in [0:55,3)"}, "line 2 is no run of a mapper: .* not a loop"),
        ({"cycles": ""}, "line 2 is no run of a mapper"),
        ({"groups": "0"}, "line 2 is no run of a mapper: ValueError 0 groups"),
        ({"acc_DRAM": '{"reads": [1, 2]}'}, "line 2 is no run of a mapper"),
        ({"variant": "eyeriss_8_8"}, "line 2 is no run of a mapper: .* no size of variant 'eyeriss_8_8': pe_x, pe_y"),
        ({"acc": "tpu"}, "no accelerator 'tpu'"),
        ({"acc": "gemmini_like", "glb_banks": ""}, "line 2: gemmini_like has no level 'shared_glb'"),
    ],
)
def test_a_row_of_another_format_is_named_in_one_line(change: dict[str, str], says: str, tmp_path: Path) -> None:
    with WITH_MAPPINGS.open(newline="") as file:
        row = next(csv.DictReader(file)) | change
    with pytest.raises(UserError, match=says) as refused:
        compare(_table([row], tmp_path / "given.csv"))
    assert "\n" not in str(refused.value)


def test_other_tables_are_refused_with_what_they_lack(tmp_path: Path) -> None:
    path = tmp_path / "sram.csv"
    path.write_text("tech_nm,size_KiB\n45,1\n")
    with pytest.raises(UserError, match="a table of them has a column 'acc'"):
        compare(path)


@pytest.mark.parametrize("template", ["eyeriss", "simba"])
def test_what_else_a_line_says_changes_nothing(template: str, tmp_path: Path) -> None:
    lines = (EXCERPTS / f"timeloop/fixed_mappings_{template}.jsonl").read_text().splitlines()
    path = tmp_path / "given.jsonl"
    path.write_text(
        "\n\n".join(json.dumps({"note": None, "rc": None, **json.loads(line)}, sort_keys=True) for line in lines[::-1])
    )
    report = compare(path)
    assert report.agree == report.lines == len(lines)


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


@pytest.mark.parametrize("file", TABLES)
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
