"""Batches of pretraining: reproducible, and the pairs follow their points."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from olivine.artifacts import open_artifact
from olivine.packs import Pack, bytes_array
from olivine.points.augment import rotate_flip
from olivine.pretrain.samples import PretrainSamples, Sources
from olivine.recipes import load_recipe


@pytest.fixture
def make(chain):
    backbone = chain.made["pretrain"]
    features = open_artifact(backbone.store, "pretrain", backbone.manifest.summary["image_features"])

    def samples(**changes):
        recipe = load_recipe("tiny_cpu").pretrain.model_copy(update=changes)
        sources = Sources(chain.drives, Pack(chain.made["weigh"]), Pack(features), Pack(chain.made["label"]), 13)
        return PretrainSamples(sources, recipe)

    return samples


def test_the_same_keyframe_in_the_same_epoch_is_the_same_sample(chain, make):
    tokens = chain.drives.tokens("train")[:3]
    first, again = make().batch(tokens, 1), make().batch(tokens, 1)
    assert same(first, again)
    for other in (make().batch(tokens, 2), make(seed=1).batch(tokens, 1)):
        assert not torch.equal(other.clouds.coordinates_V4[:100], first.clouds.coordinates_V4[:100])


def test_a_sample_does_not_depend_on_its_batch(chain, make):
    """So any number of ranks sees the same samples."""
    one, two = chain.drives.tokens("train")[:2]
    alone, second = make().batch([two], 0), make().batch([one, two], 0)
    mine_V = second.clouds.coordinates_V4[:, 0] == 1
    mine_M = second.pixel_M3[:, 0] >= 6
    assert torch.equal(second.clouds.coordinates_V4[mine_V][:, 1:], alone.clouds.coordinates_V4[:, 1:])
    assert torch.equal(second.clouds.features_VF[mine_V], alone.clouds.features_VF)
    assert torch.equal(second.pixel_M3[mine_M] - torch.tensor([6, 0, 0]), alone.pixel_M3)
    assert torch.equal(second.pair_row_M[mine_M] - int((~mine_V).sum()), alone.pair_row_M)
    for name in ("label_M", "weight_M"):
        assert torch.equal(getattr(second, name)[mine_M], getattr(alone, name))
    assert torch.equal(second.maps_ICHW[6:], alone.maps_ICHW)


def test_a_keyframe_with_its_images_is_one_read(chain, make):
    augment = load_recipe("tiny_cpu").pretrain.augment_images.model_copy(update={"enabled": True})
    samples, tokens = make(augment_images=augment), chain.drives.tokens("train")[:2]
    # Each keyframe has a shard of its own.
    shards = {blob.key for blob in chain.made["ingest"].manifest.data if blob.path.startswith("shards/")}
    for epoch in range(2):
        before = Counter(samples.traffic.reads)
        assert samples.batch(tokens, epoch).images_IHW3 is not None
        reads = Counter(samples.traffic.reads) - before
        assert sorted(reads[key] for key in shards if reads[key]) == [1, 1]


def test_pairs_follow_their_points_into_voxels(chain, make):
    token = chain.drives.tokens("train")[4]
    recipe = load_recipe("tiny_cpu").pretrain
    batch = make(drop_cuboid_share=0.0).batch([token], 3)
    keyframe = chain.drives.keyframe(token)
    rng = np.random.default_rng((recipe.seed, 3, int(token[:8], 16)))
    moved_N4 = rotate_flip(keyframe.points_N4, rng)
    cells_N3 = np.floor(moved_N4[:, :3].astype(np.float64) / recipe.network.voxel_size)
    found_M3 = batch.clouds.coordinates_V4[batch.pair_row_M][:, 1:].numpy()
    assert np.array_equal(found_M3, cells_N3[keyframe.pair_point_M])
    head = Pack(chain.made["weigh"]).head(token)
    assert np.array_equal(batch.label_M, bytes_array(head["pair_label.npy"]))
    assert np.array_equal(batch.weight_M, bytes_array(head["pair_weight.npy"]))
    assert np.array_equal(batch.pixel_M3, keyframe.pair_pixel_M3)
    tensors = vars(batch) | vars(batch.clouds)
    dtypes = {name: value.dtype for name, value in tensors.items() if isinstance(value, torch.Tensor)}
    assert dtypes == {
        "coordinates_V4": torch.int32,
        "features_VF": torch.float32,
        "batch_R": torch.int64,
        "pair_row_M": torch.int64,
        "pixel_M3": torch.int64,
        "label_M": torch.int64,
        "weight_M": torch.float64,
        "maps_ICHW": torch.float32,
    }
    assert batch.num_keyframes == 1


def test_a_dropped_cuboid_takes_its_pairs_with_it(chain, make):
    token = chain.drives.tokens("train")[4]
    whole = make(drop_cuboid_share=0.0).batch([token], 0)
    cut = next(
        batch
        for epoch in range(20)
        if len((batch := make(drop_cuboid_share=0.9, drop_cuboid_min_pairs=1).batch([token], epoch)).label_M)
        < len(whole.label_M)
    )
    assert len(cut.label_M) == len(cut.weight_M) == len(cut.pixel_M3) == len(cut.pair_row_M)
    assert int(cut.pair_row_M.max()) < len(cut.clouds.coordinates_V4) < len(whole.clouds.coordinates_V4)
    # What is left of the pairs is left with its own label and weight.
    assert not rows_of(cut) - rows_of(whole)


def same(first, second):
    """Whether two batches (or parts of them) are equal in every tensor."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if hasattr(first, "__dict__"):
        return all(same(value, getattr(second, name)) for name, value in vars(first).items())
    return first == second


def rows_of(batch):
    pixels, labels, weights = batch.pixel_M3.tolist(), batch.label_M.tolist(), batch.weight_M.tolist()
    return Counter((*pixel, label, weight) for pixel, label, weight in zip(pixels, labels, weights, strict=True))
