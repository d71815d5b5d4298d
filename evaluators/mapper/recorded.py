"""Mappings that Timeloop was run with, read back from a file with what it found for them.

Two formats. JSON lines, one mapping each: `acc`, `layer` (seven bounds, Wstride, Hstride, Wdilation, Hdilation), `map`
(entries [level, "temporal" | "spatial", factors, order inner to outer, split]; of a spatial entry's order the first
`split` dimensions lie on X), `ok` (0: the tool rejected it), and for accepted ones `cycles`, `compute_cycles`,
`energy_pJ` and `accesses` per level with `r`, `u`, `f` in the order weights, inputs, outputs.

Tables of `timeloop-mapper` runs (CSV): the layer in columns of its own, `found`, `cycles`, `compute_cycles`,
`energy_pJ`, `acc_<level>` with the accesses as JSON, and `mapping`, the tool's own text of what it chose; where the
architecture varies, columns with its sizes (`KNOBS`), and perhaps `area_um2`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

from evaluators.mapper.mapping import LevelLoops, Loop
from evaluators.mapper.mapping import Mapping as LoopNest
from search_spaces.accelerators import DIMS, Architecture
from search_spaces.errors import UserError, reason
from search_spaces.types import ConvShape, KnobValue

__all__ = ["KNOBS", "Recorded", "read"]

LEVEL_ALIASES = {"DummyBuffer": "column"}
"""Names in the tool's templates of levels that are called otherwise here."""

KNOBS: dict[str, tuple[str, float]] = {
    "pe_x": ("pe_cols", 1), "pe_y": ("pe_rows", 1), "n_pe": ("pe_cols", 1), "glb_KiB": ("glb_kib", 1),
    "glb_banks": ("glb_banks", 1), "w_spad": ("weights_spad_words", 1), "accbuf_depth": ("accum_buffer_words", 1),
    "inbuf_depth": ("input_buffer_kib", 64 / 8192), "wbuf_depth": ("weight_buffer_kib", 64 / 8192),
}  # fmt: skip
"""Columns with sizes of an architecture: the template's parameter, and its value per unit (rows of 64 bits in KiB)."""

_TENSORS = {"Weights": "W", "Inputs": "I", "Outputs": "O"}


@dataclass(frozen=True)
class Recorded:
    """A mapping of one group of a layer on an accelerator, and what the tool said about it.

    `levels` are the loops of each level by name, with what it keeps where the file says so. `accesses` are per level
    (reads, updates, fills), each of weights, inputs and outputs. `groups` are the layer's; a table's figures may be
    those of one group or of all.
    """

    line: int
    accelerator: str
    shape: ConvShape
    levels: dict[str, LevelLoops]
    accepted: bool
    cycles: int = 0
    compute_cycles: int = 0
    energy_pj: float | None = None
    area_um2: float | None = None
    accesses: dict[str, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    parameters: dict[str, KnobValue] = field(default_factory=dict)
    groups: int = 1

    def loops(self, architecture: Architecture) -> LoopNest:
        """The loop nest on an architecture. Raises UserError for a level it does not have."""
        known = {level.name: level for level in architecture.levels}
        for name in self.levels:
            if name not in known:
                raise UserError(
                    f"line {self.line}: {architecture.name} has no level {name!r}; it has {', '.join(known)}"
                )
        loops = []
        for name, level in known.items():
            given = self.levels.get(name, LevelLoops())
            loops.append(replace(given, keeps=self._kept(name, given) if level.keeps_choices else None))
        return LoopNest(tuple(loops))

    def _kept(self, name: str, given: LevelLoops) -> str:
        """What the mapping keeps at a level that leaves the choice: as it says, else what was accessed there."""
        if given.keeps is not None:
            return given.keeps
        if not self.accepted:
            return "WIO"
        counts = self.accesses.get(name, ())
        return "".join(tensor for t, tensor in enumerate("WIO") if any(words[t] for words in counts))


def read(path: Path) -> Iterator[Recorded]:
    """The mappings of a file, in order. Raises UserError naming the line that is not of the format.

    Rows of a table for which the tool found nothing have no mapping and are left out.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read mappings from {path}: {reason(error)}") from None
    yield from _json_lines(path, text) if text.lstrip().startswith(("{", "[")) else _table(path, text)


def _json_lines(path: Path, text: str) -> Iterator[Recorded]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            given = _from_json(number, data)
        except json.JSONDecodeError:
            raise UserError(f"{path}, line {number} is no recorded mapping: every line is a JSON object") from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"{path}, line {number} is no recorded mapping: {type(error).__name__} {error}") from None
        yield given


def _from_json(number: int, data: Mapping[str, Any]) -> Recorded:
    """One line; raises KeyError, TypeError or ValueError where it is not of the format."""
    levels: dict[str, LevelLoops] = {}
    for entry in data["map"]:
        name = _ours(entry[0])
        levels[name] = _with_entry(levels.get(name, LevelLoops()), *entry[1:])
    given = Recorded(number, str(data["acc"]), _shape(data["layer"]), levels, bool(data["ok"]))
    if not given.accepted:
        return given
    return replace(
        given,
        cycles=int(data["cycles"]),
        compute_cycles=int(data["compute_cycles"]),
        energy_pj=float(data["energy_pJ"]) if data.get("energy_pJ") else None,
        accesses={_ours(level): _counts(words, "ruf") for level, words in data["accesses"].items()},
    )


def _ours(level: str) -> str:
    return LEVEL_ALIASES.get(level, level)


def _counts(words: Mapping[str, Any], names: str | tuple[str, ...]) -> tuple[tuple[int, int, int], ...]:
    result = []
    for name in names:
        weights, inputs, outputs = words[name]
        result.append((int(weights), int(inputs), int(outputs)))
    return tuple(result)


def _shape(layer: Mapping[str, Any]) -> ConvShape:
    def at_least_1(name: str) -> int:
        return int(layer.get(name) or 1)

    return ConvShape(
        **{dim: int(layer[dim]) for dim in DIMS},
        stride_w=at_least_1("Wstride"),
        stride_h=at_least_1("Hstride"),
        dilation_w=at_least_1("Wdilation"),
        dilation_h=at_least_1("Hdilation"),
    )


def _with_entry(level: LevelLoops, kind: str, factors: Mapping[str, int], order: str, split: int | None) -> LevelLoops:
    """A level with one entry's loops, the fields checked; raises TypeError or ValueError."""
    if kind not in ("temporal", "spatial") or not set(order) <= set(DIMS):
        raise ValueError(f"{kind} loops over {order}")
    bounds = {str(dim): int(n) for dim, n in dict(factors).items()}
    missing = [dim for dim, n in bounds.items() if n > 1 and dim not in order]
    if missing:
        raise ValueError(f"{kind} loops over {order} leave out {missing[0]}")

    def loops(dims: str) -> tuple[Loop, ...]:
        return tuple((dim, bounds[dim]) for dim in dims if bounds.get(dim, 1) > 1)

    if kind == "temporal":
        return replace(level, temporal=loops(order))
    at = len(order) if split is None else int(split)
    return replace(level, x=loops(order[:at]), y=loops(order[at:]))


# tables of mapper runs

_NEEDED = ("acc", *DIMS, "found", "cycles", "compute_cycles", "energy_pJ", "mapping")


def _table(path: Path, text: str) -> Iterator[Recorded]:
    rows = csv.DictReader(StringIO(text, newline=""))
    columns = rows.fieldnames or []
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise UserError(
            f"{path} holds no recorded mappings: a table of them has a column {missing[0]!r}, and anything else is "
            "one JSON object per line"
        )
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows)
            given = _from_row(number, row) if int(row["found"] or 0) else None
        except StopIteration:
            return
        except (csv.Error, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"{path}, line {number} is no run of a mapper: {type(error).__name__} {error}") from None
        if given is not None:
            yield given


def _from_row(number: int, row: Mapping[str, str]) -> Recorded:
    """One row; raises KeyError, TypeError or ValueError where it is not of the format."""
    levels = _mapping(row["mapping"])
    nest = LoopNest(tuple(levels.values()))
    parameters: dict[str, KnobValue] = {
        knob: float(row[column]) * unit for column, (knob, unit) in KNOBS.items() if row.get(column)
    }
    if row.get("variant") and not parameters:
        raise ValueError(f"no size of variant {row['variant']!r}: {', '.join(KNOBS)}")
    if row.get("n_pe"):
        parameters["pe_rows"] = 1
    groups = int(row.get("groups") or 1)
    if groups < 1:
        raise ValueError(f"{groups} groups")
    return Recorded(
        number,
        row["acc"],
        replace(_shape(row), **{dim: nest.extent(dim) for dim in DIMS}),
        levels,
        True,
        int(row["cycles"]),
        int(row["compute_cycles"]),
        float(row["energy_pJ"]),
        float(row["area_um2"]) if row.get("area_um2") else None,
        {
            _ours(column.removeprefix("acc_")): _counts(json.loads(words), ("reads", "updates", "fills"))
            for column, words in row.items()
            if column and column.startswith("acc_") and words
        },
        parameters,
        groups,
    )


_LEVEL = re.compile(r"(\w+) \[(.*)\]\s*")
_LOOP = re.compile(r"[| ]*for (\w) in \[0:(\d+)\)(?: \(Spatial-([XY])\))?\s*")


def _mapping(text: str) -> dict[str, LevelLoops]:
    """The tool's own text of a mapping: levels from the outside in, each with what it keeps and its loops.

    Raises ValueError for a line that is neither, such as a loop with a remainder.
    """
    levels: dict[str, LevelLoops] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip("- "):
            continue
        header, loop = _LEVEL.fullmatch(line), _LOOP.fullmatch(line)
        if header:
            name = _ours(header[1])
            levels[name] = LevelLoops(keeps="".join(t for tensor, t in _TENSORS.items() if f"{tensor}:" in header[2]))
        elif loop and levels:
            one = ((loop[1], int(loop[2])),) if int(loop[2]) > 1 else ()
            level = levels[name]
            if loop[3] == "X":
                levels[name] = replace(level, x=one + level.x)
            elif loop[3] == "Y":
                levels[name] = replace(level, y=one + level.y)
            else:
                levels[name] = replace(level, temporal=one + level.temporal)
        else:
            raise ValueError(f"not a loop of a mapping: {line.strip()!r}")
    return levels
