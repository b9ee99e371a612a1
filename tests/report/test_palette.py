"""The safe palette under simulated colour blindness, by matrices and formulas written out here."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from olivine.nuscenes_categories import CATEGORY_COLORS
from olivine.report.colours import CATEGORIES, NOT_SEEN, UNLABELLED
from olivine.report.palette import SAFE_COLORS, safe_colours

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), severity 1.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def seen_as(colours, sight):
    """CIELAB [N, 3] of sRGB colours as someone with that sight sees them."""
    share = np.array(colours, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(SIGHTS[sight]).T, 0, 1) @ TO_XYZ.T / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def nearest(colours, sight):
    lab = seen_as(colours, sight)
    return min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2))


@pytest.mark.parametrize("sight", SIGHTS)
def test_safe_colours_stay_apart(sight: str):
    assert nearest(SAFE_COLORS, sight) > 23


def test_the_official_ones_do_not():
    assert nearest(CATEGORY_COLORS, "tritanopia") < 1.1


@pytest.mark.parametrize("sight", SIGHTS)
def test_no_class_looks_like_what_has_none(sight: str):
    for rest in (UNLABELLED, NOT_SEEN):
        assert min(nearest([colour, rest], sight) for colour in SAFE_COLORS) > 15


def test_a_class_has_its_safe_colour_in_every_legend():
    assert safe_colours(CATEGORY_COLORS) == list(SAFE_COLORS)
    assert safe_colours([CATEGORY_COLORS[3], CATEGORY_COLORS[10]]) == [SAFE_COLORS[3], SAFE_COLORS[10]]
    assert [swatch.safe for swatch in CATEGORIES] == list(SAFE_COLORS)


def test_colours_of_other_data_sets_take_what_is_left():
    others = [(i, 0, 0) for i in range(18)]
    found = safe_colours([CATEGORY_COLORS[0], *others])
    assert found[:16] == list(SAFE_COLORS)
    assert found[16:] == [(15, 0, 0), (16, 0, 0), (17, 0, 0)]
    assert safe_colours([others[0], others[0]]) == [SAFE_COLORS[0]] * 2
