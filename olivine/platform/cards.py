"""What the KFP UI draws of an evaluated segmenter."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from olivine.artifacts import Artifact
from olivine.nuscenes_categories import CATEGORY_NAMES


def confusion_metadata(metrics: Artifact) -> dict[str, Any]:
    """The confusion over the 16 categories as the metadata of a KFP artifact ClassificationMetrics.

    Rows are the hand labels, columns the predictions, both in points; what has no hand label is left out.
    """
    counts_CC = np.load(io.BytesIO(metrics.read("confusion.npy")), allow_pickle=False)[1:, 1:]
    names = [{"displayName": name} for name in CATEGORY_NAMES]
    return {"confusionMatrix": {"annotationSpecs": names, "rows": [{"row": row} for row in counts_CC.tolist()]}}
