"""KITTI's object benchmark as it lies on disk: lists of frames, sweeps, calibration, labels, size of the image.

    ROOT/ImageSets/train.txt
    ROOT/training/{velodyne/000000.bin,calib/000000.txt,label_2/000000.txt,image_2/000000.png}

Whatever is wrong with a frame is a DataError with the file and the reason. Shapes: N points.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.detect.calibration import Calibration, parse_calibration
from olivine.detect.geometry import boxes_to_lidar
from olivine.errors import DataError
from olivine.metrics.kitti_boxes import Boxes, parse_boxes

_FRAME = re.compile(r"[0-9]{6}")
_BYTES_PER_POINT = 16


@dataclass(frozen=True)
class RawFrame:
    """One frame as it was read: points float32 [N, 4] (x, y, z [m], intensity 0..1) that the camera sees, and texts."""

    name: str
    points_N4: NDArray[np.float32]
    calibration: str
    labels: str
    image_size: tuple[int, int]


def read_split(root: Path, split: str) -> list[str]:
    """The frames of `ImageSets/<split>.txt`, in its order.

    Raises:
        DataError: the list is missing or empty, or a line is no name of a frame or there twice.
    """
    path = root / "ImageSets" / f"{split}.txt"
    names = _read_text(path).split()
    bad = next((name for name in names if not _FRAME.fullmatch(name)), None)
    if bad is not None:
        raise DataError(f"{path}: {bad[:80]!r} is no frame: a frame is named by six digits, as in 000123")
    if not names:
        raise DataError(f"{path} lists no frame")
    if len(set(names)) < len(names):
        raise DataError(f"{path}: {next(name for name in names if names.count(name) > 1)} is listed twice")
    return names


def read_frame(root: Path, name: str, image_size: tuple[int, int] | None = None) -> RawFrame:
    """Read a frame and keep the points that the left colour image shows: no other is labelled.

    Args:
        root: the folder that holds `training`.
        name: six digits.
        image_size: (width, height) [pixels] to take where the frame has no image.

    Raises:
        DataError: a file is missing or unsound, or the camera sees no point.
    """
    folder = root / "training"
    calib, label = folder / "calib" / f"{name}.txt", folder / "label_2" / f"{name}.txt"
    calibration_text, labels_text = _read_text(calib), _read_text(label)
    calibration = parse_calibration(calibration_text, str(calib))
    check_labels(parse_boxes(labels_text, str(label), scored=False), str(label))
    points_N4 = _read_sweep(folder / "velodyne" / f"{name}.bin")
    size = _image_size(folder / "image_2" / f"{name}.png", image_size)
    seen_N = calibration.sees(points_N4[:, :3], size)
    if not seen_N.any():
        raise DataError(f"{calib}: the image shows no point of the sweep: is it the calibration of this frame?")
    return RawFrame(name, points_N4[seen_N], calibration_text, labels_text, size)


def check_labels(labels: Boxes, where: str) -> None:
    """Refuse labels whose objects have no size: DataError."""
    unsound_B = labels.has_box & (labels.size_B3 <= 0).any(axis=1)
    if unsound_B.any():
        row = int(unsound_B.argmax())
        raise DataError(f"{where}: {labels.kind_B[row]} number {row} has the size {labels.size_B3[row].tolist()} m")


def sensor_files(root: Path, name: str) -> list[Path]:
    """Where sweep and image of a frame are, whether they are there or not."""
    return [root / "training" / part / f"{name}.{suffix}" for part, suffix in (("velodyne", "bin"), ("image_2", "png"))]


def text_files(root: Path, name: str) -> list[Path]:
    """Where calibration and labels of a frame are, whether they are there or not."""
    return [root / "training" / part / f"{name}.txt" for part in ("calib", "label_2")]


def _read_sweep(path: Path) -> NDArray[np.float32]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): is its archive extracted?") from None
    if not data or len(data) % _BYTES_PER_POINT:
        raise DataError(f"{path} has {len(data)} bytes, not a positive multiple of {_BYTES_PER_POINT}: copy it again")
    points_N4 = np.frombuffer(data, np.float32).reshape(-1, 4)
    bad_N = ~np.isfinite(points_N4).all(axis=1)
    if bad_N.any():
        row = int(bad_N.argmax())
        raise DataError(f"{path}: point {row} is not finite: {points_N4[row].tolist()}; copy the file again")
    return points_N4


def _image_size(path: Path, otherwise: tuple[int, int] | None) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        if otherwise is not None:
            return otherwise
        raise DataError(
            f"{path} is missing: its size says which points are labelled. Restore it, or give the size of images that "
            "are not there: --set ingest.image_size=[1242,375]"
        ) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no image ({error}): restore it") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): is its archive extracted?") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text ({error}): copy it again") from None


def frame_boxes(labels: Boxes, calibration: Calibration) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Kinds [B] and boxes float64 [B, 7] in the LiDAR's frame, of the labels that have a box in space."""
    has_box_B = labels.has_box
    boxes_B7 = boxes_to_lidar(
        labels.bottom_B3[has_box_B], labels.size_B3[has_box_B], labels.yaw_B[has_box_B], calibration
    )
    return labels.kind_B[has_box_B], boxes_B7
