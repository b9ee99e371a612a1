"""Activations computed again: the bits of a pass that keeps them, batch-norm statistics counted once, less kept."""

from __future__ import annotations

import torch
from models.test_minkunet import street
from torch import Tensor

from olivine.models.minkunet import WIDTHS, MinkUNet
from olivine.training.determinism import deterministic

SMALL = tuple(width // 8 for width in WIDTHS)


def network(*, recompute: bool) -> MinkUNet:
    torch.manual_seed(0)
    net = MinkUNet(2, widths=SMALL)
    if recompute:
        net.recompute_activations()
    return net.train()


def two_steps(net: MinkUNet) -> tuple[list[Tensor], int]:
    """Outputs and gradients of two steps, and the most bytes that were kept for a backward pass."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    seen, most = [], 0
    for seed in range(2):
        kept: dict[int, int] = {}

        def pack(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        coordinates_V4, features_VC = street(seed)
        with deterministic(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = net(coordinates_V4, features_VC)
            most = max(most, sum(kept.values()))
            optimizer.zero_grad()
            output.square().mean().backward()
        seen += [
            output.detach(),
            *(parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None),
        ]
        optimizer.step()
    return seen, most


def test_the_same_bits_from_fewer_bytes() -> None:
    kept, again = network(recompute=False), network(recompute=True)
    (seen, most), (seen_again, most_again) = two_steps(kept), two_steps(again)
    assert len(seen) == len(seen_again)
    assert all(torch.equal(one, other) for one, other in zip(seen, seen_again, strict=True))
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in kept.state_dict().items())
    assert int(state["block1.0.norm1.bn.num_batches_tracked"]) == 2
    assert most_again < most / 3


def test_without_a_gradient_nothing_is_recomputed() -> None:
    coordinates_V4, features_VC = street(0)
    with torch.no_grad():
        expected = network(recompute=False)(coordinates_V4, features_VC)
        assert torch.equal(network(recompute=True)(coordinates_V4, features_VC), expected)
