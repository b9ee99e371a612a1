"""Tensors as safetensors bytes: no pickle, the same tensors give the same bytes."""

from __future__ import annotations

import json

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from olivine.errors import IntegrityError
from olivine.store import Pieces

_DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names in a file, in the order in which safetensors writes them: wide elements first, so that all are aligned."""


def tensors_bytes(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors by name as one safetensors file, moved to the CPU."""
    return safetensors.torch.save({name: _plain(tensor) for name, tensor in sorted(tensors.items())}, metadata)


def tensors_pieces(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Pieces:
    """As `tensors_bytes`, but tensors that are on the CPU are shown, not copied.

    The format (https://huggingface.co/docs/safetensors): eight bytes with the length of a JSON header, the header,
    the elements. The library writes it to a file of its own or to new memory, neither of which a store can take over.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    names = sorted(plain, key=lambda name: (list(_DTYPES).index(plain[name].dtype), name))
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name in names:
        first, end = end, end + plain[name].nbytes
        dtype, shape = _DTYPES[plain[name].dtype], list(plain[name].shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    elements = (plain[name].reshape(-1).view(torch.uint8).numpy().data for name in names)
    return Pieces([len(text).to_bytes(8, "little") + text, *elements])


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
