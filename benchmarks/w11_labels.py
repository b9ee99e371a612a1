"""W11, weak labels of two images of 1600 x 900: `python -m benchmarks.w11_labels`.

The reference's order is one image after another, the text encoded for each, one box decoded after another. Ours encodes
the text once and decodes the boxes of an image together. The networks are full-size Grounding DINO (Swin-T) and
MobileSAM, with random parameters: time does not depend on them. On a processor neither takes several images at once,
for it gains nothing there; what a GPU gains by that is not measured here. The masks must be equal.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.inputs import digest
from benchmarks.measure import main, row
from olivine.models.vfm.grounding_dino import GroundingDino
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.vfm.sam import Sam
from olivine.models.vfm.seam import Boxes, Masks

WIDTH, HEIGHT, NUM_IMAGES, NUM_BOXES = 1600, 900, 2, 20
WORDS = ["car", "truck", "bus", "pedestrian", "bicycle", "motorcycle", "barrier", "road", "sidewalk", "building"]


def images() -> list[NDArray[np.uint8]]:
    """Smooth random colours with noise."""
    generator = np.random.default_rng(11)
    coarse = generator.uniform(0, 255, (NUM_IMAGES, HEIGHT // 50, WIDTH // 50, 3))
    smooth = coarse.repeat(50, axis=1).repeat(50, axis=2) + generator.normal(0, 8, (NUM_IMAGES, HEIGHT, WIDTH, 3))
    return list(smooth.clip(0, 255).astype(np.uint8))


def models(folder: Path) -> tuple[Any, Any]:
    """Grounding DINO's network and MobileSAM's, with random parameters."""
    from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
    from segment_anything.modeling import Sam as SamModules
    from transformers import BertConfig, GroundingDinoConfig, GroundingDinoForObjectDetection, SwinConfig

    from olivine.models.image.mobilesam import MobileSamNetwork
    from olivine.models.vfm.grounding_dino_transformers import TransformersGroundingDino, load_tokenizer
    from olivine.models.vfm.sam_original import OriginalSam, SizedEncoder

    torch.manual_seed(0)
    places = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    vocabulary = [*(places.get(id, f"[unused{id}]") for id in range(1030)), *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    stages = ["stage2", "stage3", "stage4"]
    swin = SwinConfig(window_size=7, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], out_features=stages)
    config = GroundingDinoConfig(backbone_config=swin, text_config=BertConfig(vocab_size=len(vocabulary)))
    detector = GroundingDinoForObjectDetection(config)
    for name, tensor in detector.state_dict().items():
        if "bbox_embed" in name and tensor.dim() == 2:
            tensor.normal_(0, 0.03)
    sam = SamModules(
        SizedEncoder(MobileSamNetwork()),
        PromptEncoder(256, (64, 64), (1024, 1024), mask_in_chans=16),
        MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)),
    )
    cpu = torch.device("cpu")
    return TransformersGroundingDino(detector, load_tokenizer(folder), cpu), OriginalSam(sam, cpu)


def reference(detector: GroundingDino, network: Any, sam: Sam, image: NDArray[np.uint8]) -> tuple[Boxes, Masks]:
    """One image: the text forgotten first, one box after another."""
    network.model.model.text_backbone.known.clear()
    boxes = detector.detect([image])[0]
    embedding = sam.embed([image])[0]
    parts = [sam.segment(embedding, (HEIGHT, WIDTH), box_4[None]) for box_4 in boxes.box_K4]
    masks = np.concatenate([part.mask_KHW for part in parts])
    return boxes, Masks(masks, np.concatenate([part.quality_K for part in parts]))


def ours(detector: GroundingDino, sam: Sam, image: NDArray[np.uint8]) -> tuple[Boxes, Masks]:
    """One image: the text is known, all boxes together."""
    boxes = detector.detect([image])[0]
    return boxes, sam.segment(sam.embed([image])[0], (HEIGHT, WIDTH), boxes.box_K4)


def measure(contender: str = "") -> dict[str, Any]:
    """Both orders on both images, interleaved; seconds an image, and whether the masks are the same."""
    cpu, seconds, equal = torch.device("cpu"), {"reference": 0.0, "ours": 0.0}, []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network, segmenter = models(Path(folder))
        detector = GroundingDino(network, WORDS, DetectorRecipe(keep_score=0.0, max_boxes=NUM_BOXES), cpu, 1)
        sam = Sam(segmenter, SegmenterRecipe(), cpu, 1)
        detector.detect([images()[0]])
        for image in images():
            start = time.perf_counter()
            boxes, masks = reference(detector, network, sam, image)
            middle = time.perf_counter()
            our_boxes, our_masks = ours(detector, sam, image)
            seconds["reference"] += middle - start
            seconds["ours"] += time.perf_counter() - middle
            same = np.array_equal(boxes.box_K4, our_boxes.box_K4)
            equal.append(float((masks.mask_KHW == our_masks.mask_KHW).mean()) if same else 0.0)
            assert len(boxes.box_K4) == NUM_BOXES
    return {name: total / NUM_IMAGES for name, total in seconds.items()} | {"equal_pixels": min(equal)}


def run() -> list[dict[str, Any]]:
    """Seconds an image in both orders; the masks must be the same."""
    found = measure()
    about = {"input": f"{NUM_IMAGES} images, {NUM_BOXES} boxes each", "digest": digest(np.stack(images()))}
    line = row("W11", found["ours"], found["reference"], 1.0, "s per image") | about
    return [line | {"equal_pixels": found["equal_pixels"], "met": line["met"] and found["equal_pixels"] == 1.0}]


if __name__ == "__main__":
    main(__doc__, run, measure)
