"""Points in a plane: the same ones under each backbone, laid out by a seed, and what is said of them."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from chain import Chain
from imported import import_without_heads

from olivine.drives import Drives
from olivine.errors import ConfigError, DataError, UsageError
from olivine.report.figures import embeddings
from olivine.report.figures.embeddings import _sample, draw_embeddings, lay_out, nearest_agreement


def draw(chain: Chain, *backbones, split="test", method="pca", points=20, seed=0):
    return draw_embeddings(chain.made["ingest"], backbones, split, method, points, seed, "official")


def test_two_components_are_the_best_plane():
    rng = np.random.default_rng(0)
    features_SD = (rng.normal(size=(60, 2)) @ rng.normal(size=(2, 8)) + 0.01 * rng.normal(size=(60, 8))).astype(
        np.float32
    )
    place_S2, note = lay_out(features_SD, "pca", 0)
    centred = features_SD - features_SD.mean(axis=0)
    # Distances in the plane are those in space when the points lie in a plane.
    between = np.linalg.norm(centred[:, None] - centred[None], axis=2)
    shown = np.linalg.norm(place_S2[:, None] - place_S2[None], axis=2)
    assert np.abs(between - shown).max() < 0.1
    assert float(re.search(r"hold ([\d.]+) %", note)[1]) > 99
    assert np.array_equal(lay_out(features_SD, "pca", 5)[0], place_S2)


def test_points_that_are_all_alike_have_a_plane():
    place_S2, note = lay_out(np.ones((5, 3), np.float32), "pca", 0)
    assert not place_S2.any()
    assert "0.0 %" in note


def test_tsne_keeps_clusters_and_its_seed():
    pytest.importorskip("sklearn", reason="needs olivine[figures]")
    rng = np.random.default_rng(0)
    centre = np.repeat(np.eye(3, 8), 12, axis=0)
    features_SD = centre + 0.05 * rng.normal(size=(36, 8))
    features_SD = (features_SD / np.linalg.norm(features_SD, axis=1, keepdims=True)).astype(np.float32)
    place_S2, note = lay_out(features_SD, "tsne", 3)
    group = np.repeat([0, 1, 2], 12)
    apart = np.linalg.norm(place_S2[:, None] - place_S2[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (group[apart.argmin(axis=1)] == group).all()
    assert np.array_equal(lay_out(features_SD, "tsne", 3)[0], place_S2)
    assert not np.array_equal(lay_out(features_SD, "tsne", 4)[0], place_S2)
    assert "divergence" in note


def test_tsne_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ConfigError, match=r"olivine\[figures\].*--method pca"):
        lay_out(np.eye(5, dtype=np.float32), "tsne", 0)


def test_the_nearest_other_point_is_asked():
    features = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], np.float32)
    assert nearest_agreement(features, np.array([1, 1, 2, 2], np.uint8)) == 1
    assert nearest_agreement(features, np.array([1, 2, 1, 2], np.uint8)) == 0


def test_every_class_has_its_share_of_points(chain: Chain):
    drives, tokens = chain.drives, chain.drives.tokens("train")
    sample = _sample(drives, tokens, 16, 10, seed=0)
    truth = {token: drives.lidarseg(token) for token in tokens}
    drawn = np.bincount(np.concatenate([classes for _, _, classes in sample]), minlength=17)
    for category in range(1, 17):
        holders = [token for token in tokens if (truth[token] == category).any()]
        most = [int((truth[t] == category).sum()) for t in holders]
        shares = [(n + 1) * 10 // len(holders) - n * 10 // len(holders) for n in range(len(holders))]
        assert drawn[category] == sum(map(min, shares, most))
    assert drawn[0] == 0
    for token, points, classes in sample:
        assert np.array_equal(truth[token][points], classes)
        assert len(set(points.tolist())) == len(points)


@pytest.mark.parametrize(("most", "drawn"), [(40, 40), (7, 7), (3000, 3000), (5000, 3000)])
def test_no_more_points_of_a_class_than_asked_for(most: int, drawn: int):
    drives = SimpleNamespace(lidarseg=lambda token: np.ones(100, np.uint8))
    sample = _sample(drives, [f"t{number}" for number in range(30)], 1, most, seed=0)
    assert sum(len(points) for _, points, _ in sample) == drawn
    assert {len(points) for _, points, _ in sample} <= {most // 30, most // 30 + 1, 100} - {0}


def test_the_same_points_under_each_backbone(own_chain: Chain):
    backbone = own_chain.made["pretrain"]
    imported = import_without_heads(backbone)
    figure = draw(own_chain, backbone, imported)
    assert [panel.title for panel in figure.panels] == ["olivine (semantic space)", "imported_slidr (backbone space)"]
    dots = [str(panel.body).count("<circle") for panel in figure.panels]
    assert dots[0] == dots[1] > 20
    assert f"The same {dots[0]} points" in figure.caption
    assert [row[1] for row in figure.tables[0].rows] == ["semantic", "backbone"]
    assert all(0 <= float(row[2]) <= 100 for row in figure.tables[0].rows)
    assert draw(own_chain, backbone, imported) == figure
    assert draw(own_chain, backbone, imported, seed=1).panels != figure.panels


def test_points_that_a_backbone_does_not_see_are_left_out_and_counted(
    own_chain: Chain, monkeypatch: pytest.MonkeyPatch
):
    backbone = own_chain.made["pretrain"]
    whole = draw(own_chain, backbone, points=40)
    num_points = str(whole.panels[0].body).count("<circle")
    real, compared = embeddings._embed, []

    def embed(drives, embedder, space, sample):
        features_SD = real(drives, embedder, space, sample)
        features_SD[:10] = 0
        return features_SD

    def agreement(features_SD, truth_S):
        compared.append((features_SD, truth_S))
        return nearest_agreement(features_SD, truth_S)

    monkeypatch.setattr(embeddings, "_embed", embed)
    monkeypatch.setattr(embeddings, "nearest_agreement", agreement)
    figure = draw(own_chain, backbone, points=40)
    [(features_SD, truth_S)] = compared
    assert len(features_SD) == len(truth_S) == num_points - 10
    assert features_SD.any(axis=1).all()
    assert str(figure.panels[0].body).count("<circle") == num_points - 10
    assert f"The same {num_points - 10} points" in figure.caption
    assert figure.facts[-1] == "Left out: 10 points that a backbone does not see."
    assert not any("Left out" in fact for fact in whole.facts)
    monkeypatch.setattr(embeddings, "_embed", lambda *given: np.zeros((num_points, 8), np.float32))
    with pytest.raises(DataError, match="0 labelled points of the split test are seen by every backbone"):
        draw(own_chain, backbone, points=40)


def test_only_the_split_asked_for_is_read(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    read = []
    lidarseg = Drives.lidarseg
    monkeypatch.setattr(Drives, "lidarseg", lambda self, token: read.append(token) or lidarseg(self, token))
    draw(chain, chain.made["pretrain"], split="select")
    assert set(read) == set(chain.drives.tokens("select"))


def test_what_cannot_be_drawn_is_refused(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UsageError, match="--backbone"):
        draw(chain)
    with pytest.raises(UsageError, match="twice"):
        draw(chain, chain.made["pretrain"], chain.made["pretrain"])
    monkeypatch.setattr(Drives, "has_lidarseg", lambda self, token=None: False)
    with pytest.raises(DataError, match="0 points of the split test have a scored hand label"):
        draw(chain, chain.made["pretrain"])
