"""A mapspace laid out for the kernel: per factorization, everything a count needs as one row of floats.

Rows of all dimensions lie one after another (`offset`, `rows`); dimension M comes last in every loop nest because it
is irrelevant to inputs, whose sliding windows make the only complicated rule, so all mappings that differ in M alone
are counted together. Whole numbers are held as doubles: they stay exact below 2^53.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from evaluators.mapper.counts import RELEVANT, strides_of, tile_words
from evaluators.mapper.energy import Priced
from evaluators.mapper.mapspace import Mapspace
from search_spaces.accelerators.architecture import DIMS
from search_spaces.types import ConvShape

__all__ = ["Rows", "Tables", "rows_of_m", "tables"]

_TENSORS = "WIO"
_M = DIMS.index("M")

EXTENT, MESH_X, MESH_Y, IN_TIME, STEP, UNROLLED, SPACE_END, TIME_END = range(8)
"""Layers of `Tables.row`, each (R, L + 1): positions of the largest tile at k, k's spatial factors included; factor on
the X and on the Y mesh below k; temporal factor at k; product of this dimension's factors inside that loop; instances
that the spatial factors at levels above k make, from index k + 1; where the spatial and where the temporal loops of k
stand at the bound's last position (at their own last steps, but for a remainder)."""

(
    WORDS, BLOCK, READ_PJ, WRITE_PJ, CHARGED, LIMIT_X, LIMIT_Y, READ_BANDWIDTH, WRITE_BANDWIDTH, SHARED_BANDWIDTH,
    WIDEST_EXTENT, WIDEST_X, WIDEST_Y, INSTANCES,
) = range(14)  # fmt: skip
"""Columns of `Tables.level`: capacity (inf where unlimited) and words per access; energies per access; instances over
the cluster size; mesh limits; words per cycle (inf where it cannot stall); the largest extent and mesh factors of M;
instances on the chip."""


class Tables(NamedTuple):
    """Arguments of `kernel.search`. L levels, D = 7 dimensions, R rows, P temporal positions, V order variants."""

    offset: np.ndarray  # (D,) first row of each dimension
    row: np.ndarray  # (8, R, L + 1) per row and level, see EXTENT to TIME_END
    visits: np.ndarray  # (R, L + 1, L + 1) steps of spatial loops at levels from a and temporal ones from b together
    level: np.ndarray  # (L, 14) per level, see WORDS to INSTANCES
    original: np.ndarray  # (R,) the row's number in the mapspace, before rows that fit nowhere were left out
    rows: np.ndarray  # (D,) rows of each dimension
    total: np.ndarray  # (R,) the bound: the product of all factors where none leaves a remainder
    ragged: np.ndarray  # (R,) whether one does
    first_level: np.ndarray  # (R, L) the first level outside k with a temporal factor above 1; L if none
    beyond: np.ndarray  # (R, P + 1) steps of temporal loops at later positions under the first loop order
    from_level: np.ndarray  # (D, P + 1) the first level of a dimension's temporal loops at later positions, likewise
    first: np.ndarray  # (R, L) position of the first temporal factor above 1 outside level k, likewise; P if none
    position: np.ndarray  # (V, D, L + 1) where a dimension's loop of a level stands, innermost first; P if nowhere
    position_dim: np.ndarray  # (V, P) whose factor a position may hold
    position_level: np.ndarray  # (V, P)
    canonical: np.ndarray  # (V, L, 128) whether a level's order is the first that runs the same loops
    levels_with_orders: np.ndarray  # indices of levels that have several orders
    order_of: np.ndarray  # (V, L) which of a level's orders a variant takes
    variant_with: np.ndarray  # (L, most orders) the first variant that takes an order; -1 behind a level's last
    tiled: np.ndarray  # (R,) per level a bit: 1 << level is set where the temporal factor there is above 1
    relevant: np.ndarray  # (3, D) weights, inputs, outputs
    keeps: np.ndarray  # (3, L)
    limited_levels: np.ndarray  # indices of levels with a capacity that keep something
    may_stall: np.ndarray  # (L,) whether one of the three is finite
    tiled_only: np.ndarray  # (D,) dimensions without a place on any mesh; never M
    surely_after: np.ndarray  # (P + 1,) a position all loops behind which lie further out under every loop order
    held_level: int  # the innermost level that keeps outputs alone in little room, -1 if none
    least_idle: (
        np.ndarray
    )  # (P + 1, words + 1) least product of N, P, Q beyond a position if that level may hold so much
    stride: np.ndarray  # (D,) stride of P and Q, dilation of R and S, 1 for the rest


class Rows(NamedTuple):
    """What every row of M contributes, contiguous over the rows."""

    extent: np.ndarray  # (L, rows)
    unrolled: np.ndarray  # (L + 1, rows)
    visits: np.ndarray  # (L + 1, L + 1, rows)
    mesh_x: np.ndarray  # (L, rows)
    mesh_y: np.ndarray
    first: np.ndarray  # (L, rows) under the first loop order


def rows_of_m(t: Tables) -> Rows:
    """The rows of M of a table, turned so that the kernel runs along them."""
    rows = slice(t.offset[_M], t.offset[_M] + t.rows[_M])
    at = t.row[:, rows].transpose(0, 2, 1)
    return Rows(
        np.ascontiguousarray(at[EXTENT]),
        np.ascontiguousarray(at[UNROLLED]),
        np.ascontiguousarray(t.visits[rows].transpose(1, 2, 0)),
        np.ascontiguousarray(at[MESH_X]),
        np.ascontiguousarray(at[MESH_Y]),
        np.ascontiguousarray(t.first[rows].T),
    )


def tables(space: Mapspace, shape: ConvShape, priced: Priced) -> Tables:
    """Lay out a mapspace with the energies of its architecture. Arrays are described at `Tables`."""
    architecture = space.architecture
    levels = architecture.levels
    n_levels = len(levels)
    temporal, mesh = _factors_per_level(space)
    # most unrolled first: what is found early is good and closes most of the rest
    kept = [
        np.flatnonzero(fits)[np.argsort(-(x * y).prod(axis=1)[fits], kind="stable")]
        for fits, x, y in zip(_alone(space, shape, temporal, mesh), mesh["X"], mesh["Y"], strict=True)
    ]
    for per_dim in (temporal, mesh["X"], mesh["Y"]):
        per_dim[:] = [rows[order] for rows, order in zip(per_dim, kept, strict=True)]
    originals = np.concatenate(kept)
    counts = np.array([len(rows) for rows in temporal])
    dim_of_row = np.repeat(np.arange(len(DIMS)), counts)
    offset = np.concatenate([[0], np.cumsum(counts)[:-1]])
    in_time, on_x, on_y = (np.concatenate(per_dim) for per_dim in (temporal, mesh["X"], mesh["Y"]))
    spatial = on_x * on_y
    covered = np.cumprod(in_time * spatial, axis=1)
    step = spatial.copy()
    step[:, 1:] *= covered[:, :-1]
    total = np.repeat([float(space.bounds[dim]) for dim in DIMS], counts)
    ragged = covered[:, -1] != total
    extent, space_end, time_end, visits = covered, spatial - 1, in_time - 1, _visits(spatial, in_time)
    if ragged.any():
        extent = np.minimum(covered, total[:, None])
        space_end = (total[:, None] - 1) // (step / spatial) % spatial
        time_end = (total[:, None] - 1) // step % in_time
        visits[ragged] = _ragged_visits(*(values[ragged] for values in (spatial, in_time, space_end, time_end)))
    first_level = np.full(in_time.shape, n_levels, dtype=np.int64)
    for k in reversed(range(1, n_levels)):
        first_level[:, :k] = np.where((in_time[:, k] > 1)[:, None], k, first_level[:, :k])
    position, position_dim, position_level, from_level = _positions(space.orders)
    first = np.take_along_axis(position[0][dim_of_row], first_level, axis=1)
    beyond = np.take_along_axis(visits[:, n_levels], from_level[dim_of_row], axis=1)
    canonical, with_orders = _canonical(tuple(level.orders for level in levels), space.orders)
    order_of, variant_with = _orders(tuple(level.orders for level in levels), space.orders)
    bits = (in_time > 1) @ (1 << np.arange(n_levels))
    strides = strides_of(shape)
    held_level, least_idle = _least_idle(space, extent, beyond, offset, counts)
    read_bw, write_bw, shared_bw = _bandwidths(space, shape)
    may_stall = np.isfinite(read_bw) | np.isfinite(write_bw) | np.isfinite(shared_bw)
    return Tables(
        offset=offset.astype(np.int64),
        original=originals.astype(np.int64),
        rows=counts.astype(np.int64),
        row=_stack([extent, on_x, on_y, in_time, step, visits[:, :, -1], space_end, time_end]),
        visits=visits,
        level=np.column_stack(
            [
                [np.inf if level.words is None else float(level.words) for level in levels],
                [level.block for level in levels],
                priced.read_pj,
                priced.write_pj,
                [architecture.instances(k) // priced.clusters[k] or 1 for k in range(n_levels)],
                [level.mesh_x for level in levels],
                [level.mesh_y for level in levels],
                read_bw,
                write_bw,
                shared_bw,
                _widest(extent, offset, counts),
                _widest(on_x, offset, counts),
                _widest(on_y, offset, counts),
                [architecture.instances(k) for k in range(n_levels)],
            ]
        ),
        total=total,
        ragged=ragged,
        first_level=first_level,
        beyond=beyond,
        from_level=from_level,
        first=first,
        position=position,
        position_dim=position_dim,
        position_level=position_level,
        canonical=canonical,
        levels_with_orders=with_orders,
        order_of=order_of,
        variant_with=variant_with,
        tiled=bits.astype(np.int64),
        relevant=np.array([[dim in RELEVANT[tensor] for dim in DIMS] for tensor in _TENSORS]),
        keeps=np.array([[t in level.keeps for level in levels] for t in _TENSORS]),
        limited_levels=np.array(
            [k for k, level in enumerate(levels) if level.words is not None and level.keeps], dtype=np.int64
        ),
        may_stall=may_stall,
        tiled_only=np.array([dim != "M" and all(slot.kind == "T" for slot in space.slots[dim]) for dim in DIMS]),
        surely_after=_surely_after(space, position_level[0]),
        held_level=held_level,
        least_idle=least_idle,
        stride=np.array([float(strides[d]) for d in DIMS]),
    )


def _factors_per_level(space: Mapspace) -> tuple[list[np.ndarray], dict[str, list[np.ndarray]]]:
    """Per dimension, arrays (rows, L) of the factor in time at each level, and of the factors on its mesh axes."""
    n_levels = len(space.architecture.levels)
    kinds: dict[str, list[np.ndarray]] = {"T": [], "X": [], "Y": []}
    for dim in DIMS:
        rows = {kind: np.ones((len(space.factors[dim]), n_levels)) for kind in kinds}
        for s, slot in enumerate(space.slots[dim]):
            rows[slot.kind][:, slot.level] *= space.factors[dim][:, s]
        for kind, found in kinds.items():
            found.append(rows[kind])
    return kinds["T"], {axis: kinds[axis] for axis in "XY"}


_FEW = 4
"""Rows of a dimension that are too few to sort out beforehand."""


def _alone(
    space: Mapspace, shape: ConvShape, temporal: list[np.ndarray], mesh: dict[str, list[np.ndarray]]
) -> list[np.ndarray]:
    """Per dimension, which rows fit mesh and buffers beside the least that every other dimension can take."""
    levels = space.architecture.levels
    words = np.array([np.inf if level.words is None else level.words for level in levels])
    keeps = {t: np.array([t in level.keeps for level in levels]) for t in _TENSORS}
    limits = {"X": np.array([level.mesh_x for level in levels]), "Y": np.array([level.mesh_y for level in levels])}
    extents = [
        np.minimum(np.cumprod(t * x * y, axis=1), space.bounds[dim])
        for dim, t, x, y in zip(DIMS, temporal, mesh["X"], mesh["Y"], strict=True)
    ]
    least = np.array([extent.min(axis=0) for extent in extents])
    strides = strides_of(shape)
    least_mesh = {axis: np.array([rows.min(axis=0) for rows in mesh[axis]]) for axis in "XY"}
    legal = []
    for d in range(len(DIMS)):
        if len(extents[d]) <= _FEW:  # not worth a look: the kernel judges them
            legal.append(np.ones(len(extents[d]), dtype=bool))
            continue
        fits = np.ones(len(extents[d]), dtype=bool)
        for axis in "XY":
            others = np.delete(least_mesh[axis], d, axis=0).prod(axis=0)
            fits &= (mesh[axis][d] * others <= limits[axis]).all(axis=1)
        extent = {dim: extents[o] if o == d else least[o] for o, dim in enumerate(DIMS)}
        need = sum(keeps[tensor] * tile_words(tensor, extent, strides) for tensor in _TENSORS)
        fits &= (need <= words).all(axis=1)
        legal.append(fits)
    return legal


def _visits(spatial: np.ndarray, in_time: np.ndarray) -> np.ndarray:
    """`visits` of `Tables` where nothing is left over: products of factors."""
    in_space, steps = (np.ones((len(spatial), spatial.shape[1] + 1)) for _ in range(2))
    in_space[:, :-1] = np.cumprod(spatial[:, ::-1], axis=1)[:, ::-1]
    steps[:, :-1] = np.cumprod(in_time[:, ::-1], axis=1)[:, ::-1]
    return in_space[:, :, None] * steps[:, None, :]


def _ragged_visits(spatial: np.ndarray, in_time: np.ndarray, space_end: np.ndarray, time_end: np.ndarray) -> np.ndarray:
    """`visits` of `Tables` for rows with a remainder: positions are numbers in the mixed base of the factors.

    Counted are those below the bound whose other digits are 0, from the innermost digit outwards.
    """
    rows, n_levels = spatial.shape
    result = np.ones((rows, n_levels + 1, n_levels + 1))
    for a in range(n_levels + 1):
        for b in range(n_levels + 1):
            found, inside = np.ones(rows), np.ones(rows)
            for k in range(n_levels):
                for factor, end, runs in ((spatial, space_end, k >= a), (in_time, time_end, k >= b)):
                    if runs:
                        found += end[:, k] * inside
                        inside = inside * factor[:, k]
                    else:
                        found = np.where(end[:, k] > 0, inside, found)
            result[:, a, b] = found
    return result


def _widest(per_row: np.ndarray, offset: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Per level, the largest value over the rows of M."""
    return per_row[offset[_M] : offset[_M] + counts[_M]].max(axis=0, initial=0.0)


_LITTLE_ROOM = 4096
"""Words up to which the output buffer's room is tabulated for the bound on repeated weight fills."""


def _least_idle(
    space: Mapspace, extent: np.ndarray, beyond: np.ndarray, offset: np.ndarray, counts: np.ndarray
) -> tuple[int, np.ndarray]:
    """`held_level` and `least_idle` of `Tables`, over the dimensions of N, P, Q that no mesh unrolls."""
    free = [DIMS.index(d) for d in "NPQ" if all(slot.kind == "T" for slot in space.slots[d])]
    held = next(
        (
            k for k, level in enumerate(space.architecture.levels)
            if level.keeps == "O" and level.words is not None and level.words <= _LITTLE_ROOM
        ),
        -1,
    )  # fmt: skip
    words = space.architecture.levels[held].words or 0 if held >= 0 else 0
    result = np.full((beyond.shape[1], words + 1), np.inf)
    if not counts.all():
        return held, result
    tiles = np.ones(1)
    outside = np.ones((1, beyond.shape[1]))
    for d in free:
        rows = slice(offset[d], offset[d] + counts[d])
        tiles = (tiles[:, None] * (extent[rows, held] if held >= 0 else 1.0)).ravel()
        outside = (outside[:, None] * beyond[None, rows]).reshape(-1, beyond.shape[1])
    if len(tiles) == 1:  # nothing to choose: whether it fits is seen to elsewhere
        result[:] = outside[0][:, None]
        return held, result
    at = np.minimum(tiles, words + 1).astype(np.int64) if held >= 0 else np.zeros(len(tiles), dtype=np.int64)
    fits = at <= words
    for p in range(beyond.shape[1]):
        np.minimum.at(result[p], at[fits], outside[fits, p])
    return held, np.minimum.accumulate(result, axis=1)


def _surely_after(space: Mapspace, position_level: np.ndarray) -> np.ndarray:
    """Each position itself where all loop orders agree on what repeats what, else the last position of its level."""
    positions = np.arange(len(position_level) + 1)
    if len(set(_like(space.orders).tolist())) == 1:
        return positions
    for level in set(position_level.tolist()):
        at = np.flatnonzero(position_level == level)
        positions[at] = at.max()
    return positions


@cache
def _like(orders: tuple[tuple[str, ...], ...]) -> np.ndarray:
    """A number per order variant, equal where weights and outputs see the same runs of (ir)relevant loops."""

    def runs(sequence: tuple[str, ...], relevant: str) -> tuple[object, ...]:
        seen: list[tuple[bool, list[tuple[int, str]]]] = []
        for k, order in enumerate(sequence):
            for dim in order:
                if not seen or seen[-1][0] != (dim in relevant):
                    seen.append((dim in relevant, []))
                seen[-1][1].append((k, dim))
        return tuple((kind, tuple(sorted(places))) for kind, places in seen)

    numbers: dict[object, int] = {}
    keys = [(runs(sequence, RELEVANT["W"]), runs(sequence, RELEVANT["O"])) for sequence in orders]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _stack(per_row: list[np.ndarray]) -> np.ndarray:
    """One array of (…, R, L + 1); what has only L columns gets a last one of ones."""
    result = np.ones((len(per_row), len(per_row[0]), max(values.shape[1] for values in per_row)))
    for layer, values in zip(result, per_row, strict=True):
        layer[:, : values.shape[1]] = values
    return result


@cache
def _positions(orders: tuple[tuple[str, ...], ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`position`, `position_dim`, `position_level` and `from_level` of `Tables` for combinations of loop orders."""
    n_positions, n_levels = sum(len(order) for order in orders[0]), len(orders[0])
    position = np.full((len(orders), len(DIMS), n_levels + 1), n_positions, dtype=np.int64)
    dims = np.zeros((len(orders), n_positions), dtype=np.int64)
    levels = np.zeros((len(orders), n_positions), dtype=np.int64)
    for v, sequence in enumerate(orders):
        places = [(k, DIMS.index(dim)) for k, order in enumerate(sequence) for dim in order]
        for p, (k, d) in enumerate(places):
            position[v, d, k], dims[v, p], levels[v, p] = p, d, k
    from_level = np.full((len(DIMS), n_positions + 1), n_levels, dtype=np.int64)
    for p, k in enumerate(levels[0]):
        from_level[:, p] = np.where(position[0][:, k] > p, k, k + 1)
    return position, dims, levels, from_level


@cache
def _orders(
    per_level: tuple[tuple[str, ...], ...], combined: tuple[tuple[str, ...], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """`order_of` and `variant_with` of `Tables`."""
    order_of = np.array([[orders.index(o) for orders, o in zip(per_level, v, strict=True)] for v in combined])
    variant_with = np.full((len(per_level), max(len(orders) for orders in per_level)), -1)
    for v in reversed(range(len(combined))):
        variant_with[np.arange(len(per_level)), order_of[v]] = v
    return order_of, variant_with


@cache
def _canonical(
    per_level: tuple[tuple[str, ...], ...], combined: tuple[tuple[str, ...], ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Which order of a level is the first to run the same loops, for every set of dimensions tiled there.

    Loops of bound 1 do not run, so orders that differ only in where those stand are one mapping; each is counted
    in the mapspace but evaluated once.
    """
    canonical = np.ones((len(combined), len(per_level), 1 << len(DIMS)), dtype=np.bool_)
    several = [k for k, orders in enumerate(per_level) if len(orders) > 1]
    for k in several:
        runs_first = _runs_first(per_level[k])
        canonical[:, k] = [runs_first[per_level[k].index(sequence[k])] for sequence in combined]
    return canonical, np.array(several, dtype=np.int64)


@cache
def _runs_first(orders: tuple[str, ...]) -> np.ndarray:
    """Of a level's orders (rows) and sets of tiled dimensions (columns), whether no earlier order runs the same."""
    result = np.ones((len(orders), 1 << len(DIMS)), dtype=np.bool_)
    for mask in range(1 << len(DIMS)):
        present = {dim for d, dim in enumerate(DIMS) if mask >> d & 1}
        seen: set[str] = set()
        for o, order in enumerate(orders):
            runs = "".join(d for d in order if d in present)
            result[o, mask] = runs not in seen
            seen.add(runs)
    return result


def _bandwidths(space: Mapspace, shape: ConvShape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read, write and shared bandwidths per level, inf where no mapping of this space can exceed them.

    A level next to the multipliers serves at most one read per cycle and tensor, and an output's update and fill are
    at most one each; a weight tile holds no word that is not used. Input tiles may (gaps of stride or dilation), so
    their writes are only cleared where there are none.
    """
    levels = space.architecture.levels
    result = np.full((3, len(levels)), np.inf)
    seen = dict.fromkeys(_TENSORS, False)
    fanned_out = False
    gapless = max(shape.stride_w, shape.stride_h, shape.dilation_w, shape.dilation_h) == 1
    for k, level in enumerate(levels):
        fanned_out = fanned_out or bool(level.spatial)
        innermost = not fanned_out and not any(seen[t] for t in level.keeps)
        reads = float(len(level.keeps))
        writes = sum({"W": 1.0, "I": 1.0, "O": 2.0}[t] for t in level.keeps)
        safe_writes = innermost and (gapless or "I" not in level.keeps)
        for i, (bandwidth, demand, safe) in enumerate(
            (
                (level.read_words_per_cycle, reads, innermost),
                (level.write_words_per_cycle, writes, safe_writes),
                (level.shared_words_per_cycle, reads + writes, safe_writes),
            )
        ):
            if bandwidth is not None and not (safe and demand <= bandwidth):
                result[i, k] = bandwidth
        for t in level.keeps:
            seen[t] = True
    return result[0], result[1], result[2]
