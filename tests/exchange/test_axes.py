"""Orders of kernel axes: against a dense convolution that is written for their order, and against our own sparse one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv3d

from olivine.exchange.axes import DEPTHWISE, HEAD, HEAD_BIAS, PIXELWISE, POINTWISE, SAME, SPCONV1, SPCONV2
from olivine.models.sparse import get_backend

CHANNELS = st.integers(1, 5)


@pytest.mark.parametrize("axes", [SAME, SPCONV1, SPCONV2])
@settings(max_examples=30)
@given(offsets=st.sampled_from([3, 8, 27]), in_channels=CHANNELS, out_channels=CHANNELS, seed=st.integers(0, 99))
def test_there_and_back_is_the_same_to_the_bit(axes, offsets, in_channels, out_channels, seed):
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(offsets, in_channels, out_channels, generator=generator)
    assert torch.equal(axes.to_ours(axes.to_theirs(kernel).contiguous()), kernel)


@pytest.mark.parametrize(
    ("axes", "shape", "theirs"),
    [
        (POINTWISE, (2, 3), (2, 3, 1)),
        (PIXELWISE, (2, 3), (2, 3, 1, 1)),
        (DEPTHWISE, (4,), (4, 1, 1)),
        (HEAD, (2, 3), (3, 2, 1)),
        (HEAD_BIAS, (1, 3), (3,)),
    ],
)
def test_layers_that_are_convolutions_elsewhere(axes, shape, theirs):
    tensor = torch.arange(float(np.prod(shape))).reshape(shape)
    assert axes.to_theirs(tensor).shape == theirs
    assert torch.equal(axes.to_ours(axes.to_theirs(tensor)), tensor)


def test_every_number_has_its_place():
    """Kernel numbers that say their offset and channels: x + 3 y + 9 z is ours, [z, y, x] theirs."""
    x, y, z, source, target = np.meshgrid(*(np.arange(size) for size in (3, 3, 3, 2, 4)), indexing="ij")
    digits = x + 10 * y + 100 * z + 1000 * source + 10_000 * target
    ours = np.zeros((27, 2, 4))
    ours[x + 3 * y + 9 * z, source, target] = digits
    first, second = SPCONV1.to_theirs(torch.from_numpy(ours)), SPCONV2.to_theirs(torch.from_numpy(ours))
    assert first.shape == (3, 3, 3, 2, 4)
    assert second.shape == (4, 3, 3, 3, 2)
    assert int(first[2, 1, 0, 1, 3]) == 31_210
    assert int(second[3, 2, 1, 0, 1]) == 31_210
    column = torch.arange(6.0).reshape(3, 1, 2)
    assert SPCONV2.to_theirs(column).shape == (2, 3, 1, 1, 1)
    assert SPCONV2.to_theirs(column)[1, 2, 0, 0, 0] == column[2, 0, 1]


@settings(max_examples=20)
@given(seed=st.integers(0, 99), in_channels=st.integers(1, 4), out_channels=st.integers(1, 4))
def test_our_sparse_convolution_is_a_dense_one_with_the_kernel_in_spconvs_order(seed, in_channels, out_channels):
    """spconv indexes voxels by (batch, z, y, x) and correlates as conv3d: its order is that of a dense z, y, x grid."""
    generator = torch.Generator().manual_seed(seed)
    occupied_ZYX = torch.rand(4, 5, 6, generator=generator) < 0.4
    occupied_ZYX[0, 0, 0] = True
    voxels_V3 = occupied_ZYX.nonzero()
    features_VD = torch.randn(len(voxels_V3), in_channels, generator=generator, dtype=torch.float64)
    kernel = torch.randn(27, in_channels, out_channels, generator=generator, dtype=torch.float64)
    coordinates_V4 = torch.cat([torch.zeros(len(voxels_V3), 1), voxels_V3.flip(1)], dim=1).int()
    grids = get_backend("plain").grids(coordinates_V4)
    sparse_VD = grids.restore(grids.convolve(grids.arrange(features_VD), kernel, 1))
    dense = torch.zeros(1, in_channels, *occupied_ZYX.shape, dtype=torch.float64)
    dense[0, :, *voxels_V3.T] = features_VD.T
    for weight in (
        SPCONV2.to_theirs(kernel).permute(0, 4, 1, 2, 3),
        SPCONV1.to_theirs(kernel).permute(4, 3, 0, 1, 2),
    ):
        expected_VD = conv3d(dense, weight, padding=1)[0, :, *voxels_V3.T].T
        torch.testing.assert_close(sparse_VD, expected_VD, rtol=1e-12, atol=1e-12)
