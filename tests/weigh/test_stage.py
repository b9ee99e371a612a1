"""The stage `weigh` against a dense computation of its own."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import UsageError
from olivine.packs import Pack, bytes_array
from olivine.store import open_store
from olivine.weigh import stage
from olivine.weigh.recipe import WeighRecipe

RECIPE = WeighRecipe(keyframes_per_shard=4, pool_keyframes=2)


@pytest.fixture
def inputs(chain, tmp_path):
    """Drives and labels in a store of their own, without weights."""
    folder = tmp_path / "store"
    shutil.copytree(chain.store.url.removeprefix("file://"), folder, ignore=shutil.ignore_patterns("weigh", "parts"))
    store = open_store(str(folder))
    return [Artifact(store, chain.made[word].manifest) for word in ("ingest", "label")]


def weights_of(artifact):
    pack = Pack(artifact)
    return {token: bytes_array(pack.head(token)["pair_weight.npy"]) for token in pack.index.column("keyframe")}


def pairs_of(chain, token):
    keyframe = chain.drives.keyframe(token)
    label_M = bytes_array(Pack(chain.made["label"]).head(token)["pair_label.npy"])
    xyz_M3 = keyframe.points_N4[keyframe.pair_point_M, :3].astype(float)
    return np.floor(np.hypot(xyz_M3[:, 0], xyz_M3[:, 1]) / 0.1), label_M


def dense_weights(radial_M, label_M, variant):
    """1 / (f n) with the kernel sum written out over all pairs, normalised to sum 1."""
    bandwidth = 1.06 * np.std(radial_M, ddof=1) * len(radial_M) ** -0.2
    kernel = np.exp(-0.5 * ((radial_M[:, None] - radial_M[None]) / bandwidth) ** 2)
    density_M = kernel.sum(axis=1) / (len(radial_M) * bandwidth * np.sqrt(2 * np.pi))
    count_M = (label_M[:, None] == label_M[None]).sum(axis=1)
    density_M = density_M if variant in ("density", "both") else np.ones(len(radial_M))
    count_M = count_M if variant in ("category", "both") else 1
    weight_M = np.where(label_M == 255, 0, 1 / (density_M * count_M))
    return weight_M / weight_M.sum()


@pytest.mark.parametrize("variant", ["uniform", "density", "category", "both"])
def test_one_keyframe_equals_the_dense_sum(chain, inputs, variant):
    weights = weights_of(stage.run(*inputs, RECIPE.model_copy(update={"variant": variant, "pool_keyframes": 1})))
    token = chain.drives.tokens()[1]
    np.testing.assert_allclose(weights[token], dense_weights(*pairs_of(chain, token), variant), rtol=2e-6)


def test_unlabelled_pairs_can_be_one_more_category(chain, inputs):
    """As in the reference, which ignores no id: 255 is then an id as any other."""
    recipe = RECIPE.model_copy(update={"unlabelled": "category", "pool_keyframes": 1})
    token = chain.drives.tokens()[1]
    radial_M, label_M = pairs_of(chain, token)
    assert (label_M == 255).any()
    expected_M = dense_weights(radial_M, np.where(label_M == 255, 99, label_M), "both")
    np.testing.assert_allclose(weights_of(stage.run(*inputs, recipe))[token], expected_M, rtol=2e-6)


def test_a_pool_shares_density_and_counts(chain):
    weights = weights_of(chain.made["weigh"])
    tokens = chain.drives.tokens("all_train")
    order = np.random.default_rng((0, 0)).permutation(4)
    for pool in (order[:2], order[2:]):
        pairs = [pairs_of(chain, tokens[row]) for row in pool]
        expected_P = 2 * dense_weights(*(np.concatenate(part) for part in zip(*pairs, strict=True)), "both")
        found_P = np.concatenate([weights[tokens[row]] for row in pool])
        np.testing.assert_allclose(found_P, expected_P, rtol=2e-6)
        assert abs(found_P.sum(dtype=np.float64) - 2) < 1e-4


def test_zero_exactly_where_there_is_no_label_and_positive_elsewhere(chain):
    labels, pack = Pack(chain.made["label"]), Pack(chain.made["weigh"])
    for token, weight_M in weights_of(chain.made["weigh"]).items():
        label_M = bytes_array(labels.head(token)["pair_label.npy"])
        assert weight_M.dtype == np.float32
        assert np.array_equal(weight_M == 0, label_M == 255)
        assert np.isfinite(weight_M).all()
        assert (weight_M >= 0).all()
        assert np.array_equal(bytes_array(pack.head(token)["pair_label.npy"]), label_M)


def test_counts_profile_and_the_keyframes_of_test(chain):
    manifest, weights = chain.made["weigh"].manifest, weights_of(chain.made["weigh"])
    assert list(weights) == chain.drives.tokens("all_train")
    assert manifest.counts == {"keyframes": 9, "pairs": sum(len(weight_M) for weight_M in weights.values())}
    profile = np.array(manifest.summary["profile"])
    assert profile[:, 1].sum() == manifest.counts["pairs"]
    assert abs(profile[:, 0].sum() - sum(weight_M.sum(dtype=np.float64) for weight_M in weights.values())) < 1e-3
    distance_M = np.concatenate([pairs_of(chain, token)[0] for token in weights]) * 0.1
    assert profile[:, 1].tolist() == np.bincount(distance_M.astype(int)).tolist()


def test_it_reads_neither_hand_labels_nor_renderings_nor_test(chain):
    assert chain.read_keyframes("weigh", "lidarseg") == set()
    assert chain.read_keyframes("weigh", "simulation") == set()
    assert chain.read_keyframes("weigh", "shards") == set(chain.drives.tokens("all_train"))


def test_again_without_work_and_another_recipe(inputs, chain, monkeypatch):
    first = stage.run(*inputs, RECIPE)
    assert first.manifest.data_digest == chain.made["weigh"].manifest.data_digest
    ids = {first.id}
    for change in ({"variant": "density"}, {"pool_keyframes": 3}, {"bin_m": 0.2}, {"seed": 1}):
        other = stage.run(*inputs, RECIPE.model_copy(update=change))
        assert other.manifest.data_digest != first.manifest.data_digest, change
        ids.add(other.id)
    assert len(ids) == 5
    monkeypatch.setattr(stage, "_weigh_pool", lambda *arguments: pytest.fail("work was done again"))
    assert stage.run(*inputs, RECIPE).manifest == first.manifest


def test_a_killed_run_goes_on_after_its_last_shard(inputs, chain, monkeypatch):
    pools = []
    weigh = stage._weigh_pool

    def killed_at_the_fourth(pool, recipe):
        pools.append(pool)
        if len(pools) == 4:
            raise KeyboardInterrupt
        return weigh(pool, recipe)

    monkeypatch.setattr(stage, "_weigh_pool", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        stage.run(*inputs, RECIPE)
    resumed = stage.run(*inputs, RECIPE)
    assert resumed.manifest.data_digest == chain.made["weigh"].manifest.data_digest
    # Nine keyframes are shards of 4, 4 and 1: five pools, of which the first two were kept.
    assert len(pools) == 4 + 3


def test_labels_of_other_drives_are_refused(own_chain, inputs):
    other = own_chain.run("ingest", "ingest.min_depth_m=2", "ingest.keyframes_per_shard=8")
    with pytest.raises(
        UsageError, match=r"weak_labels \w+ was made from drives \w+, not from \w+: give artifacts that"
    ):
        stage.run(other, inputs[1], RECIPE)
    assert len(Drives(other).tokens()) == 11
