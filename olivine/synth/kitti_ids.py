"""The raw ids of SemanticKITTI for what a scene is made of: by nuScenes category, and finer where a model says more.

Three classes never occur, because no such thing is built: parking, bicyclist and motorcyclist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from olivine.synth.arrays import U16

KITTI_UNLABELLED: Final = 0
KITTI_OUTLIER: Final = 1
BUILDING, FENCE, OTHER_STRUCTURE, TRUNK, POLE, TRAFFIC_SIGN = 50, 51, 52, 71, 80, 81
_OTHER_OBJECT: Final = 99
_PERSON: Final = 30

# Moving traffic bears the ids of standing one: the class map joins them.
_KITTI_OF_RAW: Final = {
    0: KITTI_OUTLIER,
    **dict.fromkeys((2, 3, 4, 6), _PERSON),
    9: FENCE,
    **dict.fromkeys((10, 11, 12, 13, 29), _OTHER_OBJECT),
    14: 11,
    **dict.fromkeys((15, 16), 13),
    17: 10,
    **dict.fromkeys((18, 22), 20),
    21: 15,
    23: 18,
    24: 40,
    25: 49,
    26: 48,
    27: 72,
    28: BUILDING,
    30: 70,
}


def kitti_ids(raw_categories: Sequence[int], own: Sequence[int]) -> U16:
    """Raw ids uint16 of parts: their own, or where that is 0 the one of their nuScenes raw category."""
    ids = [one or _KITTI_OF_RAW.get(raw, KITTI_UNLABELLED) for raw, one in zip(raw_categories, own, strict=True)]
    return np.array(ids, np.uint16)
