"""Cuts through several tensors: every set of operators closed under predecessors with few results crossing it.

Such a set is all that its crossing tensors depend on, so it is named by them. A single live tensor separates what is
before from what is after, so the sets are found region by region between such points, where each region (a residual
or Inception block) has only some tens of operators: subsets of its tensors are grown one by one, and dropped as soon as
one of them is read by nobody outside the set they imply, which no further tensor can mend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from search_spaces.networks._cuts import block_cuts, merge_cuts, tensor_cuts
from search_spaces.networks._graph import Graph
from search_spaces.types import INPUT, Cut, Tensor

__all__ = ["frontier_cuts"]

MOST_TRIED = 50_000
"""Sets of tensors that are looked at in one region before counting stops there; some 0.3 s."""


def frontier_cuts(
    graph: Graph, max_tensors: int, max_cuts: int, merge: bool
) -> tuple[tuple[Cut, ...], int, tuple[str, ...]]:
    """The cuts with up to `max_tensors` crossing tensors, how many were merged, and a note of how many there are.

    All single-tensor cuts are among them, the paper's blocks as aliases of theirs. Where `merge`, an operator that is
    fused or moves nothing goes with the one before it. Of the others, the `max_cuts` in all that send least are kept.
    """
    every = tensor_cuts(graph)
    single = _with_blocks(graph, every, merge_cuts(every, graph.layers) if merge else every)
    search = _Search(max_tensors)
    points = _points(graph, every)
    known_as = {name: cut.name for cut in single for name in (cut.name, *cut.aliases)}
    for cut, point, following in zip(every, points, (*points[1:], len(graph.ops)), strict=True):
        search.add(_region(graph, point, following, merge, known_as[cut.name]))
    several = sorted(search.found, key=lambda cut: (cut.elements, cut.name))
    kept = several[: max(0, max_cuts - len(single))]
    least = "" if search.counted_all else "at least "
    note = f"{least}{len(single) + len(several):,} cuts with up to {max_tensors} crossing tensors"
    if len(kept) < len(several):
        note += f": the {len(single)} with one tensor and, of the others, the {len(kept)} that send least are kept"
    cuts = sorted((*single, *kept), key=lambda cut: (len(cut.layers), sorted(cut.layers)))
    return tuple(cuts), len(every) - len(single), (note,)


def _with_blocks(graph: Graph, every: tuple[Cut, ...], cuts: tuple[Cut, ...]) -> tuple[Cut, ...]:
    """Single-tensor cuts that also answer to the names of the blocks that end there."""
    if graph.root is None:
        return cuts
    name_at = {cut.layers: cut.name for cut in every}
    blocks: dict[str, list[str]] = {}
    for block in block_cuts(graph)[0][1:]:
        blocks.setdefault(name_at[block.layers], []).append(block.name)
    return tuple(
        replace(cut, aliases=(*cut.aliases, *(b for name in (cut.name, *cut.aliases) for b in blocks.get(name, ()))))
        for cut in cuts
    )


def _points(graph: Graph, every: tuple[Cut, ...]) -> tuple[int, ...]:
    """The operators that single-tensor cuts end with."""
    last = {layers[-1]: op for op, layers in enumerate(graph.layers_of)}
    return tuple(last[max(cut.layers)] if cut.layers else INPUT for cut in every)


@dataclass(frozen=True)
class _Region:
    """What lies between two single-tensor points as bit masks; unit 0 is the tensor that enters.

    A unit is an operator with the free ones fused to it. `closure` is a unit with all it depends on, `readers` those
    that read its result; the bit after the last unit stands for whatever comes after the region.
    """

    before: frozenset[int]
    names: tuple[str, ...]
    tensors: tuple[Tensor | None, ...]
    layers: tuple[frozenset[int], ...]
    closure: tuple[int, ...]
    readers: tuple[int, ...]


def _region(graph: Graph, point: int, following: int, merge: bool, name: str) -> _Region:
    """What lies after one point and before the following; `name` is what the cut at the point is called."""
    first = point + 1
    read: dict[int, int] = {}
    for op in graph.ops:
        for j in op.inputs:
            read[j] = read.get(j, 0) + 1
    units: list[list[int]] = [[point]]
    unit_of = {point: 0}
    for i in range(first, following):
        op = graph.ops[i]
        (j,) = op.inputs if len(op.inputs) == 1 else (INPUT,)
        free = all(graph.layers[k].cost == "free" for k in graph.layers_of[i])
        same = j != INPUT and graph.ops[j].output_elements == op.output_elements and op.result is not None
        if merge and j >= first and free and same and read[j] == 1:
            unit_of[i] = unit_of[j]
            units[unit_of[j]].append(i)
        else:
            unit_of[i] = len(units)
            units.append([i])
    after = 1 << len(units)
    closure, readers = [1] + [0] * (len(units) - 1), [0] * len(units)
    for i in range(first, len(graph.ops)):
        unit = unit_of.get(i)
        for j in graph.ops[i].inputs:
            if j not in unit_of:
                continue
            if unit is None:
                readers[unit_of[j]] |= after
            elif unit != unit_of[j]:
                readers[unit_of[j]] |= 1 << unit
                closure[unit] |= closure[unit_of[j]]
        if unit is not None:
            closure[unit] |= 1 << unit
    if graph.output in unit_of:
        readers[unit_of[graph.output]] |= after
    named = [graph.tensor(ops[0]) for ops in units]
    return _Region(
        before=frozenset(k for i in range(first) for k in graph.layers_of[i]),
        names=(name, *("" if tensor is None else tensor.name for tensor in named[1:])),
        tensors=tuple(graph.tensor(ops[-1]) for ops in units),
        layers=(frozenset(), *(frozenset(k for i in ops for k in graph.layers_of[i]) for ops in units[1:])),
        closure=tuple(closure),
        readers=tuple(readers),
    )


class _Search:
    """Collects the cuts of two and more tensors of all regions."""

    def __init__(self, max_tensors: int) -> None:
        self.max_tensors = max_tensors
        self.found: list[Cut] = []
        self.counted_all = True
        self._tried = 0

    def add(self, region: _Region) -> None:
        self._tried = 0
        self._grow(region, (), 0)
        self.counted_all &= self._tried < MOST_TRIED

    def _grow(self, region: _Region, chosen: tuple[int, ...], inside: int) -> None:
        start = chosen[-1] + 1 if chosen else 0
        for unit in range(start, len(region.names)):
            if self._tried >= MOST_TRIED:
                return
            self._tried += 1
            closed = inside | region.closure[unit]
            grown = (*chosen, unit)
            if region.tensors[unit] is None or any(not region.readers[i] & ~closed for i in grown):
                continue
            if len(grown) > 1 and self._crosses_exactly(region, grown, closed):
                self.found.append(_cut(region, grown, closed))
            if len(grown) < self.max_tensors:
                self._grow(region, grown, closed)

    def _crosses_exactly(self, region: _Region, chosen: tuple[int, ...], closed: int) -> bool:
        """Whether nothing but the chosen tensors is read outside the set."""
        members = (i for i in range(len(region.names)) if closed >> i & 1)
        return all(i in chosen or not region.readers[i] & ~closed for i in members)


def _cut(region: _Region, chosen: tuple[int, ...], closed: int) -> Cut:
    inside = (region.layers[i] for i in range(len(region.names)) if closed >> i & 1)
    tensors = tuple(tensor for i in chosen if (tensor := region.tensors[i]) is not None)
    return Cut(" + ".join(region.names[i] for i in chosen), region.before.union(*inside), tensors)
