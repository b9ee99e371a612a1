"""Which objects of a frame are trained on."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from olivine.detect.recipe import AugmentRecipe, ClassRecipe, DetectorRecipe, GridRecipe
from olivine.detect.samples import DetectionSamples

RECIPE = DetectorRecipe(
    grid=GridRecipe(low=(0, -6.4, -3), high=(12.8, 6.4, 1), voxel_size=(0.1, 0.1, 0.16)),
    classes=(ClassRecipe(kind="car", size=(3.9, 1.6, 1.56), bottom_m=-1.78, matched=0.6, unmatched=0.45),),
    augment=AugmentRecipe(flip=False, rotation_rad=0, scale=(1, 1)),
)


@pytest.mark.parametrize(
    ("centre", "kind", "is_counted"),
    [
        ((5, 0, -1), "car", True),
        ((5, 0, 4), "car", True),
        ((5, 0, -9), "car", True),
        ((-1, 0, -1), "car", False),
        ((13, 0, -1), "car", False),
        ((5, 7, -1), "car", False),
        ((5, 0, -1), "tram", False),
    ],
)
def test_an_object_counts_by_its_class_and_where_it_is_from_above(centre, kind, is_counted):
    points_N4 = np.array([[5, 0, -1, 0.5], [6, 1, -1, 0.5]], np.float32)
    box = np.array([[*centre, 3.9, 1.6, 1.56, 0.3]])
    frame = SimpleNamespace(points_N4=points_N4, kind_B=np.array([kind]), boxes_B7=box)
    samples = DetectionSamples(SimpleNamespace(frame=lambda name: frame), ["000001"], RECIPE)
    batch = samples.batch(["000001"], epoch=0)
    assert batch.boxes[0].numpy() == pytest.approx(box if is_counted else np.zeros((0, 7)))
    assert batch.kinds[0].tolist() == [0] * is_counted
