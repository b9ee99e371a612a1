"""Turn one keyframe of a data set into what is packed: checked arrays, images as they came, calibration.

Whatever is wrong with a keyframe is a DataError here, with the file and the reason; the stage quarantines it.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.errors import DataError
from olivine.ingest.keyframes import Keyframe, Shot, resolve_file
from olivine.ingest.nuscenes import load_lidarseg, load_sweep
from olivine.ingest.recipe import IngestRecipe
from olivine.packs import Entry, array_bytes
from olivine.points.project import lidar_to_global, project_points

_SIMULATION = "synth_truth"
# Tokens name the members of the shards, and their first digits seed the augmentation.
_TOKEN = re.compile(r"[0-9A-Fa-f]{8}[A-Za-z0-9_-]{0,56}")


@dataclass(frozen=True)
class Packed:
    """A keyframe's entries for the three packs; hand labels and simulator renderings only where there are any."""

    keyframe: Entry
    lidarseg: Entry | None
    simulation: Entry | None


def pack_keyframe(root: Path, keyframe: Keyframe, split: str, recipe: IngestRecipe) -> Packed:
    """Read, check and project one keyframe.

    Raises:
        DataError: a sensor is missing, a file is missing or broken, times are too far apart, a calibration is unsound.
    """
    if not _TOKEN.fullmatch(keyframe.token):
        raise DataError(
            f"token {keyframe.token[:80]!r} cannot name files: tokens are 8 hexadecimal digits and then letters, "
            "digits, _ or -, 64 in all at most"
        )
    if keyframe.problem:
        raise DataError(keyframe.problem)
    lag_ms = {shot.channel: abs(shot.timestamp_us - keyframe.timestamp_us) / 1000 for shot in keyframe.images}
    worst = max(lag_ms, key=lambda channel: lag_ms[channel])
    if lag_ms[worst] > recipe.max_camera_lag_ms:
        raise DataError(
            f"{worst} was taken {lag_ms[worst]:.0f} ms from the sweep, more than {recipe.max_camera_lag_ms:g} ms: "
            "synchronise the sensors, or raise max_camera_lag_ms"
        )
    points_N5 = load_sweep(resolve_file(root, keyframe.lidar.file))
    images = {f"{shot.channel}.jpg": _read_image(root, shot) for shot in keyframe.images}
    pairs = project_points(points_N5[:, :3], keyframe.cameras(), recipe.min_depth_m)
    head = {
        "points.npy": array_bytes(points_N5),
        "pair_point.npy": array_bytes(pairs.point_M),
        "pair_pixel.npy": array_bytes(_shift_cameras(pairs.pixel_M3, recipe.camera_shift)),
        "meta.json": _meta(keyframe),
    }
    columns = {
        "scene": keyframe.scene,
        "drive": keyframe.drive,
        "split": split,
        "timestamp_us": keyframe.timestamp_us,
        "lidar_token": keyframe.lidar.token,
        "num_points": len(points_N5),
        "num_pairs": len(pairs.point_M),
    }
    return Packed(
        Entry(keyframe.token, head, images, columns),
        _lidarseg(root, keyframe, len(points_N5)),
        _simulation(root, keyframe),
    )


def _shift_cameras(pixel_M3: NDArray[np.int16], shift: int) -> NDArray[np.int16]:
    shifted_M3 = pixel_M3.copy()
    shifted_M3[:, 0] = (pixel_M3[:, 0] + shift) % 6
    return shifted_M3


def _read_image(root: Path, shot: Shot) -> bytes:
    path = resolve_file(root, shot.file)
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            size, kind = image.size, image.format
            # Checked before the pixels are decoded: a file may claim any size.
            if kind != "JPEG" or size != (shot.width_px, shot.height_px):
                raise DataError(f"{path} is {kind} {size}, the tables say JPEG {(shot.width_px, shot.height_px)}")
            image.load()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: restore the image, or leave the keyframe out") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is no whole JPEG ({error}): restore it, or leave the keyframe out") from error
    return data


def _meta(keyframe: Keyframe) -> bytes:
    cameras = [
        {
            "name": shot.channel,
            "file": shot.file,
            "timestamp_us": shot.timestamp_us,
            "width_px": shot.width_px,
            "height_px": shot.height_px,
            "intrinsic_33": camera.intrinsic_33.tolist(),
            "lidar_to_camera_44": camera.lidar_to_camera_44.tolist(),
        }
        for shot, camera in zip(keyframe.images, keyframe.cameras(), strict=True)
    ]
    lidar = {"token": keyframe.lidar.token, "file": keyframe.lidar.file, "timestamp_us": keyframe.timestamp_us}
    meta = {"keyframe": keyframe.token, "scene": keyframe.scene, "drive": keyframe.drive, "lidar": lidar}
    meta["lidar_to_global_44"] = lidar_to_global(keyframe.lidar.calibration, keyframe.lidar.ego).tolist()
    return json.dumps(meta | {"cameras": cameras}, sort_keys=True).encode()


def _lidarseg(root: Path, keyframe: Keyframe, num_points: int) -> Entry | None:
    if keyframe.lidarseg_file is None:
        return None
    labels_N = load_lidarseg(resolve_file(root, keyframe.lidarseg_file), num_points)
    columns = {"num_labelled": int(np.count_nonzero(labels_N))}
    return Entry(keyframe.token, {"lidarseg.npy": array_bytes(labels_N)}, columns=columns)


def _simulation(root: Path, keyframe: Keyframe) -> Entry | None:
    """The simulator's own renderings beside the images: only our synthetic drives have them."""
    if not (root / _SIMULATION).is_dir():
        return None
    head = {}
    for shot in keyframe.images:
        for what in ("category", "instance"):
            path = root / _SIMULATION / shot.channel / f"{Path(shot.file).stem}_{what}.png"
            try:
                head[f"{shot.channel}.{what}.png"] = path.read_bytes()
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read ({error.strerror}): write the synthetic drives again"
                ) from error
    return Entry(keyframe.token, head)
