"""Tensors as safetensors bytes: no pickle, the same tensors give the same bytes."""

from __future__ import annotations

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from olivine.errors import IntegrityError


def tensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors by name as one safetensors file, moved to the CPU."""
    return safetensors.torch.save({name: _plain(tensor) for name, tensor in sorted(tensors.items())}, metadata)


def _plain(tensor: Tensor) -> Tensor:
    """On the CPU, and with memory of its own: ZeRO keeps parameters as views of one buffer, which is no file."""
    plain = tensor.detach().to("cpu").contiguous()
    return plain if plain.untyped_storage().nbytes() == plain.nbytes else plain.clone()


def bytes_tensors(data: bytes, where: str) -> dict[str, Tensor]:
    """The tensors in a safetensors file; IntegrityError when it is none."""
    try:
        return safetensors.torch.load(data)
    except SafetensorError as error:
        raise IntegrityError(f"{where}: not a safetensors file ({error}). Run the stage that made it again.") from error


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as tensors named `<parameter number>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put a flattened state back; the parameter groups stay as the recipe made them."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for name, tensor in tensors.items():
        number, field = name.split(".", 1)
        whole["state"].setdefault(int(number), {})[field] = tensor
    optimizer.load_state_dict(whole)
