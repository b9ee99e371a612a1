"""Read a file of weights that somebody else made: verified before it is opened, and never run."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from olivine.errors import ConfigError, IntegrityError

_WRAPPERS = ("state_dict", "model")
"""Where training scripts put the tensors when they save more than those."""


def read_tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a file by name, once its bytes are known to be the expected ones.

    `.safetensors` is read as such, everything else by torch.load without code (`weights_only=True`).

    Raises:
        ConfigError: the file cannot be read.
        IntegrityError: it is not the expected file, is damaged, asks for code, or holds more than tensors.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The weights cannot be read: {error}. Nothing is downloaded.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise IntegrityError(f"{path} has sha256 {found}, the recipe expects {sha256}: refused.")
    tensors = _parse(content, path)
    if not isinstance(tensors, dict) or not tensors:
        raise IntegrityError(f"{path} holds a {type(tensors).__name__}; expected are tensors by name.")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise IntegrityError(f"{path} holds a {type(tensor).__name__} named {name!r}; expected are tensors alone.")
    return tensors


def _parse(content: bytes, path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(content)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # A damaged or hostile file can make a parser raise anything.
    except Exception as error:
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise IntegrityError(f"{path} is no file of plain tensors and was not opened: {reason[0]}") from error
    if not isinstance(loaded, dict):
        return loaded
    return next((loaded[name] for name in _WRAPPERS if isinstance(loaded.get(name), dict)), loaded)
