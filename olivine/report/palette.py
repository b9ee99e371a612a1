"""Colours of classes for those who see fewer of them: sixteen that stay apart under every common colour blindness.

The official colours of nuScenes come as near as 1.1 in CIELAB to each other where blue is not seen. These are at least
23 apart for normal sight and for simulated protanopia, deuteranopia and tritanopia (Machado et al., 2009), found by
search; of them each class has the one nearest to its official colour. The test of this module measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from olivine.nuscenes_categories import CATEGORY_COLORS

Palette = Literal["official", "safe"]
RGB = tuple[int, int, int]

SAFE_COLORS: Final[tuple[RGB, ...]] = (
    (51, 102, 170),
    (170, 68, 238),
    (221, 170, 221),
    (238, 153, 0),
    (119, 85, 68),
    (238, 119, 255),
    (85, 0, 255),
    (17, 51, 51),
    (204, 51, 0),
    (119, 0, 0),
    (170, 221, 170),
    (85, 0, 153),
    (102, 0, 102),
    (68, 170, 85),
    (102, 102, 119),
    (102, 255, 119),
)
"""Colour of the nuScenes class ids 1..16 in the safe palette."""


def safe_colours(official: Sequence[RGB]) -> list[RGB]:
    """The safe colours of the classes of one legend, in their order.

    A colour of nuScenes becomes the safe one of the same class. Others take the safe colours that are left, in order;
    when none is left they stay as they are.
    """
    safe = dict(zip(CATEGORY_COLORS, SAFE_COLORS, strict=True))
    taken = {safe[rgb] for rgb in official if rgb in safe}
    left = iter([rgb for rgb in SAFE_COLORS if rgb not in taken])
    for rgb in dict.fromkeys(rgb for rgb in official if rgb not in safe):
        safe[rgb] = next(left, rgb)
    return [safe[rgb] for rgb in official]
