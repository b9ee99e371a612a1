from __future__ import annotations

import pytest
import torch

from olivine.errors import UsageError
from olivine.models.image import ImageEncoder, load_image_encoder


@pytest.fixture(name="encoder")
def _encoder() -> ImageEncoder:
    return load_image_encoder("stand_in")


def images(num: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num, 48, 80, 3), dtype=torch.uint8, generator=generator)


def test_shape_dtype_and_note(encoder: ImageEncoder) -> None:
    features = encoder.encode(images(2))
    assert features.shape == (2, encoder.channels, 48 // encoder.stride, 80 // encoder.stride)
    assert features.dtype == torch.float32
    assert encoder.name == "stand_in"
    assert encoder.simulated_note is not None
    assert "stand-in" in encoder.simulated_note


def test_features_do_not_depend_on_the_batch_or_the_run(encoder: ImageEncoder) -> None:
    batch = images(3)
    together = encoder.encode(batch)
    assert torch.equal(together, load_image_encoder("stand_in").encode(batch))
    for index in range(3):
        assert torch.equal(together[index], encoder.encode(batch[index : index + 1])[0])


def test_a_constant_image_has_its_colour_and_no_texture(encoder: ImageEncoder) -> None:
    image = torch.tensor([51, 102, 204], dtype=torch.uint8).expand(1, 32, 32, 3)
    features = encoder.encode(image)[0, :, 1, 1]
    torch.testing.assert_close(features[:3], torch.tensor([0.2, 0.4, 0.8]))
    assert features[3:32].abs().max() < 1e-3
    torch.testing.assert_close(features[32:], features[:32], atol=1e-6, rtol=0)


def test_gradients_tell_the_direction(encoder: ImageEncoder) -> None:
    stripes = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    along, down = encoder.encode(stripes)[0, 6:8, 0, 0]
    turned_along, turned_down = encoder.encode(stripes.transpose(1, 2))[0, 6:8, 0, 0]
    assert along > 1 > down
    assert turned_down > 1 > turned_along


def test_neighbours_reach_the_second_half_only(encoder: ImageEncoder) -> None:
    image = torch.zeros(1, 16 * 9, 16 * 9, 3, dtype=torch.uint8)
    changed = image.clone()
    changed[:, 16 * 6 : 16 * 7, 16 * 6 : 16 * 7] = 200
    cell, changed_cell = encoder.encode(image)[0, :, 4, 4], encoder.encode(changed)[0, :, 4, 4]
    assert torch.equal(cell[:32], changed_cell[:32])
    assert not torch.equal(cell[32:], changed_cell[32:])


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(1, 32, 32, 3),
        torch.zeros(32, 32, 3, dtype=torch.uint8),
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        torch.zeros(0, 32, 32, 3, dtype=torch.uint8),
        torch.zeros(1, 30, 32, 3, dtype=torch.uint8),
        torch.zeros(1, 32, 0, 3, dtype=torch.uint8),
    ],
)
def test_what_is_no_batch_of_images_is_refused(encoder: ImageEncoder, bad: torch.Tensor) -> None:
    with pytest.raises(UsageError):
        encoder.encode(bad)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="mobilesam, stand_in"):
        load_image_encoder("resnet")
