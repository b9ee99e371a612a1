"""Trainings give the same bits with several threads; the setting ends with the training."""

from __future__ import annotations

import torch

from olivine.training.determinism import deterministic


def gradient() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(500, 64, generator=generator).requires_grad_()
    rows = torch.randint(0, 500, (60_000,), generator=generator)
    scale = torch.randn(60_000, 1, generator=generator)
    (features[rows] * scale).sum().backward()
    return features.grad


def test_indexed_reads_have_one_gradient_with_many_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with deterministic():
            assert torch.are_deterministic_algorithms_enabled()
            first = gradient()
            assert all(torch.equal(gradient(), first) for _ in range(20))
    finally:
        torch.set_num_threads(threads)
    assert not torch.are_deterministic_algorithms_enabled()
