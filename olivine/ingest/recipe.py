"""Recipe of the stage `ingest`."""

from __future__ import annotations

from pydantic import Field

from olivine.recipe import StageRecipe


class IngestRecipe(StageRecipe):
    """How raw drives are read, projected and packed."""

    dataset: str = "nuscenes"
    """What the raw drives are: in nuScenes layout, or else the data set of scans that bears this name
    (`olivine datasets list`) or whose table is this JSON file. Scans have no cameras, and of the fields below they
    read `keyframes_per_shard` alone."""

    version: str = "v1.0-trainval"
    """Folder of the tables: v1.0-trainval, v1.0-mini, or a fleet's own."""

    min_depth_m: float = Field(1.0, gt=0)
    """Points nearer to a camera than this [m] make no pair (reference code)."""

    max_camera_lag_ms: float = Field(100.0, gt=0)
    """Greatest difference [ms] between the times of the sweep and of an image; beyond it the keyframe is bad."""

    camera_shift: int = Field(0, ge=0, lt=6)
    """For a control only: pairs are given the image this many cameras on, so that the calibration is wrong on purpose.
    0 is right."""

    keyframes_per_shard: int = Field(64, ge=1, le=128)
    """Keyframes in one tar shard: what a killed run repeats at most."""
