from __future__ import annotations

import torch

from olivine.models.cloud import CloudBatch
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe
from olivine.models.segmenter import Segmenter

SMALL = NetworkRecipe(widths=(4,) * 9, blocks=(1,) * 8)


def voxels():
    generator = torch.Generator().manual_seed(0)
    cells = torch.unique(torch.randint(-6, 6, (300, 3), generator=generator), dim=0).int()
    coordinates_V4 = torch.cat([torch.zeros(len(cells), 1, dtype=torch.int32), cells], 1)
    return CloudBatch(coordinates_V4, torch.rand(len(cells), 1, generator=generator), torch.zeros(len(cells)).long())


def test_logits_are_the_head_on_the_backbone():
    segmenter = Segmenter(SMALL, 0.02, seed=3).eval()
    clouds = voxels()
    logits_VC = segmenter(clouds)
    assert logits_VC.shape == (len(clouds.coordinates_V4), 17)
    head = segmenter.head
    expected = segmenter.backbone(clouds.coordinates_V4, clouds.features_VF) @ head.kernel + head.bias
    torch.testing.assert_close(logits_VC, expected)


def test_the_ignored_category_is_never_predicted():
    segmenter = Segmenter(SMALL, 0.02, seed=3).eval()
    with torch.no_grad():
        segmenter.head.bias[0, 0] = 1e6
    clouds = voxels()
    category_V = segmenter.predict(clouds)
    assert category_V.dtype == torch.uint8
    assert set(category_V.tolist()) <= set(range(1, 17))
    logits_VC = segmenter(clouds)
    assert torch.equal(category_V.long(), logits_VC[:, 1:].argmax(1) + 1)


def test_seeds():
    first, same, other = (Segmenter(SMALL, 0.02, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.kernel"], other["head.kernel"])
    backbone = build_backbone(SMALL, 0.02, 0).state_dict()
    assert all(torch.equal(first[f"backbone.{name}"], tensor) for name, tensor in backbone.items())
