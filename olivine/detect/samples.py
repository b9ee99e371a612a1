"""Frames as training batches: augmented, as voxels, with the objects in range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from olivine.detect.augment import Database, Scene, augment, collect_objects
from olivine.detect.cloud import detection_cloud, in_range
from olivine.detect.frames import Frames
from olivine.detect.recipe import DetectorRecipe
from olivine.models.cloud import Cloud, CloudBatch, collate
from olivine.progress import Progress


@dataclass(frozen=True)
class DetectionBatch:
    """`clouds` of the frames, and of each its objects: boxes float32 [G, 7] and classes int64 [G]."""

    clouds: CloudBatch
    boxes: list[Tensor]
    kinds: list[Tensor]


class DetectionSamples:
    """Batches of the frames with these names; objects that are put into others are theirs alone."""

    def __init__(self, frames: Frames, names: Sequence[str], recipe: DetectorRecipe) -> None:
        self._frames, self._recipe = frames, recipe
        self._kinds = [item.kind for item in recipe.classes]
        self.database = self._collect(names) if any(item.sampled for item in recipe.classes) else {}

    def batch(self, names: Sequence[str], epoch: int) -> DetectionBatch:
        """The batch of these frames, changed as in this epoch."""
        samples = [self._sample(name, epoch) for name in names]
        clouds, boxes, kinds = (list(part) for part in zip(*samples, strict=True))
        return DetectionBatch(collate(clouds), boxes, kinds)

    def _sample(self, name: str, epoch: int) -> tuple[Cloud, Tensor, Tensor]:
        rng = np.random.default_rng((self._recipe.seed, epoch, int(name)))
        frame, grid = self._frames.frame(name), self._recipe.grid
        scene = Scene(frame.points_N4, frame.kind_B, frame.boxes_B7)
        scene = augment(scene, self.database, self._recipe.classes, self._recipe.augment, rng)
        # A grid keeps the first points of a voxel and the first voxels: shuffled, so that these are any.
        points_N4 = rng.permutation(scene.points_N4)
        cloud = detection_cloud(points_N4, grid, self._recipe.intensity_scale, grid.max_voxels)
        # An object counts when its centre lies in range, whatever its height is.
        centre_B3 = scene.boxes_B7[:, :3].copy()
        centre_B3[:, 2] = grid.low[2]
        counted_B = np.isin(scene.kind_B, self._kinds) & in_range(centre_B3, grid)
        kind_B = [self._kinds.index(kind) for kind in scene.kind_B[counted_B]]
        boxes_B7 = torch.from_numpy(scene.boxes_B7[counted_B].astype(np.float32))
        return cloud, boxes_B7, torch.tensor(kind_B, dtype=torch.int64)

    def _collect(self, names: Sequence[str]) -> Database:
        database: Database = {kind: [] for kind in self._kinds}
        with Progress("detect finetune: objects", len(names), "frames") as progress:
            for name in names:
                for kind, item in collect_objects(
                    self._frames.frame(name), self._kinds, self._recipe.augment.sampled_min_points
                ):
                    database[kind].append(item)
                progress.advance()
        return database
