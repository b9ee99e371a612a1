"""Boxes of KITTI's object benchmark: read label files, and their overlaps on the ground and in space.

Shapes: B boxes of a frame, G of the ground truth, D of the detections.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.metrics.rotated_boxes import rectangle_intersection

Array = NDArray[np.float64]
_FIELDS = 15
_UNLABELLED = "dontcare"


@dataclass(frozen=True)
class Boxes:
    """Boxes of one frame, in the order of the file. `kind_B` is in lower case: the benchmark heeds no case."""

    kind_B: NDArray[np.str_]
    truncation_B: Array
    occlusion_B: Array
    image_height_B: Array
    """Height in the image [pixels]."""
    size_B3: Array
    """Height, width, length [m]."""
    bottom_B3: Array
    """Centre of the bottom in the camera frame [m]: x right, y down, z ahead."""
    yaw_B: Array
    score_B: Array
    """NaN in ground truth."""

    def __len__(self) -> int:
        return len(self.kind_B)

    @property
    def has_box(self) -> NDArray[np.bool_]:
        """Which labels have a box in space: areas of the image that nobody labelled (DontCare) have none."""
        return np.asarray(self.kind_B != _UNLABELLED)

    @property
    def rectangles(self) -> Array:
        """(x, z, length, width, yaw) on the ground."""
        return np.column_stack([self.bottom_B3[:, [0, 2]], self.size_B3[:, [2, 1]], self.yaw_B])


def read_boxes(path: Path, scored: bool) -> Boxes:
    """The boxes of a label file (15 fields a line), or, with `scored`, of a file of detections (16, the last a score).

    Raises:
        DataError: the file cannot be read, or a line has another number of fields or no finite numbers in them.
    """
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}): is it a file of labels?") from None
    return parse_boxes(text, str(path), scored)


def parse_boxes(text: str, where: str, scored: bool) -> Boxes:
    """The boxes in the text of such a file, which messages call `where`; see `read_boxes`."""
    rows, kinds = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        wanted = _FIELDS + scored
        if len(fields) != wanted:
            what = "detections have 16, the last a score" if scored else "labels have 15"
            raise DataError(f"{where}, line {number}: {len(fields)} fields, but {what}")
        try:
            rows.append([float(field) for field in fields[1:]])
        except ValueError as error:
            raise DataError(f"{where}, line {number}: {error}") from None
        if not np.isfinite(rows[-1]).all():
            raise DataError(f"{where}, line {number}: a number is not finite")
        kinds.append(fields[0].lower())
    values_BF = np.array(rows, np.float64).reshape(len(rows), _FIELDS - 1 + scored)
    return Boxes(
        kind_B=np.array(kinds, np.str_),
        truncation_B=values_BF[:, 0],
        occlusion_B=values_BF[:, 1],
        image_height_B=values_BF[:, 6] - values_BF[:, 4],
        size_B3=values_BF[:, 7:10],
        bottom_B3=values_BF[:, 10:13],
        yaw_B=values_BF[:, 13],
        score_B=values_BF[:, 14] if scored else np.full(len(rows), np.nan),
    )


def overlaps(truth: Boxes, found: Boxes) -> dict[str, Array]:
    """IoU float64 [G, D] on the ground (`bev`) and in space (`3d`); 0 with a box that has no size, as DontCare has."""
    pair_G, pair_D = np.divmod(np.arange(len(truth) * len(found)), max(len(found), 1))
    common_P = rectangle_intersection(truth.rectangles[pair_G], found.rectangles[pair_D])
    area_G, area_D = (boxes.size_B3[:, 1] * boxes.size_B3[:, 2] for boxes in (truth, found))
    low_P = np.minimum(truth.bottom_B3[pair_G, 1], found.bottom_B3[pair_D, 1])
    top_P = np.maximum(
        truth.bottom_B3[pair_G, 1] - truth.size_B3[pair_G, 0], found.bottom_B3[pair_D, 1] - found.size_B3[pair_D, 0]
    )
    common_volume_P = common_P * np.maximum(low_P - top_P, 0.0)
    volume_G, volume_D = area_G * truth.size_B3[:, 0], area_D * found.size_B3[:, 0]
    shape = (len(truth), len(found))
    return {
        "bev": _share(common_P, area_G[pair_G] + area_D[pair_D] - common_P).reshape(shape),
        "3d": _share(common_volume_P, volume_G[pair_G] + volume_D[pair_D] - common_volume_P).reshape(shape),
    }


def _share(common_P: Array, union_P: Array) -> Array:
    return np.divide(common_P, union_P, out=np.zeros_like(common_P), where=(common_P > 0) & (union_P > 0))
