"""Nearest points of a sweep, by a k-d tree.

Shapes: N points, K neighbours. Distances are Euclidean, in the unit of the coordinates.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree  # type: ignore[import-untyped]

from olivine.errors import DataError


def nearest_neighbours(points_N3: NDArray[Any], num_neighbours: int) -> NDArray[np.int32]:
    """The nearest other points of each point, int32 [N, K], nearest first; coordinates must be finite.

    Of a cloud with too few points for that, the last columns repeat the point itself.
    """
    num_points = len(points_N3)
    found_NK = np.repeat(np.arange(num_points, dtype=np.int32)[:, None], num_neighbours, axis=1)
    # One more than wanted: a point is its own neighbour.
    reach = min(num_neighbours + 1, num_points)
    if reach < 2:
        return found_NK
    _, nearest_NJ = cKDTree(points_N3).query(points_N3, k=reach)
    found_NK[:, : reach - 1] = _without_itself(nearest_NJ)
    return found_NK


def fill_rows(points_N3: NDArray[Any], row_N: NDArray[np.int64], where: str) -> NDArray[np.int64]:
    """Rows int64 [N] in which every point that has none (-1) takes that of the nearest point that has one.

    Raises DataError, naming `where`, when no point has a row.
    """
    seen_N = row_N >= 0
    if seen_N.all():
        return row_N
    if not seen_N.any():
        raise DataError(f"{where}: none of {len(row_N)} points lies in the network's range; widen it.")
    seen_M, unseen_U = np.flatnonzero(seen_N), np.flatnonzero(~seen_N)
    _, nearest_U = cKDTree(points_N3[seen_M]).query(points_N3[unseen_U])
    filled_N = row_N.copy()
    filled_N[unseen_U] = row_N[seen_M[nearest_U]]
    return filled_N


def _without_itself(nearest_NJ: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row without the point it is of: among points at one place it need not come first, nor at all."""
    own_NJ = nearest_NJ == np.arange(len(nearest_NJ))[:, None]
    own_NJ[~own_NJ.any(axis=1), -1] = True
    rest_NK: NDArray[np.int64] = nearest_NJ[~own_NJ].reshape(len(nearest_NJ), -1)
    return rest_NK
