"""Masks without boxes: what a segmenter finds at the points of a grid, chosen as SAM's authors choose them.

They judge masks at the size of the image. Here stability and overlap are judged on the decoder's own grid, a quarter as
wide, and only the masks that are kept are enlarged.

Shapes: K points, M masks, s the side of the decoder's grid, h x w the part of it that the image takes.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import masks_to_boxes, nms

from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.models.vfm.sam import Sam
from olivine.models.vfm.seam import Image

_POINTS_AT_ONCE, _POINTS_ON_A_GPU = 8, 64
"""Fixed, and no choice of the recipe: the last bits of a product may depend on how many rows it has. So few on a
processor, because what SAM computes for a point (4 MB) is read over and over, and is still in the cache then."""

_STABILITY_LOGITS = 1.0
_NMS_IOU = 0.7
"""Both are Segment Anything's own values."""


class AutomaticMasks:
    """The segmenter without boxes: `AutomaticSegmenter` of `olivine.models.vfm.seam`."""

    def __init__(self, sam: Sam, recipe: SegmenterRecipe) -> None:
        self._sam, self._recipe = sam, recipe
        self.points_at_once = _POINTS_AT_ONCE if sam.device.type == "cpu" else _POINTS_ON_A_GPU
        # One image has the use of all cores.
        self._one_at_a_time = threading.Lock()

    def segments(self, image: Image) -> NDArray[np.int64]:
        """As `AutomaticSegmenter.segments`."""
        size = (image.shape[0], image.shape[1])
        with self._one_at_a_time:
            logits_Mss = self._find(self._sam.embed([image])[0], size)
            return self._paint(logits_Mss, size)

    def _find(self, embedding: Any, size: tuple[int, int]) -> Tensor:
        """Logits [M, s, s] of the masks of an image of `size`, the largest first."""
        shown = self._sam.shown(size)
        logits, quality = [], []
        for part_k2 in torch.split(_grid(self._recipe.points_per_side, shown), self.points_at_once):
            logits_mss, quality_m = self._sam.decode_points(embedding, part_k2, self._recipe.min_quality)
            stable_m = _stability(self._on_image(logits_mss, shown)) >= self._recipe.min_stability
            logits.append(logits_mss[stable_m])
            quality.append(quality_m[stable_m])
        logits_Mss = torch.cat(logits)
        return logits_Mss[_choose(self._on_image(logits_Mss, shown) > 0, torch.cat(quality))]

    def _on_image(self, logits_mss: Tensor, shown: tuple[int, int]) -> Tensor:
        """The part [m, h, w] of masks that the image takes; the rest is padding."""
        height, width = (math.ceil(shown[axis] * logits_mss.shape[1 + axis] / self._sam.side) for axis in (0, 1))
        return logits_mss[:, :height, :width]

    def _paint(self, logits_Mss: Tensor, size: tuple[int, int]) -> NDArray[np.int64]:
        """Number of the last mask that covers each pixel, int64 [H, W]; -1 where there is none."""
        ids_HW = np.full(size, -1, np.int64)
        for number, logits_ss in enumerate(logits_Mss):
            ids_HW[(self._sam.enlarge(logits_ss[None], size)[0] > 0).cpu().numpy()] = number
        return ids_HW


def _grid(points_per_side: int, shown: tuple[int, int]) -> Tensor:
    """x, y of the points [K, 2] in pixels of the input, row by row: the middles of equal parts of the image."""
    middle = (torch.arange(points_per_side) + 0.5) / points_per_side
    y, x = torch.meshgrid(middle * shown[0], middle * shown[1], indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def _stability(logits_mhw: Tensor) -> Tensor:
    """IoU [m] of each mask cut one logit above and one below; not a number where there is no mask even below."""
    above_m, below_m = ((logits_mhw > cut).sum(dim=(1, 2)) for cut in (_STABILITY_LOGITS, -_STABILITY_LOGITS))
    return above_m / below_m


def _choose(mask_Mhw: Tensor, quality_M: Tensor) -> Tensor:
    """Indices of the masks that no better one suppresses, the largest first, so that parts lie on their wholes.

    Of equally large masks the better one comes first, of equally good ones that of the earlier point.
    """
    area_M = mask_Mhw.sum(dim=(1, 2))
    filled = area_M.nonzero()[:, 0]
    if not len(filled):
        return filled
    # To the far edge of the last pixel: else a mask of one pixel would have an empty box.
    box_M4 = masks_to_boxes(mask_Mhw[filled]) + torch.tensor([0, 0, 1, 1], device=mask_Mhw.device)
    kept = filled[nms(box_M4, quality_M[filled], _NMS_IOU)]
    return kept[area_M[kept].argsort(descending=True, stable=True)]
