from __future__ import annotations

import pytest
import torch

from olivine.errors import ConfigError, PeerError
from olivine.training.trouble import explained


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
)
def test_out_of_memory_says_what_to_change(error):
    with (
        pytest.raises(ConfigError, match=r"out of memory with 4 keyframes at once.*--accumulate 2") as found,
        explained(4),
    ):
        raise error
    assert found.value.exit_code == 78
    with pytest.raises(ConfigError) as alone, explained(1):
        raise MemoryError
    assert "--accumulate" not in str(alone.value)


def test_a_real_allocation_that_is_too_large():
    with pytest.raises(ConfigError, match="out of memory"), explained(2):
        torch.empty(2**50)


def test_a_peer_that_is_gone():
    with (
        pytest.raises(PeerError, match=r"another process of the run is gone.*Run the same command again"),
        explained(1),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes differ"), explained(1):
        raise RuntimeError("shapes differ")
