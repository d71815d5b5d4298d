"""What is written for the tool: the mapspace we search, the energies we charge, the mapping we mean."""

from __future__ import annotations

import re
from math import factorial, prod
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluators.mapper.energy import price
from evaluators.mapper.mapping import Mapping, padded
from evaluators.mapper.mapspace import factorizations, mapspace
from evaluators.mapper.result import best_mappings
from evaluators.memo import Memo
from evaluators.timeloop import SearchSettings
from evaluators.timeloop.output import read_mapping
from evaluators.timeloop.render import mapper_input, model_input, to_yaml
from search_spaces import accelerators
from search_spaces.accelerators import DIMS
from search_spaces.errors import UserError
from search_spaces.types import ConvShape

SHAPES = (
    ConvShape(N=1, C=3, M=64, P=27, Q=27, R=3, S=3, stride_w=2, stride_h=2),
    ConvShape(N=2, C=16, M=21, P=8, Q=6, R=1, S=1, dilation_w=2),
)


def written(accelerator: str, shape: ConvShape, search: SearchSettings | None = None) -> dict[str, Any]:
    priced = price(accelerators.build(accelerator))
    text = to_yaml(mapper_input(priced, shape, "lpddr4", search or SearchSettings()))
    return yaml.safe_load(text)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("accelerator", accelerators.names())
def test_the_constraints_leave_our_mapspace(accelerator: str, shape: ConvShape) -> None:
    """Factorizations and orders counted from the written constraints alone are those of our own mapspace."""
    architecture = accelerators.build(accelerator)
    document = written(accelerator, shape)
    bounds = document["problem"]["instance"]
    slots, taken = dict.fromkeys(DIMS, 0), dict.fromkeys(DIMS, 1)
    choices = 1
    for target in document["mapspace_constraints"]["targets"]:
        if target["type"] == "bypass":
            choices *= 2 ** (3 - len(target["keep"]) - len(target["bypass"]))
            continue
        said = dict(re.findall(r"([A-Z])=(\d+)", target.get("factors", "")))
        for dim in DIMS:
            slots[dim] += dim not in said
            taken[dim] *= int(said.get(dim, 1))
        if target["type"] == "temporal":
            choices *= factorial(len(DIMS) - len(target["permutation"]))
        else:
            assert sorted(target["permutation"]) == sorted(DIMS)
    ways = prod(len(factorizations(bounds[dim] // taken[dim], slots[dim])) for dim in DIMS)
    # input_activation_reg's six orders are one to the tool as well: only outputs lie inside, R and S first spare them
    left_out = 6 if accelerator == "simple_output_stationary" else 1
    assert ways * choices * left_out == mapspace(architecture, shape).size


@pytest.mark.parametrize("accelerator", accelerators.names())
def test_meshes_sizes_and_energies_are_ours(accelerator: str) -> None:
    architecture = accelerators.build(accelerator)
    priced = price(architecture)
    document = written(accelerator, SHAPES[0])
    (system,) = document["architecture"]["subtree"]
    components = {part["name"]: part["attributes"] for part in system["local"]}
    assert [*components] == [*(level.name for level in reversed(architecture.levels)), "MAC"]
    fanout = {"X": 1, "Y": 1}
    for level in reversed(architecture.levels):
        attributes = components[level.name]
        assert attributes["meshX"] == fanout["X"]
        assert attributes["instances"] == fanout["X"] * fanout["Y"]
        assert attributes["width"] == attributes["word-bits"] * attributes["block-size"] * attributes["cluster-size"]
        assert attributes.get("entries", 0) == (level.words or (0 if level.name == "DRAM" else 1))
        fanout = {"X": fanout["X"] * level.mesh_x, "Y": fanout["Y"] * level.mesh_y}
    assert components["MAC"]["instances"] == fanout["X"] * fanout["Y"]
    energies = {row["name"]: {a["name"]: a["energy"] for a in row["actions"]} for row in document["ERT"]["tables"]}
    for level, figures in zip(architecture.on_chip, priced.levels, strict=False):
        assert energies[f"system.{level.name}"] == {"read": figures.read_pj, "write": figures.write_pj}
    assert energies["system.MAC"] == {"compute": priced.mac.read_pj}
    assert energies["system.DRAM"]["read"] == 8 * priced.dram.width_bits  # LPDDR4: 8 pJ per bit


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("accelerator", accelerators.names())
def test_a_mapping_survives_being_written(accelerator: str, shape: ConvShape, tmp_path: Path) -> None:
    architecture = accelerators.build(accelerator)
    (mapped,) = best_mappings(shape, architecture, Memo())
    document = model_input(price(architecture), shape, "lpddr4", mapped.mapping)
    assert {dim: document["problem"]["instance"][dim] for dim in DIMS} == padded(shape, architecture)
    (tmp_path / "tool.map.yaml").write_text(to_yaml({"mapping": document["mapping"]}))
    choosing = [level.name for level in architecture.levels if level.keeps_choices]
    read = read_mapping(tmp_path, "tool", [level.name for level in architecture.levels], choosing)
    assert read == mapped.mapping


def test_remainders_end_where_the_dimension_does() -> None:
    """Q: 27 on 7 steps, 2 PEs and 2 steps, of which the last leave 6, 2 and 2; M and the rest as ever.

    The tool adds up (last − 1) × what lies inside, from the outside in, and wants the bound less one.
    """
    mapping = Mapping.from_text("P5Q7;;/;;C4/;;/;;M4/;Q2;/Q2P3;;|P13Q27")
    document = model_input(price(accelerators.build("simba_like")), SHAPES[0], "lpddr4", mapping)
    written = {(d["target"], d["type"]): d["factors"] for d in document["mapping"] if "factors" in d}
    assert "P=5,3 Q=7,6" in written["PEWeightRegs", "temporal"]
    assert "Q=2 " in written["GlobalBuffer", "spatial"]
    assert (document["problem"]["instance"]["P"], document["problem"]["instance"]["Q"]) == (13, 27)
    for dim, bound in mapping.ragged:
        reached = 0
        for directive in reversed([d for d in document["mapping"] if "factors" in d]):
            ((n, last),) = re.findall(rf"{dim}=(\d+)(?:,(\d+))?", directive["factors"])
            reached = reached * int(n) + int(last or n) - 1
        assert reached == bound - 1


def test_strides_and_dilations_go_with_their_axes() -> None:
    shape = ConvShape(N=1, C=4, M=8, P=9, Q=7, R=3, S=2, stride_w=2, stride_h=3, dilation_w=4, dilation_h=5, groups=2)
    instance = written("eyeriss_like", shape)["problem"]["instance"]
    strides = {name: instance[name] for name in ("Wstride", "Hstride", "Wdilation", "Hdilation")}
    assert strides == {"Wstride": 2, "Hstride": 3, "Wdilation": 4, "Hdilation": 5}
    assert (instance["C"], instance["M"]) == (2, 4), "one group"
    (inputs,) = [s for s in written("eyeriss_like", shape)["problem"]["shape"]["data-spaces"] if s["name"] == "Inputs"]
    assert inputs["projection"][2] == [["R", "Wdilation"], ["P", "Wstride"]]


def test_a_dimension_on_both_axes_cannot_be_said() -> None:
    architecture = accelerators.build("simple_output_stationary")
    levels = Mapping.from_text(";;/;;/;;/;;/;C2;C2/;;").levels
    with pytest.raises(UserError, match="one dimension on both axes"):
        model_input(price(architecture), SHAPES[0], "lpddr4", Mapping(levels))


@pytest.mark.parametrize(
    ("metric", "objectives"), [("edp", ["edp"]), ("delay", ["delay", "energy"]), ("energy", ["energy", "delay"])]
)
def test_the_search_is_as_asked(metric: Any, objectives: list[str]) -> None:
    mapper = written("simba_like", SHAPES[0], SearchSettings(metric, "exhaustive", 7, 9, 2))["mapper"]
    assert mapper["optimization-metrics"] == objectives
    assert (mapper["algorithm"], mapper["victory-condition"]) == ("exhaustive", 7)
    assert (mapper["timeout"], mapper["num-threads"], mapper["live-status"]) == (9, 2, False)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"metric": "speed"}, "no metric"), ({"algorithm": "linear"}, "linear-pruned"), ({"give_up": 0}, "at least 1")],
)
def test_bad_settings_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        SearchSettings(**options)
