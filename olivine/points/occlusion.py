"""Which pairs are what their pixel shows: background seen through the parallax of LiDAR and camera is told by depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def visible_pairs(
    depth_M: NDArray[np.floating[Any]], pixel_M3: NDArray[Any], cell_px: int, tolerance: float
) -> NDArray[np.bool_]:
    """Pairs that no nearer point of the same image hides, bool [M].

    A depth buffer of cells of `cell_px` x `cell_px` pixels: a pair is hidden when it is more than `tolerance` (share of
    the depth) behind the nearest point of its cell or of one of the eight around it. The reference has no such test.

    Args:
        depth_M: distance [m] along the camera's axis, positive.
        pixel_M3: (image, row, column).
        cell_px: edge of a cell [pixels].
        tolerance: e.g. 0.1: a surface may be 10 % deeper within its neighbourhood.
    """
    if not len(depth_M):
        return np.zeros(0, bool)
    image_M, row_M, column_M = pixel_M3[:, 0].astype(np.int64), pixel_M3[:, 1] // cell_px, pixel_M3[:, 2] // cell_px
    shape = (int(image_M.max()) + 1, int(row_M.max()) + 3, int(column_M.max()) + 3)
    nearest = np.full(shape, np.inf)
    np.minimum.at(nearest, (image_M, row_M + 1, column_M + 1), depth_M)
    around_M = np.full(len(depth_M), np.inf)
    for down in range(3):
        for along in range(3):
            np.minimum(around_M, nearest[image_M, row_M + down, column_M + along], out=around_M)
    visible_M: NDArray[np.bool_] = depth_M <= around_M * (1 + tolerance)
    return visible_M
