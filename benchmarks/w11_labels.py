"""W11, weak labels of two images of 1600 x 900: `python -m benchmarks.w11_labels`.

The reference's order is one image after another, the text encoded for each, one box decoded after another. Ours encodes
the text once; on a processor images and boxes go one at a time, so that nothing depends on what else is in a batch.
`batched` is what a GPU is given: all images through each network and all boxes of an image at once, on this processor.
The networks are full-size Grounding DINO (Swin-T) and MobileSAM, with random parameters: time does not depend on them.
The masks of ours must be equal; of `batched` the share of equal pixels is reported, for sums of several images are
rounded otherwise.

`points` are masks without boxes: eight points by SAM's own decoder and by ours, which does its products in a cheaper
order. All masks are made; that ours leaves out those of low quality, and enlarges none that is not kept, comes on top.
"""

from __future__ import annotations

import json
import math
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
from olivine.memory import keep_freed_memory
from olivine.models.vfm.grounding_dino import GroundingDino
from olivine.models.vfm.recipe import DetectorRecipe, SegmenterRecipe
from olivine.models.vfm.sam import Sam
from olivine.models.vfm.seam import Boxes, Masks

WIDTH, HEIGHT, NUM_IMAGES, NUM_BOXES, NUM_POINTS = 1600, 900, 2, 20, 8
NO_SLOWER = 0.95
"""On a processor the text and the boxes are little beside the images: what is asked is the same masks, no slower."""
WORDS = ["car", "truck", "bus", "pedestrian", "bicycle", "motorcycle", "barrier", "road", "sidewalk", "building"]


def images(count: int = NUM_IMAGES) -> list[NDArray[np.uint8]]:
    """Smooth random colours with noise."""
    generator = np.random.default_rng(11)
    coarse = generator.uniform(0, 255, (count, HEIGHT // 50, WIDTH // 50, 3))
    smooth = coarse.repeat(50, axis=1).repeat(50, axis=2) + generator.normal(0, 8, (count, HEIGHT, WIDTH, 3))
    return list(smooth.clip(0, 255).astype(np.uint8))


def models(folder: Path, device: torch.device) -> tuple[Any, Any]:
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
    return TransformersGroundingDino(detector, load_tokenizer(folder), device), OriginalSam(sam, device)


def reference(detector: GroundingDino, network: Any, sam: Sam, image: NDArray[np.uint8]) -> tuple[Boxes, Masks]:
    """One image: the text forgotten first, one box after another."""
    network.model.model.text_backbone.known.clear()
    boxes = detector.detect([image])[0]
    embedding = sam.embed([image])[0]
    parts = [sam.segment(embedding, (HEIGHT, WIDTH), box_4[None]) for box_4 in boxes.box_K4]
    masks = np.concatenate([part.mask_KHW for part in parts])
    return boxes, Masks(masks, np.concatenate([part.quality_K for part in parts]))


def ours(detector: GroundingDino, sam: Sam, image: NDArray[np.uint8]) -> tuple[Boxes, Masks]:
    """One image: the text is known."""
    boxes = detector.detect([image])[0]
    return boxes, sam.segment(sam.embed([image])[0], (HEIGHT, WIDTH), boxes.box_K4)


def batched(detector: GroundingDino, sam: Sam, pictures: list[NDArray[np.uint8]]) -> list[tuple[Boxes, Masks]]:
    """All images at once through each network, as on a GPU; the text is known, the boxes of an image together."""
    found = detector._detect_batch(pictures)
    embeddings = sam._embed_batch(pictures)
    sam.boxes_at_once = NUM_BOXES
    return [
        (boxes, sam.segment(embedding, (HEIGHT, WIDTH), boxes.box_K4))
        for boxes, embedding in zip(found, embeddings, strict=True)
    ]


def equal_pixels(one: tuple[Boxes, Masks], other: tuple[Boxes, Masks], tolerance_px: float) -> float:
    """Share of pixels at which the masks of an image are equal; 0 where their boxes are others."""
    (boxes, masks), (other_boxes, other_masks) = one, other
    same = np.allclose(boxes.box_K4, other_boxes.box_K4, rtol=0, atol=tolerance_px)
    return float((masks.mask_KHW == other_masks.mask_KHW).mean()) if same else 0.0


def decode_points(network: Any) -> dict[str, float]:
    """Seconds for the masks of eight points of one random embedding, by the package and by ours, and equal pixels."""
    modules = network.modules
    embedding, point_K2 = torch.randn(1, 256, 64, 64), torch.rand(NUM_POINTS, 2) * 1024

    def by_package() -> torch.Tensor:
        labels = torch.ones(NUM_POINTS, 1, dtype=torch.int)
        sparse, dense = modules.prompt_encoder(points=(point_K2[:, None], labels), boxes=None, masks=None)
        place = modules.prompt_encoder.get_dense_pe()
        return modules.mask_decoder(embedding, place, sparse, dense, multimask_output=True)[0].flatten(0, 1)

    def by_ours() -> torch.Tensor:
        return network.decode_points(embedding, point_K2, -math.inf)[0]

    seconds, masks = {}, {}
    with torch.inference_mode():
        for name, decode in (("points_reference", by_package), ("points", by_ours)):
            decode()
            start = time.perf_counter()
            masks[name] = decode() > 0
            seconds[name] = time.perf_counter() - start
    return seconds | {"equal_pixels_points": float((masks["points"] == masks["points_reference"]).float().mean())}


def measure(contender: str = "", short_side_px: int = 800) -> dict[str, Any]:
    """All orders on all images: seconds an image, and the least share of pixels at which an image's masks are equal.

    The detector sees images of `short_side_px`; 800 is the product's own.
    """
    keep_freed_memory()
    cpu, pictures, found = torch.device("cpu"), images(), {}
    recipe = DetectorRecipe(keep_score=0.0, max_boxes=NUM_BOXES, short_side_px=short_side_px)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network, segmenter = models(Path(folder), cpu)
        detector, sam = GroundingDino(network, WORDS, recipe, cpu, 1), Sam(segmenter, SegmenterRecipe(), cpu, 1)
        orders = {
            "reference": lambda: [reference(detector, network, sam, image) for image in pictures],
            "ours": lambda: [ours(detector, sam, image) for image in pictures],
            "batched": lambda: batched(detector, sam, pictures),
        }
        detector.detect([pictures[0]])
        seconds = {}
        for name, order in orders.items():
            start = time.perf_counter()
            found[name] = order()
            seconds[name] = (time.perf_counter() - start) / NUM_IMAGES
    assert all(len(boxes.box_K4) == NUM_BOXES for boxes, _ in found["reference"])
    shares = {
        f"equal_pixels_{name}": min(map(equal_pixels, found["reference"], found[name], [tolerance_px] * NUM_IMAGES))
        for name, tolerance_px in (("ours", 0.0), ("batched", 0.1))
    }
    return seconds | shares | decode_points(segmenter)


def run() -> list[dict[str, Any]]:
    """Seconds an image in each order, beside the reference's; the masks of ours must be the same."""
    found = measure()
    about = {"input": f"{NUM_IMAGES} images, {NUM_BOXES} boxes each", "digest": digest(np.stack(images()))}
    lines = []
    for name, reference_s, goal, least, unit in (
        ("ours", found["reference"], NO_SLOWER, 1.0, "s per image"),
        ("batched", found["reference"], NO_SLOWER, 0.999, "s per image"),
        ("points", found["points_reference"], 1.5, 0.999, f"s per {NUM_POINTS} points"),
    ):
        equal = found[f"equal_pixels_{name}"]
        line = row(f"W11 {name}", found[name], reference_s, goal, unit, equal_pixels=equal) | about
        lines.append(line | {"met": line["met"] and equal >= least})
    return lines


if __name__ == "__main__":
    main(__doc__, run, measure)
