"""Similarity to an anchor point under both pairs of heads (paper, figure 7): what it is drawn from.

Shapes: K points in the image, G cells of a grid over it, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives
from olivine.errors import DataError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.report.colours import weak_classes
from olivine.report.figures.cameras import camera_number, read_image
from olivine.report.figures.figure import described, origin_facts
from olivine.report.figures.runs import choose_keyframes
from olivine.report.trace import open_input

SPACE_NAMES = {"point_pixel": "Point-pixel heads", "semantic": "Semantic heads"}
_MOST_POINTS, _GRID_COLUMNS, _IMAGE_PX = 1500, 48, 640
_UNLABELLED = 255


@dataclass(frozen=True)
class Space:
    """Unit features in one pair of heads: of points float32 [K, D], and of grid cells where pixels have one."""

    name: str
    points_KD: NDArray[np.float32]
    pixels_GD: NDArray[np.float32] | None


@dataclass(frozen=True)
class Similarities:
    """What the figure is drawn from. Points are sorted from left to right; places are (row, column) as shares 0..1."""

    image: Image.Image
    camera: str
    scene: str
    place_K2: NDArray[np.float64]
    label_K: NDArray[np.uint8]
    label_names: list[str]
    grid: tuple[int, int]
    spaces: list[Space]
    anchor: int
    facts: list[str]


def read_similarities(backbone: Artifact, keyframe: str, camera: str, anchor: str = "") -> Similarities:
    """Embed one keyframe, the first of `test` where none is named, as one camera sees it.

    `anchor` is ROW,COLUMN as shares 0..1 of the image; without it the point nearest to the middle that has a label.

    Raises:
        UsageError: a backbone without heads, no such keyframe or camera, an anchor that is no place. DataError: the
            camera sees no point. ConfigError: the image encoder's weights cannot be read.
    """
    from olivine.pretrain.embed import Embedder

    number, embedder = camera_number(camera), Embedder(backbone)
    if not embedder.spaces:
        raise UsageError(
            f"{described(backbone)} holds no heads of points and pixels: it was imported, or its method "
            f"{backbone.manifest.summary['method']!r} trains none. Give a backbone that `olivine pretrain` made by "
            "olivine, ppkt or slidr."
        )
    artifact, labels = (open_input(backbone.store, backbone, port) for port in ("drives", "weak_labels"))
    drives = Drives(artifact)
    tokens = drives.tokens("test") if not keyframe and drives.tokens("test") else drives.tokens()
    token = choose_keyframes(tokens, [keyframe] if keyframe else [], 1, described(artifact))[0]
    chosen, point_K, place_K2 = _points_in_image(drives, token, number)
    image = read_image(drives, token, number, _IMAGE_PX)
    rows = max(1, round(_GRID_COLUMNS * image.height / image.width))
    points, pixels = embedder.embed_points(drives.keyframe(token).points_N4), {}
    if any(embedder.has_pixels(name) for name in embedder.spaces):
        pixels = embedder.embed_pixels(drives.images(token)[number], _grid_places(rows, _GRID_COLUMNS))
    label_K = _labels(Pack(labels), token, chosen)
    return Similarities(
        image=image,
        camera=camera,
        scene=str(drives.column("scene")[token]),
        place_K2=place_K2,
        label_K=label_K,
        label_names=[swatch.name for swatch in weak_classes(labels)],
        grid=(rows, _GRID_COLUMNS),
        spaces=[Space(name, points[name][point_K], pixels.get(name)) for name in embedder.spaces],
        anchor=_choose_anchor(place_K2, label_K, anchor),
        facts=[
            *origin_facts(artifact, labels, backbone),
            f"{described(backbone)}, keyframe {token[:12]} of the split {drives.split(token)}, {camera}: "
            f"{len(point_K)} of the points that it sees.",
        ],
    )


def _points_in_image(
    drives: Drives, token: str, camera: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of the camera from left to right, an even part where there are many; their points, and their places."""
    keyframe = drives.keyframe(token)
    mine = np.flatnonzero(keyframe.pair_pixel_M3[:, 0] == camera)
    if not len(mine):
        raise DataError(f"keyframe {token}: {CAMERAS[camera]} sees no point of the sweep. Choose another --camera.")
    pixel_K2 = keyframe.pair_pixel_M3[mine, 1:].astype(np.int64)
    order = mine[np.lexsort((pixel_K2[:, 0], pixel_K2[:, 1]))]
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), _MOST_POINTS)).round().astype(np.int64)]
    width, height = drives.image_size
    place_K2 = (keyframe.pair_pixel_M3[chosen, 1:] + 0.5) / np.array([height, width], np.float64)
    return chosen, keyframe.pair_point_M[chosen].astype(np.int64), place_K2


def _grid_places(rows: int, columns: int) -> NDArray[np.float64]:
    """Middles of the cells, row by row: float64 [G, 2]."""
    row_G, column_G = (axis.ravel() for axis in np.indices((rows, columns)))
    return np.stack([(row_G + 0.5) / rows, (column_G + 0.5) / columns], axis=1)


def _labels(labels: Pack, token: str, chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Weak labels of the chosen pairs; none for a keyframe that was not labelled."""
    if labels.index.position(token) is None:
        return np.full(len(chosen), _UNLABELLED, np.uint8)
    label_K: NDArray[np.uint8] = bytes_array(labels.head(token)["pair_label.npy"])[chosen]
    return label_K


def _choose_anchor(place_K2: NDArray[np.float64], label_K: NDArray[np.uint8], given: str) -> int:
    wanted_2, may_K = np.array([0.5, 0.5]), label_K != _UNLABELLED
    if given:
        parts = given.split(",")
        try:
            wanted_2 = np.array([float(part) for part in parts])
        except ValueError:
            wanted_2 = np.full(2, np.nan)
        if wanted_2.shape != (2,) or not ((wanted_2 >= 0) & (wanted_2 <= 1)).all():
            raise UsageError(f"--anchor {given!r} is not ROW,COLUMN, shares 0..1 of the image, as in 0.6,0.4.")
    distance_K = np.linalg.norm(place_K2 - wanted_2, axis=1)
    if not given and may_K.any():
        distance_K = np.where(may_K, distance_K, np.inf)
    return int(distance_K.argmin())
