"""All mappings of a layer that can be optimal for anything: found once per shape and architecture, kept in the memo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np

from evaluators import components
from evaluators.mapper.counts import strides_of, tile_words
from evaluators.mapper.energy import EnergyTable, price
from evaluators.mapper.mapping import Factors, Mapping, bounds
from evaluators.mapper.mapspace import Mapspace, mapspace
from evaluators.memo import Memo, digest
from search_spaces.accelerators.architecture import DIMS, Architecture, Component, Level, Spatial
from search_spaces.errors import IllegalDesign
from search_spaces.types import ConvShape

__all__ = ["VERSION", "Candidate", "LayerMappings", "map_layer", "map_layers", "prepare_layers"]

VERSION = 1
"""Bumped by hand whenever the counts, the mapspaces or the search change; part of every memo key."""

_KIND = "mapping"


@dataclass(frozen=True)
class Candidate:
    """A mapping no other beats in cycles, on-chip energy and DRAM accesses together; figures of one group.

    `on_chip_pj` is dynamic energy of all storage on the chip at the tables' supply, MACs not included.
    """

    cycles: int
    compute_cycles: int
    on_chip_pj: float
    dram_accesses: int
    mapping_text: str

    @property
    def mapping(self) -> Mapping:
        return Mapping.from_text(self.mapping_text)


@dataclass(frozen=True)
class LayerMappings:
    """What the search of one mapspace found; everything counts one group of the layer.

    `mapspace_size` is factorizations × loop orders, `mapspace_valid` those that fit mesh and buffers. `macs` includes
    padding, `useful_macs` does not; with imperfect factors nothing is padded. `warnings` are a tool's.
    """

    mapspace_size: int
    mapspace_valid: int
    macs: int
    useful_macs: int
    candidates: tuple[Candidate, ...]
    warnings: tuple[str, ...] = ()


def map_layer(
    shape: ConvShape, architecture: Architecture, table: EnergyTable = "default", factors: Factors = "perfect"
) -> LayerMappings:
    """Search the whole mapspace of one layer (one group of it); `mapspace` says what the kinds of factors are.

    Raises IllegalDesign, naming the level that overflows, where no mapping fits.
    """
    from evaluators.mapper.kernel import AT_ONCE, search  # compiled code: only where something is searched
    from evaluators.mapper.tables import rows_of_m, tables

    priced = price(architecture, table)
    space = mapspace(architecture, shape, factors)
    archive, keys = np.empty((64, 3)), np.empty((64, 10), dtype=np.int64)
    fitting = found = 0
    variants = space.variants
    for tag, kept in enumerate(variants):
        laid_out = tables(kept, shape, priced)
        if laid_out.rows.all():
            try:
                fit, _, archive, keys, found = search(laid_out, rows_of_m(laid_out), archive, keys, found, tag, AT_ONCE)
            except SystemError as error:
                if _was_interrupt(error):
                    raise KeyboardInterrupt from None
                raise
            fitting += int(fit)
    if fitting == 0:
        raise IllegalDesign("layer does not map", _why_nothing_fits(space, shape))
    candidates = []
    for (cycles, on_chip_pj, dram), key in zip(archive[:found], keys[:found], strict=True):
        *rows, order, variant, steps = key.tolist()
        mapping = variants[variant].mapping(dict(zip(DIMS, rows, strict=True)), order)
        candidates.append(Candidate(int(cycles), steps, float(on_chip_pj), int(dram), mapping.to_text()))
    candidates.sort(key=lambda c: (c.cycles, c.on_chip_pj, c.dram_accesses))
    macs = prod(space.bounds.values())
    return LayerMappings(space.size, fitting * space.loop_orders, macs, shape.one_group.macs, tuple(candidates))


def _was_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt lies behind an error: one that strikes while arguments cross into compiled code does."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _why_nothing_fits(space: Mapspace, shape: ConvShape) -> str:
    """The first level that even the smallest tiles overflow, or that the least unrolling does."""
    layer = " ".join(f"{dim}={n}" for dim, n in bounds(shape).items())
    name = space.architecture.name
    for k, level in enumerate(space.architecture.levels):
        for axis, limit in (("X", level.mesh_x), ("Y", level.mesh_y)):
            least = 1
            for dim in DIMS:
                columns = [s for s, slot in enumerate(space.slots[dim]) if (slot.level, slot.kind) == (k, axis)]
                least *= int(space.factors[dim][:, columns].prod(axis=1).min()) if columns else 1
            if least > limit:
                dims = "".join(s.dim for s in level.spatial if s.axis == axis)
                return (
                    f"{name} cannot map {layer}: {level.name} has a mesh of {limit} on {axis}, "
                    f"the layer needs {least} there ({dims})"
                )
        if level.words is None:
            continue
        smallest = dict.fromkeys(DIMS, 1)
        for dim in DIMS:
            columns = [s for s, slot in enumerate(space.slots[dim]) if slot.level <= k]
            if columns:
                smallest[dim] = min(int(space.factors[dim][:, columns].prod(axis=1).min()), space.bounds[dim])
        need = sum(tile_words(tensor, smallest, strides_of(shape)) for tensor in level.keeps)
        if need > level.words:
            return f"{name} cannot map {layer}: {level.name} holds {level.words} words, the smallest tiles need {need}"
    return f"{name} cannot map {layer}: no combination of tiles fits all levels together"


def _key(shape: ConvShape, architecture_digest: str, table: EnergyTable, factors: Factors) -> dict[str, object]:
    return {
        "layer": _layer_key(shape.one_group),
        "architecture": architecture_digest,
        "table": table,
        "factors": factors,
        "mapper": VERSION,
        "components": components.VERSION,
    }


@cache
def _layer_key(shape: ConvShape) -> dict[str, int]:
    sizes: dict[str, int] = asdict(shape)
    del sizes["groups"]
    return sizes


@lru_cache(maxsize=1024)
def _digest(architecture: Architecture) -> str:
    return digest([_plain(architecture.levels), _plain(architecture.mac), architecture.technology_nm])


def _plain(value: object) -> Any:
    """What `asdict` makes of it, without the copies that it makes on the way."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Level | Component | Spatial):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _to_json(found: LayerMappings | IllegalDesign) -> dict[str, Any]:
    if isinstance(found, IllegalDesign):
        return {"illegal": [found.reason, str(found)]}
    return {
        "size": found.mapspace_size,
        "valid": found.mapspace_valid,
        "macs": found.macs,
        "useful": found.useful_macs,
        "candidates": [
            [c.cycles, c.compute_cycles, c.on_chip_pj, c.dram_accesses, c.mapping_text] for c in found.candidates
        ],
    }


def _from_json(data: dict[str, Any]) -> LayerMappings | IllegalDesign:
    if "illegal" in data:
        return IllegalDesign(*data["illegal"])
    return LayerMappings(
        data["size"],
        data["valid"],
        data["macs"],
        data["useful"],
        tuple(Candidate(*candidate) for candidate in data["candidates"]),
    )


def _map_or_reason(
    shape: ConvShape, architecture: Architecture, table: EnergyTable, factors: Factors
) -> LayerMappings | IllegalDesign:
    try:
        return map_layer(shape, architecture, table, factors)
    except IllegalDesign as illegal:
        return illegal


def _map_batch(
    jobs: Sequence[tuple[ConvShape, Architecture]], table: EnergyTable, factors: Factors
) -> list[dict[str, Any]]:
    return [_to_json(_map_or_reason(shape, architecture, table, factors)) for shape, architecture in jobs]


def map_layers(
    wanted: Iterable[tuple[ConvShape, Architecture]],
    table: EnergyTable,
    memo: Memo,
    *,
    factors: Factors = "perfect",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[tuple[ConvShape, Architecture], LayerMappings | IllegalDesign]:
    """Mappings of many (one-group shape, architecture) pairs, from the memo where they are known.

    What is missing is searched and stored first, see `prepare_layers`. A pair that does not map has the reason as its
    value.
    """
    pairs, keys = _pairs_and_keys(wanted, table, factors)
    stored = memo.get_many(_KIND, keys)
    missing = [i for i, value in enumerate(stored) if value is None]
    for i, value in _search(missing, pairs, keys, table, factors, memo, workers, progress):
        stored[i] = value
    return {pair: _from_json(value) for pair, value in zip(pairs, stored, strict=True) if value is not None}


def prepare_layers(
    wanted: Iterable[tuple[ConvShape, Architecture]],
    table: EnergyTable,
    memo: Memo,
    *,
    factors: Factors = "perfect",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Search what the memo does not know of many (shape, architecture) pairs, on `workers` processes.

    Results are stored batch by batch, so that nothing finished is lost. `progress` is told (done, total) in pairs.
    """
    pairs, keys = _pairs_and_keys(wanted, table, factors)
    for _ in _search(memo.missing(_KIND, keys), pairs, keys, table, factors, memo, workers, progress):
        pass


_Pairs = list[tuple[ConvShape, Architecture]]
_Keys = list[dict[str, object]]


def _pairs_and_keys(
    wanted: Iterable[tuple[ConvShape, Architecture]], table: EnergyTable, factors: Factors
) -> tuple[_Pairs, _Keys]:
    """The distinct pairs of one-group shape and architecture, and the memo's key of each."""
    pairs = list(dict.fromkeys((shape.one_group, architecture) for shape, architecture in wanted))
    digests = {architecture: _digest(architecture) for architecture in {a for _, a in pairs}}
    return pairs, [_key(shape, digests[architecture], table, factors) for shape, architecture in pairs]


def _search(
    missing: Sequence[int],
    pairs: _Pairs,
    keys: _Keys,
    table: EnergyTable,
    factors: Factors,
    memo: Memo,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Search the pairs at these places, storing each batch before its (place, value) are given out."""
    done = len(pairs) - len(missing)
    if progress is not None:
        progress(done, len(pairs))
    for batch, values in _in_batches(missing, pairs, table, factors, workers):
        memo.put_many(_KIND, [(keys[i], value) for i, value in zip(batch, values, strict=True)])
        done += len(batch)
        if progress is not None:
            progress(done, len(pairs))
        yield from zip(batch, values, strict=True)


def _in_batches(
    missing: Sequence[int],
    pairs: Sequence[tuple[ConvShape, Architecture]],
    table: EnergyTable,
    factors: Factors,
    workers: int,
) -> Iterable[tuple[Sequence[int], list[dict[str, Any]]]]:
    """Search the missing pairs, yielding each batch as it is done."""
    size = 16
    batches = [missing[start : start + size] for start in range(0, len(missing), size)]
    here = 1 if workers > 1 and len(batches) > 2 * workers else len(batches)
    for batch in batches[:here]:  # the first also compiles the kernel, once for all workers
        yield batch, _map_batch([pairs[i] for i in batch], table, factors)
    if here == len(batches):
        return
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    # Results come in the order of the batches; from a backend that cannot give them out one by one (Ray), all at once.
    one_by_one = get_active_backend()[0].supports_return_generator
    results = Parallel(n_jobs=workers, return_as="generator" if one_by_one else "list")(
        delayed(_map_batch)([pairs[i] for i in batch], table, factors) for batch in batches[here:]
    )
    yield from zip(batches[here:], results, strict=True)
