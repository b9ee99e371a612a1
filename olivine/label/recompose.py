"""`olivine label recompose`: other thresholds on instances that are there already, without a model."""

from __future__ import annotations

import functools

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.errors import DataError, UsageError
from olivine.label.class_list import ClassList
from olivine.label.compose import compose, least_scores
from olivine.label.instances import Instances, none_found, read_instances
from olivine.label.labelers import Found, Labels, pair_labels
from olivine.label.recipe import ComposeRecipe, LabelRecipe
from olivine.label.stage import label_drives
from olivine.packs import Pack

_FOLDER = "instances/"


class RecomposeLabeler:
    """The labeler whose instances are those of an earlier `weak_labels` artifact."""

    is_slow = False

    def __init__(self, weak_labels: Artifact, recipe: ComposeRecipe) -> None:
        self.kind: str = weak_labels.manifest.summary["kind"]
        self.classes = ClassList.model_validate_json(weak_labels.read("classes.json"))
        self._labels, self._index = weak_labels, Pack(weak_labels).index
        self._least, self._nms_iou = least_scores(recipe, self.classes), recipe.nms_iou
        # Keyframes come shard by shard; workers may be in two of them at once.
        self._shard = functools.lru_cache(maxsize=2)(self._read_shard)

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """The instances of a keyframe, composed anew."""
        row = self._index.position(keyframe.token)
        if row is None:
            raise DataError(f"weak labels {self._labels.id[:12]} leave this keyframe out: label the drives again.")
        width, height = drives.image_size
        shard = self._shard(str(self._index.value("shard", row)))
        found = [shard.get((keyframe.token, camera), none_found()) for camera in CAMERAS]
        composites = [compose(item, (height, width), self._least, self._nms_iou) for item in found]
        masks = [composite.category_HW for composite in composites]
        pairs = [Found(*item) for item in zip(found, composites, strict=True)]
        return Labels(pair_labels(masks, keyframe), masks, pairs)

    def _read_shard(self, path: str) -> dict[tuple[str, str], Instances]:
        file = path.replace("shards/", _FOLDER).replace(".tar", ".parquet")
        return read_instances(self._labels.read(file), f"weak labels {self._labels.id[:12]}, {file}")


def recompose(drives: Artifact, weak_labels: Artifact, compose_recipe: ComposeRecipe) -> Artifact:
    """Weak labels of the same instances under another `ComposeRecipe`; everything else is as it was.

    Raises:
        UsageError: labels of other drives, or without instances; a score below that of which boxes were kept.
    """
    weak_labels.require_made_from("drives", drives)
    if not any(blob.path.startswith(_FOLDER) for blob in weak_labels.manifest.data):
        raise UsageError(
            f"weak labels {weak_labels.id[:12]} ({weak_labels.manifest.summary['kind']}) hold no instances: only those "
            "of the labeler grounded_sam can be composed anew."
        )
    old = LabelRecipe.model_validate(
        {name: value for name, value in weak_labels.manifest.recipe.items() if name in LabelRecipe.model_fields}
    )
    kept = old.detector.keep_score
    lowest = min([compose_recipe.score, *compose_recipe.score_by_class.values()])
    if lowest < kept:
        raise UsageError(
            f"a score of {lowest:g} is lower than label.detector.keep_score={kept:g}, below which no box was kept: "
            "label the drives again."
        )
    recipe = old.model_copy(update={"compose": compose_recipe})
    inputs = {"drives": drives.manifest, "weak_labels": weak_labels.manifest}
    return label_drives(drives, RecomposeLabeler(weak_labels, compose_recipe), recipe, inputs)
