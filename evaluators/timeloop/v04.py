"""Timeloop's v0.4 input: what `render` writes said in that format, and YAML with its tags (!Container, !Component).

v0.4 is read by Timeloop's front end only (timeloopfe). A fan-out is a container of its own there, which the front end
turns into a storage level that keeps nothing, `inter_<container>_spatial`; results of the tool have these levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from search_spaces.errors import UserError

__all__ = [
    "VERSION_04",
    "Node",
    "Quoted",
    "inserted",
    "level_above",
    "mapper_section_04",
    "problem_04",
    "read",
    "to_yaml",
    "translated",
]

VERSION_04 = 0.4

_NAMES = {"word-bits": "datawidth", "block-size": "block_size", "cluster-size": "cluster_size"}
_ELSEWHERE = ("instances", "meshX", "entries")
"""Attributes that v0.4 says by the containers around a component, and by rows."""

_UNLIMITED = 2**31 - 1
"""Rows of a DRAM, which the front end wants to know."""

_BELOW = "below_"
_INSERTED = re.compile(r"inter_\w+_spatial")
_OUR_FAN_OUT = re.compile(rf"inter_{_BELOW}(\w+)_spatial")


class Node(dict[str, Any]):
    """A mapping with a tag, such as one !Component of the architecture."""

    def __init__(self, tag: str, entries: Mapping[str, Any] | None = None) -> None:
        super().__init__(entries or {})
        self.tag = tag


class Quoted(str):
    """A text that was in quotes: without them the front end takes it for an expression, as in 2*depth."""


def inserted(name: str) -> bool:
    """Whether this level of a result is a fan-out that the front end wrote as a level."""
    return _INSERTED.fullmatch(name) is not None


def level_above(name: str) -> str | None:
    """The level of ours below which this one is the fan-out, None where it is none."""
    found = _OUR_FAN_OUT.fullmatch(name)
    return found[1] if found else None


def translated(document: Mapping[str, Any]) -> dict[str, Any]:
    """What `render.mapper_input` or `render.model_input` wrote, in v0.4 with all constraints in the architecture."""
    targets = document["mapping"] if "mapping" in document else document["mapspace_constraints"]["targets"]
    said = {(target["target"], target["type"]): target for target in targets}
    (system,) = document["architecture"]["subtree"]
    nodes: list[Node] = [Node("!Container", {"name": system["name"]})]
    above: Mapping[str, Any] | None = None
    for component in system["local"]:
        if above is not None and (mesh := _fan_out(above["attributes"], component["attributes"])) != (1, 1):
            nodes.append(_container(mesh, said[above["name"], "spatial"]))
        nodes.append(_component(component, said))
        above = component
    whole = {
        "architecture": {"version": VERSION_04, "nodes": nodes},
        "problem": problem_04(document["problem"]),
        "ERT": {"version": VERSION_04, "tables": [_energies(table) for table in document["ERT"]["tables"]]},
        "ART": {"version": VERSION_04, "tables": document["ART"]["tables"]},
    }
    return whole | ({"mapper": mapper_section_04(document["mapper"])} if "mapper" in document else {})


def _energies(table: Mapping[str, Any]) -> dict[str, Any]:
    """Energies of a component's actions; v0.4 wants arguments even where there are none."""
    return {"name": table["name"], "actions": [{**action, "arguments": {}} for action in table["actions"]]}


def problem_04(problem: Mapping[str, Any]) -> dict[str, Any]:
    """The entry `problem` of v0.4, from that of v0.3."""
    renamed: dict[str, Any] = _underscores(problem)
    return {"version": VERSION_04, **renamed}


def mapper_section_04(mapper: Mapping[str, Any]) -> dict[str, Any]:
    """The entry `mapper` of v0.4, from that of v0.3."""
    renamed: dict[str, Any] = _underscores(mapper)
    return {"version": VERSION_04, **renamed, "algorithm": mapper["algorithm"].replace("-", "_")}


def _underscores(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key.replace("-", "_"): _underscores(entry) for key, entry in value.items()}
    return [_underscores(entry) for entry in value] if isinstance(value, list) else value


def _fan_out(outer: Mapping[str, int], inner: Mapping[str, int]) -> tuple[int, int]:
    """Instances of the inner component per outer one, on X and on Y."""
    x = inner["meshX"] // outer["meshX"]
    return x, inner["instances"] // outer["instances"] // x


def _container(mesh: tuple[int, int], spatial: Mapping[str, Any]) -> Node:
    name = _BELOW + spatial["target"]
    constraints = {"spatial": {**_loops(spatial), "split": spatial["split"]}}
    return Node(
        "!Container", {"name": name, "spatial": {"meshX": mesh[0], "meshY": mesh[1]}, "constraints": constraints}
    )


def _component(component: Mapping[str, Any], said: Mapping[tuple[str, str], Mapping[str, Any]]) -> Node:
    name = component["name"]
    given = component["attributes"]
    attributes = {_NAMES.get(k, k): v for k, v in given.items() if k not in _ELSEWHERE}
    if "block-size" in given:
        rows, rest = divmod(given["entries"], given["block-size"]) if "entries" in given else (_UNLIMITED, 0)
        if rest:
            raise UserError(
                f"{name} of {given['entries']} words is no whole number of rows of {given['block-size']}, "
                "in which v0.4 counts; take v0.3 input"
            )
        attributes["depth"] = rows
    node = Node("!Component", {"name": name, "class": component["class"], "attributes": attributes})
    if (name, "temporal") in said:
        kept = said[name, "bypass"]
        node["constraints"] = {
            "dataspace": {"keep": kept["keep"], "bypass": kept["bypass"]},
            "temporal": _loops(said[name, "temporal"]),
        }
    return node


def _loops(target: Mapping[str, Any]) -> dict[str, list[str]]:
    factors = target.get("factors", "").split()
    if cut := [factor for factor in factors if "," in factor]:
        raise UserError(f"v0.4 input cannot say remainders, as in {cut[0]} below {target['target']}; take v0.3 input")
    return {"factors": factors, "permutation": list(target["permutation"])}


# YAML


class _Loader(yaml.SafeLoader):
    """Plain YAML, mappings with a tag of their own as a `Node` and quoted texts as `Quoted`."""


class _Dumper(yaml.SafeDumper):
    """Writes a `Node` with its tag, quoted texts in quotes, and all that is shared in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _load_node(loader: _Loader, suffix: str, node: yaml.Node) -> Node:
    tag = f"!{suffix}"
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        return Node(tag, loader.construct_mapping(node, deep=True))
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return Node(tag)
    raise yaml.constructor.ConstructorError(None, None, f"{tag} should be a mapping", node.start_mark)


def _load_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_scalar(node)
    return Quoted(text) if node.style in ("'", '"') else text


def _dump_quoted(dumper: _Dumper, text: Quoted) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')


def _dump_node(dumper: _Dumper, node: Node) -> yaml.Node:
    return dumper.represent_mapping(node.tag, node)


_Loader.add_multi_constructor("!", _load_node)
_Loader.add_constructor("tag:yaml.org,2002:str", _load_text)
_Dumper.add_representer(Node, _dump_node)
_Dumper.add_representer(Quoted, _dump_quoted)


def read(text: str) -> Any:
    """YAML of either version; mappings with a tag are `Node`s. Raises yaml.YAMLError."""
    return yaml.load(text, _Loader)  # a SafeLoader


def to_yaml(document: Mapping[str, Any]) -> str:
    """The text of an input with tags, in the order it was built."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)
