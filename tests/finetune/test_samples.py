from __future__ import annotations

import numpy as np
import torch

from olivine.finetune.samples import LabelledSamples
from olivine.points.augment import rotate_flip
from olivine.recipes import load_recipe

RECIPE = load_recipe("tiny_cpu").finetune


def test_voxel_labels_are_the_majority_of_their_points(chain):
    token = chain.drives.tokens("train")[0]
    points_N4, label_N = chain.drives.keyframe(token).points_N4, chain.drives.lidarseg(token)
    moved_N4 = rotate_flip(points_N4, np.random.default_rng((RECIPE.seed, 2, int(token[:8], 16))))
    cells = [tuple(cell) for cell in np.floor(moved_N4[:, :3].astype(float) / RECIPE.network.voxel_size).astype(int)]
    inside = {}
    for cell, label, intensity in zip(cells, label_N.tolist(), points_N4[:, 3].tolist(), strict=True):
        inside.setdefault(cell, []).append((label, intensity))
    batch = LabelledSamples(chain.drives, RECIPE).batch([token], 2)
    assert len(batch.label_R) == len(inside)
    for cell, label, feature in zip(
        batch.clouds.coordinates_V4[:, 1:].tolist(),
        batch.label_R.tolist(),
        batch.clouds.features_VF[:, 0].tolist(),
        strict=True,
    ):
        counts = np.bincount([found for found, _ in inside[tuple(cell)]], minlength=17)
        counts[0] = 0
        assert label == counts.argmax()
        assert np.isclose(feature, np.mean([i for _, i in inside[tuple(cell)]]) / 255, atol=1e-6)
    first = LabelledSamples(chain.drives, RECIPE.model_copy(update={"voxel_label": "first"})).batch([token], 2)
    assert first.label_R.tolist() == [inside[tuple(cell)][0][0] for cell in first.clouds.coordinates_V4[:, 1:].tolist()]


def test_batches_are_repeatable_and_their_samples_independent(chain):
    one, two = chain.drives.tokens("train")[:2]
    both = LabelledSamples(chain.drives, RECIPE).batch([one, two], 0)
    alone = LabelledSamples(chain.drives, RECIPE).batch([two], 0)
    mine_V = both.clouds.coordinates_V4[:, 0] == 1
    assert torch.equal(both.clouds.coordinates_V4[mine_V][:, 1:], alone.clouds.coordinates_V4[:, 1:])
    assert torch.equal(both.label_R[mine_V], alone.label_R)
    other = LabelledSamples(chain.drives, RECIPE).batch([two], 1)
    assert not torch.equal(other.clouds.coordinates_V4[:100], alone.clouds.coordinates_V4[:100])
