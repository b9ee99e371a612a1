"""`olivine view`: a labelled keyframe, its points in three dimensions, as a recording for the viewer of rerun.io."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives
from olivine.errors import ConfigError, UsageError
from olivine.packs import Pack
from olivine.report.colours import NOT_SEEN, UNLABELLED, Swatch, weak_classes
from olivine.report.labels import find_labels
from olivine.report.weak import read_pair_labels

_UNLABELLED_ID, _NOT_SEEN_ID = 255, 256
_POINT_RADIUS_M = 0.04


@dataclass(frozen=True)
class ViewedCamera:
    """An image as it came, its weak labels uint8 [H, W] where the labeler makes masks, and where the camera stands.

    `camera_to_lidar_44` takes homogeneous points [m] of the camera's frame (z forward) into the LiDAR's.
    """

    name: str
    jpeg: bytes
    mask_HW: NDArray[np.uint8] | None
    size_px: tuple[int, int]
    intrinsic_33: NDArray[np.float64]
    camera_to_lidar_44: NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A keyframe to look at. `points_N3` [m] in the LiDAR's frame; `class_N` uint16: weak class of each point,

    255 unlabelled, 256 in no image. `classes` are named in the order of their ids.
    """

    keyframe: str
    points_N3: NDArray[np.float32]
    class_N: NDArray[np.uint16]
    cameras: list[ViewedCamera]
    classes: list[Swatch]


def write_view(store_url: str, weak_labels: str, keyframe: str, out: Path) -> Path:
    """Write the recording (.rrd) of a keyframe, the first labelled one where none is named; return `out`.

    Raises:
        UsageError: no such labels, a keyframe that they do not have, or a file that cannot be written. ConfigError:
            rerun-sdk is not installed.
    """
    rerun = _import_rerun()
    view = read_view(*find_labels(store_url, weak_labels), keyframe)
    save_view(rerun, view, out)
    return out


def _import_rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise ConfigError(
            "olivine view needs rerun-sdk, which is not installed: pip install 'olivine[view]'."
        ) from error
    return rerun


def read_view(drives_artifact: Artifact, weak_labels: Artifact, token: str) -> View:
    """What is to be seen of a keyframe (UsageError: these labels do not have it)."""
    drives, labels = Drives(drives_artifact), Pack(weak_labels)
    labelled = labels.index.column("keyframe")
    token = token or labelled[0]
    if token not in labelled:
        raise UsageError(f"weak labels {weak_labels.id[:12]} have no keyframe {token!r}; the first is {labelled[0]}.")
    keyframe, meta, masks = drives.keyframe(token), drives.meta(token), labels.whole(token)
    class_N = np.full(len(keyframe.points_N4), _NOT_SEEN_ID, np.uint16)
    class_N[keyframe.pair_point_M] = read_pair_labels(labels, token)
    facts = {camera["name"]: camera for camera in meta["cameras"]}
    images = dict(zip(CAMERAS, drives.images(token), strict=True))
    cameras = [_viewed(facts[name], images[name], masks.get(f"{name}.png")) for name in CAMERAS]
    return View(token, keyframe.points_N4[:, :3], class_N, cameras, weak_classes(weak_labels))


def _viewed(camera: dict[str, Any], jpeg: bytes, png: bytes | None) -> ViewedCamera:
    mask_HW = None
    if png:
        with Image.open(io.BytesIO(png)) as image:
            mask_HW = np.asarray(image)
    return ViewedCamera(
        camera["name"],
        jpeg,
        mask_HW,
        (camera["width_px"], camera["height_px"]),
        np.array(camera["intrinsic_33"]),
        np.linalg.inv(np.array(camera["lidar_to_camera_44"])),
    )


def save_view(rerun: Any, view: View, out: Path) -> None:
    """Write the recording beside `out` and rename it (UsageError: it cannot be written)."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # rerun itself says nothing where it cannot write.
        partial.touch()
        recording = rerun.new_recording("olivine", recording_id=view.keyframe)
        recording.save(partial)
        _log(rerun, recording, view)
        recording.flush(blocking=True)
        recording.disconnect()
        partial.replace(out)
    except OSError as error:
        raise UsageError(f"{out}: the recording cannot be written: {error.strerror}.") from error


def _log(rerun: Any, recording: Any, view: View) -> None:
    legend = [(id, swatch.name, swatch.rgb) for id, swatch in enumerate(view.classes)]
    legend += [(_UNLABELLED_ID, "no weak label", UNLABELLED), (_NOT_SEEN_ID, "in no image", NOT_SEEN)]
    points = rerun.Points3D(view.points_N3, class_ids=view.class_N, radii=_POINT_RADIUS_M)
    recording.log("/", rerun.AnnotationContext(legend), static=True)
    recording.log("lidar", points, static=True)
    for camera in view.cameras:
        path, pose_44 = f"lidar/{camera.name}", camera.camera_to_lidar_44
        width_px, height_px = camera.size_px
        recording.log(path, rerun.Transform3D(translation=pose_44[:3, 3], mat3x3=pose_44[:3, :3]), static=True)
        pinhole = rerun.Pinhole(image_from_camera=camera.intrinsic_33, width=width_px, height=height_px)
        recording.log(path, pinhole, static=True)
        recording.log(f"{path}/image", rerun.EncodedImage(contents=camera.jpeg, media_type="image/jpeg"), static=True)
        if camera.mask_HW is not None:
            mask = rerun.SegmentationImage(camera.mask_HW, opacity=0.5)
            recording.log(f"{path}/weak_labels", mask, static=True)
