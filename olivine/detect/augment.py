"""Change a frame before it is trained on: objects of other frames put in, mirrored, turned, scaled.

Every function takes its random generator: the same state gives the same result. Shapes: N points, B boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from olivine.detect.frames import Frame
from olivine.detect.geometry import ground_iou, points_in_boxes, wrap_angle
from olivine.detect.recipe import AugmentRecipe, ClassRecipe
from olivine.metrics.kitti_matching import DIFFICULTIES


@dataclass(frozen=True)
class Scene:
    """Points float32 [N, 4] and objects of a frame; `kind_B` in lower case, `boxes_B7` float64 (`geometry`)."""

    points_N4: NDArray[np.float32]
    kind_B: NDArray[np.str_]
    boxes_B7: NDArray[np.float64]


@dataclass(frozen=True)
class StoredObject:
    """An object that can be put into another frame: its box float64 [7] and the points in it, where they were."""

    frame: str
    box_7: NDArray[np.float64]
    points_N4: NDArray[np.float32]


Database = dict[str, list[StoredObject]]
"""Objects by class, in the order of the frames and of their labels."""


def collect_objects(frame: Frame, kinds: Sequence[str], min_points: int) -> list[tuple[str, StoredObject]]:
    """The objects of a frame that are worth putting into others, with their class.

    They hold `min_points` points at least, and are of one of the benchmark's difficulties. Heights in the image are as
    in OpenPCDet, not as in the evaluator: the first and the last row of pixels both count, and the least height does.
    """
    labels = frame.labels
    is_fair_B = np.zeros(len(labels), bool)
    for difficulty in DIFFICULTIES:
        is_fair_B |= (
            (labels.image_height_B + 1 >= difficulty.min_height)
            & (labels.occlusion_B <= difficulty.max_occlusion)
            & (labels.truncation_B <= difficulty.max_truncation)
        )
    # Labels without a box in space are no boxes.
    is_fair_B = is_fair_B[labels.has_box]
    inside_BN = points_in_boxes(frame.points_N4, frame.boxes_B7)
    return [
        (str(frame.kind_B[row]), StoredObject(frame.name, frame.boxes_B7[row], frame.points_N4[inside_BN[row]]))
        for row in np.flatnonzero(np.isin(frame.kind_B, list(kinds)) & is_fair_B)
        if inside_BN[row].sum() >= min_points
    ]


def augment(
    scene: Scene, database: Database, classes: Sequence[ClassRecipe], recipe: AugmentRecipe, rng: np.random.Generator
) -> Scene:
    """All of what the recipe wants, in the reference's order."""
    scene = put_objects(scene, database, classes, rng)
    if recipe.flip and rng.random() < 0.5:
        scene = mirror(scene)
    scene = turn(scene, rng.uniform(-recipe.rotation_rad, recipe.rotation_rad))
    return scale(scene, rng.uniform(*recipe.scale))


def put_objects(scene: Scene, database: Database, classes: Sequence[ClassRecipe], rng: np.random.Generator) -> Scene:
    """Put in objects until there are `sampled` of each class, as far as there are any and they hit no other.

    What lay inside of them goes: points in the frame are hidden by nothing that was not there.
    """
    boxes, kinds, added = list(scene.boxes_B7), list(scene.kind_B), []
    for item in classes:
        stored = database.get(item.kind, [])
        wanted = item.sampled - int((scene.kind_B == item.kind).sum())
        for row in rng.permutation(len(stored))[: max(wanted, 0)]:
            candidate = stored[row]
            if boxes and (ground_iou(candidate.box_7, np.stack(boxes)) > 0).any():
                continue
            boxes.append(candidate.box_7)
            kinds.append(item.kind)
            added.append(candidate)
    if not added:
        return scene
    taken_N = points_in_boxes(scene.points_N4, np.stack([item.box_7 for item in added])).any(axis=0)
    points_N4 = np.concatenate([*(item.points_N4 for item in added), scene.points_N4[~taken_N]])
    return Scene(points_N4, np.array(kinds, np.str_), np.stack(boxes))


def mirror(scene: Scene) -> Scene:
    """Left and right change places."""
    points_N4, boxes_B7 = scene.points_N4.copy(), scene.boxes_B7.copy()
    points_N4[:, 1] *= -1
    boxes_B7[:, [1, 6]] *= -1
    return replace(scene, points_N4=points_N4, boxes_B7=boxes_B7)


def turn(scene: Scene, angle_rad: float) -> Scene:
    """Turned about z, from x to y."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn_22 = np.array([[cos, sin], [-sin, cos]])
    points_N4, boxes_B7 = scene.points_N4.copy(), scene.boxes_B7.copy()
    points_N4[:, :2] = scene.points_N4[:, :2] @ turn_22
    boxes_B7[:, :2] = scene.boxes_B7[:, :2] @ turn_22
    boxes_B7[:, 6] = wrap_angle(boxes_B7[:, 6] + angle_rad)
    return replace(scene, points_N4=points_N4, boxes_B7=boxes_B7)


def scale(scene: Scene, factor: float) -> Scene:
    """All lengths times a factor."""
    points_N4, boxes_B7 = scene.points_N4.copy(), scene.boxes_B7.copy()
    points_N4[:, :3] *= np.float32(factor)
    boxes_B7[:, :6] *= factor
    return replace(scene, points_N4=points_N4, boxes_B7=boxes_B7)
