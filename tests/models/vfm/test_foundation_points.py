"""Masks of points: the decoder's products in another order, and which of its masks are kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from olivine.models.vfm.automatic import AutomaticMasks
from olivine.models.vfm.recipe import SegmenterRecipe
from olivine.models.vfm.sam import Sam

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def modules():
    """The package's own at a small size, with random parameters that let differences show."""
    package = pytest.importorskip("segment_anything.modeling")
    torch.manual_seed(0)
    prompts = package.PromptEncoder(32, (16, 16), (256, 256), mask_in_chans=4)
    decoder = package.MaskDecoder(transformer_dim=32, transformer=package.TwoWayTransformer(2, 32, 4, 64))
    found = SimpleNamespace(prompt_encoder=prompts.eval(), mask_decoder=decoder.eval())
    for module in (prompts, decoder):
        module.requires_grad_(False)
        for name, parameter in module.named_parameters():
            parameter.normal_(0, parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.3)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return found


@pytest.fixture(scope="module")
def decoded(modules):
    """An embedding, points, and what the package makes of them: logits [5, 3, 64, 64], predicted IoU [5, 3]."""
    embedding, point_K2 = torch.randn(1, 32, 16, 16), torch.rand(5, 2) * 256
    labels = torch.ones(5, 1, dtype=torch.int)
    sparse, dense = modules.prompt_encoder(points=(point_K2[:, None], labels), boxes=None, masks=None)
    logits_K3ss, quality_K3 = modules.mask_decoder(
        image_embeddings=embedding,
        image_pe=modules.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
    )
    return embedding, point_K2, logits_K3ss, quality_K3


def decoder_of(modules):
    return pytest.importorskip("olivine.models.vfm.sam_points").PointDecoder(modules)


def test_points_are_decoded_as_the_package_decodes_them(modules, decoded):
    embedding, point_K2, logits_K3ss, quality_K3 = decoded
    logits_Mss, quality_M = decoder_of(modules).decode(embedding, point_K2, -1e9)
    assert logits_K3ss.std() > 0.1
    torch.testing.assert_close(logits_Mss, logits_K3ss.flatten(0, 1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(quality_M, quality_K3.flatten(), atol=1e-4, rtol=1e-4)


def test_masks_of_low_quality_are_left_out(modules, decoded):
    embedding, point_K2, logits_K3ss, quality_K3 = decoded
    middle = float(quality_K3.median())
    logits_Mss, quality_M = decoder_of(modules).decode(embedding, point_K2, middle)
    assert 0 < len(quality_M) == (quality_K3 > middle).sum() < 15
    torch.testing.assert_close(logits_Mss, logits_K3ss[quality_K3 > middle], atol=1e-4, rtol=1e-4)
    logits_Mss, quality_M = decoder_of(modules).decode(embedding, point_K2, 1e9)
    assert (logits_Mss.shape, quality_M.shape) == ((0, 64, 64), (0,))


class Painted:
    """Answers a point by the masks that lie under it, whatever the image."""

    side, keeps_aspect = 64, True

    def __init__(self, *masks):
        """Each: rows, columns of the decoder's grid of 16 x 16, predicted IoU, logit inside."""
        self.masks = masks

    def embed(self, pixels_B3SS):
        return [None] * len(pixels_B3SS)

    def decode_points(self, embedding, point_K2, min_quality):
        logits, quality = [torch.zeros(0, 16, 16)], []
        for x, y in (point_K2 / 4).tolist():
            for rows, columns, value, inside in self.masks:
                if rows[0] <= y < rows[1] and columns[0] <= x < columns[1] and value > min_quality:
                    mask = torch.full((1, 16, 16), -8.0)
                    mask[0, rows[0] : rows[1], columns[0] : columns[1]] = inside
                    logits.append(mask)
                    quality.append(value)
        return torch.cat(logits), torch.tensor(quality)


def segments(*masks, points_per_side=8, points_at_once=None):
    """Of an image of 128 x 64, of which the network sees 64 x 32 and its decoder 16 x 8."""
    recipe = SegmenterRecipe(points_per_side=points_per_side)
    found = AutomaticMasks(Sam(Painted(*masks), recipe, CPU, 1), recipe)
    found.points_at_once = points_at_once or found.points_at_once
    return found.segments(np.zeros((64, 128, 3), np.uint8))


WHOLE, PART = ((0, 8), (0, 16), 0.9, 8.0), ((2, 6), (4, 8), 0.95, 8.0)


def test_a_part_lies_on_its_whole():
    for masks in ((WHOLE, PART), (PART, WHOLE)):
        ids = segments(*masks)
        assert set(np.unique(ids)) == {0, 1}
        assert ids[32, 48] == 1
        assert abs((ids == 1).sum() - 32 * 32) < 150
        assert ids[2, 2] == ids[60, 120] == 0


def test_of_masks_of_one_thing_the_best_is_kept():
    nearly = ((2, 6), (4, 9), 0.97, 8.0)
    ids = segments(PART, nearly)
    assert set(np.unique(ids)) == {-1, 0}
    assert ids[32, 68] == 0
    assert segments(PART, (*nearly[:2], 0.9, 8.0))[32, 68] == -1


@pytest.mark.parametrize(
    "mask",
    [
        (*PART[:2], 0.88, 8.0),  # of low quality
        (*PART[:2], 0.95, 0.5),  # unstable: nothing is left one logit above
        ((10, 16), (0, 16), 0.95, 8.0),  # on the padding alone
    ],
)
def test_other_masks_are_no_segments(mask):
    assert (segments(mask) == -1).all()
    assert set(np.unique(segments(mask, PART))) == {-1, 0}


def test_padding_counts_for_nothing():
    """A mask that goes on below the image is as large as what is seen of it."""
    ids = segments(((4, 16), (0, 4), 0.95, 8.0), ((4, 8), (0, 6), 0.9, 8.0))
    assert set(np.unique(ids)) == {-1, 0, 1}
    assert ids[60, 4] == 1
    assert ids[60, 44] == 0


def test_how_many_points_go_at_once_changes_nothing():
    before = segments(WHOLE, PART, points_per_side=7)
    assert np.array_equal(segments(WHOLE, PART, points_per_side=7, points_at_once=3), before)
