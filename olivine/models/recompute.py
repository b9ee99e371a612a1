"""Activations computed a second time in the backward pass instead of kept since the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, forward: Callable[..., Tensor], *inputs: object) -> Tensor:
    """What `forward` makes of the inputs, with the same gradients; only the inputs are kept for the backward pass.

    Args:
        module: holds every batch normalisation that `forward` passes; their running statistics are updated once.
        forward: draws nothing at random.
        inputs: what it takes.
    """
    output: Tensor = checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _statistics_kept(module)),
    )
    return output


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """The second pass sees the rows that the first one has counted: it works on copies of the statistics."""
    owners = [
        (child, name, buffer) for child in module.modules() for name, buffer in child.named_buffers(recurse=False)
    ]
    for child, name, buffer in owners:
        setattr(child, name, buffer.clone())
    try:
        yield
    finally:
        # Reached by an exception of torch's as well, which ends the pass where no further activation is wanted.
        for child, name, buffer in owners:
            setattr(child, name, buffer)
