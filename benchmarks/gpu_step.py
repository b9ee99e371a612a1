"""Where a step of OLIVINE's pretraining goes on a GPU: `python -m benchmarks.gpu_step`.

The paper's step on 16 keyframes with data that are there already: sweeps of 34 720 points at 0.1 m, six images of
224 x 416 a keyframe, a dilated ResNet-50 with random parameters. Encoder, forward pass of the 3D backbone, and the
whole step after the encoder, in fp32 and with bf16 autocast. It needs a GPU and is no part of `make bench`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import w16_step
from benchmarks.inputs import lidar_sweep
from olivine.models.cloud import collate
from olivine.models.image import EncoderRecipe, load_image_encoder
from olivine.models.network import prepare_cloud
from olivine.pretrain.batch import PretrainBatch
from olivine.training.determinism import deterministic
from olivine.training.precision import Precision, half_precision

KEYFRAMES, REPETITIONS = 16, 5
ENCODER = {"name": "resnet50", "family": "moco_v2", "weights": "random"}


def main() -> None:
    """Print milliseconds for both precisions, and the kernels that a step launches."""
    if not torch.cuda.is_available():
        sys.exit("gpu_step: no GPU here.")
    data = batch()
    print(f"{torch.cuda.get_device_name(0)}, {KEYFRAMES} keyframes, {len(data.clouds.batch_R)} voxels")
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    for precision in precisions:
        print(precision, ", ".join(f"{name} {value:.4g}" for name, value in parts(data, precision).items()))


def batch() -> PretrainBatch:
    """The batch of W16, as many times, with a sweep of its own for each keyframe."""
    one, generator = w16_step.batch(None), torch.Generator().manual_seed(0)
    clouds = collate([prepare_cloud(lidar_sweep(seed), w16_step.RECIPE.network) for seed in range(KEYFRAMES)])
    bounds = (w16_step.IMAGES * KEYFRAMES, w16_step.HEIGHT, w16_step.WIDTH)
    num_pairs = w16_step.NUM_PAIRS * KEYFRAMES
    pixels = [torch.randint(0, bound, (num_pairs,), generator=generator) for bound in bounds]
    whole = replace(
        one,
        clouds=clouds,
        pair_row_M=torch.randint(0, len(clouds.batch_R), (num_pairs,), generator=generator),
        pixel_M3=torch.stack(pixels, dim=1),
        label_M=one.label_M.repeat(KEYFRAMES),
        weight_M=one.weight_M.repeat(KEYFRAMES),
        num_keyframes=KEYFRAMES,
        images_IHW3=torch.randint(0, 256, (*bounds, 3), dtype=torch.uint8, generator=generator),
    )
    return whole.to(torch.device("cuda"))


def parts(data: PretrainBatch, precision: Precision) -> dict[str, float]:
    """Milliseconds of each part, and how many kernels the step after the encoder launches."""
    device = data.weight_M.device
    size = {"height": w16_step.HEIGHT, "width": w16_step.WIDTH, "precision": precision}
    encoder = load_image_encoder(EncoderRecipe.model_validate(ENCODER | size), device=device)
    images = data.images_IHW3
    assert images is not None
    encoded = replace(data, maps_ICHW=encoder.encode(images), images_IHW3=None)
    model = w16_step.distiller().to(device).train()

    def backbone() -> None:
        with torch.no_grad(), half_precision(precision, device):
            model.backbone.embed(data.clouds)

    def step() -> None:
        model.zero_grad()
        with half_precision(precision, device):
            loss = model(encoded, w16_step.seeded(0))["loss"]
        loss.backward()

    with deterministic():
        found = {
            "encoder_ms": milliseconds(lambda: encoder.encode(images)),
            "backbone_forward_ms": milliseconds(backbone),
            "step_ms": milliseconds(step),
        }
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            step()
            torch.cuda.synchronize()
    launches = sum(event.count for event in profiler.key_averages() if "cudaLaunchKernel" in event.key)
    return found | {"launches": launches}


def milliseconds(call: Callable[[], object]) -> float:
    """Mean time of a call after two others."""
    for _ in range(2):
        call()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(REPETITIONS):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3 / REPETITIONS


if __name__ == "__main__":
    main()
