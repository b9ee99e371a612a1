"""W16, one step of OLIVINE's pretraining on one keyframe: `python -m benchmarks.w16_step`.

Six images of 224 x 416, one sweep, 15 000 pairs, 4 096 of them for each contrastive loss, teacher a dilated ResNet-50
with random parameters. First everything after the frozen encoder and the 3D backbone: image features to heads, losses
and gradients. Then the whole step, with the encoder in fp32 and in bf16 apart. All contenders have the same parameters
and the same pairs, and their losses and gradients are compared.

The reference computes whole feature maps: a 1x1 convolution, upsampling to every pixel, unit length, for both heads;
then it reads 4 096 pixels of each. Its draws and its Bessel function cost it nothing here; its density of pairs, which
it estimates anew in every step, is timed by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.inputs import digest, lidar_sweep
from benchmarks.measure import compare, main, repeat, row
from benchmarks.w1_density import dense_torch
from olivine.losses.vmf import log_normalizer
from olivine.models.cloud import CloudBatch, collate
from olivine.models.image import EncoderRecipe, load_image_encoder
from olivine.models.image.trunk import RANDOM_SEED, build_trunk
from olivine.models.network import prepare_cloud
from olivine.points.density import estimate_density
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.heads import draw_pairs
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import ConsistencyRecipe

IMAGES, HEIGHT, WIDTH, STRIDE, CHANNELS = 6, 224, 416, 4, 2048
NUM_PAIRS, NUM_CATEGORIES = 15_000, 17
RADIAL_BINS = 1_000
NUM_UPDATES = 10_000
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GOALS = {"time": 3.0, "memory": 4.0, "difference": 1e-4}
UNITS = {"median_ms": "ms", "peak_mb": "MB"}
# Phase two: the statistics are there and stay as they are.
RECIPE = PretrainRecipe(consistency=ConsistencyRecipe(statistics_samples=0))

Step = Callable[[], Tensor]


class Given(nn.Module):
    """In place of the backbone: features that are there already and want their gradient."""

    def __init__(self, num_rows: int, out_channels: int) -> None:
        super().__init__()
        self.features_RD = nn.Parameter(torch.randn(num_rows, out_channels, generator=seeded(2)))

    def embed(self, clouds: CloudBatch) -> Tensor:
        """The features of all rows."""
        return self.features_RD


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(maps_ICHW: Tensor | None) -> PretrainBatch:
    """One keyframe: a sweep as the network takes it, pairs and images at random, labels with a long tail."""
    clouds = collate([prepare_cloud(lidar_sweep(), RECIPE.network)])
    generator = np.random.default_rng(0)
    bounds = (IMAGES, HEIGHT, WIDTH)
    frequency = 0.7 ** np.arange(NUM_CATEGORIES)
    label_M = generator.choice(NUM_CATEGORIES, NUM_PAIRS, p=frequency / frequency.sum())
    return PretrainBatch(
        clouds=clouds,
        pair_row_M=torch.from_numpy(generator.integers(0, len(clouds.batch_R), NUM_PAIRS)),
        pixel_M3=torch.from_numpy(np.column_stack([generator.integers(0, bound, NUM_PAIRS) for bound in bounds])),
        label_M=torch.from_numpy(label_M),
        weight_M=torch.from_numpy(generator.random(NUM_PAIRS)),
        num_keyframes=1,
        image_size=(HEIGHT, WIDTH),
        maps_ICHW=maps_ICHW,
        images_IHW3=torch.from_numpy(generator.integers(0, 256, (IMAGES, HEIGHT, WIDTH, 3), dtype=np.uint8)),
    )


def random_maps() -> Tensor:
    """What an encoder might give: float32 [6, 2048, 56, 104], half of it zero."""
    return torch.randn(IMAGES, CHANNELS, HEIGHT // STRIDE, WIDTH // STRIDE, generator=seeded(1)).relu_()


def distiller() -> Distiller:
    """The product's model, with statistics as after phase one."""
    model = Distiller(RECIPE, NUM_CATEGORIES, CHANNELS)
    drawn_KD = torch.randn(NUM_CATEGORIES, RECIPE.embedding_dim, dtype=torch.float64, generator=seeded(3))
    statistics = model.terms["consistency"].statistics
    statistics.mean_KD.copy_(0.6 * functional.normalize(drawn_KD, dim=1))
    statistics.num_updates_K.fill_(NUM_UPDATES)
    return model


class Reference:
    """The published formulation, on the product's parameters."""

    def __init__(self, model: Distiller, data: PretrainBatch) -> None:
        self.model, self.data = model, data
        generator = seeded(0)
        self.uniform_S = draw_pairs(torch.ones_like(data.weight_M), RECIPE.num_pairs, generator)
        self.weighted_S = draw_pairs(data.weight_M, RECIPE.num_pairs, generator)
        statistics = model.terms["consistency"].statistics
        self.kappa_K, self.mu_KD = statistics.concentration.float(), statistics.direction.float()
        self.log_norm_K = log_normalizer(statistics.concentration, RECIPE.embedding_dim).float()

    def loss(self, maps_ICHW: Tensor) -> Tensor:
        """All three terms, weighed as in the recipe."""
        features_RD = self.model.backbone.embed(self.data.clouds)
        point_pixel_RD, semantic_RD = (self._points(level, features_RD) for level in ("point_pixel", "semantic"))
        point_pixel, semantic = (self._dense(level, maps_ICHW) for level in ("point_pixel", "semantic"))
        return (
            RECIPE.weight_point_pixel * self._info_nce(point_pixel_RD, point_pixel)
            + RECIPE.weight_category * self._masked_contrast(semantic_RD, semantic)
            + RECIPE.weight_consistency * self._looped_consistency(semantic_RD)
        )

    def _points(self, level: str, features_RD: Tensor) -> Tensor:
        return functional.normalize(self.model.heads[level].points(features_RD), dim=1)

    def _dense(self, level: str, maps_ICHW: Tensor) -> Tensor:
        """Unit features [6, 64, 224, 416] of every pixel."""
        head = self.model.heads[level].pixels
        low = functional.conv2d(maps_ICHW, head.weight[:, :, None, None], head.bias)
        dense = functional.interpolate(low, scale_factor=STRIDE, mode="bilinear", align_corners=True)
        return functional.normalize(dense, dim=1)

    def _pair(self, features_RD: Tensor, dense: Tensor, drawn_S: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.data.pixel_M3[drawn_S].unbind(1)
        return features_RD[self.data.pair_row_M[drawn_S]], dense.permute(0, 2, 3, 1)[pixels]

    def _info_nce(self, features_RD: Tensor, dense: Tensor) -> Tensor:
        anchor_SD, candidate_SD = self._pair(features_RD, dense, self.uniform_S)
        logits_SS = anchor_SD @ candidate_SD.T / RECIPE.temperature
        return functional.cross_entropy(logits_SS, torch.arange(len(logits_SS)))

    def _masked_contrast(self, features_RD: Tensor, dense: Tensor) -> Tensor:
        """Exponentials of all pairs, and a mask of all pairs for those of one category."""
        anchor_SD, candidate_SD = self._pair(features_RD, dense, self.weighted_S)
        label_S = self.data.label_M[self.weighted_S]
        mask_SS = (label_S[:, None] == label_S[None, :]).float()
        exp_SS = torch.exp(anchor_SD @ candidate_SD.T / RECIPE.temperature)
        positive_S, negative_S = (exp_SS * mask_SS).sum(dim=1), (exp_SS * (1 - mask_SS)).sum(dim=1)
        return -torch.log(positive_S / (positive_S + negative_S)).mean()

    def _looped_consistency(self, features_RD: Tensor) -> Tensor:
        """The features of all pairs, gathered once more for each category."""
        features_MD, label_M = features_RD[self.data.pair_row_M], self.data.label_M
        terms = []
        for category in range(NUM_CATEGORIES):
            mask_M = label_M == category
            if mask_M.sum() != 0:
                similarity_N = features_MD[mask_M] @ self.mu_KD[category]
                terms.append(-self.log_norm_K[category] - self.kappa_K[category] * similarity_N.mean())
        return torch.stack(terms).mean()


def after_encoder(formulation: str) -> tuple[Step, nn.Module]:
    """Maps and backbone features are given; `olivine-planes` gets the maps as our cached features have them."""
    maps_ICHW = random_maps()
    if formulation == "olivine":
        # As the encoder returns them.
        maps_ICHW = maps_ICHW.contiguous(memory_format=torch.channels_last)
    data, model = batch(maps_ICHW), distiller()
    model.backbone = Given(len(data.clouds.batch_R), model.backbone.out_channels)
    if formulation == "reference":
        reference = Reference(model, data)
        return lambda: reference.loss(maps_ICHW), model
    return lambda: model(data, seeded(0))["loss"], model


def whole(formulation: str) -> tuple[Step, nn.Module]:
    """Images and a sweep are given. The reference encodes all images at once, in fp32 and planes."""
    data, model = batch(None), distiller()
    if formulation == "reference":
        reference = Reference(model, data)
        torch.manual_seed(RANDOM_SEED)
        trunk = build_trunk("resnet50", "moco_v2").eval().requires_grad_(False)
        mean, std = (torch.tensor(colour)[:, None, None] for colour in (MEAN, STD))
        images = data.images_IHW3
        assert images is not None
        return lambda: reference.loss(trunk((images.permute(0, 3, 1, 2) / 255 - mean) / std)), model
    recipe = {"name": "resnet50", "family": "moco_v2", "weights": "random", "height": HEIGHT, "width": WIDTH}
    encoder = load_image_encoder(EncoderRecipe.model_validate(recipe | {"precision": formulation.split("-")[1]}))

    def step() -> Tensor:
        return model(replace(data, maps_ICHW=encoder.encode(data.images_IHW3)), seeded(0))["loss"]

    return step, model


AFTER = ("reference", "olivine", "olivine-planes")
WHOLE = ("reference-whole", "olivine-fp32", "olivine-bf16")
DENSITY = {"reference-density": dense_torch, "olivine-density": estimate_density}


def measure(contender: str, folder: str) -> dict[str, Any]:
    """One contender in this process; its loss and gradients are kept in `folder`."""
    if contender in DENSITY:
        radial_M = np.random.default_rng(0).integers(0, RADIAL_BINS, NUM_PAIRS, dtype=np.int32)
        return repeat(lambda: DENSITY[contender](radial_M))
    step, model = after_encoder(contender) if contender in AFTER else whole(contender.removesuffix("-whole"))

    def run_step() -> Tensor:
        model.zero_grad()
        loss = step()
        loss.backward()
        return loss.detach()

    result = repeat(run_step)
    loss = run_step()
    gradient = torch.cat([each.grad.flatten() for each in model.parameters() if each.grad is not None])
    np.save(Path(folder, f"{contender}.npy"), gradient.numpy())
    return result | {"loss": float(loss)}


def run() -> list[dict[str, Any]]:
    """Everything after the encoder (time, memory, agreement), then the whole step, which has no goal of its own."""
    with tempfile.TemporaryDirectory() as folder:
        results = compare("benchmarks.w16_step", (*AFTER, *WHOLE, *DENSITY), "--folder", folder)
        differences = {
            name: difference(results, folder, name, reference)
            for *names, reference in ((*AFTER[1:], AFTER[0]), (WHOLE[1], WHOLE[0]))
            for name in names
            if "loss" in results[name] and "loss" in results[reference]
        }
    after = {"what": "after the encoder: heads, losses, backward"}
    whole_step = {"what": "whole step: encoder, backbone, heads, losses, backward", "goal": "-", "met": None}
    worst = max(differences.values(), default=float("nan"))
    return [
        _row(results, "W16 time", AFTER, "median_ms", GOALS["time"])
        | after
        | {"digest": digest(lidar_sweep()), "contenders": results, "differences": differences},
        _row(results, "W16 memory", AFTER, "peak_mb", GOALS["memory"]) | after,
        row("W16 difference", worst, None, 0.0, "of the largest gradient", what="same losses and gradients")
        | {"reference": 0.0, "goal": f"<= {GOALS['difference']:g}", "met": worst <= GOALS["difference"]},
        *(_row(results, f"W16 {name[8:]}", (WHOLE[0], name), "median_ms", 0.0) | whole_step for name in WHOLE[1:]),
    ]


def _row(
    results: dict[str, dict[str, Any]], name: str, pair: tuple[str, ...], field: str, goal: float
) -> dict[str, Any]:
    """The first of `pair` is the reference, the second ours."""
    theirs, ours = (results[contender].get(field) for contender in pair[:2])
    return row(name, float("nan") if ours is None else ours, theirs, goal, UNITS[field])


def difference(results: dict[str, dict[str, Any]], folder: str, name: str, reference: str) -> float:
    """Greatest difference of gradients (of the greatest gradient) or of losses (of the loss)."""
    ours, theirs = (np.load(Path(folder, f"{each}.npy")) for each in (name, reference))
    losses = results[name]["loss"], results[reference]["loss"]
    return float(max(np.abs(ours - theirs).max() / np.abs(theirs).max(), abs(losses[0] / losses[1] - 1)))


if __name__ == "__main__":
    main(__doc__, run, measure, "folder")
