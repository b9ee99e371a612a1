"""Detections in KITTI's own files: predict a split, as text for each frame."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from olivine.artifacts import Artifact
from olivine.detect.find import Detections, find_objects
from olivine.detect.frames import Frame, Frames
from olivine.detect.geometry import boxes_to_camera, image_boxes, wrap_angle
from olivine.detect.network import Detector, build_detector
from olivine.detect.recipe import DetectionRecipe, DetectorRecipe
from olivine.errors import UsageError
from olivine.progress import Progress
from olivine.training.tensors import bytes_tensors

_FRAMES_FILE = "frames.json"


def load_detector(artifact: Artifact) -> tuple[Detector, DetectorRecipe]:
    """The detector of an artifact in evaluation mode, on the GPU where there is one, and its recipe."""
    recipe = DetectorRecipe.model_validate(artifact.manifest.recipe)
    detector = build_detector(recipe)
    detector.load_state_dict(bytes_tensors(artifact.read("detector.safetensors"), "detector"))
    return detector.to("cuda" if torch.cuda.is_available() else "cpu").eval(), recipe


def trained_on(names: Sequence[str], detector: Artifact) -> list[str]:
    """Those of the frames that the detector was trained on: a name stands for one frame of the benchmark.

    Raises:
        UsageError: the detector does not say which ones.
    """
    if not any(blob.path == _FRAMES_FILE for blob in detector.manifest.data):
        raise UsageError(
            f"detector {detector.id[:12]} holds no {_FRAMES_FILE}: it was made before detectors kept the names of "
            "their frames, and which ones it was trained on is not known. Train it again: "
            "`olivine detect finetune`."
        )
    return sorted(set(names) & set(json.loads(detector.read(_FRAMES_FILE))))


def predict_split(frames: Frames, detector: Artifact, recipe: DetectionRecipe) -> Iterator[tuple[str, str]]:
    """Name and text of detections of each frame of the recipe's split; UsageError when it has none."""
    names = frames.names(recipe.split)
    model, trained = load_detector(detector)
    kinds = [item.kind.capitalize() for item in trained.classes]
    with Progress("detect", len(names), "frames") as progress:
        for name in names:
            frame = frames.frame(name)
            yield name, result_text(frame, find_objects(model, frame.points_N4, trained, recipe), kinds)
            progress.advance()


def result_text(frame: Frame, found: Detections, kinds: Sequence[str]) -> str:
    """Detections as lines of 16 fields: class, -1 for truncation and occlusion, observation angle, box in the image,
    height, width, length, bottom centre in the camera frame, rotation_y, score.

    Boxes that the image does not show are left out: nothing is labelled there.
    """
    bottom_D3, size_D3, yaw_D = boxes_to_camera(found.boxes_D7, frame.calibration)
    edges_D4 = image_boxes(bottom_D3, size_D3, yaw_D, frame.calibration, frame.image_size)
    alpha_D = wrap_angle(yaw_D - np.arctan2(bottom_D3[:, 0], bottom_D3[:, 2]))
    numbers_DF = np.column_stack([alpha_D, edges_D4, size_D3, bottom_D3, yaw_D, found.score_D])
    is_shown_D = (edges_D4[:, 2:] > edges_D4[:, :2]).all(axis=1) & (bottom_D3[:, 2] > 0)
    lines = [
        f"{kinds[found.kind_D[row]]} -1 -1 " + " ".join(f"{number:.4f}" for number in numbers_DF[row])
        for row in np.flatnonzero(is_shown_D)
    ]
    return "".join(f"{line}\n" for line in lines)


def write_results(frames: Artifact, detector: Artifact, recipe: DetectionRecipe, folder: Path) -> int:
    """Predict a split into a new folder of `000123.txt`, which is there whole or not at all; return how many frames.

    It says how many of them the detector was trained on: such predictions are in order, a score of them is not.

    Raises:
        UsageError: the folder is there already, the split has no frame, or the detector does not say which frames it
            was trained on.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already: give --out a new folder, so that no other predictions mix in.")
    names = Frames(frames).names(recipe.split)
    if known := trained_on(names, detector):
        print(
            f"note: {len(known)} of the {len(names)} frames of {recipe.split!r} are among those that detector "
            f"{detector.id[:12]} was trained on (first {known[0]}): a score of these predictions would be too high.",
            file=sys.stderr,
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
        whole = Path(partial) / "whole"
        whole.mkdir()
        for name, text in predict_split(Frames(frames), detector, recipe):
            (whole / f"{name}.txt").write_text(text)
        whole.rename(folder)
    return len(list(folder.iterdir()))
