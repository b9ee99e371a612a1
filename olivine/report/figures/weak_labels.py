"""Weak labels on the images and on the cloud (paper, figures 12 and 13)."""

from __future__ import annotations

from collections.abc import Sequence

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives
from olivine.packs import Pack
from olivine.report.colours import NOT_SEEN, UNLABELLED, Swatch, recolour, weak_classes
from olivine.report.figures.cameras import camera_number
from olivine.report.figures.figure import Figure, Panel, described, origin_facts
from olivine.report.figures.runs import choose_keyframes
from olivine.report.palette import Palette
from olivine.report.weak import draw_image, draw_sweep, draw_sweep_errors, read_pair_labels

DEFAULT_CAMERAS = ("CAM_FRONT", "CAM_BACK_LEFT")


def draw_weak_labels_figure(
    drives_artifact: Artifact,
    weak_labels: Artifact,
    keyframes: Sequence[str],
    cameras: Sequence[str],
    palette: Palette,
) -> Figure:
    """Images as they are and under their weak labels; the sweep by weak label; and what is right where that is known.

    Hand labels of `test` are never read. Raises UsageError for a keyframe without weak labels or an unknown camera.
    """
    drives, labels = Drives(drives_artifact), Pack(weak_labels)
    swatches = recolour(weak_classes(weak_labels), palette)
    cameras = [CAMERAS[camera_number(camera)] for camera in cameras or DEFAULT_CAMERAS]
    labelled = labels.index.column("keyframe")
    panels = []
    for token in choose_keyframes(labelled, keyframes, 1, described(weak_labels)):
        scene = str(drives.column("scene")[token])
        for camera in cameras:
            image = draw_image(drives, labels, token, camera, scene, swatches)
            what = "weak labels; grey where there is none" if image.has_mask else "labels of its pairs alone"
            panels += [Panel(f"{scene}, {camera}", image.plain), Panel(f"{camera}: {what}", image.labelled)]
        keyframe, label_M = drives.keyframe(token), read_pair_labels(labels, token)
        panels.append(Panel(f"{scene}: the sweep by weak label", draw_sweep(keyframe, label_M, scene, swatches)))
        if drives.split(token) != "test" and drives.has_lidarseg(token):
            errors = draw_sweep_errors(drives, keyframe, label_M, weak_labels, scene)
            note = "Right (grey) and wrong (red) weak labels; points without one are left out."
            panels.append(Panel(f"{scene}: against the hand labels", errors, note))
    return Figure(
        name="weak-labels",
        title="Weak labels on images and cloud",
        caption="What pretraining is told: the class of each pixel, and through the projection that of each point.",
        panels=panels,
        legend=[*swatches, Swatch("no weak label", UNLABELLED), Swatch("in no image", NOT_SEEN)],
        facts=[*origin_facts(drives_artifact, weak_labels), f"{described(drives_artifact)}, {described(weak_labels)}."],
    )
