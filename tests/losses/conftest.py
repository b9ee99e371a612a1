"""Unit features that every test of a contrastive loss needs."""

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def unit_features() -> Callable[..., torch.Tensor]:
    """Draw unit rows from a seed, as leaves of the graph."""

    def draw(num_rows: int, dim: int = 8, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        rows = torch.randn(num_rows, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return torch.nn.functional.normalize(rows, dim=1).to(dtype).requires_grad_()

    return draw
