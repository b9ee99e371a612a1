"""Rows of the nuScenes tables: tokens, and the tables that are the same for every scene."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from olivine.nuscenes_categories import RAW_CATEGORY_NAMES
from olivine.synth.rig import CHANNELS, LIDAR

Row = dict[str, Any]
Tables = dict[str, list[Row]]

TABLE_NAMES: Final = (
    "category",
    "attribute",
    "visibility",
    "instance",
    "sensor",
    "calibrated_sensor",
    "ego_pose",
    "log",
    "scene",
    "sample",
    "sample_data",
    "sample_annotation",
    "map",
    "lidarseg",
    "panoptic",
)
_ATTRIBUTES: Final = (
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "pedestrian.moving",
)
_VISIBILITIES: Final = ("v0-40", "v40-60", "v60-80", "v80-100")


def token(*parts: object) -> str:
    """A token of 32 hexadecimal digits, the same for the same parts."""
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).hexdigest()[:32]


def common_tables() -> Tables:
    """Category (with the lidarseg index), attribute, visibility and sensor."""
    categories = [
        {"token": token("category", name), "name": name, "description": "", "index": index}
        for index, name in enumerate(RAW_CATEGORY_NAMES)
    ]
    attributes = [{"token": token("attribute", name), "name": name, "description": ""} for name in _ATTRIBUTES]
    visibilities = [
        {
            "token": str(number),
            "level": level,
            "description": f"visibility of whole object is between {level[1:].replace('-', ' and ')}%",
        }
        for number, level in enumerate(_VISIBILITIES, start=1)
    ]
    sensors = [
        {
            "token": token("sensor", channel),
            "channel": channel,
            "modality": "lidar" if channel == LIDAR else "camera",
        }
        for channel in CHANNELS
    ]
    return {"category": categories, "attribute": attributes, "visibility": visibilities, "sensor": sensors}


def attribute_tokens(raw_category: int) -> list[str]:
    """The attribute of an object of this raw category: everything in a synthetic scene stands still."""
    name = RAW_CATEGORY_NAMES[raw_category]
    if name in ("vehicle.bicycle", "vehicle.motorcycle"):
        return [token("attribute", "cycle.without_rider")]
    if name.startswith("vehicle."):
        return [token("attribute", "vehicle.stopped")]
    if name.startswith("human.pedestrian."):
        return [token("attribute", "pedestrian.standing")]
    return []
