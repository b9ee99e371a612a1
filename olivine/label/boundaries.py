"""Boundaries of superpixels at full resolution, from superpixels that were found on blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The block itself first.
_NEIGHBOURS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


@dataclass(frozen=True)
class SlicSpace:
    """The five dimensions in which SLIC measures distance: CIELAB over `compactness`, row and column over `side_px`.

    Colours are first stretched from `low`..`high` to 0..1, as scikit-image stretches an image before it clusters.
    """

    low: int
    high: int
    compactness: float
    side_px: float

    def describe(
        self, rgb_BK3: NDArray[np.uint8], row_BK: NDArray[np.float32], column_BK: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Pixels as points float32 [B, K, 5]."""
        from skimage.color import rgb2lab

        stretched_BK3 = (rgb_BK3.astype(np.float32) - self.low) / max(self.high - self.low, 1)
        lab_BK3 = rgb2lab(np.clip(stretched_BK3, 0, 1)) / self.compactness
        place_BK2 = np.stack([row_BK, column_BK], axis=-1) / self.side_px
        return np.concatenate([lab_BK3, place_BK2], axis=-1, dtype=np.float32)


def refine_boundaries(
    ids_hw: NDArray[np.int64], blocks_hw3: NDArray[np.uint8], image_HW3: NDArray[np.uint8], n: int, space: SlicSpace
) -> NDArray[np.int32]:
    """Assign every pixel near a boundary anew: one more step of SLIC, at full resolution (Achanta et al., 2012).

    A block of n x n pixels keeps its segment where its four neighbours are of it too. In any other block each pixel
    goes to the nearest of the segments that meet there.

    Args:
        ids_hw: segment of each block, ids 0..S-1 without a gap.
        blocks_hw3: mean colour of each block.
        image_HW3: the image, its sides n times those of the blocks or up to n - 1 less.
        n: side of a block in pixels.
        space: how distance is measured.

    Returns:
        The segment of each pixel, int32 [H, W]. A segment may have specks apart from the rest, and may even have lost
        all of its pixels.
    """
    (h, w), (height, width) = ids_hw.shape, image_HW3.shape[:2]
    padded_hw = np.pad(ids_hw, 1, mode="edge")
    meeting_5hw = np.stack([padded_hw[1 + y : 1 + y + h, 1 + x : 1 + x + w] for y, x in _NEIGHBOURS])
    row_B, column_B = np.nonzero((meeting_5hw != ids_hw).any(axis=0))
    meeting_B5 = meeting_5hw[:, row_B, column_B].T
    whole_HW3 = np.pad(image_HW3, ((0, h * n - height), (0, w * n - width), (0, 0)), mode="edge")
    offset_row_K, offset_column_K = np.divmod(np.arange(n * n, dtype=np.float32), n)
    point_BK5 = space.describe(
        _tiles(whole_HW3, n)[row_B, column_B].reshape(len(row_B), n * n, 3),
        row_B[:, None] * n + offset_row_K,
        column_B[:, None] * n + offset_column_K,
    )
    nearest_BK = _nearest(point_BK5, meeting_B5, _centres(ids_hw, blocks_hw3, n, space))
    refined_HW = np.repeat(np.repeat(ids_hw.astype(np.int32), n, axis=0), n, axis=1)
    _tiles(refined_HW, n)[row_B, column_B] = nearest_BK.reshape(-1, n, n)
    return refined_HW[:height, :width]


def _tiles(image: NDArray[Any], n: int) -> NDArray[Any]:
    """An image [h n, w n, ...] as blocks [h, w, n, n, ...]: a view."""
    return image.reshape(len(image) // n, n, image.shape[1] // n, n, *image.shape[2:]).swapaxes(1, 2)


def _centres(ids_hw: NDArray[np.int64], blocks_hw3: NDArray[np.uint8], n: int, space: SlicSpace) -> NDArray[np.float32]:
    """Mean point of each segment float32 [S, 5]."""
    row_hw, column_hw = np.indices(ids_hw.shape, np.float32) * n + (n - 1) / 2
    point_hw5 = space.describe(blocks_hw3, row_hw, column_hw)
    ids = ids_hw.ravel()
    total_5S = np.stack([np.bincount(ids, point_hw5[..., axis].ravel()) for axis in range(5)])
    centre_S5: NDArray[np.float32] = (total_5S / np.bincount(ids)).T.astype(np.float32)
    return centre_S5


def _nearest(
    point_BK5: NDArray[np.float32], meeting_B5: NDArray[np.int64], centre_S5: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The nearest of its block's segments for each pixel, [B, K]; the block's own, the first, where none is nearer."""
    own_B, others_4B = meeting_B5[:, 0], meeting_B5.T[1:]
    nearest_BK = np.repeat(own_B[:, None], point_BK5.shape[1], axis=1)
    # Squared distances less that to the own segment: small numbers, for which single precision is enough.
    least_BK = np.zeros(nearest_BK.shape, np.float32)
    point_BK5 -= centre_S5[own_B][:, None]
    for other_B in others_4B:
        rows = np.flatnonzero(other_B != own_B)
        across_R5 = centre_S5[other_B[rows]] - centre_S5[own_B[rows]]
        excess_RK = (across_R5**2).sum(axis=1)[:, None] - 2 * np.einsum("rkf,rf->rk", point_BK5[rows], across_R5)
        nearer_RK = excess_RK < least_BK[rows]
        nearest_BK[rows] = np.where(nearer_RK, other_B[rows][:, None], nearest_BK[rows])
        least_BK[rows] = np.minimum(excess_RK, least_BK[rows])
    return nearest_BK
