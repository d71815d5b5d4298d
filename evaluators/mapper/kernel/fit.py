"""What fits: groups and rows of M on the meshes, rows of M beside a tiling in the buffers."""

from __future__ import annotations

import numpy as np

from evaluators.mapper.kernel.compiled import compiled
from evaluators.mapper.kernel.dims import INPUTS, OUTPUTS, PREFIX, WEIGHTS, M
from evaluators.mapper.tables import EXTENT, LIMIT_X, LIMIT_Y, MESH_X, MESH_Y, WIDEST_EXTENT, WIDEST_X, WIDEST_Y, WORDS

__all__ = ["fit_mesh", "how_many_fit", "room_for_m"]


@compiled
def fit_mesh(t, rows, picked, fits):
    """Mark (1 or 0) the rows of M whose mesh fits beside a group; False if there is no mesh left at all."""
    n_rows = t.rows[M]
    for i in range(n_rows):
        fits[i] = 1
    for k in range(t.keeps.shape[1]):
        x, y = 1.0, 1.0
        for d in PREFIX:
            x *= t.row[MESH_X, picked[d], k]
            y *= t.row[MESH_Y, picked[d], k]
        left_x, left_y = np.floor(t.level[k, LIMIT_X] / x), np.floor(t.level[k, LIMIT_Y] / y)
        if left_x < 1.0 or left_y < 1.0:
            return False
        if t.level[k, WIDEST_X] > left_x:
            mesh = rows.mesh_x[k]
            for i in range(n_rows):
                fits[i] &= 1 if mesh[i] <= left_x else 0
        if t.level[k, WIDEST_Y] > left_y:
            mesh = rows.mesh_y[k]
            for i in range(n_rows):
                fits[i] &= 1 if mesh[i] <= left_y else 0
    return True


@compiled
def room_for_m(t, c, tilings, tiling, room):
    """The largest extent of M that each level has room for beside a row of C and a tiling; False if there is none."""
    for k in t.limited_levels:
        free = t.level[k, WORDS]
        per_m = 0.0
        if t.keeps[INPUTS, k]:
            free -= t.row[EXTENT, c, k] * tilings.inputs[k, tiling]
        if t.keeps[WEIGHTS, k]:
            per_m += t.row[EXTENT, c, k] * tilings.weights[k, tiling]
        if t.keeps[OUTPUTS, k]:
            per_m += tilings.outputs[k, tiling]
        if free < per_m:
            return False
        room[k] = np.floor(free / per_m) if per_m > 0.0 else np.inf
    return True


@compiled
def how_many_fit(t, rows, on_mesh, room, fits):
    """Mark which rows of M fit mesh and room, and return how many do."""
    n_rows = t.rows[M]
    for i in range(n_rows):
        fits[i] = on_mesh[i]
    for k in t.limited_levels:
        if t.level[k, WIDEST_EXTENT] > room[k]:
            extent, limit = rows.extent[k], room[k]
            for i in range(n_rows):
                fits[i] &= 1 if extent[i] <= limit else 0
    found = 0
    for i in range(n_rows):
        found += fits[i]
    return found
