"""What weak labels cost on a GPU: `python -m benchmarks.gpu_labels`.

W11's networks (full-size Grounding DINO and MobileSAM, random parameters) on images of 1600 x 900 with 20 boxes each:
seconds an image for one and for several images at once, in fp32 and fp16, and for the masks without boxes of one image,
all of them made. Beside each: whether a second run gives the same, and how near it is to the processor's, as the share
of boxes found again (scores of random parameters are nearly equal, so which are the best 20 is soon another matter) and
the share of equal pixels of the masks of the same boxes. It needs a GPU and is no part of `make bench`.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Literal

import torch
from torchvision.ops import box_iou

from benchmarks import w11_labels
from benchmarks.w11_labels import equal_pixels
from olivine.models.vfm.automatic import AutomaticMasks
from olivine.models.vfm.grounding_dino import GroundingDino
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.vfm.sam import Sam
from olivine.models.vfm.seam import Boxes, Image, Masks

NUM_IMAGES, SIDE = 8, 16
BATCHES = (1, 2, 4, 8)
SAME_IOU = 0.95
Precision = Literal["fp32", "fp16"]
Found = list[tuple[Boxes, Masks]]


class Labeler:
    """Both networks on one device."""

    def __init__(self, folder: Path, device: torch.device, precision: Precision) -> None:
        detector, segmenter = w11_labels.models(folder, device)
        self._detector, self._segmenter, self._device = detector, segmenter, device
        self._boxes = DetectorRecipe(keep_score=0.0, max_boxes=w11_labels.NUM_BOXES, precision=precision)
        self._masks = SegmenterRecipe(points_per_side=SIDE, min_quality=0.0, precision=precision)

    def label(self, images: list[Image], batch: int) -> Found:
        """Boxes and masks of the images, `batch` at once."""
        detector = GroundingDino(self._detector, w11_labels.WORDS, self._boxes, self._device, batch)
        sam = Sam(self._segmenter, self._masks, self._device, batch)
        boxes, embeddings = detector.detect(images), sam.embed(images)
        return [
            (found, sam.segment(embedding, (image.shape[0], image.shape[1]), found.box_K4))
            for found, embedding, image in zip(boxes, embeddings, images, strict=True)
        ]

    def masks(self, images: list[Image], boxes: list[Boxes]) -> list[Masks]:
        """Masks of given boxes, one image at a time."""
        sam = Sam(self._segmenter, self._masks, self._device, 1)
        return [
            sam.segment(sam.embed([image])[0], (image.shape[0], image.shape[1]), found.box_K4)
            for image, found in zip(images, boxes, strict=True)
        ]

    def segments(self, image: Image, points_at_once: int) -> None:
        """Masks without boxes of an image."""
        finder = AutomaticMasks(Sam(self._segmenter, self._masks, self._device, 1), self._masks)
        finder.points_at_once = points_at_once
        finder.segments(image)


def main() -> None:
    """Print a line for each way of working."""
    if not torch.cuda.is_available():
        sys.exit("gpu_labels: no GPU here.")
    images = w11_labels.images(NUM_IMAGES)
    cuda = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, {NUM_IMAGES} images")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processor = Labeler(Path(folder), torch.device("cpu"), "fp32").label(images[:2], 1)
        precisions: tuple[Precision, ...] = ("fp32", "fp16")
        for precision in precisions:
            measure(Labeler(Path(folder), cuda, precision), precision, images, processor)


def measure(labeler: Labeler, precision: str, images: list[Image], processor: Found) -> None:
    """All batches of one precision, and the masks without boxes."""
    labeler.label(images[:1], 1)
    single: Found = []
    for batch in BATCHES:
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        found = labeler.label(images, batch)
        seconds = (time.perf_counter() - start) / len(images)
        peak_gb = torch.cuda.max_memory_allocated() / 1e9
        single = single or found
        again = labeler.label(images, batch)
        print(
            f"{precision} batch {batch}: {seconds:.3f} s an image, {peak_gb:.2f} GB; the same again: "
            f"{exact(found, again)} images, as one at a time: {exact(found, single)}; boxes found again by one at a "
            f"time: {found_again(found, single):.3f}, by the processor {found_again(found, processor):.3f}"
        )
    masks = labeler.masks(images[: len(processor)], [boxes for boxes, _ in processor])
    equal = min((mine.mask_KHW == theirs.mask_KHW).mean() for mine, (_, theirs) in zip(masks, processor, strict=True))
    print(f"{precision} equal pixels of the masks of the processor's boxes: {equal:.6f}")
    for points in (8, 32, 128):
        labeler.segments(images[0], points)
        start = time.perf_counter()
        labeler.segments(images[0], points)
        print(f"{precision} masks of {SIDE} x {SIDE} points, {points} at once: {time.perf_counter() - start:.3f} s")


def exact(found: Found, other: Found) -> int:
    """How many images have the same boxes and masks to the last bit."""
    return sum(equal_pixels(one, two, 0.0) == 1.0 for one, two in zip(found, other, strict=True))


def found_again(found: Found, other: Found) -> float:
    """The share of boxes that some box of the other has an IoU of SAME_IOU with."""
    iou = [
        box_iou(torch.from_numpy(one.box_K4), torch.from_numpy(two.box_K4)).amax(dim=1)
        for (one, _), (two, _) in zip(found, other, strict=False)
    ]
    return float((torch.cat(iou) >= SAME_IOU).float().mean())


if __name__ == "__main__":
    main()
