"""Sparse convolution in plain PyTorch: per kernel offset gather rows and multiply, then one sum per output row.

The sum is `embedding_bag`: it adds each output row in one go and in a fixed order, which a scattered `index_add_`
does not, so results do not depend on who wrote first. On a CPU it is also several times faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from olivine.models.sparse.maps import Bags, PairMap


class Scratch:
    """Memory for the products of one convolution, used again by the next: fresh pages cost as much as filling them."""

    def __init__(self) -> None:
        self._buffer: Tensor | None = None

    def products(self, pair_map: PairMap, rows: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """An uninitialised matrix of `width` columns: whole, the rows of the centre, the rows of the blocks."""
        num_centre = 0 if pair_map.centre is None else len(rows)
        size = (num_centre + sum(pair_map.sizes)) * width
        if self._buffer is None or len(self._buffer) < size or self._buffer.dtype != rows.dtype:
            self._buffer = rows.new_empty(size)
        whole = self._buffer[:size].view(-1, width)
        return whole, whole[:num_centre], whole[num_centre:]


def convolve(features_VD: Tensor, kernel: Tensor, pair_map: PairMap, scratch: Scratch) -> Tensor:
    """Features of the output rows of `pair_map`, differentiable in features and kernel [offsets, in, out]."""
    device = features_VD.device.type
    if torch.is_autocast_enabled(device):
        # Autocast does not reach into a function of our own.
        dtype = torch.get_autocast_dtype(device)
        features_VD, kernel = features_VD.to(dtype), kernel.to(dtype)
    result: Tensor = _Convolution.apply(features_VD, kernel, pair_map, scratch)
    return result


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, kernel: Tensor, pair_map: PairMap, scratch: Scratch) -> Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.pair_map, ctx.scratch = pair_map, scratch
        matrices = kernel.unbind()
        products, centre, blocks = scratch.products(pair_map, features, kernel.shape[2])
        if pair_map.centre is not None:
            torch.mm(features, matrices[pair_map.centre], out=centre)
        targets = torch.split(blocks, pair_map.sizes)
        for offset, features_M, target in zip(pair_map.offsets, _inputs(features, pair_map), targets, strict=True):
            torch.mm(features_M, matrices[offset], out=target)
        return sum_bags(products, pair_map.by_output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, kernel = ctx.saved_tensors
        pair_map: PairMap = ctx.pair_map
        wants_features, wants_kernel = ctx.needs_input_grad[:2]
        gradient, matrices = gradient.contiguous(), kernel.mT.unbind()
        kernel_gradient = torch.empty_like(kernel)
        gradients = kernel_gradient.unbind()
        products, centre, blocks = ctx.scratch.products(pair_map, gradient, kernel.shape[1])

        def multiply(offset: int, features_M: Tensor | None, gradient_M: Tensor, target: Tensor) -> None:
            if wants_features:
                torch.mm(gradient_M, matrices[offset], out=target)
            if features_M is not None:
                torch.mm(features_M.mT, gradient_M, out=gradients[offset])

        if pair_map.centre is not None:
            multiply(pair_map.centre, features if wants_kernel else None, gradient, centre)
        inputs = _inputs(features, pair_map) if wants_kernel else repeat(None, len(pair_map.offsets))
        outputs, targets = _outputs(gradient, pair_map), torch.split(blocks, pair_map.sizes)
        for offset, features_M, gradient_M, target in zip(pair_map.offsets, inputs, outputs, targets, strict=True):
            multiply(offset, features_M, gradient_M, target)
        features_gradient = sum_bags(products, pair_map.by_input) if wants_features else None
        return features_gradient, kernel_gradient if wants_kernel else None, None, None


def _inputs(features: Tensor, pair_map: PairMap) -> Iterable[Tensor]:
    """The input rows of each block.

    A GPU gets all in one launch, since it waits for launches more than for bytes; a CPU gets block by block, which the
    cache holds.
    """
    if features.is_cuda:
        return torch.split(features.index_select(0, pair_map.inputs), pair_map.sizes)
    return (features.index_select(0, rows) for rows in pair_map.input_blocks)


def _outputs(gradient: Tensor, pair_map: PairMap) -> Iterable[Tensor]:
    """The output rows of each block, see `_inputs`."""
    if gradient.is_cuda:
        return torch.split(gradient.index_select(0, pair_map.outputs), pair_map.sizes)
    return (gradient.index_select(0, rows) for rows in pair_map.output_blocks)


def sum_bags(products: Tensor, bags: Bags) -> Tensor:
    """What the rows of `products` add up to, a row a bag; without a gradient of its own in use here."""
    total: Tensor = torch.nn.functional.embedding_bag(
        bags.members, products, bags.starts, mode="sum", include_last_offset=True
    )
    return total
