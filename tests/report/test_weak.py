from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from comparison import Compared, pixels, run_stage
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.packs import Pack, bytes_array
from olivine.report.colours import RIGHT, WRONG, weak_classes
from olivine.report.trace import Trace, trace
from olivine.report.weak import draw_image, draw_weak_labels


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
    assert "dots coloured by weak label: " in drawn.images[0].labelled.alt
    assert "road" in drawn.images[0].labelled.alt
    assert drawn.sweep_errors is not None
    assert not (pixels(drawn.sweep_errors) == WRONG).all(axis=2).any(), "the truth is right"


def test_dots_of_points_are_seen_on_a_large_image(own_compared: Compared, monkeypatch: pytest.MonkeyPatch):
    """As real images are: shrunk to half, a dot of a few pixels would be gone."""
    drives = trace(own_compared.store, own_compared.all).drives
    labels = run_stage("label", own_compared.folder, {"drives": drives.id}, "label.labeler=truth")
    reader = Drives(drives)
    token, jpegs = reader.tokens("train")[0], []
    for jpeg in reader.images(token):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(jpeg)).resize((1920, 1080)).save(buffer, "jpeg")
        jpegs.append(buffer.getvalue())
    keyframe = reader.keyframe(token)
    pixel_M3 = (keyframe.pair_pixel_M3 * np.array([1, 10, 10])).astype(np.int16)
    monkeypatch.setattr(Drives, "images", lambda self, token: jpegs)
    monkeypatch.setattr(Drives, "keyframe", lambda self, token: replace(keyframe, pair_pixel_M3=pixel_M3))
    swatches = weak_classes(labels)
    image = draw_image(reader, Pack(labels), token, "CAM_FRONT", "scene", swatches)
    assert image.labelled.width == 800
    label_M = bytes_array(Pack(labels).head(token)["pair_label.npy"])
    road = [swatch.name for swatch in swatches].index("road")
    place_K2 = pixel_M3[(pixel_M3[:, 0] == 0) & (label_M == road), 1:] * (800 / 1920)
    shown = pixels(image.labelled)[place_K2[:, 0].astype(int), place_K2[:, 1].astype(int)].astype(int)
    near = np.abs(shown - swatches[road].rgb).sum(axis=1) < 60
    assert near.mean() > 0.9
