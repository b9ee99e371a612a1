"""Folders of predictions as the official evaluators take them.

nuScenes lidarseg:
<folder>/lidarseg/<eval set>/<token of the LiDAR sample_data>_lidarseg.bin    uint8 1..16, one byte a point
<folder>/<eval set>/submission.json                                           what the predictions were made from
SemanticKITTI, and other scans whose table says where:
<folder>/sequences/<sequence>/predictions/<frame>.label    uint32 raw ids, one a point
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olivine.datasets import DataSetTable, write_prediction
from olivine.errors import DataError, UsageError

EVAL_SETS = {"v1.0-mini": "mini_val", "v1.0-trainval": "val", "v1.0-test": "test"}
"""Name of the official evaluation set by version: what the split `test` is there."""

_SAFE_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Submission:
    """A folder of predictions that is being written for one evaluation set."""

    def __init__(self, folder: Path, eval_set: str) -> None:
        self._folder, self.eval_set = folder, eval_set
        self.predictions = folder / "lidarseg" / eval_set
        self.predictions.mkdir(parents=True)

    def add(self, lidar_token: str, category_N: NDArray[np.uint8]) -> None:
        """Write the categories uint8 [N], 1..16, of one sweep. DataError for a token that cannot name a file."""
        if not _SAFE_TOKEN.fullmatch(lidar_token):
            raise DataError(
                f"LiDAR token {lidar_token[:80]!r} cannot name a file: tokens are letters, digits, _ and -, at most "
                "128; correct the table sample_data and ingest again"
            )
        category_N.astype(np.uint8, copy=False).tofile(self.predictions / f"{lidar_token}_lidarseg.bin")

    def write_meta(self, uses_external_data: bool) -> None:
        """Write submission.json. The segmenter sees LiDAR alone when it predicts; `uses_external_data` is for a
        backbone that was pretrained, since its teacher learned from other images."""
        meta = {
            "use_camera": False,
            "use_lidar": True,
            "use_radar": False,
            "use_map": False,
            "use_external": uses_external_data,
        }
        folder = self._folder / self.eval_set
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "submission.json").write_text(json.dumps({"meta": meta}, indent=1) + "\n")


class ScanSubmission:
    """A folder of predictions of scans that is being written, for the evaluator of their data set."""

    def __init__(self, folder: Path, table: DataSetTable, split: str) -> None:
        if not table.layout.predictions:
            raise UsageError(
                f"the table of {table.name} does not say where predictions lie: `olivine evaluate` scores them, or set "
                "layout.predictions in a table of your own and ingest again."
            )
        self._folder, self._table, self.eval_set = folder, table, split
        self.predictions = folder / table.layout.predictions.split("{", 1)[0]
        self.predictions.mkdir(parents=True)

    def add(self, name: str, category_N: NDArray[np.uint8]) -> None:
        """Write the classes uint8 [N], 1.., of the scan `sequence/frame`."""
        sequence, frame = name.split("/")
        write_prediction(self._table, self._folder, sequence, frame, category_N)
