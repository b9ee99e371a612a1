"""Weak labels on images and cloud: what is shown, and that hand labels of `test` are left alone."""

from __future__ import annotations

import pytest
from chain import Chain
from comparison import pixels

from olivine.drives import Drives
from olivine.errors import UsageError
from olivine.packs import Pack
from olivine.report.birds_eye import Picture
from olivine.report.figures.weak_labels import draw_weak_labels_figure
from olivine.report.palette import SAFE_COLORS


def draw(chain: Chain, keyframes=(), cameras=(), palette="official"):
    return draw_weak_labels_figure(chain.made["ingest"], chain.made["label"], keyframes, cameras, palette)


def test_images_cloud_and_errors_are_shown(chain: Chain):
    figure = draw(chain)
    titles = [panel.title for panel in figure.panels]
    assert [title.split(", ")[-1].split(": ")[-1] for title in titles] == [
        "CAM_FRONT",
        "weak labels; grey where there is none",
        "CAM_BACK_LEFT",
        "weak labels; grey where there is none",
        "the sweep by weak label",
        "against the hand labels",
    ]
    assert [swatch.name for swatch in figure.legend[-2:]] == ["no weak label", "in no image"]
    assert draw(chain) == figure


def test_hand_labels_of_test_are_not_read(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drives, "lidarseg", lambda self, token: pytest.fail("read"))
    [token] = [
        token for token in chain.drives.tokens("test") if Pack(chain.made["label"]).index.position(token) is not None
    ][:1]
    titles = [panel.title for panel in draw(chain, [token[:10]], ["CAM_BACK"]).panels]
    assert [title.split(": ")[-1] for title in titles][1:] == [
        "weak labels; grey where there is none",
        "the sweep by weak label",
    ]


def test_the_safe_palette_colours_cloud_and_legend(chain: Chain):
    figure = draw(chain, palette="safe")
    assert isinstance(figure.panels[4].body, Picture)
    shown = {tuple(rgb) for rgb in pixels(figure.panels[4].body).reshape(-1, 3).tolist()}
    legend = {swatch.rgb for swatch in figure.legend[:-2]}
    assert legend <= set(SAFE_COLORS)
    assert len(shown & legend) >= 4


def test_what_is_not_there_is_refused(chain: Chain):
    with pytest.raises(UsageError, match=r"'nothing' is no keyframe of weak_labels"):
        draw(chain, ["nothing"])
    with pytest.raises(UsageError, match="no camera 'FRONT'"):
        draw(chain, cameras=["FRONT"])
