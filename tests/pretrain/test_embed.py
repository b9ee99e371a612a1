"""What a finished pretraining sees, against the distiller that it was trained as."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chain import Chain, damage

from olivine.artifacts import open_artifact
from olivine.errors import IntegrityError, UsageError
from olivine.models.cloud import collate
from olivine.models.image import sample_maps
from olivine.models.network import prepare_cloud
from olivine.packs import Pack, bytes_array
from olivine.pretrain.distiller import Distiller
from olivine.pretrain.embed import Embedder
from olivine.pretrain.heads import unit
from olivine.pretrain.recipe import PretrainRecipe
from olivine.training.tensors import bytes_tensors


@pytest.fixture(scope="module")
def embedder(chain: Chain) -> Embedder:
    return Embedder(chain.made["pretrain"])


@pytest.fixture(scope="module")
def distiller(chain: Chain) -> Distiller:
    backbone = chain.made["pretrain"]
    recipe = PretrainRecipe.model_validate(backbone.manifest.recipe)
    classes = len(chain.made["label"].manifest.summary["classes"])
    made = Distiller(recipe, classes, backbone.manifest.summary["encoder"]["channels"])
    made.load_state_dict(bytes_tensors(backbone.read("distiller.safetensors"), "distiller"), strict=True)
    made.eval()
    return made


def test_points_are_those_of_the_distiller(chain: Chain, embedder: Embedder, distiller: Distiller):
    points_N4 = chain.drives.keyframe(chain.drives.tokens("test")[0]).points_N4
    found = embedder.embed_points(points_N4)
    assert list(found) == ["point_pixel", "semantic", "backbone"]
    cloud = prepare_cloud(points_N4, PretrainRecipe.model_validate(embedder.artifact.manifest.recipe).network)
    with torch.no_grad():
        features_RD = distiller.backbone.embed(collate([cloud]))
        for name in ("point_pixel", "semantic"):
            expected_RD = distiller.heads[name].unit_points(features_RD).numpy()
            assert np.array_equal(found[name], expected_RD[cloud.row_N])
    for features_ND in found.values():
        assert (features_ND.dtype, len(features_ND)) == (np.float32, len(points_N4))
        assert np.allclose(np.linalg.norm(features_ND, axis=1), 1, atol=1e-5)


def test_pixels_are_those_that_pretraining_samples(chain: Chain, embedder: Embedder, distiller: Distiller):
    """At the pixels of pairs, from the stored features of whole images, which are float16."""
    token, backbone = chain.drives.tokens("train")[0], chain.made["pretrain"]
    stored = open_artifact(backbone.store, "pretrain", backbone.manifest.summary["image_features"])
    maps_ICHW = torch.from_numpy(bytes_array(Pack(stored).head(token)["maps.npy"]))
    width, height = chain.drives.image_size
    pixel_S2 = np.array([[0, 0], [height - 1, width - 1], [40, 100], [77, 3]])
    found = embedder.embed_pixels(chain.drives.images(token)[2], pixel_S2 / np.array([height - 1, width - 1]))
    pixels_S3 = torch.from_numpy(np.insert(pixel_S2, 0, 2, axis=1))
    with torch.no_grad():
        features_SC = sample_maps(maps_ICHW, pixels_S3, (height, width))
        for name in ("point_pixel", "semantic"):
            expected = unit(distiller.heads[name].pixels(features_SC)).numpy()
            assert np.allclose(found[name], expected, atol=2e-3)


def test_nothing_of_it_is_trained_or_random(chain: Chain, embedder: Embedder):
    points_N4 = chain.drives.keyframe(chain.drives.tokens("test")[0]).points_N4
    again = Embedder(chain.made["pretrain"]).embed_points(points_N4)
    for name, features_ND in embedder.embed_points(points_N4).items():
        assert np.array_equal(features_ND, again[name])


def test_points_outside_of_the_network_are_zero(own_chain: Chain):
    """A WaffleIron has a field of view."""
    field = "[[-5.0,-5.0,-5.0],[5.0,5.0,5.0]]"
    small = ["kind=waffleiron", "waffleiron.width=4", "waffleiron.depth=1", f"waffleiron.field_of_view={field}"]
    backbone = own_chain.run("pretrain", *(f"pretrain.network.{setting}" for setting in small))
    points_N4 = own_chain.drives.keyframe(own_chain.drives.tokens("test")[0]).points_N4
    found = Embedder(backbone).embed_points(points_N4)["semantic"]
    outside_N = np.abs(points_N4[:, :2]).max(axis=1) > 5.1
    assert outside_N.any()
    assert not found[outside_N].any()
    assert np.allclose(
        np.linalg.norm(found[~outside_N & (np.abs(points_N4[:, :3]).max(axis=1) < 4.9)], axis=1), 1, atol=1e-5
    )


def test_other_artifacts_are_refused(chain: Chain):
    with pytest.raises(UsageError, match=r"weak_labels .* is no backbone"):
        Embedder(chain.made["label"])


def test_damaged_heads_are_refused(own_chain: Chain):
    damage(own_chain, own_chain.made["pretrain"], "distiller.safetensors")
    with pytest.raises(IntegrityError, match="distiller"):
        Embedder(own_chain.made["pretrain"])
