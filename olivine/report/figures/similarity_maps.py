"""Still pictures of the similarity to an anchor (paper, figure 7).

Shapes: K points in the image, G cells of a grid over it, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from olivine.report.birds_eye import Picture, encode_jpeg
from olivine.report.figures.cameras import draw_over_image
from olivine.report.figures.figure import Figure, Panel
from olivine.report.figures.similarity import SPACE_NAMES, Similarities

_MAP_OPACITY = 0.72
VIRIDIS = (
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
    (170, 220, 50), (253, 231, 37),
)  # fmt: skip
"""Nine stops of the colour map viridis, which is read alike by all: dark is unlike the anchor, yellow is like it."""


def similarity(anchor_D: NDArray[np.float32], features_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1 + cosine) / 2 of unit features to the anchor's: float32 [N] from 0 to 1."""
    similar_N: NDArray[np.float32] = (1 + features_ND @ anchor_D) / 2
    return similar_N


def draw_similarity(given: Similarities) -> Figure:
    """Still pictures for the anchor: a map over pixels and one over points for each pair of heads."""
    panels = []
    for over_pixels in (True, False):
        for space in given.spaces:
            features_ND = space.pixels_GD if over_pixels else space.points_KD
            if features_ND is None:
                continue
            similar_N = similarity(space.points_KD[given.anchor], features_ND)
            picture = (_draw_map if over_pixels else _draw_points)(given, similar_N, space.name)
            title = f"{SPACE_NAMES[space.name]}: {'pixels' if over_pixels else 'points'}"
            panels.append(Panel(title, picture, f"{similar_N.min():.2f} (dark) to {similar_N.max():.2f} (yellow)"))
    return Figure(
        name="similarity",
        title="Similarity to an anchor point",
        caption=caption(given),
        panels=panels,
        facts=given.facts,
    )


def caption(given: Similarities) -> str:
    """What the figure shows."""
    return (
        f"(1 + cosine) / 2 of the anchor, a LiDAR point of {given.scene} (circle), and of every pixel and point in "
        f"{given.camera}, in the space of each pair of heads. The colours of each map span its own values."
    )


def _colours(similar_N: NDArray[np.float32]) -> NDArray[np.uint8]:
    span = float(similar_N.max() - similar_N.min()) or 1.0
    at_N = (similar_N - similar_N.min()) / span * (len(VIRIDIS) - 1)
    stops, below_N = np.array(VIRIDIS, np.float32), np.minimum(at_N.astype(np.int64), len(VIRIDIS) - 2)
    along_N1 = (at_N - below_N)[:, None]
    mixed_N3 = stops[below_N] * (1 - along_N1) + stops[below_N + 1] * along_N1
    rgb_N3: NDArray[np.uint8] = mixed_N3.round().astype(np.uint8)
    return rgb_N3


def _draw_map(given: Similarities, similar_G: NDArray[np.float32], space: str) -> Picture:
    cells = Image.fromarray(_colours(similar_G).reshape(*given.grid, 3)).resize(given.image.size)
    blended = Image.blend(given.image.convert("L").convert("RGB"), cells, _MAP_OPACITY)
    return encode_jpeg(_mark(blended, given), f"Pixels like the anchor, {SPACE_NAMES[space]}.")


def _draw_points(given: Similarities, similar_K: NDArray[np.float32], space: str) -> Picture:
    marked = _mark(given.image, given)
    return draw_over_image(
        marked, given.place_K2, _colours(similar_K), f"Points like the anchor, {SPACE_NAMES[space]}."
    )


def _mark(image: Image.Image, given: Similarities) -> Image.Image:
    marked = image.copy()
    row, column = given.place_K2[given.anchor] * np.array([image.height, image.width])
    for radius, colour in ((9, "white"), (8, "black"), (7, "black"), (6, "white")):
        box = (column - radius, row - radius, column + radius, row + radius)
        ImageDraw.Draw(marked).ellipse(box, outline=colour)
    return marked
