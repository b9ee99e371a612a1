"""The plain backend against dense convolution in float64, and what it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from olivine.errors import ConfigError, DataError, UsageError
from olivine.models.sparse import get_backend
from olivine.models.sparse.plain import PlainGrids

SIZE = 16
HALF = SIZE // 2


def cloud(seed: int, num_batches: int = 2, occupancy: float = 0.08) -> Tensor:
    """Shuffled int32 coordinates [V, 4], three axes in [-8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    occupied = torch.rand(num_batches, SIZE, SIZE, SIZE, generator=generator) < occupancy
    coordinates_V4 = occupied.nonzero()
    coordinates_V4[:, 1:] -= HALF
    return coordinates_V4[torch.randperm(len(coordinates_V4), generator=generator)].int()


def draw(*shape: int) -> Tensor:
    return torch.randn(
        *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))
    ).requires_grad_()


def to_dense(coordinates_V4: Tensor, features_VD: Tensor) -> Tensor:
    """Features [V, D] on the dense grid [B, D, x, y, z]."""
    batch, x, y, z = coordinates_V4.long().unbind(1)
    dense = features_VD.new_zeros(2, SIZE, SIZE, SIZE, features_VD.shape[1])
    return dense.index_put((batch, x + HALF, y + HALF, z + HALF), features_VD).permute(0, 4, 1, 2, 3)


def at_voxels(dense: Tensor, coordinates_V4: Tensor) -> Tensor:
    batch, x, y, z = coordinates_V4.long().unbind(1)
    return dense[batch, :, x + HALF, y + HALF, z + HALF]


def dense_kernel(kernel: Tensor, size: int) -> Tensor:
    """Kernel [x + size y + size^2 z, in, out] as [out, in, x, y, z]."""
    return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


def sparse_chain(
    coordinates_V4: Tensor, features: Tensor, stem: Tensor, down: Tensor, inner: Tensor, up: Tensor
) -> Tensor:
    grids = get_backend("plain").grids(coordinates_V4)
    hidden = grids.convolve(grids.arrange(features), stem, 1)
    hidden = grids.convolve(grids.downsample(hidden, down, 1), inner, 2)
    return grids.restore(grids.upsample(hidden, up, 2))


def dense_chain(
    coordinates_V4: Tensor, features: Tensor, stem: Tensor, down: Tensor, inner: Tensor, up: Tensor
) -> Tensor:
    """The same with every voxel stored, keeping to the occupied ones after each step."""
    occupied = to_dense(coordinates_V4, torch.ones(len(coordinates_V4), 1, dtype=torch.float64))
    hidden = functional.conv3d(to_dense(coordinates_V4, features), dense_kernel(stem, 3), padding=1) * occupied
    hidden = functional.conv3d(hidden, dense_kernel(down, 2), stride=2)
    hidden = functional.conv3d(hidden, dense_kernel(inner, 3), padding=1) * functional.max_pool3d(occupied, 2)
    hidden = functional.conv_transpose3d(hidden, dense_kernel(up, 2).transpose(0, 1), stride=2)
    return at_voxels(hidden, coordinates_V4)


@pytest.mark.parametrize("occupancy", [0.01, 0.08, 0.6])
def test_values_and_gradients_are_those_of_dense_convolution(occupancy: float) -> None:
    coordinates_V4 = cloud(seed=1, occupancy=occupancy)
    inputs = [draw(len(coordinates_V4), 3), draw(27, 3, 4), draw(8, 4, 5), draw(27, 5, 6), draw(8, 6, 2)]
    sparse, dense = sparse_chain(coordinates_V4, *inputs), dense_chain(coordinates_V4, *inputs)
    torch.testing.assert_close(sparse, dense, rtol=0, atol=1e-10)
    upstream = torch.randn_like(sparse)
    pairs = zip(
        torch.autograd.grad(sparse, inputs, upstream), torch.autograd.grad(dense, inputs, upstream), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_every_offset_reaches_its_own_neighbour() -> None:
    offsets = list(itertools.product((-1, 0, 1), repeat=3))
    for index, (z, y, x) in enumerate(offsets):
        coordinates_V4 = torch.tensor([[0, 5, -3, 2], [0, 5 + x, -3 + y, 2 + z]], dtype=torch.int32).unique(dim=0)
        here = coordinates_V4.tolist().index([0, 5, -3, 2])
        kernel = torch.zeros(27, 1, 1)
        kernel[index] = 1
        marks = torch.arange(1.0, len(coordinates_V4) + 1)[:, None]
        grids = get_backend("plain").grids(coordinates_V4)
        result = grids.restore(grids.convolve(grids.arrange(marks), kernel, 1))
        neighbour = coordinates_V4.tolist().index([0, 5 + x, -3 + y, 2 + z])
        assert result[here].item() == marks[neighbour].item()


def test_gradients_by_finite_differences() -> None:
    coordinates_V4 = cloud(seed=2, occupancy=0.003)
    inputs = (draw(len(coordinates_V4), 2), draw(27, 2, 2), draw(8, 2, 1), draw(27, 1, 2), draw(8, 2, 2))
    assert torch.autograd.gradcheck(lambda *tensors: sparse_chain(coordinates_V4, *tensors), inputs)


def test_gradient_only_where_it_is_wanted() -> None:
    coordinates_V4 = cloud(seed=3)
    features, kernel = draw(len(coordinates_V4), 2).detach(), draw(27, 2, 2)
    grids = get_backend("plain").grids(coordinates_V4)
    grids.convolve(features, kernel, 1).sum().backward()
    assert features.grad is None
    assert kernel.grad is not None
    frozen = features.clone().requires_grad_()
    grids.convolve(frozen, kernel.detach(), 1).sum().backward()
    assert frozen.grad is not None


def test_maps_are_built_once_and_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    from olivine.models.sparse import plain

    built: list[tuple[str, int]] = []
    for name in ("submanifold_map", "downsample_map"):
        build = getattr(plain, name)
        monkeypatch.setattr(
            plain,
            name,
            lambda keys, stride, build=build, name=name: (built.append((name, stride)), build(keys, stride))[1],
        )
    coordinates_V4 = cloud(seed=4)
    grids = PlainGrids(coordinates_V4)
    features = torch.ones(len(coordinates_V4), 1)
    for _ in range(3):
        coarse = grids.downsample(grids.convolve(features, torch.ones(27, 1, 1), 1), torch.ones(8, 1, 1), 1)
        grids.upsample(coarse, torch.ones(8, 1, 1), 2)
    assert sorted(built) == [("downsample_map", 1), ("submanifold_map", 1)]


def test_neighbours_stop_at_the_borders_of_the_key_range() -> None:
    most = (1 << 15) - 64 - 1
    corners = [[0, most, most, most], [1, -most, -most, -most], [32767, most, -most, most]]
    grids = get_backend("plain").grids(torch.tensor(corners, dtype=torch.int32))
    features, kernel = torch.ones(3, 1), torch.ones(27, 1, 1)
    for stride in (1, 2, 4, 8, 16):
        assert grids.convolve(features, kernel, stride).tolist() == [[1.0]] * 3
        features = grids.downsample(features, torch.ones(8, 1, 1), stride)


@pytest.mark.parametrize(
    ("coordinates", "error", "message"),
    [
        (torch.zeros(0, 4, dtype=torch.int32), DataError, "no voxel"),
        (torch.zeros(3, 4, dtype=torch.int64), UsageError, "int32"),
        (torch.zeros(3, 3, dtype=torch.int32), UsageError, r"\[V, 4\]"),
        (torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 2, 3]], dtype=torch.int32), DataError, "1 of 3"),
        (torch.tensor([[0, 32767, 0, 0]], dtype=torch.int32), DataError, "larger voxels"),
        (torch.tensor([[0, 0, 0, -32767]], dtype=torch.int32), DataError, "larger voxels"),
        (torch.tensor([[-1, 0, 0, 0]], dtype=torch.int32), DataError, "batch index"),
        (torch.tensor([[1 << 15, 0, 0, 0]], dtype=torch.int32), DataError, "batch index"),
    ],
)
def test_coordinates_no_backend_can_index_are_refused(
    coordinates: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        get_backend("plain").grids(coordinates)


def test_unknown_and_missing_backends_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="'plain' or 'minkowski'"):
        get_backend("torchsparse")
    monkeypatch.setitem(__import__("sys").modules, "MinkowskiEngine", None)
    with pytest.raises(ConfigError, match="make minkowski"):
        get_backend("minkowski")
