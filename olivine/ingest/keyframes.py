"""The keyframes of a data set as columns, and one keyframe as an object made from its row.

Columns (arrow, can be memory-mapped, so that many workers share one copy) stand in for the millions of Python objects
that a token-indexed database keeps in every process.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from olivine.errors import DataError
from olivine.points.project import Camera, fuse_transforms

LIDAR_CHANNEL = "LIDAR_TOP"
CAMERA_CHANNELS = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_RIGHT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_FRONT_LEFT",
)
"""The image index of a pair counts in this order."""

CHANNELS = (LIDAR_CHANNEL, *CAMERA_CHANNELS)


@dataclass(frozen=True)
class Shot:
    """What one sensor recorded for one keyframe.

    `calibration` (sensor in the vehicle) and `ego` (vehicle in the world, at this sensor's own time) are records with
    "translation" [m] and "rotation" (w, x, y, z). `file` is relative to the root of the data set. `intrinsic_33`,
    `width_px` and `height_px` are those of a camera; None and 0 for the LiDAR.
    """

    channel: str
    token: str
    file: str
    timestamp_us: int
    calibration: dict[str, list[float]]
    ego: dict[str, list[float]]
    intrinsic_33: NDArray[np.float64] | None
    width_px: int
    height_px: int


@dataclass(frozen=True)
class Keyframe:
    """One keyframe: the LiDAR sweep, the images taken nearest to it, and where its labels are.

    `problem` says why a keyframe cannot be used (a sensor without a record, a path that leaves the data set), None
    where nothing is wrong. Asking a broken keyframe for what it lacks raises DataError with that reason.
    """

    token: str
    scene: str
    scene_token: str
    drive: str
    shots: dict[str, Shot]
    lidarseg_file: str | None
    problem: str | None

    @property
    def lidar(self) -> Shot:
        """The LiDAR sweep. Its token names prediction files in the official evaluation."""
        return self._shot(LIDAR_CHANNEL)

    @property
    def images(self) -> tuple[Shot, ...]:
        """The six images in the order of `CAMERA_CHANNELS`."""
        return tuple(self._shot(channel) for channel in CAMERA_CHANNELS)

    @property
    def timestamp_us(self) -> int:
        """Time of the LiDAR sweep."""
        return self.lidar.timestamp_us

    def cameras(self) -> list[Camera]:
        """The six cameras as `project_points` takes them; DataError names the one whose calibration is unsound."""
        return [_camera(self.lidar, image) for image in self.images]

    def _shot(self, channel: str) -> Shot:
        if channel not in self.shots:
            raise DataError(f"keyframe {self.token} of {self.scene}: {self.problem}")
        return self.shots[channel]


class KeyframeTable:
    """Keyframes in the order of scenes, then of time. Supports len(), indexing and iteration (one `Keyframe` a row)."""

    def __init__(self, columns: pa.Table) -> None:
        # One chunk a column: a row is then found without a search.
        self.columns = columns.combine_chunks()

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def __iter__(self) -> Iterator[Keyframe]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> Keyframe:
        values = {name: self.columns.column(name)[row].as_py() for name in self.columns.column_names}
        shots = {channel: _shot_of(values, channel) for channel in CHANNELS if values[f"{channel}.token"] is not None}
        return Keyframe(
            token=values["token"],
            scene=values["scene"],
            scene_token=values["scene_token"],
            drive=values["drive"],
            shots=shots,
            lidarseg_file=values["lidarseg_file"],
            problem=values["problem"],
        )

    def without(self, drives: Collection[str]) -> KeyframeTable:
        """The keyframes of all other drives."""
        held = pa.compute.is_in(self.columns["drive"], pa.array(sorted(drives), pa.string()))
        return KeyframeTable(self.columns.filter(pa.compute.invert(held)))

    @property
    def drives(self) -> set[str]:
        """Names of the drives."""
        return set(self.columns["drive"].to_pylist())

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes, in the order of the scene table."""
        return list(dict.fromkeys(self.columns["scene"].to_pylist()))

    @property
    def problems(self) -> dict[str, str]:
        """Keyframe token -> why it cannot be used, for those that cannot."""
        pairs = zip(self.columns["token"].to_pylist(), self.columns["problem"].to_pylist(), strict=True)
        return {token: problem for token, problem in pairs if problem is not None}


def leaves_root(file: str) -> bool:
    """Whether a file name from a table is absolute, empty, or climbs out of the data set."""
    return not file or file[0] == "/" or "\\" in file or "\0" in file or ".." in file.split("/")


def resolve_file(root: Path, file: str) -> Path:
    """`root / file`; DataError when `file` would leave the data set."""
    if leaves_root(file):
        raise DataError(
            f"file name {file!r} leaves the data set {root}: the tables were tampered with, do not use them"
        )
    return root / file


def _camera(lidar: Shot, image: Shot) -> Camera:
    try:
        fused_44 = fuse_transforms(lidar.calibration, lidar.ego, image.ego, image.calibration)
    except DataError as error:
        raise DataError(f"{image.channel}: {error}") from None
    intrinsic_33 = np.zeros((3, 3)) if image.intrinsic_33 is None else image.intrinsic_33
    return Camera(image.channel, fused_44, intrinsic_33, image.width_px, image.height_px)


def _shot_of(values: dict[str, Any], channel: str) -> Shot:
    intrinsic = values.get(f"{channel}.intrinsic")
    return Shot(
        channel=channel,
        token=values[f"{channel}.token"],
        file=values[f"{channel}.file"],
        timestamp_us=values[f"{channel}.timestamp_us"],
        calibration=_pose(values[f"{channel}.calibration"]),
        ego=_pose(values[f"{channel}.ego"]),
        intrinsic_33=None if intrinsic is None else np.array(intrinsic).reshape(3, 3),
        width_px=values[f"{channel}.width_px"],
        height_px=values[f"{channel}.height_px"],
    )


def _pose(seven: list[float]) -> dict[str, list[float]]:
    return {"translation": seven[:3], "rotation": seven[3:]}
