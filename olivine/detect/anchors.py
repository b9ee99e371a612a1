"""Anchors, which object each of them is to find, and boxes as offsets from anchors and back.

Shapes: A anchors, G objects of a frame, K classes. Anchors lie in the order row (y), column (x), class, rotation: that
of the head's output. Boxes are those of `olivine.detect.geometry`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from olivine.detect.recipe import MAP_STRIDE, ClassRecipe, GridRecipe

ROTATIONS = (0.0, math.pi / 2)
NO_CLASS, IGNORED = -1, -2
DIRECTION_OFFSET = math.pi / 4
"""Yaw [rad] from which on a box faces the first of two ways: away from 0 and pi/2, which are frequent (reference)."""


@dataclass(frozen=True)
class Targets:
    """What the head is to say of each anchor of a frame.

    `kind_A` int64 is the class of an anchor that is to find an object, NO_CLASS where there is none, and IGNORED where
    the anchor does not count. `offsets_A7` float32 and `direction_A` int64 (0 or 1) are those of the object.
    """

    kind_A: Tensor
    offsets_A7: Tensor
    direction_A: Tensor


def make_anchors(grid: GridRecipe, classes: tuple[ClassRecipe, ...]) -> Tensor:
    """Anchors float32 [A, 7]. Their centres reach from edge to edge of the range, as in the reference."""
    num_x, num_y = (cells // MAP_STRIDE for cells in grid.cells[:2])
    x_X = torch.linspace(grid.low[0], grid.high[0], num_x)
    y_Y = torch.linspace(grid.low[1], grid.high[1], num_y)
    shapes = torch.tensor(
        [[item.bottom_m + item.size[2] / 2, *item.size, yaw] for item in classes for yaw in ROTATIONS]
    )
    anchors_YXS7 = torch.empty(num_y, num_x, len(shapes), 7)
    anchors_YXS7[..., 0] = x_X[None, :, None]
    anchors_YXS7[..., 1] = y_Y[:, None, None]
    anchors_YXS7[..., 2:] = shapes
    return anchors_YXS7.flatten(0, 2)


def assign_targets(anchors_A7: Tensor, boxes_G7: Tensor, kind_G: Tensor, classes: tuple[ClassRecipe, ...]) -> Targets:
    """Decide for each anchor, among the objects of its own class.

    Anchors and objects are compared from above, each turned to the nearest axis. An anchor is to find the object that
    it overlaps most where that reaches `matched`, or where no other anchor overlaps this object more; one that reaches
    `unmatched` alone does not count.

    Args:
        anchors_A7: as `make_anchors` gives them.
        boxes_G7, kind_G: objects, and their classes int64 0..K-1.
        classes: the classes of the anchors.
    """
    kind_A = torch.full((len(anchors_A7),), NO_CLASS, device=anchors_A7.device)
    object_A = torch.zeros_like(kind_A)
    place_AK = torch.arange(len(anchors_A7), device=anchors_A7.device).view(-1, len(classes), len(ROTATIONS))
    for kind, item in enumerate(classes):
        objects = torch.nonzero(kind_G == kind).flatten()
        if not len(objects):
            continue
        rows = place_AK[:, kind].flatten()
        iou_AG = nearest_iou(anchors_A7[rows], boxes_G7[objects])
        best_A, which_A = iou_AG.max(dim=1)
        best_G = iou_AG.max(dim=0).values
        is_best_A = ((iou_AG == best_G) & (best_G > 0)).any(dim=1)
        finds_A = is_best_A | (best_A >= item.matched)
        found_A = torch.where(best_A >= item.unmatched, IGNORED, NO_CLASS)
        kind_A[rows] = torch.where(finds_A, kind, found_A)
        object_A[rows] = objects[which_A]
    offsets_A7 = torch.zeros_like(anchors_A7)
    direction_A = torch.zeros_like(kind_A)
    chosen = torch.nonzero(kind_A >= 0).flatten()
    boxes_P7 = boxes_G7[object_A[chosen]]
    offsets_A7[chosen] = encode_boxes(boxes_P7, anchors_A7[chosen])
    direction_A[chosen] = facing(boxes_P7[:, 6])
    return Targets(kind_A, offsets_A7, direction_A)


def nearest_iou(first_A7: Tensor, second_G7: Tensor) -> Tensor:
    """IoU [A, G] from above of boxes turned to the nearest axis."""
    (low_A2, high_A2), (low_G2, high_G2) = _upright(first_A7), _upright(second_G7)
    common_AG2 = torch.minimum(high_A2[:, None], high_G2) - torch.maximum(low_A2[:, None], low_G2)
    common_AG = common_AG2.clamp(min=0).prod(dim=2)
    area_A, area_G = (box[:, 3] * box[:, 4] for box in (first_A7, second_G7))
    return common_AG / (area_A[:, None] + area_G - common_AG)


def _upright(boxes_B7: Tensor) -> tuple[Tensor, Tensor]:
    turned_B = (torch.sin(boxes_B7[:, 6]).abs() > math.sqrt(0.5))[:, None]
    half_B2 = torch.where(turned_B, boxes_B7[:, [4, 3]], boxes_B7[:, [3, 4]]) / 2
    return boxes_B7[:, :2] - half_B2, boxes_B7[:, :2] + half_B2


def encode_boxes(boxes_B7: Tensor, anchors_B7: Tensor) -> Tensor:
    """Boxes as offsets [B, 7] from anchors (VoxelNet, CVPR 2018, section 2.1.3): centres in diagonals and heights of
    the anchor, logarithms of the sizes, the difference of angles.
    """
    diagonal_B1 = anchors_B7[:, 3:5].norm(dim=1, keepdim=True)
    return torch.cat(
        [
            (boxes_B7[:, :2] - anchors_B7[:, :2]) / diagonal_B1,
            (boxes_B7[:, 2:3] - anchors_B7[:, 2:3]) / anchors_B7[:, 5:6],
            torch.log(boxes_B7[:, 3:6] / anchors_B7[:, 3:6]),
            boxes_B7[:, 6:] - anchors_B7[:, 6:],
        ],
        dim=1,
    )


def decode_boxes(offsets_B7: Tensor, direction_B: Tensor, anchors_B7: Tensor) -> Tensor:
    """Boxes [B, 7] of offsets; yaw is known up to half a turn, and `direction_B` (0 or 1) says which half."""
    diagonal_B1 = anchors_B7[:, 3:5].norm(dim=1, keepdim=True)
    yaw_B = offsets_B7[:, 6] + anchors_B7[:, 6] - DIRECTION_OFFSET
    yaw_B = yaw_B - math.pi * torch.floor(yaw_B / math.pi) + DIRECTION_OFFSET + math.pi * direction_B.to(yaw_B.dtype)
    return torch.cat(
        [
            offsets_B7[:, :2] * diagonal_B1 + anchors_B7[:, :2],
            offsets_B7[:, 2:3] * anchors_B7[:, 5:6] + anchors_B7[:, 2:3],
            torch.exp(offsets_B7[:, 3:6]) * anchors_B7[:, 3:6],
            yaw_B[:, None],
        ],
        dim=1,
    )


def facing(yaw_B: Tensor) -> Tensor:
    """Which of two ways boxes face, int64 [B]: 0 from DIRECTION_OFFSET half a turn on, else 1."""
    return torch.floor((yaw_B - DIRECTION_OFFSET) / math.pi).long() % 2
