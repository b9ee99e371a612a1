"""The page of `olivine label inspect`: weak labels as pictures and counts (paper, figures 5, 6, 12 and 13)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from olivine.artifacts import Artifact, find_artifact
from olivine.drives import CAMERAS, Drives
from olivine.errors import UsageError
from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.packs import Pack
from olivine.report.birds_eye import Picture
from olivine.report.classes import Bars
from olivine.report.colours import NOT_SEEN, UNLABELLED, Swatch, covered_by, weak_classes
from olivine.report.label_counts import Frame, LabelCounts, agree, count_labels
from olivine.report.page import environment, write_whole
from olivine.report.results import heat_map
from olivine.report.scans import spread
from olivine.report.svg import Series, line_chart
from olivine.report.weak import LabelledImage, draw_image, draw_sweep, draw_sweep_errors, read_pair_labels
from olivine.store import open_store

MOST_KEYFRAMES = 400
_NUM_SHOWN, _NUM_LISTED = 3, 10
_STEP = 8


def find_labels(store_url: str, weak_labels: str) -> tuple[Artifact, Artifact]:
    """Drives and weak labels by the id of the labels (UsageError: no such labels)."""
    store = open_store(store_url)
    labels = find_artifact(store, "label", weak_labels, "weak_labels")
    return find_artifact(store, "ingest", labels.manifest.inputs["drives"].id, "drives"), labels


def write_labels_page(store_url: str, weak_labels: str, compare: str, out: Path) -> Path:
    """Write the page about weak labels, and about what others of the same drives do otherwise; return `out`.

    Raises:
        UsageError: no such labels, or others of other drives or with other classes.
    """
    drives, labels = find_labels(store_url, weak_labels)
    other = find_labels(store_url, compare)[1] if compare else None
    if other is not None:
        other.require_made_from("drives", drives)
        if other.manifest.summary["classes"] != labels.manifest.summary["classes"]:
            raise UsageError(
                f"weak labels {other.id[:12]} have other classes than {labels.id[:12]}: compare like with like."
            )
    write_whole(out, render_labels(drives, labels, other).encode())
    return out


@dataclass(frozen=True)
class ShownFrame:
    """One of the worst frames: two of its images and its sweep, and what is right in it where that is known."""

    frame: Frame
    scene: str
    images: list[LabelledImage]
    sweep: Picture
    errors: Picture | None


def render_labels(drives_artifact: Artifact, labels: Artifact, other: Artifact | None) -> str:
    """The page as HTML text."""
    drives, pack, swatches = Drives(drives_artifact), Pack(labels), weak_classes(labels)
    labelled = pack.index.column("keyframe")
    tokens, class_of = spread(labelled, MOST_KEYFRAMES), covered_by(labels)
    counts = count_labels(drives, pack, tokens, class_of, Pack(other) if other else None)
    names = [swatch.name for swatch in swatches]
    return (
        environment()
        .get_template("labels.html")
        .render(
            labels=labels,
            other=other,
            summary=labels.manifest.summary,
            models=_models(labels),
            num_keyframes=len(labelled),
            counts=counts,
            swatches=[*swatches, Swatch("no weak label", UNLABELLED), Swatch("in no image", NOT_SEEN)],
            bars=_bars(labels, swatches),
            confidence=_confidence(counts),
            agreement=agree(counts.by_truth, names, class_of),
            confusion=_confusion(counts, names, class_of),
            changes=_changes(counts, names) if other else [],
            shown=[_show(drives, labels, pack, frame, swatches) for frame in counts.worst(_NUM_SHOWN)],
            scenes=drives.column("scene"),
            worst=counts.worst(_NUM_LISTED),
            different=counts.most_different(_NUM_LISTED),
        )
    )


def _models(labels: Artifact) -> list[str]:
    """The weights behind the labels, a line each."""
    recipe = labels.manifest.recipe
    if labels.manifest.summary["kind"] != "grounded_sam":
        return []
    parts = {part: recipe[part] for part in ("detector", "segmenter")}
    return [
        f"{part}: {settings.get('name', 'grounding_dino')}, {settings['backend']}, weights "
        f"{settings['sha256'] or 'pinned by this release'}"
        for part, settings in parts.items()
    ]


def _bars(labels: Artifact, swatches: list[Swatch]) -> list[Bars]:
    summary = labels.manifest.summary
    bars = [Bars("pairs of point and pixel", "pairs", list(zip(swatches, summary["pairs_by_class"], strict=True)))]
    # Labels of the first release did not count them.
    pixels = summary.get("pixels_by_class", [])
    if sum(pixels):
        bars.append(Bars("pixels", "pixels", list(zip(swatches, pixels, strict=True))))
    return bars


def _confidence(counts: LabelCounts) -> Markup | None:
    """Pairs by confidence; None where every label has the same."""
    if np.count_nonzero(counts.confidence) < 2:
        return None
    binned = counts.confidence.reshape(-1, _STEP).sum(axis=1)
    centres = [(number + 0.5) * _STEP / 256 for number in range(len(binned))]
    line = Series("pairs", "olivine", centres, binned.tolist())
    return line_chart("pairs by confidence", [line], "confidence", "pairs", from_zero=True)


def _confusion(counts: LabelCounts, names: list[str], class_of: NDArray[np.uint8]) -> Markup | None:
    if not counts.knows_truth:
        return None
    columns = [*range(len(names)), 255]
    right_RC = class_of[1:, None] == np.array(columns)
    # A category that no weak class covers is rightly left without one.
    table = counts.by_truth[1:][:, columns]
    words = ("labelled as", "pairs")
    return heat_map("Weak labels by hand label", table, (list(CATEGORY_NAMES), [*names, "unlabelled"]), right_RC, words)


def _changes(counts: LabelCounts, names: list[str]) -> list[dict[str, Any]]:
    """How often each class is the same in both sets, the class that differs most first."""
    rows = []
    for id, name in [*enumerate(names), (255, "unlabelled")]:
        here, there, both = counts.by_other[id].sum(), counts.by_other[:, id].sum(), counts.by_other[id, id]
        either = here + there - both
        rows.append(
            {"name": name, "here": int(here), "there": int(there), "equal": float(both / either) if either else None}
        )
    return sorted(rows, key=lambda row: (row["equal"] is None, row["equal"]))


def _show(drives: Drives, labels: Artifact, pack: Pack, frame: Frame, swatches: list[Swatch]) -> ShownFrame:
    keyframe, label_M = drives.keyframe(frame.token), read_pair_labels(pack, frame.token)
    scene = str(drives.column("scene")[frame.token])
    # The two images with the most pairs: what is wrong in them weighs most.
    per_image = np.bincount(keyframe.pair_pixel_M3[:, 0], minlength=len(CAMERAS))
    cameras = [CAMERAS[number] for number in np.argsort(-per_image, kind="stable")[:2]]
    images = [draw_image(drives, pack, frame.token, camera, scene, swatches) for camera in cameras]
    known = frame.right is not None
    errors = draw_sweep_errors(drives, keyframe, label_M, labels, scene) if known else None
    return ShownFrame(frame, scene, images, draw_sweep(keyframe, label_M, scene, swatches), errors)
