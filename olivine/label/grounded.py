"""The labeler `grounded_sam`: boxes from prompts, masks from boxes, one category a pixel composed of them."""

from __future__ import annotations

import threading

import numpy as np

from olivine.drives import CAMERAS, Drives, Keyframe
from olivine.label.class_list import load_class_list
from olivine.label.compose import compose, least_scores
from olivine.label.images import decode_image
from olivine.label.instances import Instances, encode_mask, none_found
from olivine.label.labelers import Found, Labels, pair_labels
from olivine.label.recipe import LabelRecipe
from olivine.models.vfm.seam import Boxes, Detector, Image, Masks, Segmenter


class GroundedSamLabeler:
    """Grounding DINO and Segment Anything behind the seam `Labeler`."""

    kind = "grounded_sam"
    is_slow = True

    def __init__(self, recipe: LabelRecipe) -> None:
        self.classes = load_class_list(recipe.classes)
        self._recipe = recipe
        self._prompts = list(self.classes.prompts)
        self._category_of = np.array(list(self.classes.prompts.values()), np.uint8)
        self._least = least_scores(recipe.compose, self.classes)
        self._detector, self._segmenter = _load_models(recipe, self._prompts)
        # Workers decode and encode at once; the models take one keyframe after another.
        self._models = threading.Lock()

    def label(self, drives: Drives, keyframe: Keyframe) -> Labels:
        """Instances of the six images, composed, and looked up at each pair's pixel."""
        jpegs = zip(CAMERAS, drives.images(keyframe.token), strict=True)
        images = [decode_image(jpeg, camera, drives.image_size) for camera, jpeg in jpegs]
        size = images[0].shape[:2]
        with self._models:
            found = self._find(images, (size[0], size[1]))
        composites = [compose(item, (size[0], size[1]), self._least, self._recipe.compose.nms_iou) for item in found]
        masks = [composite.category_HW for composite in composites]
        pairs = [Found(*item) for item in zip(found, composites, strict=True)]
        return Labels(pair_labels(masks, keyframe), masks, pairs)

    def _find(self, images: list[Image], size: tuple[int, int]) -> list[Instances]:
        boxes = self._detector.detect(images)
        # Nothing was found in the others, and embedding an image is most of the work.
        filled = [number for number, item in enumerate(boxes) if len(item.box_K4)]
        embeddings = dict(zip(filled, self._segmenter.embed([images[number] for number in filled]), strict=True))
        return [
            self._instances(item, self._segmenter.segment(embeddings[number], size, item.box_K4))
            if number in embeddings
            else none_found()
            for number, item in enumerate(boxes)
        ]

    def _instances(self, boxes: Boxes, masks: Masks) -> Instances:
        return Instances(
            box_K4=boxes.box_K4,
            score_K=boxes.score_K,
            category_K=self._category_of[boxes.prompt_K],
            quality_K=masks.quality_K,
            prompts=[self._prompts[prompt] for prompt in boxes.prompt_K.tolist()],
            runs=[encode_mask(mask_HW) for mask_HW in masks.mask_KHW],
        )


def _load_models(recipe: LabelRecipe, prompts: list[str]) -> tuple[Detector, Segmenter]:
    from olivine.models.vfm.load import load_detector, load_segmenter

    device = recipe.execution.device
    detector = load_detector(recipe.detector, prompts, device, recipe.batch_images)
    return detector, load_segmenter(recipe.segmenter, device, recipe.batch_images)
