"""Two ways to the same sampling weights: the stage `weigh` ahead of time, and each batch by itself as in the reference.

They are equal where a pool is the batch. Elsewhere they differ, because a pair's weight then depends on the company it
was weighed in; how much is measured here on the tiny drives and printed.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chain import quietly

from olivine.artifacts import open_artifact
from olivine.packs import Pack
from olivine.points.density import estimate_density
from olivine.pretrain.samples import PretrainSamples, Sources
from olivine.recipes import load_recipe
from olivine.steps import StepCall


@pytest.fixture
def weights_of(chain):
    """Sampling weights of a batch, normalised: by `weigh` with pools of some size, or estimated by the batch."""
    backbone = chain.made["pretrain"]
    features = Pack(open_artifact(backbone.store, "pretrain", backbone.manifest.summary["image_features"]))

    def make(tokens, sampling, pool_keyframes):
        inputs = {"drives": chain.made["ingest"].id, "weak_labels": chain.made["label"].id}
        settings = [f"weigh.pool_keyframes={pool_keyframes}", "weigh.keyframes_per_shard=4"]
        weigh = quietly("weigh", StepCall(chain.store.url, "tiny_cpu", settings, inputs))
        recipe = load_recipe("tiny_cpu", ["pretrain.drop_cuboid_share=0", f"pretrain.sampling={sampling}"]).pretrain
        samples = PretrainSamples(Sources(chain.drives, Pack(weigh), features, None, 13), recipe)
        weight_M = samples.batch(tokens, 0).weight_M
        return weight_M / weight_M.sum()

    return make


def test_a_pool_that_is_the_batch_gives_the_weights_of_the_batch(chain, weights_of):
    tokens = chain.drives.tokens("all_train")
    order = np.random.default_rng((0, 0)).permutation(4)
    pool = [tokens[row] for row in order]
    ahead, itself = weights_of(pool, "precomputed", 4), weights_of(pool, "batch", 4)
    torch.testing.assert_close(ahead, itself, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("rounding", "round_down"), [("down", True), ("nearest", False)])
def test_bins_of_distance_are_as_the_recipe_says(chain, rounding, round_down):
    """As VoxelNet's trainer has it: bins of 1 m. Density alone, against bins made by hand."""
    backbone, tokens = chain.made["pretrain"], chain.drives.tokens("all_train")[:2]
    features = Pack(open_artifact(backbone.store, "pretrain", backbone.manifest.summary["image_features"]))
    settings = ["drop_cuboid_share=0", "sampling=batch", "sampling_variant=density", "radial_bin_m=1"]
    settings.append(f"radial_rounding={rounding}")
    recipe = load_recipe("tiny_cpu", [f"pretrain.{setting}" for setting in settings]).pretrain
    sources = Sources(chain.drives, Pack(chain.made["weigh"]), features, None, 13)
    batch = PretrainSamples(sources, recipe).batch(tokens, 0)
    distance_M = np.concatenate(
        [
            np.hypot(*keyframe.points_N4[keyframe.pair_point_M, :2].astype(float).T)
            for keyframe in keyframes(chain, tokens)
        ]
    )
    bin_M = (distance_M if round_down else distance_M + 0.5).astype(np.int64)
    expected_M = np.where(batch.label_M.numpy() == 255, 0, 1 / estimate_density(bin_M))
    found_M = batch.weight_M.numpy()
    assert found_M / found_M.sum() == pytest.approx(expected_M / expected_M.sum(), rel=1e-4)


def keyframes(chain, tokens):
    return [chain.drives.keyframe(token) for token in tokens]


def test_how_far_apart_they_are_elsewhere(chain, weights_of):
    tokens = chain.drives.tokens("all_train")
    batches = [[tokens[0], tokens[5]], [tokens[2], tokens[7]], [tokens[1], tokens[8]]]
    apart = {}
    for pool in (1, 4):
        pairs = [(weights_of(batch, "precomputed", pool), weights_of(batch, "batch", pool)) for batch in batches]
        # Total variation: the share of draws that would have to be other ones.
        apart[pool] = float(np.mean([0.5 * (a - b).abs().sum() for a, b in pairs]))
    print(f"share of draws that differ: pools of one {apart[1]:.3f}, pools of four {apart[4]:.3f}")
    assert 0.005 < apart[4] < 0.4
    assert 0.005 < apart[1] < 0.4
