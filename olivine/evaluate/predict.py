"""Predict a split into a folder, without hand labels: for the official evaluator, or for a submission.

olivine predict --drives ID --segmenter ID --out predictions
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from olivine.artifacts import Artifact
from olivine.datasets import DataSetTable
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.evaluate.load import load_segmenter, require_fit
from olivine.evaluate.submission import EVAL_SETS, ScanSubmission, Submission
from olivine.models.predict import predict_keyframes
from olivine.progress import Progress


@dataclass(frozen=True)
class Predicted:
    """What was written: the folder, the folder of the files in it, and what they were made from."""

    folder: str
    predictions: str
    eval_set: str
    keyframes: int
    drives: str
    segmenter: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def write_predictions(
    drives: Artifact, segmenter: Artifact, split: Literal["test", "select"], folder: Path
) -> Predicted:
    """Predict every point of every keyframe of a split into a new folder, which is there whole or not at all.

    Drives in nuScenes layout give what its devkit takes; the split `test` of an official version bears its name
    (`val`, `mini_val`, `test`), any other its own. Scans give what the evaluator of their data set takes.

    Raises:
        UsageError: the folder is there already, these drives have other classes than the segmenter, or their table does
            not say where predictions lie.
        DataError: the split is empty, or a LiDAR token cannot name a file.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already: give --out a new folder, so that no other predictions mix in.")
    require_fit(segmenter, drives)
    reader = Drives(drives)
    tokens = reader.tokens(split)
    if not tokens:
        raise DataError(f"drives {drives.id[:12]} have no keyframe in the split {split!r}.")
    model, network = load_segmenter(segmenter)
    name_of = reader.column("lidar_token")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as partial:
        whole = Path(partial) / "whole"
        layout = _open_layout(whole, drives, reader.table, split)
        with Progress("predict", len(tokens), "keyframes") as progress:
            for token, category_N in predict_keyframes(model, reader, network, tokens):
                layout.add(name_of[token], category_N)
                progress.advance()
        if isinstance(layout, Submission):
            layout.write_meta(uses_external_data=segmenter.manifest.summary["init"] != "random")
        whole.rename(folder)
    predictions = folder / layout.predictions.relative_to(whole)
    return Predicted(str(folder), str(predictions), layout.eval_set, len(tokens), drives.id, segmenter.id)


def _open_layout(
    folder: Path, drives: Artifact, table: DataSetTable | None, split: Literal["test", "select"]
) -> Submission | ScanSubmission:
    """The official layout of the data set, with the name that the split has there."""
    if table:
        return ScanSubmission(folder, table, split)
    version = str(drives.manifest.recipe["version"])
    return Submission(folder, EVAL_SETS.get(version, split) if split == "test" else split)
