"""W8, the full MinkUNet (38 M parameters), forward and forward + backward: `python -m benchmarks.w8_minkunet`.

One sweep of 34 720 points at 0.1 m. Every contender is the same network with the same parameters, in a fresh process on
two cores, and pays for its kernel maps. MinkowskiEngine runs at one and at two threads, and its better time counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.inputs import digest, lidar_sweep
from benchmarks.measure import compare, main, memory_mb, repeat, row
from olivine.memory import keep_freed_memory
from olivine.models.minkunet import BLOCKS, WIDTHS, MinkUNet

GOALS = {"forward": 2.0, "step": 1.6}
UNITS = {"forward": "ms per forward pass", "step": "ms per forward + backward pass"}
VOXEL_SIZE_M = 0.1

Network = Callable[[Tensor, Tensor], Tensor]


def voxels() -> tuple[Tensor, Tensor]:
    """Coordinates int32 [V, 4] and features float32 [V, 1] of one sweep, in no particular order."""
    points_N4 = lidar_sweep()
    cells_V3, first_V = np.unique(np.floor(points_N4[:, :3] / VOXEL_SIZE_M), axis=0, return_index=True)
    order = np.random.default_rng(0).permutation(len(cells_V3))
    coordinates_V4 = np.insert(cells_V3[order].astype(np.int32), 0, 0, axis=1)
    return torch.from_numpy(coordinates_V4), torch.from_numpy(points_N4[first_V[order], 3:] / 255)


def reference_network() -> MinkUNet:
    torch.manual_seed(0)
    return MinkUNet(1)


def olivine() -> Network:
    return reference_network()


def minkowski() -> Network:
    """The same network on MinkowskiEngine."""
    network = MinkUNet(1, backend="minkowski")
    network.load_state_dict(reference_network().state_dict())
    return network


def spconv() -> Network:
    """The same network in modules of spconv's CPU build."""
    from spconv.pytorch import ops

    # Its backward pass asks for a CUDA stream even on a CPU.
    ops.get_current_stream = lambda: 0
    network = SpconvUNet()
    parameters = zip(network.parameters(), reference_network().parameters(), strict=True)
    with torch.no_grad():
        for theirs, ours in parameters:
            theirs.copy_(_spconv_layout(ours, theirs.shape))
    return network


def _spconv_layout(parameter: Tensor, shape: torch.Size) -> Tensor:
    """[x + 3 y + 9 z, in, out] as [out, x, y, z, in]; a matrix of a 1^3 convolution as [out, in]."""
    if parameter.ndim == 3:
        size = shape[1]
        return parameter.view(size, size, size, *parameter.shape[1:]).permute(4, 2, 1, 0, 3)
    return parameter.T if parameter.ndim == 2 else parameter


class SpconvBlock(nn.Module):
    """Two 3^3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _subm(in_channels, channels, stride), nn.BatchNorm1d(channels, momentum=0.05)
        self.conv2, self.norm2 = _subm(channels, channels, stride), nn.BatchNorm1d(channels, momentum=0.05)
        shortcut = nn.Sequential(nn.Linear(in_channels, channels, bias=False), nn.BatchNorm1d(channels, momentum=0.05))
        self.downsample = None if in_channels == channels else shortcut

    def forward(self, x: Any) -> Any:
        """Sparse tensors of spconv on one grid."""
        hidden = self.conv1(x)
        hidden = self.conv2(hidden.replace_feature(torch.relu_(self.norm1(hidden.features))))
        shortcut = x.features if self.downsample is None else self.downsample(x.features)
        return hidden.replace_feature(torch.relu_(self.norm2(hidden.features) + shortcut))


class SpconvUNet(nn.Module):
    """MinkUNet of spconv's modules, its parameters in the order of ours."""

    def __init__(self) -> None:
        super().__init__()
        from spconv import pytorch as library

        self.library = library
        self.stem, self.stem_norm = _subm(1, WIDTHS[0], 1), nn.BatchNorm1d(WIDTHS[0], momentum=0.05)
        self.levels = nn.ModuleList()
        native = library.ConvAlgo.Native
        for level in range(8):
            down, width = level < 4, WIDTHS[level if level < 4 else level + 1]
            kind = library.SparseConv3d if down else library.SparseInverseConv3d
            stride = {"stride": 2} if down else {}
            key = f"down{level if down else 7 - level}"
            change = kind(WIDTHS[level], width, 2, bias=False, indice_key=key, algo=native, **stride)
            in_channels = width if down else width + WIDTHS[7 - level]
            out_channels, grid = WIDTHS[level + 1], 2 << level if down else 1 << (7 - level)
            widths = [in_channels] + [out_channels] * (BLOCKS[level] - 1)
            blocks = nn.Sequential(*(SpconvBlock(each, out_channels, grid) for each in widths))
            self.levels.append(nn.ModuleList([change, nn.BatchNorm1d(width, momentum=0.05), blocks]))

    def forward(self, coordinates_V4: Tensor, features_VC: Tensor) -> Tensor:
        """As `MinkUNet.forward`."""
        low = coordinates_V4[:, 1:].amin(dim=0) // 16 * 16
        shifted_V4 = torch.cat([coordinates_V4[:, :1], coordinates_V4[:, 1:] - low], dim=1)
        shape = ((shifted_V4[:, 1:].amax(dim=0) // 16 + 1) * 16).tolist()
        x = self.stem(self.library.SparseConvTensor(features_VC, shifted_V4, shape, 1))
        skips = [x.replace_feature(torch.relu_(self.stem_norm(x.features)))]
        x = skips[0]
        for level, (change, norm, blocks) in enumerate(self.levels):
            x = change(x)
            hidden = torch.relu_(norm(x.features))
            if level >= 4:
                hidden = torch.cat([hidden, skips[7 - level].features], dim=1)
            x = blocks(x.replace_feature(hidden))
            skips.append(x)
        return x.features


def _subm(in_channels: int, channels: int, stride: int) -> nn.Module:
    from spconv import pytorch as library

    native = library.ConvAlgo.Native
    module: nn.Module = library.SubMConv3d(
        in_channels, channels, 3, bias=False, indice_key=f"grid{stride}", algo=native
    )
    return module


LIBRARIES: dict[str, Callable[[], Network]] = {"olivine": olivine, "minkowski": minkowski, "spconv": spconv}
# spconv at one thread alone: at two its CPU build gives another, wrong result each time.
RUNS = (("olivine", 2), ("minkowski", 1), ("minkowski", 2), ("spconv", 1))
CONTENDERS = {f"{library}-{pass_}-{threads}": (library, pass_, threads) for pass_ in GOALS for library, threads in RUNS}


def measure(contender: str) -> dict[str, Any]:
    """One contender in this process: times, memory, and how far its output is from ours."""
    library, pass_, threads = CONTENDERS[contender]
    # Read by MinkowskiEngine and by its OpenBLAS when they are loaded, which is below.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    network = LIBRARIES[library]()
    coordinates_V4, features_VC = voxels()

    def forward() -> Tensor:
        with torch.no_grad():
            return network(coordinates_V4, features_VC)

    def step() -> None:
        network(coordinates_V4, features_VC).square().mean().backward()

    # As the command line does, for every contender. What the warm-up took stays: memory counts from before it.
    keep_freed_memory()
    before_mb = memory_mb("VmRSS")
    result = repeat(forward if pass_ == "forward" else step)
    result["peak_mb"] = memory_mb("VmHWM") - before_mb
    ours = reference_network().train()
    with torch.no_grad():
        apart = (forward() - ours(coordinates_V4, features_VC)).abs().max()
    return result | {"voxels": len(coordinates_V4), "max_abs_difference": float(apart)}


def run() -> list[dict[str, Any]]:
    """Both passes of all contenders; the reference is MinkowskiEngine at its better number of threads."""
    results = compare("benchmarks.w8_minkunet", CONTENDERS)
    rows = []
    for pass_, goal in GOALS.items():
        own = {name: result for name, result in results.items() if f"-{pass_}-" in name}
        ours = own[f"olivine-{pass_}-2"]
        theirs = [own[f"minkowski-{pass_}-{threads}"] for threads in (1, 2)]
        times_ms = [result["median_ms"] for result in theirs if "median_ms" in result]
        reference = min(times_ms) if times_ms else float("nan")
        about = {"digest": digest(lidar_sweep()), "contenders": own}
        rows.append(row(f"W8 {pass_}", ours["median_ms"], reference, goal, UNITS[pass_], **about))
    return rows


if __name__ == "__main__":
    main(__doc__, run, measure)
