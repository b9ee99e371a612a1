"""Image features: computed once an image, shared, and resumed shard by shard."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from olivine.artifacts import Artifact, open_artifact
from olivine.errors import StoreError
from olivine.models.image import load_image_encoder
from olivine.models.image.recipe import EncoderRecipe
from olivine.packs import Pack, bytes_array
from olivine.pretrain import features
from olivine.training.deepspeed_engine import World

RECIPE = EncoderRecipe(name="stand_in", height=96, width=176)
ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def made(chain):
    backbone = chain.made["pretrain"]
    return open_artifact(backbone.store, "pretrain", backbone.manifest.summary["image_features"])


def test_maps_are_the_encoders_of_the_resized_image(chain, made):
    token = chain.drives.tokens("train")[1]
    maps_ICHW = bytes_array(Pack(made).head(token)["maps.npy"])
    assert (maps_ICHW.dtype, maps_ICHW.shape) == (np.float16, (6, 64, 6, 11))
    encoder = load_image_encoder("stand_in")
    for jpeg, map_CHW in zip(chain.drives.images(token), maps_ICHW, strict=True):
        with Image.open(io.BytesIO(jpeg)) as image:
            rgb = np.array(image.convert("RGB").resize((176, 96), Image.Resampling.BILINEAR))
        expected = encoder.encode(torch.from_numpy(rgb)[None])[0].half().numpy()
        assert np.array_equal(map_CHW, expected)


def test_only_what_is_trained_on_is_encoded(chain, made):
    assert Pack(made).index.column("keyframe") == chain.drives.tokens("all_train")
    assert made.manifest.counts == {"keyframes": 9, "images": 54}
    assert made.manifest.summary["note"].startswith("The image encoder is a stand-in")


def test_a_second_pretraining_shares_them(chain, made, own_chain):
    tokens = chain.drives.tokens("all_train")
    drives = own_chain.made["ingest"]
    assert features.encode_images(drives, tokens, RECIPE, ALONE).id == made.id
    other = features.encode_images(drives, tokens[:2], RECIPE, ALONE)
    assert isinstance(other, Artifact)
    assert other.id != made.id
    wide = features.encode_images(drives, tokens[:2], RECIPE.model_copy(update={"width": 192}), ALONE)
    assert wide.id != other.id


def test_a_shard_that_is_gone_is_no_artifact(own_chain, monkeypatch):
    monkeypatch.setattr(features, "_KEYFRAMES_PER_SHARD", 2)
    drives, tokens = own_chain.made["ingest"], own_chain.drives.tokens("train")[:6]
    recipe = RECIPE.model_copy(update={"width": 160})
    monkeypatch.setattr(features, "wait_for_all", lambda: remove_second(drives.store))

    def remove_second(store):
        for key in list(store.list("parts")):
            if "shard-00001" in key:
                store.delete(key)

    with pytest.raises(StoreError, match=r"shard 1 of the image features is gone\. Run the stage again"):
        features.encode_images(drives, tokens, recipe, ALONE)


def test_a_killed_run_goes_on_after_its_last_shard(own_chain, monkeypatch):
    monkeypatch.setattr(features, "_KEYFRAMES_PER_SHARD", 2)
    drives, tokens = own_chain.made["ingest"], own_chain.drives.tokens("train")[:6]
    recipe = RECIPE.model_copy(update={"width": 192})
    decoded = []
    decode = features.decode_at_encoder_size

    def killed_at_the_third_keyframe(jpeg, recipe):
        decoded.append(jpeg)
        if len(decoded) == 13:
            raise KeyboardInterrupt
        return decode(jpeg, recipe)

    monkeypatch.setattr(features, "decode_at_encoder_size", killed_at_the_third_keyframe)
    with pytest.raises(KeyboardInterrupt):
        features.encode_images(drives, tokens, recipe, ALONE)
    made = features.encode_images(drives, tokens, recipe, ALONE)
    assert len(decoded) == 13 + 24
    assert Pack(made).index.column("keyframe") == tokens
    encoder = load_image_encoder("stand_in")
    for token in tokens:
        first = torch.stack([decode(jpeg, recipe) for jpeg in own_chain.drives.images(token)])
        assert np.array_equal(bytes_array(Pack(made).head(token)["maps.npy"]), encoder.encode(first).half().numpy())
