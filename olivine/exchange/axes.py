"""How the axes of a tensor lie here and elsewhere.

Our sparse kernels are MinkowskiEngine's: [K, in, out], offset index x + X y + X Y z, so that [K] opens as [Z, Y, X].
All three libraries correlate, as `torch.nn.functional.conv3d` does: no axis is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

_SIZES = {8: (2, 2, 2), 27: (3, 3, 3), 3: (3, 1, 1)}
"""Kernel size along (z, y, x) by number of offsets: every one that a backbone of ours has."""


@dataclass(frozen=True)
class Axes:
    """How a tensor of ours lies in another layout, and back: `to_ours(to_theirs(t))` is `t`, to the bit."""

    to_theirs: Callable[[Tensor], Tensor]
    to_ours: Callable[[Tensor], Tensor]


def _open_offsets(kernel_KIO: Tensor) -> Tensor:
    return kernel_KIO.reshape(*_SIZES[len(kernel_KIO)], *kernel_KIO.shape[1:])


def _join_offsets(kernel_ZYXIO: Tensor) -> Tensor:
    return kernel_ZYXIO.flatten(0, 2)


SAME = Axes(lambda tensor: tensor, lambda tensor: tensor)
"""The same order."""

SPCONV1 = Axes(_open_offsets, _join_offsets)
"""spconv 1.x: [z, y, x, in, out] (RSCK in its documents)."""

SPCONV2 = Axes(
    lambda kernel_KIO: _open_offsets(kernel_KIO).permute(4, 0, 1, 2, 3),
    lambda weight_OZYXI: _join_offsets(weight_OZYXI.permute(1, 2, 3, 4, 0)),
)
"""spconv 2.x: [out, z, y, x, in] (KRSC in its documents)."""

POINTWISE = Axes(lambda weight_OI: weight_OI[:, :, None], lambda weight_OI1: weight_OI1[:, :, 0])
"""A linear layer as `Conv1d` over points."""

PIXELWISE = Axes(lambda weight_OI: weight_OI[:, :, None, None], lambda weight_OI11: weight_OI11[:, :, 0, 0])
"""A linear layer as `Conv2d` over points and their neighbours."""

DEPTHWISE = Axes(lambda scale_C: scale_C[:, None, None], lambda scale_C11: scale_C11[:, 0, 0])
"""A factor a channel as a depth-wise `Conv1d`."""

HEAD = Axes(lambda kernel_IO: kernel_IO.T[:, :, None], lambda weight_OI1: weight_OI1[:, :, 0].T)
"""A head's kernel [in, out] as `Conv1d` over points."""

HEAD_BIAS = Axes(lambda bias_1O: bias_1O[0], lambda bias_O: bias_O[None])
"""A head's bias [1, out] as that of a `Conv1d`."""
