"""What a corruption makes of a sweep. Shapes: N points before, M after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SCATTERED: Final = -1
"""Source of a return that comes from no surface that was labelled: a drop, a flake, another sensor."""


@dataclass(frozen=True)
class Corrupted:
    """Points float32 [M, 5] as before (x, y, z, intensity, ring), and the point int32 [M] that each was, or SCATTERED.

    Points keep their order. None is added: M <= N.
    """

    points_M5: NDArray[np.float32]
    source_M: NDArray[np.int32]

    def labels(self, label_N: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels uint8 [M] of the corrupted points, from those of the sweep; 0, ignored, for what was scattered."""
        return np.where(self.source_M == SCATTERED, np.uint8(0), label_N[self.source_M]).astype(np.uint8)


def ranges(points_N5: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distance from the sensor [m], float64 [N]."""
    return np.asarray(np.linalg.norm(points_N5[:, :3].astype(np.float64), axis=1))


def keep(points_N5: NDArray[np.float32], is_kept_N: NDArray[np.bool_]) -> Corrupted:
    """Some of the points, as they are."""
    kept = np.flatnonzero(is_kept_N)
    return Corrupted(points_N5[kept], kept.astype(np.int32))


def scatter(
    points_N5: NDArray[np.float32],
    is_kept_N: NDArray[np.bool_],
    is_scattered_N: NDArray[np.bool_],
    range_N: NDArray[np.float64],
    intensity_N: NDArray[np.float64],
) -> Corrupted:
    """Keep some points with new intensities, and move others along their rays to new ranges; the rest is lost."""
    changed_N5 = points_N5.copy()
    changed_N5[:, 3] = np.clip(intensity_N, 0, 255)
    old_N = ranges(points_N5)
    share_N = np.divide(range_N, old_N, out=np.ones_like(old_N), where=is_scattered_N & (old_N > 0))
    changed_N5[:, :3] = points_N5[:, :3] * share_N[:, None]
    there = np.flatnonzero(is_kept_N | is_scattered_N)
    source_M = np.where(is_scattered_N[there], SCATTERED, there).astype(np.int32)
    return Corrupted(changed_N5[there], source_M)
