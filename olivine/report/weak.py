"""Weak labels as pictures: over images, and over the points of a sweep (paper, figures 12 and 13)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.packs import Pack, bytes_array
from olivine.report.birds_eye import Picture, draw_birds_eye, encode_jpeg
from olivine.report.colours import (
    NOT_SEEN,
    UNLABELLED,
    Swatch,
    colour_table,
    covered_by,
    draw_in_palettes,
    right_or_wrong,
    weak_classes,
)
from olivine.report.figures.cameras import draw_over_image
from olivine.report.scans import spread

_NUM_IMAGES = 2
_VIEWS = ("CAM_FRONT", "CAM_BACK_LEFT")
_OPACITY = 0.6
_LARGEST_WIDTH_PX = 800
_IGNORE_ID = 255


@dataclass(frozen=True)
class LabelledImage:
    """A camera image as it is, and under its weak labels; `has_mask` is false where only pairs are labelled."""

    camera: str
    scene: str
    plain: Picture
    labelled: Picture
    has_mask: bool


@dataclass(frozen=True)
class WeakLabelPictures:
    """Images and a sweep under weak labels, and the legend of both.

    `sweep_errors` shows right and wrong weak labels where their accuracy was measured, which it is for simulated ones.
    """

    images: list[LabelledImage]
    sweep: Picture
    sweep_errors: Picture | None
    sweep_scene: str
    legend: list[Swatch]


def draw_weak_labels(drives_artifact: Artifact, weak_labels: Artifact) -> WeakLabelPictures:
    """Train keyframes spread evenly over the labelled ones; the first of them also from above."""
    drives, labels = Drives(drives_artifact), Pack(weak_labels)
    tokens = [token for token in drives.tokens("train") if labels.index.position(token) is not None]
    chosen = spread(tokens or labels.index.column("keyframe"), _NUM_IMAGES)
    swatches = weak_classes(weak_labels)
    scenes = drives.column("scene")
    images = [
        draw_image(drives, labels, token, camera, str(scenes[token]), swatches)
        for token, camera in zip(chosen, _VIEWS, strict=False)
    ]
    scene = str(scenes[chosen[0]])
    keyframe, label_M = drives.keyframe(chosen[0]), read_pair_labels(labels, chosen[0])
    measured = weak_labels.manifest.summary["accuracy"] is not None
    errors = draw_sweep_errors(drives, keyframe, label_M, weak_labels, scene) if measured else None
    legend = [*swatches, Swatch("no weak label", UNLABELLED), Swatch("in no image", NOT_SEEN)]
    return WeakLabelPictures(images, draw_sweep(keyframe, label_M, scene, swatches), errors, scene, legend)


def read_pair_labels(labels: Pack, token: str) -> NDArray[np.uint8]:
    """Weak label of each pair of a keyframe, uint8 [M]."""
    label_M: NDArray[np.uint8] = bytes_array(labels.head(token)["pair_label.npy"])
    return label_M


def draw_image(
    drives: Drives, labels: Pack, token: str, camera: str, scene: str, swatches: list[Swatch]
) -> LabelledImage:
    """One image as it is, and under its weak labels."""
    number = CAMERAS.index(camera)
    with Image.open(io.BytesIO(drives.images(token)[number])) as file:
        plain = file.convert("RGB")
    mask = labels.whole(token).get(f"{camera}.png")
    what = f"{camera} of {scene}"
    drawn = (
        _draw_mask(plain, mask, what, swatches)
        if mask
        else _draw_pairs(drives, labels, token, number, plain, what, swatches)
    )
    return LabelledImage(
        camera,
        scene,
        encode_jpeg(_shrink(plain), f"{what}: the image as it is."),
        drawn,
        has_mask=bool(mask),
    )


def _draw_mask(plain: Image.Image, mask: bytes, what: str, swatches: list[Swatch]) -> Picture:
    with Image.open(io.BytesIO(mask)) as file:
        label_HW = np.asarray(file)
    alt = f"{what}, coloured by weak label: {_named(label_HW, swatches)}; grey is unlabelled."
    return draw_in_palettes(lambda chosen: encode_jpeg(_shrink(_blend(plain, label_HW, chosen)), alt), swatches)


def _draw_pairs(
    drives: Drives, labels: Pack, token: str, camera: int, plain: Image.Image, what: str, swatches: list[Swatch]
) -> Picture:
    """Dots where pairs are labelled, for labelers that know points alone."""
    keyframe, label_M = drives.keyframe(token), read_pair_labels(labels, token)
    mine_M = (keyframe.pair_pixel_M3[:, 0] == camera) & (label_M != _IGNORE_ID)
    place_K2 = (keyframe.pair_pixel_M3[mine_M, 1:] + 0.5) / np.array([plain.height, plain.width], np.float64)
    alt = f"{what}, dots coloured by weak label: {_named(label_M[mine_M], swatches)}; nothing is known elsewhere."
    image, label_K = _shrink(plain), label_M[mine_M]
    return draw_in_palettes(
        lambda chosen: draw_over_image(image, place_K2, colour_table(chosen, first_id=0)[label_K], alt), swatches
    )


def _blend(plain: Image.Image, label_HW: NDArray[np.uint8], swatches: Sequence[Swatch]) -> Image.Image:
    """The image tinted by label; without colour of its own, so that every colour in it is a label."""
    grey_HW3 = np.asarray(plain.convert("L").convert("RGB"), np.float32)
    tint_HW3 = colour_table(swatches, first_id=0)[label_HW]
    opacity_HW1 = np.where(label_HW == _IGNORE_ID, 0.0, _OPACITY)[:, :, None]
    return Image.fromarray((grey_HW3 * (1 - opacity_HW1) + tint_HW3 * opacity_HW1).astype(np.uint8))


def _shrink(image: Image.Image) -> Image.Image:
    """The image, no wider than a page shows it."""
    width, height = image.size
    if width <= _LARGEST_WIDTH_PX:
        return image
    size = (_LARGEST_WIDTH_PX, round(height * _LARGEST_WIDTH_PX / width))
    return image.resize(size, Image.Resampling.BILINEAR)


def _named(labels: NDArray[np.uint8], swatches: list[Swatch]) -> str:
    names = [swatches[id].name for id in np.unique(labels) if id < len(swatches)]
    return ", ".join(names) or "none"


def draw_sweep(keyframe: Keyframe, label_M: NDArray[np.uint8], scene: str, swatches: list[Swatch]) -> Picture:
    """A sweep from above, its points in the colours of their weak labels."""
    alt = f"{scene} from above: points in the colour of their weak label, dark grey without one, light grey unseen."

    def draw(chosen: Sequence[Swatch]) -> Picture:
        rgb_N3 = np.full((len(keyframe.points_N4), 3), NOT_SEEN, np.uint8)
        rgb_N3[keyframe.pair_point_M] = colour_table(chosen, first_id=0)[label_M]
        return draw_birds_eye(keyframe.points_N4, rgb_N3, alt)

    return draw_in_palettes(draw, swatches)


def draw_sweep_errors(
    drives: Drives, keyframe: Keyframe, label_M: NDArray[np.uint8], weak_labels: Artifact, scene: str
) -> Picture:
    """Labelled pairs whose truth is a weak class: right or wrong."""
    truth_M = covered_by(weak_labels)[drives.lidarseg(keyframe.token)[keyframe.pair_point_M]]
    known_M = (label_M != _IGNORE_ID) & (truth_M != _IGNORE_ID)
    right_K = (label_M == truth_M)[known_M]
    share = f"{100 * right_K.mean():.1f} %" if right_K.size else "none"
    alt = f"{scene} from above: of its weak labels {share} are right (grey), the others wrong (red)."
    return draw_birds_eye(keyframe.points_N4[keyframe.pair_point_M[known_M]], right_or_wrong(right_K), alt)
