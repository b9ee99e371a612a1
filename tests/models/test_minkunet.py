"""MinkUNet: its parameters, and the symmetries a network over voxels has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from olivine.errors import UsageError
from olivine.models.minkunet import WIDTHS, Head, MinkUNet

SMALL = tuple(width // 8 for width in WIDTHS)


@pytest.fixture(scope="module")
def net() -> MinkUNet:
    torch.manual_seed(0)
    return MinkUNet(2, widths=SMALL)


def street(seed: int, num_batches: int = 2) -> tuple[Tensor, Tensor]:
    """Shuffled voxels of a bumpy ground with walls: int32 [V, 4], features [V, 2]."""
    generator = np.random.default_rng(seed)
    xy = generator.integers(-40, 40, (500, 2))
    height = (xy.sum(axis=1) // 16) + np.where(xy[:, 0] > 20, generator.integers(0, 12, 500), 0)
    voxels = np.unique(np.column_stack([generator.integers(0, num_batches, 500), xy, height]), axis=0)
    coordinates_V4 = torch.from_numpy(generator.permutation(voxels)).int()
    return coordinates_V4, torch.from_numpy(generator.normal(size=(len(voxels), 2)).astype(np.float32))


def test_full_width_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in MinkUNet(1).parameters()) == 37_842_976
    assert sum(parameter.numel() for parameter in Head(96, 64).parameters()) == 6_208


def test_names_and_shapes_are_those_of_released_checkpoints() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in MinkUNet(1).state_dict().items()}
    expected = {
        "conv0p1s1.kernel": (27, 1, 32),
        "bn0.bn.running_mean": (32,),
        "conv1p1s2.kernel": (8, 32, 32),
        "block2.0.conv1.kernel": (27, 32, 64),
        "block2.0.downsample.0.kernel": (32, 64),
        "block2.0.downsample.1.bn.weight": (64,),
        "block4.5.norm2.bn.bias": (256,),
        "convtr4p16s2.kernel": (8, 256, 256),
        "bntr4.bn.weight": (256,),
        "block5.0.conv1.kernel": (27, 256 + 128, 256),
        "convtr5p8s2.kernel": (8, 256, 128),
        "block6.0.conv1.kernel": (27, 128 + 64, 128),
        "convtr7p2s2.kernel": (8, 96, 96),
        "block8.0.conv1.kernel": (27, 96 + 32, 96),
        "block8.1.conv2.kernel": (27, 96, 96),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    assert "block1.0.downsample.0.kernel" not in shapes
    assert len({name.split(".")[0] for name in shapes}) == 2 + 3 * 8
    assert {name: tuple(tensor.shape) for name, tensor in Head(96, 64).state_dict().items()} == {
        "kernel": (96, 64),
        "bias": (1, 64),
    }


def test_kernels_start_within_the_published_bounds() -> None:
    net = MinkUNet(1, widths=SMALL)
    for kernel, fan in (
        (net.conv0p1s1.kernel, 27),
        (net.block3[1].conv2.kernel, 16 * 27),
        (net.convtr5p8s2.kernel, 16 * 8),
        (net.block5[0].downsample[0].kernel, 32 + 16),
    ):
        assert 0.9 / fan**0.5 < kernel.abs().max() <= 1 / fan**0.5
    assert net.bn0.bn.momentum == 0.05
    assert torch.equal(net.bn0.bn.weight, torch.ones(4))


def test_output_is_one_row_a_voxel_and_reaches_every_parameter(net: MinkUNet) -> None:
    coordinates_V4, features_VC = street(0)
    output_VD = net.train()(coordinates_V4, features_VC)
    assert output_VD.shape == (len(coordinates_V4), net.out_channels)
    output_VD.square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_permuted_voxels_give_permuted_rows_to_the_bit(seed: int) -> None:
    torch.manual_seed(seed)
    net = MinkUNet(2, widths=SMALL, blocks=(1,) * 8)
    coordinates_V4, features_VC = street(seed)
    order = torch.randperm(len(coordinates_V4))
    with torch.no_grad():
        assert torch.equal(net(coordinates_V4, features_VC)[order], net(coordinates_V4[order], features_VC[order]))


@settings(max_examples=10, deadline=None)
@given(steps=st.tuples(*[st.integers(-20, 20)] * 3), batch=st.integers(0, 50))
def test_a_shift_by_whole_coarse_voxels_changes_nothing(net: MinkUNet, steps: tuple[int, int, int], batch: int) -> None:
    coordinates_V4, features_VC = street(1)
    shift = torch.tensor([batch, *(16 * step for step in steps)], dtype=torch.int32)
    with torch.no_grad():
        net.train()
        assert torch.equal(net(coordinates_V4, features_VC), net(coordinates_V4 + shift, features_VC))


def test_sweeps_of_a_batch_do_not_see_each_other(net: MinkUNet) -> None:
    coordinates_V4, features_VC = street(2, num_batches=3)
    coordinates_V4[:, 0] *= 2
    net.eval()
    with torch.no_grad():
        together = net(coordinates_V4, features_VC)
        for sweep in (0, 2, 4):
            own = coordinates_V4[:, 0] == sweep
            torch.testing.assert_close(net(coordinates_V4[own], features_VC[own]), together[own], rtol=1e-4, atol=1e-5)


def test_an_entry_of_the_batch_may_be_empty(net: MinkUNet) -> None:
    coordinates_V4, features_VC = street(3)
    gap = coordinates_V4 * torch.tensor([7, 1, 1, 1], dtype=torch.int32)
    with torch.no_grad():
        net.eval()
        assert torch.equal(net(gap, features_VC), net(coordinates_V4, features_VC))


def test_same_input_same_bits_forward_and_backward(net: MinkUNet) -> None:
    coordinates_V4, features_VC = street(4)

    def step() -> list[Tensor]:
        output_VD = net.train()(coordinates_V4, features_VC)
        return [output_VD, *torch.autograd.grad(output_VD.square().mean(), list(net.parameters()))]

    assert all(torch.equal(first, second) for first, second in zip(step(), step(), strict=True))


def test_parameters_move_through_a_state_dict(net: MinkUNet) -> None:
    other = MinkUNet(2, widths=SMALL)
    other.load_state_dict(net.state_dict(), strict=True)
    coordinates_V4, features_VC = street(5)
    with torch.no_grad():
        assert torch.equal(net.eval()(coordinates_V4, features_VC), other.eval()(coordinates_V4, features_VC))


def test_a_head_is_an_affine_map() -> None:
    head, features_VD = Head(6, 3), torch.randn(5, 6)
    torch.testing.assert_close(head(features_VD), features_VD @ head.kernel + head.bias)


def test_wrong_calls_are_named(net: MinkUNet) -> None:
    coordinates_V4, features_VC = street(6)
    with pytest.raises(UsageError, match="one row for each"):
        net(coordinates_V4, features_VC[:-1])
    with pytest.raises(UsageError, match="2 channels"):
        net(coordinates_V4, features_VC[:, :1])
    with pytest.raises(UsageError, match="9 widths"):
        MinkUNet(1, widths=(8, 8))
