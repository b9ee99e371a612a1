"""W10, mIoU of the nuScenes val set: `python -m benchmarks.w10_miou`.

6 019 sweeps x 34 720 points = 209 million labels, raw ground truth (0..31) and predictions (1..16), streamed from two
memory-mapped files, so that no contender holds more than a sweep. Times are per pass over a tenth of the sweeps, at
least three passes; after them ours and the devkit go through all sweeps once, and their figures are compared.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import compare, main, repeat, row
from olivine.metrics.confusion import Confusion
from olivine.metrics.score import score_confusion
from olivine.nuscenes_categories import RAW_CATEGORY_NAMES, RAW_TO_CATEGORY

NUM_SWEEPS, NUM_POINTS, NUM_CATEGORIES = 6_019, 34_720, 17
SHARE = 10
TOLERANCE = 1e-9

Labels = NDArray[np.uint8]
Figures = dict[str, Any]
Pass = Callable[[Labels, Labels], Figures]


def write_labels(folder: Path) -> None:
    """Long-tailed ground truth; predictions are right for about two thirds of the points."""
    generator = np.random.default_rng(0)
    shape = (NUM_SWEEPS, NUM_POINTS)
    truth = np.lib.format.open_memmap(folder / "truth.npy", "w+", np.uint8, shape)
    predicted = np.lib.format.open_memmap(folder / "predicted.npy", "w+", np.uint8, shape)
    frequency = 0.6 ** generator.permutation(len(RAW_CATEGORY_NAMES))
    pool_truth = generator.choice(len(frequency), 100 * NUM_POINTS, p=frequency / frequency.sum()).astype(np.uint8)
    guesses = generator.integers(1, NUM_CATEGORIES, len(pool_truth), dtype=np.uint8)
    right = np.maximum(RAW_TO_CATEGORY[pool_truth], 1)
    pool_predicted = np.where(generator.random(len(pool_truth)) < 0.65, right, guesses)
    for sweep in range(NUM_SWEEPS):
        start = int(generator.integers(0, len(pool_truth) - NUM_POINTS))
        truth[sweep] = pool_truth[start : start + NUM_POINTS]
        predicted[sweep] = pool_predicted[start : start + NUM_POINTS]


def olivine(truth: Labels, predicted: Labels) -> Figures:
    """Ours: look-up table, int64 bincount."""
    confusion = Confusion(NUM_CATEGORIES)
    for target_N, prediction_N in zip(truth, predicted, strict=True):
        confusion.add(RAW_TO_CATEGORY[target_N], prediction_N)
    score = score_confusion(confusion, len(truth))
    return {"miou": score.miou, "fwiou": score.frequency_weighted_iou, "iou": list(score.per_category.values())}


def devkit(truth: Labels, predicted: Labels) -> Figures:
    """The label mapper and confusion matrix of the official evaluator."""
    from nuscenes.eval.lidarseg.utils import ConfusionMatrix, LidarsegClassMapper

    names = {name: index for index, name in enumerate(RAW_CATEGORY_NAMES)}
    mapper = LidarsegClassMapper(SimpleNamespace(lidarseg_name2idx_mapping=names))
    matrix = ConfusionMatrix(NUM_CATEGORIES, ignore_idx=0)
    for target_N, prediction_N in zip(truth, predicted, strict=True):
        matrix.update(mapper.convert_label(target_N), prediction_N)
    iou = matrix.get_per_class_iou()[1:].tolist()
    return {"miou": matrix.get_mean_iou(), "fwiou": matrix.get_freqweighted_iou(), "iou": iou}


def float32_counters(truth: Labels, predicted: Labels) -> Figures:
    """Published formulation: counters in float32, which stop at 2^24; an absent class counts as 1."""
    import torch

    counts = torch.zeros(NUM_CATEGORIES, NUM_CATEGORIES)
    for target_N, prediction_N in zip(truth, predicted, strict=True):
        target = torch.from_numpy(RAW_TO_CATEGORY[target_N]).long()
        prediction = torch.from_numpy(prediction_N.astype(np.int64))
        scored = target > 0
        slots = NUM_CATEGORIES * target[scored] + prediction[scored]
        counts += torch.bincount(slots, minlength=NUM_CATEGORIES**2).reshape(NUM_CATEGORIES, NUM_CATEGORIES)
    hits = counts.diag()[1:]
    union = counts.sum(0)[1:] + counts.sum(1)[1:] - hits
    return {"miou": float(torch.where(union > 0, hits / union, torch.ones(())).mean())}


def torchmetrics(truth: Labels, predicted: Labels) -> Figures:
    """torchmetrics' MulticlassConfusionMatrix with the ignored class left out."""
    import torch
    from torchmetrics.classification import MulticlassConfusionMatrix

    metric = MulticlassConfusionMatrix(NUM_CATEGORIES, ignore_index=0, validate_args=False)
    for target_N, prediction_N in zip(truth, predicted, strict=True):
        target = torch.from_numpy(RAW_TO_CATEGORY[target_N])
        metric.update(torch.from_numpy(prediction_N.astype(np.int64)), target.long())
    counts = metric.compute().double()
    hits = counts.diag()[1:]
    return {"miou": float((hits / (counts.sum(0)[1:] + counts.sum(1)[1:] - hits)).nanmean())}


CONTENDERS: dict[str, Pass] = {
    contender.__name__: contender for contender in (olivine, devkit, float32_counters, torchmetrics)
}


def measure(contender: str, folder: str) -> dict[str, Any]:
    """One contender in this process: passes over a share, then one over everything for ours and the devkit."""
    truth, predicted = (np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("truth", "predicted"))
    call, part = CONTENDERS[contender], slice(0, NUM_SWEEPS // SHARE)
    result = repeat(functools.partial(call, truth[part], predicted[part])) | {
        "share": call(truth[part], predicted[part])
    }
    if contender in ("olivine", "devkit"):
        start = time.perf_counter()
        result["all"] = call(truth, predicted)
        result["all_s"] = time.perf_counter() - start
    return result


def run() -> list[dict[str, Any]]:
    """All contenders; ours must equal the devkit on all labels to 1e-9."""
    with tempfile.TemporaryDirectory() as folder:
        write_labels(Path(folder))
        results = compare("benchmarks.w10_miou", CONTENDERS, "--folder", folder)
    ours, official = results["olivine"], results["devkit"]
    error = _difference(ours["all"], official["all"]) if "all" in official else None
    about = {
        "input": f"{NUM_SWEEPS} sweeps of {NUM_POINTS} labels; times per pass over 1/{SHARE} of them",
        "max_abs_difference_to_devkit": error,
        "contenders": results,
    }
    line = row("W10", ours["median_ms"], official.get("median_ms"), 1.0, f"ms per {NUM_SWEEPS // SHARE} sweeps")
    return [line | {"met": line["met"] and error is not None and error <= TOLERANCE} | about]


def _difference(ours: Figures, official: Figures) -> float:
    """Largest absolute difference of mIoU, frequency-weighted IoU and the IoU of each category."""
    a, b = (np.array([one["miou"], one["fwiou"], *one["iou"]]) for one in (ours, official))
    return float(np.nanmax(np.abs(a - b)))


if __name__ == "__main__":
    main(__doc__, run, measure, "folder")
