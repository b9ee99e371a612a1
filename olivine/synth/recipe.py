"""What a synthetic data set is made of: one frozen recipe, and the list of scenes that follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

GENERATOR_VERSION: Final = 1
"""Raised whenever the same recipe gives other bytes; part of the recipe's digest."""

MINI_TRAIN_SCENES: Final = (
    "scene-0061",
    "scene-0553",
    "scene-0655",
    "scene-0757",
    "scene-0796",
    "scene-1077",
    "scene-1094",
    "scene-1100",
)
MINI_VAL_SCENES: Final = ("scene-0103", "scene-0916")

Split = Literal["train", "select", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "select", "test")


class SynthRecipe(BaseModel):
    """Everything that determines the bytes of a synthetic data set (on one machine and one set of libraries)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    """Root of all random draws; each scene has a seed of its own derived from this one and the scene's name."""
    version: str = Field(default="v1.0-mini", pattern=r"^v[A-Za-z0-9.\-]+$")
    """Name of the nuScenes version, which is the folder of the tables; "v1.0-mini" lets the official evaluator run."""
    num_train_scenes: int = Field(default=8, ge=len(MINI_TRAIN_SCENES))
    """Scenes to learn from; the first eight bear the names of the official mini_train."""
    num_select_scenes: int = Field(default=2, ge=0)
    """Scenes for choosing a model, disjoint from train and test."""
    num_test_scenes: int = Field(default=2, ge=len(MINI_VAL_SCENES))
    """Scenes to report on; the first two bear the names of the official mini_val."""
    train_keyframes_per_scene: int = Field(default=4, ge=1, le=60)
    """Keyframes of a train scene; neighbours are 0.5 s apart."""
    select_keyframes_per_scene: int = Field(default=4, ge=1, le=60)
    """Keyframes of a select scene."""
    test_keyframes_per_scene: int = Field(default=4, ge=1, le=60)
    """Keyframes of a test scene."""
    image_width: int = Field(default=512, ge=32, le=4096)
    """Width of all six images in pixels; the intrinsics are those of a 1600 x 900 rig, scaled."""
    image_height: int = Field(default=288, ge=18, le=4096)
    """Height of all six images in pixels; 9/16 of the width keeps square pixels."""
    num_beams: int = Field(default=32, ge=2, le=128)
    """LiDAR beams, spread evenly from -30.67 to +10.67 degrees of elevation."""
    num_columns: int = Field(default=1085, ge=8, le=8192)
    """LiDAR firings in one turn (azimuth steps)."""

    def keyframes_per_scene(self, split: Split) -> int:
        """Keyframes of each scene of `split`."""
        counts: dict[Split, int] = {
            "train": self.train_keyframes_per_scene,
            "select": self.select_keyframes_per_scene,
            "test": self.test_keyframes_per_scene,
        }
        return counts[split]

    def digest(self) -> str:
        """SHA-256 (hex) of the recipe and the generator's version."""
        text = f"olivine-synth-{GENERATOR_VERSION}\n{self.model_dump_json()}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ScenePlan:
    """One scene of the set before anything is drawn: its place in scene.json, name, split and number of keyframes."""

    index: int
    name: str
    split: Split
    num_keyframes: int


def plan_scenes(recipe: SynthRecipe) -> list[ScenePlan]:
    """All scenes in the order of scene.json: train, select, test (label fractions count train scenes in this order)."""
    num_extra_train = recipe.num_train_scenes - len(MINI_TRAIN_SCENES)
    num_extra_test = recipe.num_test_scenes - len(MINI_VAL_SCENES)
    names: dict[Split, list[str]] = {
        "train": [*MINI_TRAIN_SCENES, *_own_names(2000, num_extra_train)],
        "select": _own_names(6000, recipe.num_select_scenes),
        "test": [*MINI_VAL_SCENES, *_own_names(9000, num_extra_test)],
    }
    named = [(name, split) for split in SPLITS for name in names[split]]
    return [
        ScenePlan(index, name, split, recipe.keyframes_per_scene(split)) for index, (name, split) in enumerate(named)
    ]


def scene_seed(seed: int, name: str) -> int:
    """The seed of one scene: depends on the recipe's and the scene's name only, so worker count cannot matter."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")


def _own_names(first: int, count: int) -> list[str]:
    return [f"scene-{number:04d}" for number in range(first + 1, first + 1 + count)]
