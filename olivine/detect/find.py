"""From what the head says of its anchors to the boxes that are found.

Shapes: A anchors, K classes, D detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olivine.detect.anchors import decode_boxes
from olivine.detect.cloud import detection_cloud
from olivine.detect.geometry import ground_iou
from olivine.detect.network import Detector
from olivine.detect.recipe import DetectionRecipe, DetectorRecipe
from olivine.models.cloud import collate


@dataclass(frozen=True)
class Detections:
    """Boxes float64 [D, 7] in the LiDAR's frame, scores float64 [D] 0..1, highest first, and classes int64 [D]."""

    boxes_D7: NDArray[np.float64]
    score_D: NDArray[np.float64]
    kind_D: NDArray[np.int64]


@torch.no_grad()
def find_objects(
    detector: Detector, points_N4: NDArray[np.float32], trained: DetectorRecipe, recipe: DetectionRecipe
) -> Detections:
    """What a detector in evaluation mode finds in a frame (x, y, z [m], intensity); nothing in one without points."""
    cloud = detection_cloud(points_N4, trained.grid, trained.intensity_scale, trained.grid.max_voxels_predicted)
    if not len(cloud.coordinates_V3):
        return Detections(np.empty((0, 7)), np.empty(0), np.empty(0, np.int64))
    found = detector(collate([cloud]).to(detector.anchors_A7.device), 1)
    return choose_boxes(found.logits_BAK[0], found.offsets_BA7[0], found.directions_BA2[0], detector.anchors_A7, recipe)


def choose_boxes(
    logits_AK: Tensor, offsets_A7: Tensor, directions_A2: Tensor, anchors_A7: Tensor, recipe: DetectionRecipe
) -> Detections:
    """Boxes of the anchors whose best class reaches the score, without those that overlap a better one."""
    score_A, kind_A = torch.sigmoid(logits_AK).max(dim=1)
    candidates = torch.nonzero(score_A >= recipe.min_score).flatten()
    # Stable, so that equal scores keep the order of the anchors.
    order = torch.sort(score_A[candidates], descending=True, stable=True).indices[: recipe.nms_candidates]
    chosen = candidates[order]
    decoded_D7 = decode_boxes(offsets_A7[chosen], directions_A2[chosen].argmax(dim=1), anchors_A7[chosen])
    boxes_D7, score_D, kind_D = (part.cpu().numpy() for part in (decoded_D7.double(), score_A[chosen], kind_A[chosen]))
    sound = np.flatnonzero(np.isfinite(boxes_D7).all(axis=1))
    kept = sound[suppress(boxes_D7[sound], recipe.nms_iou, recipe.most)]
    return Detections(boxes_D7[kept], score_D[kept].astype(np.float64), kind_D[kept])


def suppress(boxes_D7: NDArray[np.float64], max_iou: float, most: int) -> NDArray[np.int64]:
    """Rows of the boxes that stay, `most` at most: each but those that overlap an earlier one that stays.

    Overlap is the IoU of the turned boxes from above. The boxes come best first.
    """
    left = np.arange(len(boxes_D7))
    kept: list[int] = []
    while len(left) and len(kept) < most:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        left = left[ground_iou(boxes_D7[first], boxes_D7[left]) <= max_iou]
    return np.array(kept, np.int64)
