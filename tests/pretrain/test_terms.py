"""Each term of a distiller against double loops in float64 over the features that its own modules give."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from olivine.models.cloud import CloudBatch
from olivine.pretrain.batch import LaterSweep, SecondView, Segments
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.recipe import PretrainRecipe
from olivine.pretrain.term_recipes import (
    MomentumRecipe,
    RegressionRecipe,
    SuperpixelTermRecipe,
    TemporalRecipe,
    ViewsRecipe,
)
from pretrain.test_distiller import CHANNELS, CLASSES, IMAGE, NETWORK, make_batch

OFF = {"weight_point_pixel": 0.0, "weight_category": 0.0, "weight_consistency": 0.0}
T = 0.07


def make(**terms):
    return Distiller(
        PretrainRecipe(network=NETWORK, embedding_dim=8, num_pairs=10_000, seed=2, **(OFF | terms)), CLASSES, CHANNELS
    ).train()


def with_segments(batch, seed=0, size=(6, 8)):
    """Twelve maps of up to four segments each, some pixels and pairs in none."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randint(-1, 4, (12, *size), generator=generator)
    maps = torch.where(maps < 0, -1, maps + 4 * torch.arange(12)[:, None, None])
    pair = torch.randint(-1, 4, (len(batch.label_M),), generator=generator)
    pair = torch.where(pair < 0, -1, pair + 4 * batch.pixel_M3[:, 0])
    return replace(batch, segments=Segments(pair, maps, 48))


def other_clouds(batch):
    """The same voxels with other intensities, in another order."""
    order = torch.randperm(len(batch.clouds.features_VF), generator=torch.Generator().manual_seed(5))
    features = batch.clouds.features_VF * 0.5 + 0.1
    return CloudBatch(batch.clouds.coordinates_V4[order], features[order], batch.clouds.batch_R[order]), order


def info_nce(anchors, candidates, positive):
    """-(1/N) sum_i log( exp(<a_i, c_p(i)>/T) / sum_j exp(<a_i, c_j>/T) ), written out."""
    total = 0.0
    for anchor, p in zip(anchors.double(), positive, strict=True):
        logits = [float(anchor @ candidate) / T for candidate in candidates.double()]
        highest = max(logits)
        total -= logits[p] - highest - math.log(sum(math.exp(logit - highest) for logit in logits))
    return total / len(anchors)


def points(distiller, batch, features_RD=None):
    head = distiller.heads["point_pixel"].points
    features_RD = distiller.backbone.embed(batch.clouds) if features_RD is None else features_RD
    return functional.normalize(features_RD @ head.kernel + head.bias, dim=1)


def dense_pixels(distiller, batch):
    """The reference's way: head, upsampling of whole maps, normalisation: [12, D, H, W]."""
    head = distiller.heads["point_pixel"].pixels
    projected = functional.conv2d(batch.maps_ICHW, head.weight[:, :, None, None], head.bias)
    full = functional.interpolate(projected, size=IMAGE[::-1], mode="bilinear", align_corners=True)
    return functional.normalize(full, dim=1)


def pooled(distiller, batch, size):
    """Means of points and pixels of the segments that have both, by loops. Map pixel r shows image row r * H / h."""
    segments, point_RD, pixel_IDHW = batch.segments, points(distiller, batch), dense_pixels(distiller, batch)
    k, q, teacher = [], [], []
    maps_full = functional.interpolate(batch.maps_ICHW, size=IMAGE[::-1], mode="bilinear", align_corners=True)
    for segment in range(segments.num_segments):
        members = batch.pair_row_M[segments.pair_M == segment]
        places = (segments.maps_IHW == segment).nonzero().tolist()
        if not len(members) or not places:
            continue
        k.append(point_RD[members].double().mean(0))
        at = [(i, r * IMAGE[1] // size[0], c * IMAGE[0] // size[1]) for i, r, c in places]
        q.append(torch.stack([pixel_IDHW[i, :, r, c].double() for i, r, c in at]).mean(0))
        teacher.append(torch.stack([maps_full[i, :, r, c].double() for i, r, c in at]).mean(0))
    return torch.stack(k), torch.stack(q), torch.stack(teacher)


def loss_of(distiller, batch):
    losses = distiller(batch, torch.Generator().manual_seed(0))
    (name,) = set(losses) - {"loss"}
    losses["loss"].backward()
    return name, losses[name].item()


def without_pixels(batch, segments):
    """The same, but these segments are nowhere in the maps, though they have points."""
    maps = batch.segments.maps_IHW.clone()
    maps[torch.isin(maps, torch.tensor(segments))] = -1
    return replace(batch, segments=replace(batch.segments, maps_IHW=maps))


@pytest.mark.parametrize("normalize", [False, True])
def test_superpixels(normalize):
    batch = without_pixels(with_segments(make_batch()), [1, 6, 30])
    recipe = SuperpixelTermRecipe(weight=1.0, normalize=normalize)
    name, found = loss_of(make(superpixel=recipe), batch)
    with torch.no_grad():
        k, q, _ = pooled(make(superpixel=recipe), batch, (6, 8))
    if normalize:
        k, q = functional.normalize(k, dim=1), functional.normalize(q, dim=1)
    assert name == "superpixel"
    assert found == pytest.approx(info_nce(k, q, range(len(k))), rel=1e-5)


def test_no_superpixel_with_a_point_and_a_pixel_is_no_loss():
    batch = without_pixels(with_segments(make_batch()), list(range(48)))
    assert loss_of(make(superpixel=SuperpixelTermRecipe(weight=1.0)), batch) == ("superpixel", 0.0)


def test_pixels_may_be_thinned():
    batch = with_segments(make_batch())
    thin = replace(batch, segments=replace(batch.segments, maps_IHW=batch.segments.maps_IHW.clone()))
    thin.segments.maps_IHW[:, 1::2] = -1
    thin.segments.maps_IHW[:, :, 1::2] = -1
    every = loss_of(make(superpixel=SuperpixelTermRecipe(weight=1.0, pixel_stride=2)), batch)
    assert every[1] == pytest.approx(loss_of(make(superpixel=SuperpixelTermRecipe(weight=1.0)), thin)[1], rel=1e-5)


@pytest.mark.parametrize("tolerance", ["left_out", "zero_logit"])
def test_tolerant_superpixels_use_the_teacher(tolerance):
    """The formula is tested with the loss; here, that it gets the teacher's own pooled features and these settings."""
    from olivine.losses.tolerant import tolerant_info_nce

    batch = without_pixels(with_segments(make_batch()), [1, 6, 30])
    recipe = SuperpixelTermRecipe(weight=1.0, tolerance=tolerance, tolerated_share=0.2, similar_from=0.6)
    _, found = loss_of(make(superpixel=recipe), batch)
    with torch.no_grad():
        k, q, teacher = pooled(make(superpixel=recipe), batch, (6, 8))
    expected = tolerant_info_nce(k, q, teacher, T, dropped_share=0.2, similar_from=0.6, dropped_form=tolerance)
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_regression_is_the_mean_distance_to_the_teacher():
    batch = make_batch()
    name, found = loss_of(make(regression=RegressionRecipe(weight=1.0)), batch)
    distances = distances_to_the_teacher(batch)
    assert name == "regression"
    assert found == pytest.approx(sum(distances) / len(distances), rel=1e-5)


def test_regression_of_a_draw_is_the_mean_of_that_many_pairs():
    batch = make_batch()
    _, found = loss_of(make(regression=RegressionRecipe(weight=1.0, num_pairs=2)), batch)
    means = [(one + other) / 2 for one, other in itertools.combinations(distances_to_the_teacher(batch), 2)]
    assert min(abs(mean - found) for mean in means) < 1e-5


def distances_to_the_teacher(batch):
    twin = make(regression=RegressionRecipe(weight=1.0))
    with torch.no_grad():
        head = twin.terms["regression"].head
        features = twin.backbone.embed(batch.clouds)[batch.pair_row_M] @ head.kernel + head.bias
        full = functional.interpolate(batch.maps_ICHW, size=IMAGE[::-1], mode="bilinear", align_corners=True)
    image, row, column = batch.pixel_M3.T
    return [
        float((mine / mine.norm() - theirs / theirs.norm()).norm())
        for mine, theirs in zip(features.double(), full[image, :, row, column].double(), strict=True)
    ]


@pytest.mark.parametrize("symmetric", [False, True])
def test_views(symmetric):
    batch = make_batch()
    clouds, order = other_clouds(batch)
    first = torch.arange(0, len(order), 3)
    second = torch.argsort(order)[first]
    batch = replace(batch, view=SecondView(clouds, first, second), maps_ICHW=None)
    recipe = ViewsRecipe(weight=1.0, symmetric=symmetric)
    distiller, twin = (
        Distiller(PretrainRecipe(network=NETWORK, embedding_dim=8, views=recipe, **OFF), CLASSES, 0).train()
        for _ in range(2)
    )
    name, found = loss_of(distiller, batch)
    with torch.no_grad():
        a = points(twin, batch)[first]
        b = points(twin, batch, twin.backbone.embed(clouds))[second]
    expected = info_nce(a, b, range(len(a)))
    if symmetric:
        expected = (expected + info_nce(b, a, range(len(a)))) / 2
    assert name == "views"
    assert found == pytest.approx(expected, rel=1e-5)


def test_temporal():
    batch = with_segments(make_batch())
    clouds, _ = other_clouds(batch)
    row_K, segment_K = torch.arange(0, 40, 2), torch.arange(20) % 48
    batch = replace(batch, later=LaterSweep(clouds, row_K, segment_K))
    terms = {"temporal": TemporalRecipe(weight=1.0)}
    name, found = loss_of(make(**terms), batch)
    twin = make(**terms)
    with torch.no_grad():
        point_RD = points(twin, batch)
        members = {s: batch.pair_row_M[batch.segments.pair_M == s] for s in range(48)}
        held = [s for s in range(48) if len(members[s])]
        means = torch.stack([point_RD[members[s]].double().mean(0) for s in held])
        later = points(twin, batch, twin.backbone.embed(clouds))[row_K]
    counted = [(z, held.index(int(s))) for z, s in zip(later, segment_K, strict=True) if int(s) in held]
    expected = info_nce(torch.stack([z for z, _ in counted]), means, [p for _, p in counted])
    assert name == "temporal"
    assert found == pytest.approx(expected, rel=1e-5)


def test_momentum_contrasts_clouds_with_the_queue_and_follows():
    batch = make_batch()
    clouds, order = other_clouds(batch)
    batch = replace(batch, view=SecondView(clouds, order[:1], order[:1]), maps_ICHW=None)
    recipe = MomentumRecipe(weight=1.0, queue_size=5, key_momentum=0.9, embedding_dim=6)
    distiller = Distiller(PretrainRecipe(network=NETWORK, momentum=recipe, **OFF), CLASSES, 0).train()
    term = distiller.terms["momentum"]
    generator = torch.Generator().manual_seed(0)
    first = distiller(batch, generator)["momentum"]
    assert first.item() == pytest.approx(0.0, abs=1e-6), "an empty queue has no negative"
    assert int(term.queue.num_filled) == 2
    state = {name: tensor.clone() for name, tensor in distiller.state_dict().items()}
    found = distiller(batch, generator)["momentum"].item()

    twin = Distiller(PretrainRecipe(network=NETWORK, momentum=recipe, **OFF), CLASSES, 0).train()
    twin.load_state_dict(state)
    mine = twin.terms["momentum"]
    with torch.no_grad():
        rows, keys = twin.backbone.embed(batch.clouds), mine.key_backbone.embed(clouds)
        query = [mine.projector(rows[batch.clouds.batch_R == b].amax(0)) for b in range(2)]
        key = [mine.key_projector(keys[clouds.batch_R == b].amax(0)) for b in range(2)]
    total = 0.0
    for q, k in zip(query, key, strict=True):
        q, k = q.double() / q.double().norm(), k.double() / k.double().norm()
        others = [float(q @ other.double()) / T for other in mine.queue.filled]
        logits = [float(q @ k) / T, *others]
        total += math.log(sum(math.exp(logit) for logit in logits)) - logits[0]
    assert found == pytest.approx(total / 2, rel=1e-4)
    before = [parameter.clone() for parameter in term.key_backbone.parameters()]
    with torch.no_grad():
        for parameter in distiller.backbone.parameters():
            parameter += 1.0
    distiller.after_step()
    online = list(distiller.backbone.parameters())
    for old, new, fast in zip(before, term.key_backbone.parameters(), online, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * fast)
    assert not any(parameter.requires_grad for parameter in term.key_backbone.parameters())


def test_shared_heads_are_one_pair():
    shared = Distiller(PretrainRecipe(network=NETWORK, decoupled_heads=False), CLASSES, CHANNELS)
    assert set(shared.heads) == {"point_pixel"}
    apart = Distiller(PretrainRecipe(network=NETWORK), CLASSES, CHANNELS)
    assert set(apart.heads) == {"point_pixel", "semantic"}
    losses = shared.train()(make_batch(), torch.Generator().manual_seed(0))
    losses["category"].backward()
    assert shared.heads["point_pixel"].points.kernel.grad.abs().max() > 0
