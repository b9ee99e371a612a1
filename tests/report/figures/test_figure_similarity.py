"""Similarity to an anchor: the values behind the maps, the integers in the page, and what is refused."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from chain import Chain
from imported import import_without_heads

from olivine.drives import CAMERAS, Drives
from olivine.errors import ConfigError, DataError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.pretrain.embed import Embedder
from olivine.report.figures.command import render_similarity, run_similarity
from olivine.report.figures.similarity import Similarities, read_similarities
from olivine.report.figures.similarity_maps import _colours, draw_similarity, similarity
from olivine.report.figures.similarity_page import page_data, similarity_page
from olivine.report.page import hash_script

LARGEST_BYTES = 900_000


@pytest.fixture(scope="module")
def given(chain: Chain) -> Similarities:
    return read_similarities(chain.made["pretrain"], "", "CAM_FRONT")


def test_points_are_those_in_the_image_with_their_features(chain: Chain, given: Similarities):
    token = chain.drives.tokens("test")[1]
    assert given.scene == chain.drives.column("scene")[token]
    keyframe, width, height = chain.drives.keyframe(token), *chain.drives.image_size
    front = CAMERAS.index("CAM_FRONT")
    mine = np.flatnonzero(keyframe.pair_pixel_M3[:, 0] == front)
    pixel_K2 = np.rint(given.place_K2 * [height, width] - 0.5).astype(int)
    assert sorted(map(tuple, pixel_K2)) == sorted(map(tuple, keyframe.pair_pixel_M3[mine, 1:].tolist()))
    assert (np.diff(pixel_K2[:, 1]) >= 0).all()
    found = {tuple(pixel): row for row, pixel in enumerate(pixel_K2.tolist())}
    exact = Embedder(chain.made["pretrain"]).embed_points(keyframe.points_N4)
    label_M = bytes_array(Pack(chain.made["label"]).head(token)["pair_label.npy"])
    pixels = [tuple(pixel) for pixel in keyframe.pair_pixel_M3[mine, 1:].tolist()]
    for place, pixel in zip(mine, pixels, strict=True):
        if pixels.count(pixel) == 1:
            row = found[pixel]
            assert np.array_equal(given.spaces[0].points_KD[row], exact["point_pixel"][keyframe.pair_point_M[place]])
            assert given.label_K[row] == label_M[place]


def test_the_anchor_is_most_like_itself(given: Similarities):
    assert [space.name for space in given.spaces] == ["point_pixel", "semantic"]
    for space in given.spaces:
        similar_K = similarity(space.points_KD[given.anchor], space.points_KD)
        assert similar_K[given.anchor] == pytest.approx(1, abs=1e-5)
        assert similar_K.max() <= similar_K[given.anchor] + 1e-6
        assert similar_K.min() >= 0


def test_similarity_is_half_of_one_and_the_cosine():
    features = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    assert similarity(features[0], features).tolist() == [1, 0.5, 0]


def test_integers_are_near_enough(given: Similarities):
    for space, exact in zip(page_data(given)["spaces"], given.spaces, strict=True):
        points = np.frombuffer(base64.b64decode(space["points"]), np.int8).reshape(-1, space["dim"]).astype(int)
        pixels = np.frombuffer(base64.b64decode(space["pixels"]), np.int8).reshape(-1, space["dim"]).astype(int)
        assert len(pixels) == 48 * 27
        for whole, true in ((points, exact.points_KD), (pixels, exact.pixels_GD)):
            near = (1 + whole @ points[given.anchor] * space["step"] ** 2) / 2
            assert np.abs(near - similarity(exact.points_KD[given.anchor], true)).max() < 0.01


def test_the_page_is_small_and_its_script_is_named(given: Similarities):
    page = render_similarity(given)
    assert len(page.encode()) < LARGEST_BYTES
    [script] = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    assert script == similarity_page(given).script
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.endswith(f"script-src '{hash_script(similarity_page(given).script)}'")
    [data] = re.findall(r'<script type="application/json" id="similarity-data">(.*?)</script>', page, flags=re.S)
    assert json.loads(data)["anchor"] == given.anchor
    assert render_similarity(given) == page


def test_names_cannot_end_the_data(given: Similarities):
    hostile = replace(given, label_names=["</script><script>alert(1)</script>"], scene="<b>", facts=["</ul><script>"])
    page = render_similarity(hostile)
    assert len(re.findall("<script", page)) == 2
    assert "<b>" not in page


def test_still_pictures_show_the_same(given: Similarities):
    figure = draw_similarity(given)
    assert [panel.title for panel in figure.panels] == [
        "Point-pixel heads: pixels",
        "Semantic heads: pixels",
        "Point-pixel heads: points",
        "Semantic heads: points",
    ]
    assert figure.panels[2].note.endswith("to 1.00 (yellow)")
    assert draw_similarity(given) == figure


def test_colours_run_from_dark_to_yellow():
    rgb = _colours(np.array([0.2, 0.6, 0.4], np.float32))
    assert (rgb[0].tolist(), rgb[1].tolist(), rgb[2].tolist()) == ([68, 1, 84], [253, 231, 37], [33, 144, 141])
    assert _colours(np.array([0.5, 0.5], np.float32)).tolist() == [[68, 1, 84]] * 2


def test_an_anchor_is_the_point_nearest_to_its_place(chain: Chain, given: Similarities):
    found = read_similarities(chain.made["pretrain"], "", "CAM_FRONT", "0.9,0.1")
    distance = np.linalg.norm(given.place_K2 - [0.9, 0.1], axis=1)
    assert found.anchor == distance.argmin()
    assert given.label_K[given.anchor] != 255


@pytest.mark.parametrize("anchor", ["middle", "0.5", "0.5,0.5,0.5", "1.2,0.5", "nan,0", "-0.1,0"])
def test_an_anchor_that_is_no_place_is_refused(chain: Chain, anchor: str):
    with pytest.raises(UsageError, match=r"is not ROW,COLUMN, shares 0\.\.1"):
        read_similarities(chain.made["pretrain"], "", "CAM_FRONT", anchor)


def test_what_cannot_be_shown_is_refused(chain: Chain):
    with pytest.raises(UsageError, match="is no keyframe of drives"):
        read_similarities(chain.made["pretrain"], "nothing", "CAM_FRONT")
    with pytest.raises(UsageError, match="no camera 'LIDAR_TOP'"):
        read_similarities(chain.made["pretrain"], "", "LIDAR_TOP")


def test_a_backbone_without_heads_is_refused(own_chain: Chain):
    with pytest.raises(UsageError, match=r"holds no heads.*was imported.*Give a backbone that `olivine pretrain` made"):
        read_similarities(import_without_heads(own_chain.made["pretrain"]), "", "CAM_FRONT")


def test_an_image_without_points_is_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    keyframe = Drives.keyframe

    def blind(self: Drives, token: str):
        found = keyframe(self, token)
        return replace(found, pair_point_M=found.pair_point_M[:0], pair_pixel_M3=found.pair_pixel_M3[:0])

    monkeypatch.setattr(Drives, "keyframe", blind)
    with pytest.raises(DataError, match="CAM_FRONT sees no point"):
        read_similarities(chain.made["pretrain"], "", "CAM_FRONT")


def test_weights_that_are_gone_are_named(chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path):
    def gone(device):
        raise ConfigError("the encoder's weights are not there")

    monkeypatch.setattr("olivine.models.image.stand_in.StandInEncoder", gone)
    with pytest.raises(ConfigError, match="weights are not there"):
        run_similarity(chain.store.url, chain.made["pretrain"].id, "", "CAM_FRONT", "", tmp_path / "x.html")
