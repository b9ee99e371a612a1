"""The nuScenes-lidarseg categories: 32 raw names, 16 classes of the benchmark, and the table between them.

The raw index is the byte in a `*_lidarseg.bin` file; the class id 1..16 is what the benchmark scores, 0 is ignored
(paper section 4, nuScenes-lidarseg protocol). `tests/test_nuscenes_categories.py` compares all of it with the devkit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

IGNORE_CATEGORY: Final = 0
NUM_CATEGORIES: Final = 16

RAW_CATEGORY_NAMES: Final[tuple[str, ...]] = (
    "noise",
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    "static.other",
    "static.vegetation",
    "vehicle.ego",
)
"""Name of each raw index 0..31, as in the category table of nuScenes-lidarseg."""

CATEGORY_NAMES: Final[tuple[str, ...]] = (
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
"""Names of the class ids 1..16: id `c` is `CATEGORY_NAMES[c - 1]`."""

CATEGORY_COLORS: Final[tuple[tuple[int, int, int], ...]] = (
    (112, 128, 144),
    (220, 20, 60),
    (255, 127, 80),
    (255, 158, 0),
    (233, 150, 70),
    (255, 61, 99),
    (0, 0, 230),
    (47, 79, 79),
    (255, 140, 0),
    (255, 99, 71),
    (0, 207, 191),
    (175, 0, 75),
    (75, 0, 75),
    (112, 180, 60),
    (222, 184, 135),
    (0, 175, 0),
)
"""Display colour (red, green, blue, 0..255) of the class ids 1..16, those of the benchmark."""

_RAW_IDS_OF_CATEGORY: Final[tuple[tuple[int, ...], ...]] = (
    (9,),
    (14,),
    (15, 16),
    (17,),
    (18,),
    (21,),
    (2, 3, 4, 6),
    (12,),
    (22,),
    (23,),
    (24,),
    (25,),
    (26,),
    (27,),
    (28,),
    (30,),
)


def _raw_to_category() -> NDArray[np.uint8]:
    table = np.zeros(len(RAW_CATEGORY_NAMES), np.uint8)
    for category, raw_ids in enumerate(_RAW_IDS_OF_CATEGORY, start=1):
        table[list(raw_ids)] = category
    table.setflags(write=False)
    return table


RAW_TO_CATEGORY: Final[NDArray[np.uint8]] = _raw_to_category()
"""Look-up table [32], uint8: raw index -> class id 1..16, or 0 where the benchmark ignores the raw category."""
