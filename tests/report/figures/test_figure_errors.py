"""Error maps: what is said and shown against the predictions themselves."""

from __future__ import annotations

import re

import numpy as np
import pytest
from comparison import Compared, pixels, run_stage
from PIL import Image

from olivine.artifacts import Artifact, find_artifact
from olivine.drives import CAMERAS, Drives
from olivine.errors import DataError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.report.birds_eye import Picture
from olivine.report.colours import RIGHT, WRONG
from olivine.report.figures.cameras import draw_over_image
from olivine.report.figures.command import run_errors
from olivine.report.figures.errors import draw_errors
from olivine.report.figures.figure import Figure
from olivine.report.figures.runs import choose_keyframes, open_runs
from olivine.report.palette import SAFE_COLORS


@pytest.fixture(scope="module")
def figure(compared: Compared) -> Figure:
    arms = [compared.metrics["random", 0], compared.metrics["olivine", 0]]
    return draw_errors(compared.store, arms, [], "CAM_FRONT", "official")


def test_shares_are_those_of_the_predictions(compared: Compared, figure: Figure):
    drives = Drives(open_drives(compared))
    notes = [panel.note for panel in figure.panels if panel.note]
    expected = []
    for token in drives.tokens("test"):
        keyframe, truth = drives.keyframe(token), drives.lidarseg(token)
        seen = keyframe.pair_point_M[keyframe.pair_pixel_M3[:, 0] == CAMERAS.index("CAM_FRONT")]
        seen = seen[truth[seen] > 0]
        for arm in ("random", "olivine"):
            right = bytes_array(Pack(compared.metrics[arm, 0]).head(token)["category.npy"]) == truth
            expected.append(
                f"{100 * right[truth > 0].mean():.1f} % of {(truth > 0).sum()} points right, "
                f"{100 * right[seen].mean():.1f} % of the {len(seen)} in the image."
            )
    assert notes == expected


def open_drives(compared: Compared) -> Artifact:
    return find_artifact(compared.store, "ingest", compared.all[0].manifest.inputs["drives"].id)


def test_each_sweep_is_shown_from_above_and_in_the_camera(figure: Figure):
    titles = [panel.title for panel in figure.panels]
    assert titles[:6] == [
        "scene-0103: hand labels",
        "scene-0103: random",
        "scene-0103: olivine",
        "CAM_FRONT: hand labels",
        "CAM_FRONT: random",
        "CAM_FRONT: olivine",
    ]
    assert (len(titles), figure.columns) == (12, 3)
    assert [swatch.name for swatch in figure.legend[:2]] == ["right", "wrong"]
    assert any("SYNTHETIC" in fact for fact in figure.facts)


def test_the_camera_view_holds_right_and_wrong_points(figure: Figure):
    assert isinstance(figure.panels[4].body, Picture)
    image = pixels(figure.panels[4].body).astype(int)
    # A JPEG: near the colour, not equal to it.
    wrong = (np.abs(image - np.array(WRONG)).sum(axis=2) < 90).sum()
    assert wrong > 0


def test_dots_lie_where_points_are_projected():
    plain = Image.new("RGB", (640, 360), (100, 100, 100))
    picture = draw_over_image(
        plain, np.array([[0.25, 0.75], [0.999, 0.001]]), np.array([WRONG, RIGHT], np.uint8), "dots"
    )
    image = pixels(picture).astype(int)
    assert np.abs(image[90, 480] - np.array(WRONG)).sum() < 60
    assert np.abs(image[358, 1] - np.array(RIGHT)).sum() < 60
    # Without colour of its own, and faded.
    assert np.abs(image[200, 200] - image[200, 200].mean()).max() < 3
    assert image[200, 200].mean() > 150


def test_the_safe_palette_colours_hand_labels(compared: Compared, figure: Figure):
    safe = draw_errors(compared.store, [compared.metrics["random", 0]], [], "CAM_FRONT", "safe")
    assert [swatch.rgb for swatch in safe.legend[2:]] == list(SAFE_COLORS)
    assert isinstance(safe.panels[0].body, Picture)
    shown = {tuple(rgb) for rgb in pixels(safe.panels[0].body).reshape(-1, 3).tolist()}
    assert len(shown & set(SAFE_COLORS)) >= 4


def test_seeds_of_one_arm_are_told_apart(compared: Compared):
    metrics = compared.metrics
    names = list(open_runs(compared.store, [metrics["random", 1], metrics["olivine", 0], metrics["random", 0]]))
    assert names == ["random, seed 1", "olivine", "random, seed 0"]


def test_a_keyframe_is_chosen_by_the_first_digits(compared: Compared):
    token = Drives(open_drives(compared)).tokens("test")[1]
    arms = [compared.metrics["olivine", 0]]
    short = draw_errors(compared.store, arms, [token[:8]], "CAM_BACK", "official")
    assert short == draw_errors(compared.store, arms, [token], "CAM_BACK", "official")
    assert [panel.title for panel in short.panels][2:] == ["CAM_BACK: hand labels", "CAM_BACK: olivine"]


def test_what_cannot_be_shown_is_refused(compared: Compared):
    arms = [compared.metrics["olivine", 0]]
    with pytest.raises(UsageError, match=r"'nothing' is no keyframe of the split test of drives .*: it has 2, as"):
        draw_errors(compared.store, arms, ["nothing"], "CAM_FRONT", "official")
    with pytest.raises(UsageError, match=r"no camera 'CAM_TOP': choose one of CAM_FRONT"):
        draw_errors(compared.store, arms, [], "CAM_TOP", "official")
    with pytest.raises(UsageError, match="--metrics"):
        draw_errors(compared.store, [], [], "CAM_FRONT", "official")
    with pytest.raises(UsageError, match="twice"):
        draw_errors(compared.store, arms * 2, [], "CAM_FRONT", "official")
    train = Drives(open_drives(compared)).tokens("train")[0]
    with pytest.raises(UsageError, match="is no keyframe of the split test"):
        draw_errors(compared.store, arms, [train], "CAM_FRONT", "official")


def test_two_keyframes_of_one_name_are_refused():
    with pytest.raises(UsageError, match=r"'abcdef' names several keyframes of x: it has 2, as abcdef1"):
        choose_keyframes(["abcdef1", "abcdef2"], ["abcdef"], 1, "x")
    assert choose_keyframes(["abc", "abcd"], ["abc"], 1, "x") == ["abc"]


def test_other_sweeps_are_refused(own_compared: Compared):
    olivine = own_compared.metrics["olivine", 0]
    inputs = {port: ref.id for port, ref in olivine.manifest.inputs.items()}
    select = run_stage("evaluate", own_compared.folder, inputs, "evaluate.split=select")
    with pytest.raises(UsageError, match=r"different splits \(test, select\)"):
        draw_errors(own_compared.store, [olivine, select], [], "CAM_FRONT", "official")


def test_a_sweep_without_scored_labels_is_refused(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drives, "lidarseg", lambda self, token: np.zeros(len(self.keyframe(token).points_N4), np.uint8))
    with pytest.raises(DataError, match="no point has a scored hand label"):
        draw_errors(compared.store, [compared.metrics["olivine", 0]], [], "CAM_FRONT", "official")


def test_metrics_are_asked_for_by_kind(compared: Compared):
    segmenter = compared.all[0].manifest.inputs["segmenter"].id
    with pytest.raises(UsageError, match=re.escape(repr(segmenter)) + " is no metrics"):
        run_errors(str(compared.folder), [segmenter], [], "CAM_FRONT", "official", compared.folder / "x.html")


def test_scans_without_cameras_are_shown_from_above(compared: Compared, monkeypatch: pytest.MonkeyPatch):
    """Their x axis up: what is ahead of such a sensor is above the middle."""
    monkeypatch.setattr("olivine.report.figures.errors.has_cameras", lambda drives: False)
    figure = draw_errors(compared.store, [compared.metrics["olivine", 0]], [], "CAM_FRONT", "official")
    assert [panel.title.split(": ")[1] for panel in figure.panels] == ["hand labels", "olivine"] * 2
    assert "its x axis up; these drives have no cameras" in figure.caption
    monkeypatch.undo()
    usual = draw_errors(compared.store, [compared.metrics["olivine", 0]], [], "CAM_FRONT", "official")
    assert isinstance(figure.panels[1].body, Picture)
    assert isinstance(usual.panels[1].body, Picture)
    turned, straight = ((pixels(item.panels[1].body) == WRONG).all(axis=2) for item in (figure, usual))
    # A quarter turn to the left, but for rings, overlaps and rounding.
    same = np.rot90(straight, 1)
    assert (turned & same).sum() > 0.5 * same.sum() > 0
    assert (turned & straight).sum() < 0.5 * same.sum()
