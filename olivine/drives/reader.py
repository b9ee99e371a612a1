"""The `drives` artifact as its readers see it.

Three packs lie in it: keyframes (`index.parquet`), hand labels (`lidarseg_index.parquet`) and, for synthetic drives,
the simulator's own renderings (`simulation_index.parquet`). They are apart so that pretraining, which may not see hand
labels, never touches a byte of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.datasets import DataSetTable
from olivine.drives import classes
from olivine.errors import DataError
from olivine.nuscenes_categories import RAW_TO_CATEGORY
from olivine.packs import DiskCache, Pack, bytes_array

CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
"""Order of the images of a keyframe: column 0 of `pair_pixel_M3` counts in it."""

Split = Literal["train", "select", "test", "all_train"]
KEYFRAMES, LIDARSEG, SIMULATION = "index.parquet", "lidarseg_index.parquet", "simulation_index.parquet"


@dataclass(frozen=True)
class Keyframe:
    """Arrays of one keyframe. N points, M pairs.

    `points_N4` float32: x, y, z [m] in the LiDAR frame and intensity, 0..255 unless the drives say otherwise;
    `pair_point_M` int32 indexes points; `pair_pixel_M3` int16 is (image, row, column) in full-resolution pixels.
    """

    token: str
    points_N4: NDArray[np.float32]
    pair_point_M: NDArray[np.int32]
    pair_pixel_M3: NDArray[np.int16]


class Drives:
    """Keyframes of a `drives` artifact by token, in the order of their scenes."""

    def __init__(self, artifact: Artifact, cache: DiskCache | None = None) -> None:
        self.artifact, self._cache = artifact, cache
        self._keyframes = Pack(artifact, KEYFRAMES, cache)

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the images in pixels; DataError for drives without cameras."""
        self.require_cameras()
        width, height = self.artifact.manifest.summary["image_size"]
        return int(width), int(height)

    def require_cameras(self) -> None:
        """DataError for drives without cameras."""
        if self.table:
            raise DataError(
                f"drives {self.artifact.id[:12]} have no cameras: they are scans of {self.table.name}, to fine-tune "
                "and evaluate on. Label and pretrain on drives with images."
            )

    @cached_property
    def table(self) -> DataSetTable | None:
        """The table of the data set that these drives are scans of; None for nuScenes layout."""
        table = self.artifact.manifest.recipe.get("table")
        return DataSetTable.model_validate(table) if table else None

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the class ids 1, 2, ... of the hand labels; 0 is ignored."""
        return classes.class_names(self.artifact.manifest)

    @property
    def num_ids(self) -> int:
        """Classes and the ignored one."""
        return len(self.class_names) + 1

    def tokens(self, split: Split | None = None) -> list[str]:
        """Keyframes of a split (`all_train` = train and select), or all of them."""
        index = self._keyframes.index
        wanted = {"train", "select"} if split == "all_train" else {split}
        pairs = zip(index.column("keyframe"), index.column("split"), strict=True)
        return [token for token, where in pairs if split is None or where in wanted]

    def column(self, name: str) -> dict[str, Any]:
        """One column of the index by keyframe."""
        index = self._keyframes.index
        return dict(zip(index.column("keyframe"), index.column(name), strict=True))

    def keyframe(self, token: str) -> Keyframe:
        """The arrays of a keyframe, by one range read; no image is read."""
        return _keyframe(token, self._keyframes.head(token))

    def keyframe_and_images(self, token: str) -> tuple[Keyframe, list[bytes]]:
        """The arrays of a keyframe and its JPEGs (see `images`), by one range read."""
        self.require_cameras()
        members = self._keyframes.whole(token)
        return _keyframe(token, members), _images(members)

    def sweep(self, token: str) -> NDArray[np.float32]:
        """The sweep float32 [N, 5] of a keyframe as it was packed: x, y, z [m], intensity 0..255, ring.

        Raises:
            DataError: the data set does not say which beam measured a point.
        """
        points_N5: NDArray[np.float32] = bytes_array(self._keyframes.head(token)["points.npy"])
        if points_N5.shape[1] < 5:
            raise DataError(f"keyframe {token} of drives {self.artifact.id[:12]} has no rings: its data set has none.")
        return points_N5

    def meta(self, token: str) -> dict[str, Any]:
        """Calibration, times and file names of a keyframe."""
        meta: dict[str, Any] = json.loads(self._keyframes.head(token)["meta.json"])
        return meta

    def images(self, token: str) -> list[bytes]:
        """The JPEGs of a keyframe as they came, in the order of CAMERAS; DataError for drives without cameras."""
        self.require_cameras()
        return _images(self._keyframes.whole(token))

    def lidarseg(self, token: str) -> NDArray[np.uint8]:
        """Hand labels uint8 [N] of a keyframe: ids of `class_names`, 0 = ignore.

        Raises:
            DataError: these drives have no hand labels for that keyframe.
        """
        if not self.has_lidarseg(token):
            raise DataError(
                f"keyframe {token} of drives {self.artifact.id[:12]} has no hand labels: the data set came without its "
                "lidarseg file."
            )
        label_N = bytes_array(self._pack(LIDARSEG, "lidarseg labels").head(token)["lidarseg.npy"])
        # Raw ids of nuScenes are bytes, and kept; those of scans are not, and were mapped by their table.
        category_N: NDArray[np.uint8] = label_N if self.table else RAW_TO_CATEGORY[label_N]
        return category_N

    def simulation(self, token: str) -> dict[str, bytes]:
        """The simulator's PNGs of a keyframe (`<camera>.category.png`, `<camera>.instance.png`); synthetic only."""
        return self._pack(SIMULATION, "simulator renderings").head(token)

    def has_lidarseg(self, token: str | None = None) -> bool:
        """Whether these drives, or one keyframe of them, came with hand labels."""
        if not self._came_with_labels:
            return False
        return token is None or self._pack(LIDARSEG, "lidarseg labels").index.position(token) is not None

    @cached_property
    def _came_with_labels(self) -> bool:
        return any(blob.path == LIDARSEG for blob in self.artifact.manifest.data)

    def split(self, token: str) -> str:
        """The split of a keyframe."""
        index = self._keyframes.index
        row = index.position(token)
        if row is None:
            raise DataError(f"keyframe {token} is not in drives {self.artifact.id[:12]}.")
        return str(index.value("split", row))

    def _pack(self, index: str, what: str) -> Pack:
        packs: dict[str, Pack] = self.__dict__.setdefault("_packs", {})
        if index not in packs:
            if not any(blob.path == index for blob in self.artifact.manifest.data):
                raise DataError(f"drives {self.artifact.id[:12]} hold no {what}: they were ingested without.")
            packs[index] = Pack(self.artifact, index, self._cache)
        return packs[index]


def _keyframe(token: str, members: dict[str, bytes]) -> Keyframe:
    return Keyframe(
        token,
        bytes_array(members["points.npy"])[:, :4],
        bytes_array(members["pair_point.npy"]),
        bytes_array(members["pair_pixel.npy"]),
    )


def _images(members: dict[str, bytes]) -> list[bytes]:
    return [members[f"{camera}.jpg"] for camera in CAMERAS]
