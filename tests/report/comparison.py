"""What the tests of the report share: metrics of both arms, a summary, and the pixels of a picture."""

from __future__ import annotations

import base64
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from chain import quietly
from PIL import Image

from olivine.artifacts import Artifact
from olivine.nuscenes_categories import CATEGORY_NAMES
from olivine.report.birds_eye import Picture
from olivine.steps import StepCall
from olivine.store import Store, open_store


@dataclass(frozen=True)
class Compared:
    """Metrics by (arm, seed), and the folder of the store that they lie in."""

    folder: Path
    metrics: dict[tuple[str, int], Artifact]

    @property
    def store(self) -> Store:
        return open_store(str(self.folder))

    @property
    def all(self) -> list[Artifact]:
        return list(self.metrics.values())

    def copy_to(self, folder: Path) -> Compared:
        """The same in a store that a test may break."""
        store = open_store(str(shutil.copytree(self.folder, folder)))
        return Compared(folder, {key: Artifact(store, item.manifest) for key, item in self.metrics.items()})


def run_stage(word: str, folder: Path, inputs: dict[str, str], *settings: str) -> Artifact:
    return quietly(word, StepCall(str(folder), "tiny_cpu", list(settings), inputs))


def pixels(picture: Picture) -> np.ndarray:
    data = base64.b64decode(picture.src.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def make_summary(num_seeds: int = 3, **changes: Any) -> dict[str, Any]:
    by_seed = [0.3 + 0.01 * seed for seed in range(num_seeds)]
    per_category: dict[str, float | None] = dict.fromkeys(CATEGORY_NAMES, 0.25)
    arms = {
        "random": {"miou": 0.31, "miou_by_seed": by_seed, "per_category": per_category | {"bus": None}},
        "olivine": {"miou": 0.33, "miou_by_seed": by_seed, "per_category": per_category | {"car": 0.5}},
    }
    interval = [-0.01, 0.05] if num_seeds > 1 else None
    return {
        "arms": arms,
        "paired_gain": {"mean": 0.02, "interval": interval},
        "seeds": list(range(num_seeds)),
        "labels": {"kind": "simulated", "accuracy": 0.731, "coverage": 0.9},
    } | changes
