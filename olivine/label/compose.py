"""From instances to one category and one confidence a pixel. Pure functions of arrays. K instances, H x W pixels.

The order is stated once, here: the instance with the higher score lies on top; of equal scores the smaller mask; then
the lower class id; then the box that comes first when left, top, right and bottom are compared. So the result depends
on what was found and not on the order in which it came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olivine.errors import UsageError
from olivine.label.class_list import IGNORE_ID, ClassList
from olivine.label.instances import Instances, decode_mask
from olivine.label.recipe import ComposeRecipe
from olivine.packs.superpixels import NO_SUPERPIXEL


@dataclass(frozen=True)
class Composite:
    """One image. `category_HW` uint8, 255 unpainted; `confidence_HW` uint8, 0 exactly where it is unpainted;

    `instance_HW` uint16: rank by score among the painted instances of this image, 65 535 unpainted.
    """

    category_HW: NDArray[np.uint8]
    confidence_HW: NDArray[np.uint8]
    instance_HW: NDArray[np.uint16]


def least_scores(recipe: ComposeRecipe, classes: ClassList) -> NDArray[np.float32]:
    """Least score by class id, float32 [256].

    Raises:
        UsageError: a threshold for a class that is not in the list.
    """
    unknown = sorted(set(recipe.score_by_class) - set(classes.names))
    if unknown:
        raise UsageError(
            f"label.compose.score_by_class names {unknown[0]!r}, which is not in class list {classes.name!r}: "
            f"choose among {', '.join(classes.names)}."
        )
    table = np.full(256, recipe.score, np.float32)
    for name, score in recipe.score_by_class.items():
        table[classes.names.index(name)] = score
    return table


def compose(found: Instances, size: tuple[int, int], least_score: NDArray[np.float32], nms_iou: float) -> Composite:
    """Paint the instances whose score is at least `least_score` of their class and that no better one suppresses.

    Args:
        found: instances of one image.
        size: (height, width) of the image.
        least_score: float32 [256], by class id.
        nms_iou: of two boxes of one class that overlap by more than this, the one with the lower score is left out.
    """
    composite = Composite(
        np.full(size, IGNORE_ID, np.uint8), np.zeros(size, np.uint8), np.full(size, NO_SUPERPIXEL, np.uint16)
    )
    kept = [k for k in rank(found) if found.score_K[k] >= least_score[found.category_K[k]]]
    kept = suppress(found, np.asarray(kept, np.intp), nms_iou)
    for place, k in reversed(list(enumerate(kept))):
        mask_HW = decode_mask(found.runs[k], size)
        composite.category_HW[mask_HW] = found.category_K[k]
        composite.confidence_HW[mask_HW] = eight_bit(float(found.score_K[k]))
        composite.instance_HW[mask_HW] = place
    return composite


def eight_bit(score: float) -> int:
    """A score 0..1 as 1..255: 0 is kept for pixels that nothing paints."""
    return max(1, min(255, round(255 * score)))


def rank(found: Instances) -> NDArray[np.intp]:
    """Instances from the top to the bottom, by the order above."""
    area_K = np.array([runs[1::2].sum() for runs in found.runs], np.int64)
    left_K, top_K, right_K, bottom_K = found.box_K4.reshape(-1, 4).T
    order_K: NDArray[np.intp] = np.lexsort((bottom_K, right_K, top_K, left_K, found.category_K, area_K, -found.score_K))
    return order_K


def suppress(found: Instances, ranked: NDArray[np.intp], nms_iou: float) -> list[int]:
    """Greedy non-maximum suppression within each class; `ranked` from the best to the worst, as the result is."""
    kept: list[int] = []
    for k in ranked.tolist():
        rivals = [other for other in kept if found.category_K[other] == found.category_K[k]]
        if not rivals or box_iou(found.box_K4[rivals], found.box_K4[k]).max() <= nms_iou:
            kept.append(k)
    return kept


def box_iou(box_K4: NDArray[np.float32], box_4: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of boxes with one box, float64 [K]; 0 where both are empty."""
    box_K4, box_4 = box_K4.astype(np.float64), box_4.astype(np.float64)
    overlap_K2 = np.minimum(box_K4[:, 2:], box_4[2:]) - np.maximum(box_K4[:, :2], box_4[:2])
    overlap_K = overlap_K2.clip(0).prod(axis=1)
    union_K = (box_K4[:, 2:] - box_K4[:, :2]).prod(axis=1) + (box_4[2:] - box_4[:2]).prod() - overlap_K
    iou_K: NDArray[np.float64] = np.divide(overlap_K, union_K, out=np.zeros_like(union_K), where=union_K > 0)
    return iou_K
