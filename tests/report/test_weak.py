from __future__ import annotations

import numpy as np
from comparison import Compared, pixels, run_stage

from olivine.artifacts import Artifact
from olivine.report.colours import RIGHT, WRONG
from olivine.report.trace import Trace, trace
from olivine.report.weak import draw_weak_labels


def traced_labels(compared: Compared) -> tuple[Trace, Artifact]:
    traced = trace(compared.store, compared.all)
    labels = traced.of_kind("weak_labels")
    assert labels is not None
    return traced, labels


def has_colour(image: np.ndarray) -> np.ndarray:
    """Pixels that are clearly not grey."""
    wide = image.astype(int)
    return wide.max(axis=2) - wide.min(axis=2) > 40


def test_images_are_shown_as_they_are_and_under_their_labels(compared: Compared):
    traced, labels = traced_labels(compared)
    drawn = draw_weak_labels(traced.drives, labels)
    assert [image.camera for image in drawn.images] == ["CAM_FRONT", "CAM_BACK_LEFT"]
    for image in drawn.images:
        assert image.has_mask
        assert (image.plain.width, image.plain.height) == (192, 108) == (image.labelled.width, image.labelled.height)
        assert has_colour(pixels(image.labelled)).mean() > 0.2
    assert "road" in drawn.images[0].labelled.alt
    assert [swatch.name for swatch in drawn.legend][-2:] == ["no weak label", "in no image"]


def test_right_and_wrong_labels_are_told_apart_where_that_was_measured(compared: Compared):
    traced, labels = traced_labels(compared)
    drawn = draw_weak_labels(traced.drives, labels)
    assert drawn.sweep_errors is not None
    image = pixels(drawn.sweep_errors)
    assert all((image == colour).all(axis=2).any() for colour in (RIGHT, WRONG))


def test_labels_of_points_alone_are_dots(own_compared: Compared):
    drives = trace(own_compared.store, own_compared.all).drives
    labels = run_stage("label", own_compared.folder, {"drives": drives.id}, "label.labeler=truth")
    drawn = draw_weak_labels(drives, labels)
    assert not any(image.has_mask for image in drawn.images)
    assert 0.005 < has_colour(pixels(drawn.images[0].labelled)).mean() < 0.6
    assert drawn.sweep_errors is not None
    assert not (pixels(drawn.sweep_errors) == WRONG).all(axis=2).any(), "the truth is right"
