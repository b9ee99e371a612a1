"""What the KFP UI draws of an evaluated segmenter."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from olivine.artifacts import Artifact
from olivine.drives.classes import class_names


def confusion_metadata(metrics: Artifact) -> dict[str, Any]:
    """The confusion over the classes of the drives as the metadata of a KFP artifact ClassificationMetrics.

    Rows are the hand labels, columns the predictions, both in points; what has no hand label is left out.
    """
    counts_CC = np.load(io.BytesIO(metrics.read("confusion.npy")), allow_pickle=False)[1:, 1:]
    names = [{"displayName": name} for name in class_names(metrics.manifest)]
    return {"confusionMatrix": {"annotationSpecs": names, "rows": [{"row": row} for row in counts_CC.tolist()]}}
