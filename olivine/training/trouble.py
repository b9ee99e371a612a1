"""What goes wrong in a training apart from its data: errors of libraries in our own words, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from olivine.errors import ConfigError, PeerError

_PEER_SIGNS = ("Connection closed by peer", "Connection reset by peer", "gloo", "NCCL", "TCPStore", "Broken pipe")
_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "not enough memory")


@contextmanager
def explained(share: int) -> Iterator[None]:
    """Turn the end of another process, and of memory, into errors that say what to do.

    Args:
        share: keyframes that this process holds at once.

    Raises:
        PeerError: a collective failed. ConfigError: out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY_SIGNS):
            raise _out_of_memory(share) from error
        is_peer = isinstance(error, torch.distributed.DistError) or any(sign in text for sign in _PEER_SIGNS)
        if not is_peer:
            raise
        first = text.partition("\n")[0][:200]
        raise PeerError(
            f"another process of the run is gone ({first}). Run the same command again: it goes on from the newest "
            "complete checkpoint."
        ) from error


def _out_of_memory(share: int) -> ConfigError:
    advice = ["lower pretrain.num_pairs, widths or the images' size", "use more processes (--nproc, --nnodes)"]
    if share > 1:
        advice.insert(0, "cut the share into parts with --accumulate 2 or more")
    if torch.cuda.is_available():
        advice.append("try --zero 1, pretrain.precision=bf16 or --recompute-activations")
    return ConfigError(f"out of memory with {share} keyframes at once. In this order: {'; '.join(advice)}.")
