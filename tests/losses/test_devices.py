"""On an accelerator the losses give what they give on the CPU."""

import pytest
import torch

from olivine.losses.category_aware import category_aware_contrastive
from olivine.losses.lovasz import lovasz_softmax
from olivine.losses.momentum import KeyQueue, queue_info_nce
from olivine.losses.point_pixel import point_pixel_info_nce
from olivine.losses.regression import point_pixel_distance
from olivine.losses.segmentation import segmentation_loss
from olivine.losses.superpixel import pool_segments, superpixel_info_nce
from olivine.losses.temporal import temporal_info_nce
from olivine.losses.tolerant import tolerant_info_nce
from olivine.losses.views import view_info_nce
from olivine.losses.vmf import VonMisesFisher

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def all_losses(points, pixels, categories):
    statistics = VonMisesFisher(17, points.shape[1], corrected=True, max_concentration=50.0).to(points.device)
    statistics.update(points, categories)
    queue = KeyQueue(700, points.shape[1]).to(points.device)
    queue.enqueue(pixels)
    segments = torch.arange(len(points), device=points.device) % 120 - 1
    (mean_3d, counts), (mean_2d, _) = (pool_segments(features, segments, 120) for features in (points, pixels))
    return [
        point_pixel_info_nce(points, pixels),
        category_aware_contrastive(points, pixels, categories, temperature=0.01),
        statistics(points, categories),
        lovasz_softmax(20 * points, categories.clamp(min=0), ignore=0),
        segmentation_loss(20 * points, categories.clamp(min=0)),
        superpixel_info_nce(mean_3d, mean_2d),
        tolerant_info_nce(mean_3d, mean_2d, mean_2d.detach(), similar_from=0.1),
        temporal_info_nce(points, segments, mean_2d, counts),
        point_pixel_distance(points, pixels),
        view_info_nce(points, pixels, symmetric=True),
        queue_info_nce(points, pixels.detach(), queue.filled),
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_same_values_and_gradients_as_on_the_cpu(unit_features, dtype):
    categories = torch.randint(-1, 17, (500,), generator=torch.Generator().manual_seed(3))
    results = []
    for device in ("cpu", "cuda"):
        points, pixels = (unit_features(500, 32, seed, dtype).detach().to(device).requires_grad_() for seed in (0, 1))
        losses = all_losses(points, pixels, categories.to(device))
        torch.stack(losses).sum().backward()
        results.append([*losses, points.grad, pixels.grad])
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 1e-3}
    for on_cpu, on_gpu in zip(*results, strict=True):
        torch.testing.assert_close(on_gpu.cpu(), on_cpu, **tolerance)
