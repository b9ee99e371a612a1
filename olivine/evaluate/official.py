"""The nuScenes devkit's own evaluator, called on our predictions, beside our own score of the same sweeps."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from olivine.artifacts import Artifact, find_artifact
from olivine.drives import Drives
from olivine.errors import ConfigError, UsageError
from olivine.evaluate.submission import EVAL_SETS, Submission
from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import mean_iou
from olivine.packs import Pack, bytes_array


@dataclass(frozen=True)
class OfficialScore:
    """mIoU (0..1) of the devkit and of our own code over the sweeps of one official split."""

    eval_set: str
    num_sweeps: int
    official_miou: float
    our_miou: float


def score_officially(drives: Artifact, metrics: Artifact, root: Path, version: str) -> OfficialScore:
    """Write the predictions of a `metrics` artifact in the official layout and let the devkit score them.

    Args:
        drives: what was predicted on; gives the sweep's name in the official layout.
        metrics: predictions of at least the official split.
        root, version: the raw data set with its hand labels.

    Raises:
        ConfigError: the devkit is not installed; UsageError: no official split, or not all of it was predicted.
    """
    try:
        from nuscenes import NuScenes
        from nuscenes.eval.lidarseg.evaluate import LidarSegEval
    except ImportError as error:
        raise ConfigError("the nuScenes devkit is not installed: pip install 'olivine[official]'.") from error
    if version not in EVAL_SETS:
        raise UsageError(f"{version} has no official evaluation split; known: {', '.join(EVAL_SETS)}.")
    if not (root / version / "lidarseg.json").is_file():
        raise UsageError(f"{root} has no table {version}/lidarseg.json: give the raw data set with its hand labels.")
    eval_set = EVAL_SETS[version]
    reader, pack = Drives(drives), Pack(metrics)
    lidar_token = reader.column("lidar_token")
    with tempfile.TemporaryDirectory() as folder:
        submission = Submission(Path(folder), eval_set)
        for token in pack.index.column("keyframe"):
            submission.add(lidar_token[token], bytes_array(pack.head(token)["category.npy"]))
        evaluator = LidarSegEval(NuScenes(version, str(root), verbose=False), folder, eval_set)
        missing = set(evaluator.sample_tokens) - set(pack.index.column("keyframe"))
        if missing:
            raise UsageError(f"{len(missing)} keyframes of {eval_set} were not predicted: evaluate the whole split.")
        official = float(evaluator.evaluate()["miou"])
    confusion = Confusion(reader.num_ids)
    for token in evaluator.sample_tokens:
        confusion.add(reader.lidarseg(token), bytes_array(pack.head(token)["category.npy"]), token)
    return OfficialScore(eval_set, len(evaluator.sample_tokens), official, mean_iou(confusion.counts_CC))


def score_artifact(metrics: Artifact, root: Path) -> str:
    """Score a `metrics` artifact officially, with its own drives; one line for people."""
    drives = find_artifact(metrics.store, "ingest", metrics.manifest.inputs["drives"].id)
    if table := Drives(drives).table:
        raise UsageError(
            f"drives {drives.id[:12]} are scans of {table.name}, which the nuScenes devkit does not score: write them "
            "with `olivine predict`, and score the folder with the evaluator of the data set (`olivine score`)."
        )
    score = score_officially(drives, metrics, root, drives.manifest.recipe["version"])
    return (
        f"official evaluator ({score.eval_set}, {score.num_sweeps} sweeps): mIoU {score.official_miou:.6f}, "
        f"ours on the same sweeps: {score.our_miou:.6f}"
    )
