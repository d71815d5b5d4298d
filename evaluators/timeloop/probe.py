"""Whether Timeloop and Accelergy work here: not that they are installed, but that they answer a small question."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from evaluators.mapper.counts import count
from evaluators.mapper.mapping import Mapping
from evaluators.memo import Memo
from evaluators.timeloop.evaluate import MODEL, Timeloop
from evaluators.timeloop.failures import last_lines
from evaluators.timeloop.front_end import FrontEnd, find
from evaluators.timeloop.output import Output, component_of
from evaluators.timeloop.process import Job, Run, run_all
from evaluators.timeloop.render import SearchSettings
from evaluators.timeloop.v04 import Quoted, to_yaml
from search_spaces import accelerators
from search_spaces.accelerators import Architecture
from search_spaces.errors import IllegalDesign, UserError
from search_spaces.types import ConvShape

__all__ = ["Probe", "probe_accelergy", "probe_front_end", "probe_tool"]

_SHAPE = ConvShape(N=1, C=4, M=8, P=6, Q=6, R=3, S=3)
_MAPPING = "M8;;/R3C4;;/;;/;;S3/P6;;/Q6;;"
_LIMIT_S = 60.0

_DRAM: dict[str, object] = {"type": Quoted("LPDDR4"), "width": 64, "word-bits": 16}
_ON_CHIP: dict[str, dict[str, object]] = {
    "SRAM": {"depth": 16384, "width": 64, "n_banks": 32, "n_rdwr_ports": 2},
    "regfile": {"depth": 16, "width": 16},
    "intmac": {"datawidth": 16, "width": 16},
}
_TECHNOLOGY: dict[str, object] = {"technology": Quoted("45nm")}
_SYSTEM: dict[str, object] = {**_TECHNOLOGY, "global_cycle_seconds": 5e-9}


@dataclass(frozen=True)
class Probe:
    """What came of a probe: whether the tool works, and what is known of it or what is wrong."""

    works: bool
    says: str


def probe_tool(name: str) -> Probe:
    """Ask `timeloop-model` or `timeloop-mapper` about a small layer and compare with our own counts."""
    if shutil.which(name) is None:
        return Probe(False, f"{name} is not on the PATH")
    architecture = accelerators.build("eyeriss_like")
    tool = Timeloop(Memo(), limit_s=_LIMIT_S)
    try:
        executable = tool.tool(name)
        answer = _ask(tool, name, architecture)
    except UserError as error:
        return Probe(False, str(error))
    if isinstance(answer, IllegalDesign):
        return Probe(False, f"{executable.path} cannot map a layer that eyeriss_like maps: {answer}")
    output, mapping = answer
    ours = count(architecture, _SHAPE, mapping)
    if (output.compute_cycles, output.macs) != (ours.compute_cycles, ours.macs):
        says = f"{output.compute_cycles} cycles for a test layer that takes {ours.compute_cycles}"
        return Probe(False, f"{executable.path} counts {says}; is it a version other than be27768?")
    return Probe(True, f"{executable.path}, {tool.says(name)}; counts a test layer as we do")


def _ask(tool: Timeloop, name: str, architecture: Architecture) -> tuple[Output, Mapping] | IllegalDesign:
    """The tool's figures for the test layer and the mapping they belong to."""
    if name == MODEL:
        mapping = Mapping.from_text(_MAPPING)
        (output,) = tool.model([(_SHAPE, architecture, mapping)])
        return output if isinstance(output, IllegalDesign) else (output, mapping)
    (found,) = tool.search([(_SHAPE, architecture)], SearchSettings(victory=2))
    return found if isinstance(found, IllegalDesign) else (found.output, found.mapping)


def probe_front_end() -> Probe:
    """Whether v0.4 input can be read; that the tools take what it makes of it is seen by `probe_tool`."""
    found = find()
    if isinstance(found, FrontEnd):
        return Probe(True, f"{found.package} sha256 {found.digest[:12]} of {' '.join(found.python)}")
    return Probe(False, found)


def probe_accelergy() -> Probe:
    """Ask Accelergy for the energies of four components, and see which of its plug-ins answer."""
    found = shutil.which("accelergy")
    if found is None:
        return Probe(False, "accelergy is not on the PATH")
    local = [_component(kind, attributes | _TECHNOLOGY) for kind, attributes in _ON_CHIP.items()]
    chip = {"name": "chip", "attributes": _TECHNOLOGY, "local": local}
    dram = [_component("DRAM", _DRAM)]
    tree = {
        "architecture": {
            "version": 0.4,
            "subtree": [{"name": "system", "attributes": _SYSTEM, "local": dram, "subtree": [chip]}],
        }
    }
    job = Job("four components", ("in.yaml", "-o", "."), {"in.yaml": to_yaml(tree)})
    try:
        ended: list[Run] = []
        run_all(Path(found).absolute(), [job], lambda _, run: ended.append(run), limit_s=_LIMIT_S)
    except UserError as error:
        return Probe(False, str(error))
    (run,) = ended
    try:
        table = yaml.safe_load((run.folder / "ERT_summary.yaml").read_text())["ERT_summary"]["table_summary"]
        estimations = {component_of(row["name"]): row["primitive_estimation(s)"] for row in table}
        answers = {name.removeprefix("a_"): _estimator(said) for name, said in estimations.items()}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return Probe(False, f"{found} gave no energies: {' | '.join(last_lines(run.log))}")
    finally:
        run.discard()
    if silent := [kind for kind in ("DRAM", *_ON_CHIP) if kind not in answers]:
        return Probe(False, f"{found} says nothing of {', '.join(silent)}")
    made_up = [kind for kind, estimator in answers.items() if "dummy" in estimator.lower()]
    known = ", ".join(sorted({estimator for kind, estimator in answers.items() if kind not in made_up}))
    if made_up:
        return Probe(
            False, f"{found} knows no energy of {', '.join(made_up)} (1 pJ made up); plug-ins: {known or 'none'}"
        )
    return Probe(True, f"{found}, plug-ins {known}")


def _component(kind: str, attributes: dict[str, object]) -> dict[str, object]:
    """One of a kind, with the actions that Accelergy is to price: its states since 2024 have no list of their own."""
    actions = ["compute"] if kind == "intmac" else ["read", "write"]
    return {"name": f"a_{kind}", "class": kind, "attributes": attributes, "required_actions": actions}


def _estimator(said: object) -> str:
    if isinstance(said, list):
        return str(said[0].get("estimator", "")) if said else "dummy"
    return str(said)
