from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from comparison import Compared

from olivine.artifacts import Artifact
from olivine.nuscenes_categories import CATEGORY_COLORS, CATEGORY_NAMES
from olivine.report.birds_eye import Picture
from olivine.report.colours import (
    CATEGORIES,
    UNLABELLED,
    Swatch,
    colour_table,
    covered_by,
    draw_in_palettes,
    recolour,
    right_or_wrong,
    weak_classes,
)
from olivine.report.trace import trace


def weak_labels(compared: Compared) -> Artifact:
    found = trace(compared.store, compared.all).of_kind("weak_labels")
    assert found is not None
    return found


def test_weak_classes_have_the_colour_of_what_they_cover(compared: Compared):
    swatches = {swatch.name: swatch.rgb for swatch in weak_classes(weak_labels(compared))}
    assert swatches["car"] == CATEGORY_COLORS[CATEGORY_NAMES.index("car")]
    assert swatches["road"] == CATEGORY_COLORS[CATEGORY_NAMES.index("driveable_surface")]


def test_categories_find_the_weak_class_that_covers_them(compared: Compared):
    artifact = weak_labels(compared)
    names, table = [swatch.name for swatch in weak_classes(artifact)], covered_by(artifact)
    assert table[0] == 255
    assert names[table[1 + CATEGORY_NAMES.index("trailer")]] == "truck"
    assert names[table[1 + CATEGORY_NAMES.index("other_flat")]] == "road"


def test_ids_without_a_colour_are_grey():
    table = colour_table(CATEGORIES, first_id=1)
    assert table[1].tolist() == list(CATEGORY_COLORS[0])
    assert table[16].tolist() == list(CATEGORY_COLORS[15])
    assert table[0].tolist() == table[255].tolist() == list(UNLABELLED)


def test_right_is_grey_and_wrong_is_red():
    grey, red = right_or_wrong(np.array([True, False])).astype(int).tolist()
    assert max(grey) - min(grey) < 10
    assert red[0] > 2 * max(red[1:])


def test_colours_are_written_as_style_sheets_write_them():
    assert Swatch("x", (1, 171, 255)).css == "#01abff"
    assert Swatch("x", (1, 171, 255)).style == "--official:#01abff"
    assert Swatch("x", (1, 171, 255), (0, 0, 16)).style == "--official:#01abff;--safe:#000010"


def test_a_legend_is_recoloured_as_a_whole():
    assert recolour([Swatch("x", (1, 2, 3), (4, 5, 6)), Swatch("grey", (9, 9, 9))], "safe") == [
        Swatch("x", (4, 5, 6)),
        Swatch("grey", (9, 9, 9)),
    ]
    assert recolour([Swatch("x", (1, 2, 3), (4, 5, 6))], "official") == [Swatch("x", (1, 2, 3))]


def test_a_picture_is_drawn_in_each_palette_that_its_classes_have():
    def draw(swatches: Sequence[Swatch]) -> Picture:
        return Picture(f"data:{swatches[0].css}", "alt", 1, 1)

    both = [Swatch("x", (0, 0, 1), (0, 0, 2))]
    assert draw_in_palettes(draw, both) == Picture("data:#000001", "alt", 1, 1, "data:#000002")
    assert draw_in_palettes(draw, recolour(both, "safe")) == Picture("data:#000002", "alt", 1, 1)
