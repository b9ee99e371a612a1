"""The classes of hand labels as a manifest states them: of drives, of a segmenter trained on them, of its metrics.

Class ids count from 1 in the order of the names; 0 is ignored. What was published before manifests stated classes is of
nuScenes.
"""

from __future__ import annotations

from typing import Any

from olivine.artifacts import Manifest
from olivine.nuscenes_categories import CATEGORY_COLORS, CATEGORY_NAMES

Rgb = tuple[int, int, int]

_INTENSITY_MAX = 255.0


def class_names(manifest: Manifest) -> tuple[str, ...]:
    """Names of the class ids 1, 2, ...: id `c` is `class_names(manifest)[c - 1]`."""
    return tuple(manifest.summary.get("class_names", CATEGORY_NAMES))


def class_colours(manifest: Manifest) -> tuple[Rgb | None, ...]:
    """Red, green, blue 0..255 of the class ids 1, 2, ... of drives; None where the data set states none."""
    colours: list[list[int] | None] = manifest.summary.get("class_colours", CATEGORY_COLORS)
    return tuple(None if colour is None else (colour[0], colour[1], colour[2]) for colour in colours)


def intensity_max(manifest: Manifest) -> float | None:
    """Greatest intensity that the sensor of these drives gives: 255 for nuScenes; None where nobody says."""
    value: float | None = manifest.summary.get("intensity_max", _INTENSITY_MAX)
    return value


def nuscenes_classes() -> dict[str, Any]:
    """What the summary of drives in nuScenes layout states."""
    return {
        "class_names": list(CATEGORY_NAMES),
        "class_colours": [list(colour) for colour in CATEGORY_COLORS],
        "intensity_max": _INTENSITY_MAX,
    }
