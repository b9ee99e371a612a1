from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from olivine.errors import DataError
from olivine.models.image import sample_features, sample_maps

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))


def random_pixels(num: int, num_images: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    columns = [torch.randint(0, bound, (num,), generator=generator) for bound in (num_images, *size)]
    return torch.stack(columns, 1)


@given(sizes=SIZES, seed=st.integers(0, 2**31))
def test_sampling_then_head_equals_head_then_upsampling(sizes: tuple[int, int, int, int], seed: int) -> None:
    cell_rows, cell_cols, height, width = sizes
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, 5, cell_rows, cell_cols, generator=generator)
    head = torch.randn(4, 5, 1, 1, generator=generator)
    bias = torch.randn(4, generator=generator)
    pixels = random_pixels(17, 3, (height, width), generator)

    upsampled = functional.interpolate(
        functional.conv2d(maps, head, bias), size=(height, width), mode="bilinear", align_corners=True
    )
    expected = upsampled.permute(0, 2, 3, 1)[tuple(pixels.unbind(1))]
    found = sample_maps(maps, pixels, (height, width)) @ head[:, :, 0, 0].T + bias

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_one_map_is_the_batched_form_with_one_image() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 6, 18, 32, generator=generator)
    pixels = random_pixels(100, 2, (288, 512), generator)
    pixels[:, 0] = 1
    found = sample_features(maps[1], pixels[:, 1], pixels[:, 2], (288, 512))
    assert torch.equal(found, sample_maps(maps, pixels, (288, 512)))


def test_corners_and_fractions_of_a_pixel() -> None:
    ramp = torch.arange(12.0).reshape(1, 3, 4)
    rows, cols = torch.tensor([0.0, 0.0, 8.0, 8.0, 4.5]), torch.tensor([0.0, 9.0, 0.0, 9.0, 1.5])
    found = sample_features(ramp, rows, cols, (9, 10))
    # Down: 4 per cell, a quarter of a cell per pixel. Along: 1 per cell, a third of a cell per pixel.
    torch.testing.assert_close(found[:, 0], torch.tensor([0.0, 3.0, 8.0, 11.0, 5.0]))


def test_half_precision_maps_are_interpolated_in_float32() -> None:
    maps = torch.tensor([[[0.0, 1.0]]], dtype=torch.bfloat16)
    found = sample_features(maps, torch.tensor([0]), torch.tensor([1]), (1, 1001))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(0.001, rel=1e-6)


def test_gradients_reach_the_map() -> None:
    maps = torch.zeros(1, 1, 2, 2, requires_grad=True)
    sample_maps(maps, torch.tensor([[0, 1, 1]]), (3, 3)).sum().backward()
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad, torch.full((1, 1, 2, 2), 0.25))


def test_no_pixels_give_no_features() -> None:
    assert sample_maps(torch.zeros(2, 7, 3, 3), torch.zeros(0, 3, dtype=torch.long), (9, 9)).shape == (0, 7)


@pytest.mark.parametrize("pixel", [[0, -1, 0], [0, 9, 0], [0, 0, -1], [0, 0, 10], [2, 0, 0], [-1, 0, 0]])
def test_a_pixel_outside_is_refused(pixel: list[int]) -> None:
    with pytest.raises(DataError, match="outside"):
        sample_maps(torch.zeros(2, 1, 3, 3), torch.tensor([pixel]), (9, 10))


def test_a_pixel_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="outside"):
        sample_features(torch.zeros(1, 3, 3), torch.tensor([float("nan")]), torch.tensor([0.0]), (9, 10))
