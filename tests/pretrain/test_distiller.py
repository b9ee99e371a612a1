"""The model of pretraining: its three losses against dense formulas, its draws, its two phases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.nn import functional

from olivine.models.cloud import CloudBatch, collate
from olivine.models.network import prepare_cloud
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe
from olivine.pretrain.batch import PretrainBatch
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.heads import draw_pairs
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import ConsistencyRecipe

CLASSES, CHANNELS, IMAGE = 5, 7, (32, 24)
HEADS = [f"heads.{level}.{side}" for level in ("point_pixel", "semantic") for side in ("points", "pixels")]
NETWORK = NetworkRecipe(widths=(4,) * 9, blocks=(1,) * 8, coordinates="cartesian")


def recipe(num_pairs=10_000, **changes):
    consistency = ConsistencyRecipe(update_rate=0.1, statistics_samples=4)
    values = {"network": NETWORK, "embedding_dim": 8, "num_pairs": num_pairs, "consistency": consistency, "seed": 2}
    return PretrainRecipe(**values | changes)


def make_batch(num_pairs=300, seed=0):
    """Two keyframes; a third of the pairs without a weak label."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.unique(torch.randint(0, 8, (200, 3), generator=generator), dim=0).int()
    batch_V1 = (torch.arange(len(cells)) % 2).int()[:, None]
    label_M = torch.randint(0, CLASSES, (num_pairs,), generator=generator)
    label_M[::3] = 255
    weight_M = torch.rand(num_pairs, dtype=torch.float64, generator=generator)
    weight_M[::3] = 0
    pixels = [torch.randint(0, side, (num_pairs,), generator=generator) for side in (12, IMAGE[1], IMAGE[0])]
    return PretrainBatch(
        clouds=CloudBatch(
            torch.cat([batch_V1, cells], 1), torch.rand(len(cells), 1, generator=generator), batch_V1[:, 0].long()
        ),
        pair_row_M=torch.randint(0, len(cells), (num_pairs,), generator=generator),
        pixel_M3=torch.stack(pixels, 1),
        label_M=label_M,
        weight_M=weight_M,
        num_keyframes=2,
        image_size=IMAGE[::-1],
        maps_ICHW=torch.randn(12, CHANNELS, 6, 8, generator=generator),
    )


def make(**changes):
    return Distiller(recipe(**changes), CLASSES, CHANNELS)


def unit(features):
    return features / features.norm(dim=1, keepdim=True)


def image_side(head, batch):
    """As the reference does it: head on the map, upsample to full size with aligned corners, normalise, then look."""
    projected = functional.conv2d(batch.maps_ICHW, head.weight[:, :, None, None], head.bias)
    full = functional.interpolate(projected, size=IMAGE[::-1], mode="bilinear", align_corners=True)
    image, row, column = batch.pixel_M3.T
    return unit(functional.normalize(full, dim=1)[image, :, row, column])


def point_side(head, backbone_VD, batch):
    return unit(backbone_VD @ head.kernel + head.bias)[batch.pair_row_M]


def dense_losses(distiller, batch):
    """Every pair is drawn, so the order alone is random: the formulas over all pairs are exact."""
    with torch.no_grad():
        backbone_VD = distiller.backbone.embed(batch.clouds)
        logits = (
            point_side(distiller.heads["point_pixel"].points, backbone_VD, batch)
            @ image_side(distiller.heads["point_pixel"].pixels, batch).T
            / 0.07
        ).double()
        point_pixel = -(logits.diagonal() - logits.logsumexp(1)).mean()
        known = batch.label_M != 255
        semantic = point_side(distiller.heads["semantic"].points, backbone_VD, batch)[known]
        logits = (semantic @ image_side(distiller.heads["semantic"].pixels, batch)[known].T / 0.07).double()
        label = batch.label_M[known]
        same = label[:, None] == label[None]
        within = logits.masked_fill(~same, -math.inf).logsumexp(1)
        return point_pixel, -(within - logits.logsumexp(1)).mean(), semantic, label


def test_losses_equal_the_dense_formulas():
    distiller, batch = make(weight_point_pixel=0.3, weight_category=0.7), make_batch()
    distiller.train()
    twin = make(weight_point_pixel=0.3, weight_category=0.7).train()
    losses = distiller(batch, torch.Generator().manual_seed(0))
    point_pixel, category, _, _ = dense_losses(twin, batch)
    assert losses["point_pixel"].item() == pytest.approx(point_pixel.item(), rel=1e-4)
    assert losses["category"].item() == pytest.approx(category.item(), rel=1e-4)
    assert losses["consistency"].item() == 0.0
    assert losses["loss"].item() == pytest.approx(0.3 * point_pixel.item() + 0.7 * category.item(), rel=1e-4)


def test_a_voxelnet_may_be_sampled_behind_its_heads():
    """The switch reaches the terms: the same parameters, other embeddings, some shorter than one."""
    rng = np.random.default_rng(0)
    points_N4 = np.column_stack([rng.normal(0, 9, (200, 3)) * [1, 1, 0.1], rng.integers(0, 256, 200)]).astype(
        np.float32
    )
    small = {"radius_m": 25.6, "height_m": (-2.0, 3.0), "voxel_size": (0.4, 0.4, 0.2), "widths": (3, 4, 5, 4, 6)}
    network = NetworkRecipe(kind="voxelnet", voxelnet=VoxelNetRecipe(**small))
    clouds = collate([prepare_cloud(points_N4, network)])
    lengths = {}
    for sampled in ("features", "embeddings"):
        distiller = make(network=network, sampled=sampled).eval()
        with torch.no_grad():
            embeddings = distiller._embeddings(replace(make_batch(), clouds=clouds))
            rows = embeddings.all_points("semantic")
            assert torch.equal(rows[[2, 5]], embeddings.points("semantic", torch.tensor([2, 5])))
        lengths[sampled] = rows.norm(dim=1)
    assert lengths["features"].min() > 1 - 1e-5
    assert lengths["embeddings"].min() < 0.99


def test_the_category_loss_draws_by_weight_and_the_point_pixel_loss_does_not():
    """Pairs without weight take part in the one and not in the other."""
    batch = make_batch()
    weight_M = torch.where(torch.arange(len(batch.weight_M)) < 200, batch.weight_M, 0)
    batch = PretrainBatch(**vars(batch) | {"weight_M": weight_M})
    point_pixel, _, _, _ = dense_losses(make().train(), batch)
    heavy = PretrainBatch(
        **vars(batch) | {name: getattr(batch, name)[:200] for name in ("pair_row_M", "pixel_M3", "label_M", "weight_M")}
    )
    _, category, _, _ = dense_losses(make().train(), heavy)
    losses = make().train()(batch, torch.Generator().manual_seed(0))
    assert losses["category"].item() == pytest.approx(category.item(), rel=1e-4)
    assert losses["point_pixel"].item() == pytest.approx(point_pixel.item(), rel=1e-4)


def test_the_second_phase_is_the_likelihood_under_the_gathered_statistics():
    """Two keyframes a batch and four to gather: statistics move in two steps, then freeze and the loss begins."""
    distiller, batch = make(), make_batch()
    distiller.train()
    generator = torch.Generator().manual_seed(0)
    mean_KD = torch.zeros(CLASSES, 8, dtype=torch.float64)
    for step in range(2):
        twin = make().train()
        twin.load_state_dict(distiller.state_dict())
        assert distiller(make_batch(seed=step), generator)["consistency"].item() == 0.0
        _, _, semantic, label = dense_losses(twin, make_batch(seed=step))
        for k in range(CLASSES):
            mean_KD[k] += 0.1 * (semantic[label == k].double().mean(0) - mean_KD[k])
    torch.testing.assert_close(distiller.terms["consistency"].statistics.mean_KD, mean_KD, rtol=1e-5, atol=1e-7)
    assert int(distiller.terms["consistency"].statistics.samples_seen) == 4
    twin = make().train()
    twin.load_state_dict(distiller.state_dict())
    found = distiller(batch, generator)["consistency"].item()
    _, _, semantic, label = dense_losses(twin, batch)
    assert torch.equal(
        distiller.terms["consistency"].statistics.mean_KD, twin.terms["consistency"].statistics.mean_KD
    ), "frozen"
    terms = []
    for k in label.unique().tolist():
        resultant = mean_KD[k].norm().item()
        kappa = resultant * (8 - resultant**2) / (1 - resultant**2)
        bessel = math.log(special.ive(3, kappa)) + kappa
        log_normalizer = 3 * math.log(kappa) - 4 * math.log(2 * math.pi) - bessel
        cosine = (semantic[label == k].double() @ (mean_KD[k] / resultant)).mean().item()
        terms.append(-log_normalizer - kappa * cosine)
    assert found == pytest.approx(np.mean(terms), rel=1e-4)


def test_keep_updating_moves_the_statistics_in_the_second_phase():
    consistency = ConsistencyRecipe(update_rate=0.1, statistics_samples=0, keep_updating=True)
    distiller = make(consistency=consistency).train()
    losses = distiller(make_batch(), torch.Generator().manual_seed(0))
    assert int(distiller.terms["consistency"].statistics.samples_seen) == 2
    assert losses["consistency"].item() != 0.0


def test_the_gradient_reaches_all_four_heads_and_the_backbone():
    distiller = make(consistency=ConsistencyRecipe(update_rate=0.1, statistics_samples=0, keep_updating=True)).train()
    distiller(make_batch(), torch.Generator().manual_seed(0))["loss"].backward()
    for name, parameter in distiller.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for part in ("backbone", *HEADS):
        gradients = [parameter.grad for parameter in distiller.get_submodule(part).parameters()]
        assert any(gradient.abs().max() > 0 for gradient in gradients), part


@pytest.mark.parametrize("weight", ["weight_point_pixel", "weight_category", "weight_consistency"])
def test_each_branch_has_heads_of_its_own(weight):
    weights = dict.fromkeys(("weight_point_pixel", "weight_category", "weight_consistency"), 0.0) | {weight: 1.0}
    consistency = ConsistencyRecipe(update_rate=0.1, statistics_samples=0, keep_updating=True)
    distiller = make(consistency=consistency, **weights).train()
    distiller(make_batch(), torch.Generator().manual_seed(0))["loss"].backward()
    touched = {
        name
        for name, module in distiller.named_modules()
        if name in HEADS and any(p.grad is not None and p.grad.abs().max() > 0 for p in module.parameters())
    }
    expected = {
        "weight_point_pixel": {"heads.point_pixel.points", "heads.point_pixel.pixels"},
        "weight_category": {"heads.semantic.points", "heads.semantic.pixels"},
        "weight_consistency": {"heads.semantic.points"},
    }
    assert touched == expected[weight]


def test_no_pair_and_no_label_give_a_loss_with_a_graph():
    batch = make_batch()
    empty = PretrainBatch(
        **vars(batch) | {name: getattr(batch, name)[:0] for name in ("pair_row_M", "pixel_M3", "label_M", "weight_M")}
    )
    unlabelled = PretrainBatch(
        **vars(batch) | {"label_M": torch.full_like(batch.label_M, 255), "weight_M": 0 * batch.weight_M}
    )
    for odd in (empty, unlabelled):
        losses = make().train()(odd, torch.Generator().manual_seed(0))
        assert losses["category"].item() == losses["consistency"].item() == 0.0
        losses["loss"].backward()


def test_the_seed_decides_the_heads():
    first, same, other = (make(seed=seed).state_dict() for seed in (2, 2, 3))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["heads.semantic.pixels.weight"], other["heads.semantic.pixels.weight"])
    assert not torch.equal(first["heads.semantic.pixels.weight"], first["heads.point_pixel.pixels.weight"])


def test_draws_are_without_replacement_among_pairs_with_weight():
    weight_M = torch.tensor([0.0, 1.0, 2.0, 0.0, 1e-30, 5.0], dtype=torch.float64)
    drawn = draw_pairs(weight_M, 10, torch.Generator().manual_seed(0))
    assert sorted(drawn.tolist()) == [1, 2, 4, 5]
    assert len(draw_pairs(weight_M, 3, torch.Generator().manual_seed(0))) == 3
    assert len(draw_pairs(torch.zeros(4), 3, torch.Generator())) == 0


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.4], [1e-3, 1.0, 2.0, 5.0]])
def test_the_first_draw_follows_the_weights(weights):
    weight_M = torch.tensor(weights, dtype=torch.float64)
    generator = torch.Generator().manual_seed(11)
    counts = np.bincount([draw_pairs(weight_M, 1, generator).item() for _ in range(8000)], minlength=4)
    expected = 8000 * np.array(weights) / sum(weights)
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_a_pair_of_draws_follows_the_weights_without_replacement():
    weight_M = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    pairs = [tuple(draw_pairs(weight_M, 2, generator).tolist()) for _ in range(6000)]
    expected = {
        (a, b): 6000 * weight_M[a] / 6 * weight_M[b] / (6 - weight_M[a]) for a in range(3) for b in range(3) if a != b
    }
    found = [pairs.count(pair) for pair in expected]
    assert stats.chisquare(found, [value.item() for value in expected.values()]).pvalue > 0.01
