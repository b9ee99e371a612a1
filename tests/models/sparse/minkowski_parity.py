"""Runs one network on both backends and prints how far they are apart, as JSON; gradients too in float64.

A process of its own: MinkowskiEngine reads its thread counts when it is loaded.

    python tests/models/sparse/minkowski_parity.py VOXEL_SIZE_M DTYPE
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from torch import Tensor

from benchmarks.inputs import lidar_sweep
from olivine.models.minkunet import MinkUNet


def sweep_voxels(voxel_size_m: float) -> Tensor:
    """Shuffled voxels of two sweeps, batch entries 0 and 2: entry 1 is empty."""
    generator = np.random.default_rng(0)
    cells = [np.unique(np.floor(lidar_sweep(seed)[:, :3] / voxel_size_m).astype(np.int32), axis=0) for seed in (0, 1)]
    batches = [np.insert(cells_V3, 0, batch, axis=1) for cells_V3, batch in zip(cells, (0, 2), strict=True)]
    return torch.from_numpy(generator.permutation(np.concatenate(batches)))


def output_and_gradients(net: MinkUNet, coordinates_V4: Tensor, dtype: torch.dtype) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    features_VC = torch.rand(len(coordinates_V4), 1, generator=generator).to(dtype)
    upstream_VD = torch.randn(len(coordinates_V4), net.out_channels, generator=generator).to(dtype)
    output_VD = net(coordinates_V4, features_VC)
    if dtype == torch.float64:
        output_VD.backward(upstream_VD)
    gradients = {name: parameter.grad for name, parameter in net.named_parameters() if parameter.grad is not None}
    return output_VD.detach(), gradients


def main(voxel_size_m: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    plain = MinkUNet(1, backend="plain").to(dtype)
    minkowski = MinkUNet(1, backend="minkowski").to(dtype)
    minkowski.load_state_dict(plain.state_dict(), strict=True)
    coordinates_V4 = sweep_voxels(voxel_size_m)
    ours, our_gradients = output_and_gradients(plain, coordinates_V4, dtype)
    theirs, their_gradients = output_and_gradients(minkowski, coordinates_V4, dtype)
    apart = {name: (our_gradients[name] - g).norm() / g.norm() for name, g in their_gradients.items()}
    report = {
        "voxels": len(coordinates_V4),
        "output": float((ours - theirs).abs().max() / theirs.abs().max()),
        "gradient": float(max(apart.values(), default=0.0)),
        "gradients": len(apart),
        "statistics": max(
            float((a - b).abs().max()) for a, b in zip(plain.buffers(), minkowski.buffers(), strict=True)
        ),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(float(sys.argv[1]), getattr(torch, sys.argv[2]))
