"""Do frozen image features help at this size? `python -m benchmarks.teacher_probe DRIVES [--scenes 24 12]`.

DRIVES is a folder written by `olivine.synth.write_drives`. A multinomial logistic probe is fitted on single pixels of
the train scenes and scored on those of other scenes, from the frozen features of each image encoder and, as a floor,
from the pixel's colour. The true categories serve the probe alone; no encoder sees them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from olivine.models.image import load_image_encoder, sample_features
from olivine.nuscenes_categories import CATEGORY_NAMES, NUM_CATEGORIES

PIXELS_PER_IMAGE = 256
PENALTY = 1e-4
SIZES = ((288, 512), (224, 416))

Describe = Callable[[Tensor, Tensor], Tensor]
"""(image [H, W, 3] uint8, pixels [M, 2] row and column) -> features [M, D]."""


def images_by_scene(drives: Path) -> tuple[list[list[Path]], list[list[Path]]]:
    """The images of the first keyframe of every scene: of the train scenes, and of the others."""
    recipe = json.loads((drives / "synth.json").read_text())["recipe"]
    scenes = json.loads((drives / recipe["version"] / "scene.json").read_text())
    images: list[list[Path]] = []
    for scene in scenes:
        log = f"synth-{recipe['seed']}-{scene['name'].removeprefix('scene-')}"
        folders = sorted((drives / "samples").glob("CAM_*"))
        images.append([min(folder.glob(f"{log}__*.jpg")) for folder in folders])
    return images[: recipe["num_train_scenes"]], images[recipe["num_train_scenes"] :]


def read(image_file: Path, rng: np.random.Generator) -> tuple[Image.Image, Tensor, Tensor]:
    """The image, random pixels [M, 2] that have a category, and their class 0..15."""
    truth = image_file.parents[2] / "synth_truth" / image_file.parent.name / f"{image_file.stem}_category.png"
    category_HW = np.array(Image.open(truth))
    pixels = np.argwhere((category_HW >= 1) & (category_HW <= NUM_CATEGORIES))
    pixels = rng.permutation(pixels)[:PIXELS_PER_IMAGE]
    categories = category_HW[pixels[:, 0], pixels[:, 1]].astype(np.int64) - 1
    return Image.open(image_file).convert("RGB"), torch.from_numpy(pixels), torch.from_numpy(categories)


def encoded(name: str, size: tuple[int, int]) -> Describe:
    """Features of one encoder on the image resized to `size`, sampled where the pixels fall."""
    encoder = load_image_encoder(name)

    def describe(image_HW3: Tensor, pixels_M2: Tensor) -> Tensor:
        resized = Image.fromarray(image_HW3.numpy()).resize(size[::-1], Image.Resampling.BILINEAR)
        feature_map = encoder.encode(torch.from_numpy(np.array(resized))[None])[0]
        rows_M, cols_M = pixels_M2.unbind(1)
        return sample_features(feature_map, rows_M, cols_M, (image_HW3.shape[0], image_HW3.shape[1]))

    return describe


def colour(image_HW3: Tensor, pixels_M2: Tensor) -> Tensor:
    return image_HW3[pixels_M2[:, 0], pixels_M2[:, 1]].float() / 255


def collect(scenes: list[list[Path]], describe: Describe) -> tuple[Tensor, Tensor]:
    """Features [M, D] and classes [M] of all scenes; the same pixels for every description."""
    rng = np.random.default_rng(0)
    features, classes = [], []
    for file in (file for scene in scenes for file in scene):
        image, pixels_M2, classes_M = read(file, rng)
        features.append(describe(torch.from_numpy(np.array(image)), pixels_M2))
        classes.append(classes_M)
    return torch.cat(features), torch.cat(classes)


def fit(features_MD: Tensor, classes_M: Tensor) -> Callable[[Tensor], Tensor]:
    """Logistic regression from zero by L-BFGS: convex, so without a seed. Returns the predictor."""
    mean_D, std_D = features_MD.mean(0), features_MD.std(0).clamp_min(1e-6)
    standard_MD = (features_MD - mean_D) / std_D
    weight = torch.zeros(features_MD.shape[1], NUM_CATEGORIES, requires_grad=True)
    bias = torch.zeros(NUM_CATEGORIES, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(standard_MD @ weight + bias, classes_M)
        loss = loss + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return lambda other_MD: (((other_MD - mean_D) / std_D) @ weight.detach() + bias.detach()).argmax(1)


def scores(predicted_M: Tensor, classes_M: Tensor) -> tuple[float, Tensor]:
    """Share of pixels that are right, and the IoU [16] of each class, NaN where no pixel has it."""
    pairs = classes_M * NUM_CATEGORIES + predicted_M
    confusion = torch.bincount(pairs, minlength=NUM_CATEGORIES**2).reshape(NUM_CATEGORIES, NUM_CATEGORIES)
    hits, truths = confusion.diag(), confusion.sum(1)
    iou = hits / (truths + confusion.sum(0) - hits)
    return float(hits.sum() / truths.sum()), torch.where(truths > 0, iou, torch.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("drives", type=Path)
    parser.add_argument("--scenes", type=int, nargs=2, default=(24, 12), metavar=("TRAIN", "OTHER"))
    arguments = parser.parse_args()
    train, other = images_by_scene(arguments.drives)
    train, other = train[: arguments.scenes[0]], other[: arguments.scenes[1]]
    contenders: dict[str, Describe] = {"colour of the pixel": colour}
    for name in ("stand_in", "mobilesam"):
        contenders |= {f"{name} {size[0]}x{size[1]}": encoded(name, size) for size in SIZES}
    print(f"{len(train)} train scenes, {len(other)} other scenes, {PIXELS_PER_IMAGE} pixels an image")
    for name, describe in contenders.items():
        predict = fit(*collect(train, describe))
        features_MD, classes_M = collect(other, describe)
        accuracy, iou_C = scores(predict(features_MD), classes_M)
        print(f"{name:24s} accuracy {accuracy:.3f}  mIoU {float(iou_C.nanmean()):.3f}", flush=True)
        listed = zip(CATEGORY_NAMES, iou_C.tolist(), strict=True)
        print("    " + ", ".join(f"{category} {iou:.2f}" for category, iou in listed if iou == iou), flush=True)


if __name__ == "__main__":
    main()
