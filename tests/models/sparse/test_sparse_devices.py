"""On an accelerator the plain backend computes what it computes on the CPU, twice the same, and in half precision."""

import pytest
import torch

from olivine.models.minkunet import MinkUNet

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

WIDTHS = (16, 16, 32, 32, 64, 64, 32, 32, 16)


def voxels(seed: int = 0) -> torch.Tensor:
    """Shuffled int32 coordinates [V, 4] of two crowded batch entries."""
    generator = torch.Generator().manual_seed(seed)
    occupied = (torch.rand(2, 32, 32, 16, generator=generator) < 0.2).nonzero()
    return occupied[torch.randperm(len(occupied), generator=generator)].int()


def run(device: str, dtype: torch.dtype, *, autocast: bool = False):
    """Output and gradients of one network on one cloud, on the CPU in float64."""
    torch.manual_seed(0)
    network = MinkUNet(3, widths=WIDTHS).to(device, dtype)
    coordinates_V4 = voxels()
    generator = torch.Generator().manual_seed(1)
    features_V3 = torch.rand(len(coordinates_V4), 3, generator=generator, dtype=torch.float64)
    upstream_VD = torch.randn(len(coordinates_V4), network.out_channels, generator=generator, dtype=torch.float64)
    with torch.autocast(device, torch.bfloat16, enabled=autocast):
        output_VD = network(coordinates_V4.to(device), features_V3.to(device, dtype))
    output_VD.backward(upstream_VD.to(device, output_VD.dtype))
    gradients = {name: parameter.grad.double().cpu() for name, parameter in network.named_parameters()}
    return output_VD.detach().double().cpu(), gradients


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module")
def on_cpu():
    return run("cpu", torch.float64)


def test_float64_is_the_same_to_rounding(on_cpu):
    output, gradients = run("cuda", torch.float64)
    assert apart(output, on_cpu[0]) < 1e-10
    assert max(apart(gradients[name], theirs) for name, theirs in on_cpu[1].items()) < 1e-8


def test_float32_and_bfloat16_are_near(on_cpu):
    assert apart(run("cuda", torch.float32)[0], on_cpu[0]) < 1e-4
    assert apart(run("cuda", torch.float32, autocast=True)[0], on_cpu[0]) < 5e-2


def test_twice_the_same_bits():
    first, second = (run("cuda", torch.float32) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(gradient, second[1][name]) for name, gradient in first[1].items())
