from __future__ import annotations

from dataclasses import replace

import pytest
from comparison import Compared, pixels

from olivine.drives import Drives
from olivine.nuscenes_categories import CATEGORY_COLORS
from olivine.packs import Pack, bytes_array
from olivine.report.colours import RIGHT, WRONG
from olivine.report.palette import SAFE_COLORS
from olivine.report.scans import draw_scans, spread
from olivine.report.trace import trace


def test_shares_are_those_of_the_first_seed_on_scored_points(compared: Compared):
    traced = trace(compared.store, compared.all)
    drives = Drives(traced.drives)
    scans = draw_scans(traced)
    assert [scan.scene for scan in scans] == ["scene-0103", "scene-0916"]
    for token, scan in zip(drives.tokens("test"), scans, strict=True):
        truth_N = drives.lidarseg(token)
        assert (scan.num_points, scan.num_ignored) == ((truth_N > 0).sum(), (truth_N == 0).sum())
        assert [item.arm for item in scan.maps] == ["random", "olivine"]
        for item in scan.maps:
            predicted_N = bytes_array(Pack(compared.metrics[item.arm, 0]).head(token)["category.npy"])
            assert item.share_right == pytest.approx((predicted_N == truth_N)[truth_N > 0].mean())
            assert f"{100 * item.share_right:.1f} %" in item.picture.alt


def test_hand_labels_are_drawn_in_both_palettes(compared: Compared):
    [*_, scan] = draw_scans(trace(compared.store, compared.all))
    assert scan.truth.safe_src is not None
    assert all(item.picture.safe_src is None for item in scan.maps)
    official, safe = pixels(scan.truth), pixels(replace(scan.truth, src=scan.truth.safe_src))
    for old, new in zip(CATEGORY_COLORS, SAFE_COLORS, strict=True):
        assert ((official == old).all(axis=2) == (safe == new).all(axis=2)).all()
    assert any((safe == colour).all(axis=2).any() for colour in SAFE_COLORS)


def test_error_maps_are_grey_and_red(compared: Compared):
    [*_, scan] = draw_scans(trace(compared.store, compared.all))
    for item in scan.maps:
        image = pixels(item.picture)
        right, wrong = ((image == colour).all(axis=2).sum() for colour in (RIGHT, WRONG))
        assert right > 0
        assert wrong > 0


@pytest.mark.parametrize(
    ("number", "count", "expected"), [(3, 3, "abc"), (10, 3, "bfi"), (1, 3, "a"), (0, 3, ""), (4, 1, "c")]
)
def test_tokens_are_spread_evenly(number: int, count: int, expected: str):
    assert "".join(spread(list("abcdefghij")[:number], count)) == expected
