from __future__ import annotations

import numpy as np
import pytest
from comparison import pixels
from PIL import Image

from olivine.report.birds_eye import RANGE_M, draw_birds_eye, encode_jpeg, encode_png

RED, BLUE = (255, 0, 0), (0, 0, 255)


def draw(points: list[tuple[float, float, float]], colours: list[tuple[int, int, int]]) -> np.ndarray:
    points_N4 = np.array([(*point, 0) for point in points], np.float32).reshape(-1, 4)
    return pixels(draw_birds_eye(points_N4, np.array(colours, np.uint8).reshape(-1, 3), "from above"))


def place(x_m: float, y_m: float, size: int) -> tuple[int, int]:
    return int((RANGE_M - y_m) / (2 * RANGE_M) * size), int((x_m + RANGE_M) / (2 * RANGE_M) * size)


def test_x_is_to_the_right_and_y_ahead_is_up():
    image = draw([(10, 30, 0)], [RED])
    assert tuple(image[place(10, 30, len(image))]) == RED
    assert (image == RED).all(axis=2).sum() == 9


@pytest.mark.parametrize("order", [1, -1])
def test_the_higher_point_covers_the_lower_one(order: int):
    points, colours = [(5.0, 5.0, 0.0), (5.0, 5.0, 2.0)][::order], [RED, BLUE][::order]
    assert tuple((image := draw(points, colours))[place(5, 5, len(image))]) == BLUE


def test_points_beyond_the_picture_are_left_out():
    away = 10 * RANGE_M
    image = draw([(away, 0, 0), (0, -away, 0), (-away, away, 0)], 3 * [RED])
    assert not (image == RED).all(axis=2).any()


def test_no_points_are_an_empty_street():
    assert draw([], []).shape[2] == 3


def test_pictures_know_their_size_and_text():
    image = Image.new("RGB", (20, 10), RED)
    for encode, kind in ((encode_png, "png"), (encode_jpeg, "jpeg")):
        picture = encode(image, "a red field")
        assert (picture.width, picture.height, picture.alt) == (20, 10, "a red field")
        assert picture.src.startswith(f"data:image/{kind};base64,")
        assert np.abs(pixels(picture).astype(int) - RED).max() < 4
