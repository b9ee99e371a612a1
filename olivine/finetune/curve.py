"""The curve that shows whether a fine-tuning has reached its plateau: mIoU on `select`, never on `test`."""

from __future__ import annotations

from olivine.drives import Drives
from olivine.metrics.confusion import Confusion
from olivine.metrics.iou import mean_iou
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.predict import predict_keyframes
from olivine.models.segmenter import Segmenter


def select_miou(segmenter: Segmenter, drives: Drives, network: NetworkRecipe) -> float:
    """Full-point mIoU of the segmenter as it is, over the `select` split."""
    confusion = Confusion(drives.num_ids)
    for token, category_N in predict_keyframes(segmenter, drives, network, drives.tokens("select")):
        confusion.add(drives.lidarseg(token), category_N, token)
    return mean_iou(confusion.counts_CC)
