"""W3, the distinct voxels of one sweep and the voxel of each point: `python -m benchmarks.w3_voxelize`.

"W3" is the whole way of 34 720 points, from coordinates to voxels (cylindrical: 0.1 m, 1 degree, 0.1 m): ours is
`voxelize`, features included; every other contender pays the same plain arithmetic for the cells and then groups them
its own way. "W3 grouping" starts from the integer cells, "W3 published" compares that with the reference code's form.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import digest, lidar_sweep
from benchmarks.measure import compare, main, repeat, row
from olivine.points.voxelize import group_cells, voxelize

GOAL = 1 / 1.2
"""Ours within 1.2 times the best of the others."""


@functools.cache
def sweep() -> NDArray[np.float32]:
    return lidar_sweep()


def make_cells() -> NDArray[np.int32]:
    """Integer cells [3, N], computed here by the plain definition."""
    x, y, z = sweep()[:, :3].T.astype(np.float64)
    cylindrical = np.stack([np.sqrt(x * x + y * y) / 0.1, np.degrees(np.arctan2(y, x)) / 1.0, z / 0.1])
    return np.floor(cylindrical).astype(np.int32)


@functools.cache
def cells() -> NDArray[np.int32]:
    return make_cells()


@functools.cache
def rows() -> NDArray[np.int32]:
    return np.ascontiguousarray(cells().T)


def packed() -> NDArray[np.int64]:
    low = cells().min(axis=1)
    span = (cells().max(axis=1) - low + 1).astype(np.int64)
    a, b, c = cells().astype(np.int64) - low[:, None]
    return (a * span[1] + b) * span[2] + c


def olivine() -> Callable[[], Any]:
    """Ours: radix sort of packed keys."""
    cells_3N = cells()
    return lambda: group_cells(cells_3N)[1]


def numpy_rows() -> Callable[[], Any]:
    """np.unique(axis=0), the published formulation."""
    rows_N3 = rows()
    return lambda: np.unique(rows_N3, axis=0, return_index=True, return_inverse=True)[2]


def numpy_packed() -> Callable[[], Any]:
    """np.unique on packed int64 keys."""
    cells()
    return lambda: np.unique(packed(), return_index=True, return_inverse=True)[2]


def torch_packed() -> Callable[[], Any]:
    """torch.unique on packed int64 keys."""
    import torch

    cells_3N = torch.from_numpy(cells())

    def call() -> Any:
        low = cells_3N.amin(dim=1)
        span = (cells_3N.amax(dim=1) - low + 1).long()
        a, b, c = cells_3N.long() - low[:, None]
        return torch.unique((a * span[1] + b) * span[2] + c, return_inverse=True)[1]

    return call


def minkowski() -> Callable[[], Any]:
    """MinkowskiEngine.utils.sparse_quantize."""
    import MinkowskiEngine as Me
    import torch

    rows_N3 = torch.from_numpy(rows())
    return lambda: Me.utils.sparse_quantize(rows_N3, return_index=True, return_inverse=True)[2]


def numba_hash() -> Callable[[], Any]:
    """A hash table with linear probing, compiled by numba."""
    import numba

    @numba.njit
    def group(cells_3N: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        num_points = cells_3N.shape[1]
        capacity = 4
        while capacity < 2 * num_points:
            capacity *= 2
        slots = np.full(capacity, -1, np.int64)
        first = np.empty(num_points, np.int64)
        inverse = np.empty(num_points, np.int64)
        count = 0
        for i in range(num_points):
            a, b, c = np.int64(cells_3N[0, i]), np.int64(cells_3N[1, i]), np.int64(cells_3N[2, i])
            slot = ((a * 73856093) ^ (b * 19349669) ^ (c * 83492791)) & (capacity - 1)
            while slots[slot] >= 0:
                j = first[slots[slot]]
                if cells_3N[0, j] == a and cells_3N[1, j] == b and cells_3N[2, j] == c:
                    break
                slot = (slot + 1) & (capacity - 1)
            if slots[slot] < 0:
                slots[slot] = count
                first[count] = i
                count += 1
            inverse[i] = slots[slot]
        return first[:count], inverse

    cells_3N = cells()
    return lambda: group(cells_3N)[1]


CONTENDERS: dict[str, Callable[[], Callable[[], Any]]] = {
    contender.__name__: contender
    for contender in (olivine, numpy_rows, numpy_packed, torch_packed, minkowski, numba_hash)
}


def partition_digest(inverse: Any) -> str:
    """The grouping of the points, whatever the order in which a contender numbers the voxels."""
    inverse_N = np.asarray(inverse).reshape(-1)
    _, first_V, numbered_N = np.unique(inverse_N, return_index=True, return_inverse=True)
    return hashlib.sha256(first_V[numbered_N].astype(np.int64).tobytes()).hexdigest()


def measure(contender: str) -> dict[str, Any]:
    """One contender in this process: times, memory, and the digest of its grouping."""
    call, points_N4 = CONTENDERS[contender](), sweep()
    grouping = repeat(call)
    whole = repeat((lambda: voxelize(points_N4)) if contender == "olivine" else lambda: (make_cells(), call()))
    return grouping | {"whole_median_ms": whole["median_ms"], "partition_sha256": partition_digest(call())}


def run() -> list[dict[str, Any]]:
    """All contenders; the reference is the fastest of the others that groups the points as ours does."""
    results = compare("benchmarks.w3_voxelize", CONTENDERS)
    ours = results["olivine"]
    others = {
        name: result
        for name, result in results.items()
        if name != "olivine" and result.get("partition_sha256") == ours["partition_sha256"]
    }
    lines = []
    for name, figure in (("W3", "whole_median_ms"), ("W3 grouping", "median_ms")):
        best = min(others, key=lambda other: others[other][figure])
        lines.append(row(name, ours[figure], others[best][figure], GOAL, "ms per sweep", best_of_the_others=best))
    lines[0] |= {"digest": digest(sweep()), "contenders": results}
    published = results["numpy_rows"]["median_ms"]
    return [*lines, row("W3 published", ours["median_ms"], published, 1.0, "ms per sweep")]


if __name__ == "__main__":
    main(__doc__, run, measure)
