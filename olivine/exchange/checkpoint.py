"""Read a checkpoint that somebody else made: tensors and plain values, never code.

Three kinds of file are known by their first bytes: safetensors, torch's zip, and torch's older bare pickle.
"""

from __future__ import annotations

import pickle
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from olivine.artifacts import sha256_hex
from olivine.errors import DataError

LARGEST_BYTES = 4 << 30
"""Largest file that is read, and most bytes that its tensors may claim. The largest released checkpoint of this family
(WaffleIron-48-768 with its optimiser) is below 1 GB."""

_MOST_ENTRIES = 100_000
_FORBIDDEN = re.compile(r"(?:GLOBAL|class|function) ([\w.]+)")


@dataclass(frozen=True)
class Checkpoint:
    """A file and what is in it: `content` is what was saved, usually a dict of dicts of tensors."""

    path: Path
    sha256: str
    size_bytes: int
    content: Any


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file of tensors; nothing in it is executed.

    Raises:
        DataError: no plain file, too large, damaged, no checkpoint, or one that can only be read by running code.
    """
    size_bytes = _check_file(path)
    with path.open("rb") as file:
        first = file.read(9)
    if first[8:] == b"{":
        content = _read_safetensors(path)
    elif first[:2] == b"PK":
        _check_zip(path)
        content = _read_torch(path)
    elif first[:1] == b"\x80":
        content = _read_torch(path)
    else:
        raise DataError(f"{path} is neither safetensors nor a checkpoint of torch. Give the file with the weights.")
    _check_claims(path, content)
    return Checkpoint(path, sha256_hex(path), size_bytes, content)


def tensors_in(content: Any) -> Iterator[tuple[tuple[str, ...], Tensor]]:
    """Every tensor below `content`, dicts and lists within one another, with the keys that lead to it."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), content)]
    # A file may hold a dict that holds itself: each is opened once.
    opened: set[int] = set()
    while waiting:
        keys, value = waiting.pop()
        if isinstance(value, Tensor):
            yield keys, value
        elif isinstance(value, Mapping | list | tuple) and id(value) not in opened:
            opened.add(id(value))
            items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            waiting += [((*keys, str(key)), item) for key, item in reversed(items)]


def _check_file(path: Path) -> int:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise DataError(f"{path} is no plain file. Give the checkpoint itself; a folder is layout huggingface.")
    if not 0 < facts.st_size <= LARGEST_BYTES:
        raise DataError(
            f"{path} has {facts.st_size} bytes; a checkpoint has 1 to {LARGEST_BYTES}. Save the network's weights "
            "alone, without optimiser."
        )
    return facts.st_size


def _check_zip(path: Path) -> None:
    """Torch stores its tensors as they are: a compressed entry could unfold to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from error
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > LARGEST_BYTES:
        raise DataError(f"{path} is a zip, but none that torch.save writes. Give the checkpoint itself.")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Bytes made by anybody can make the reader raise anything.
        forbidden = _FORBIDDEN.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if forbidden is None:
            raise _damaged(path, error) from error
        raise DataError(
            f"{path} is refused: to read it, {forbidden[1][:120]} would have to be run. Weights need no code: open the "
            "file where you trust it, save its state dict alone (safetensors.torch.save_file, or torch.save), and "
            "import that."
        ) from error


def _check_claims(path: Path, content: Any) -> None:
    """A tensor may claim any shape over a few bytes; what is read later must fit into memory."""
    claimed = sum(tensor.numel() * tensor.element_size() for _, tensor in tensors_in(content))
    if claimed > LARGEST_BYTES:
        raise DataError(f"{path}: its tensors claim {claimed} bytes, more than {LARGEST_BYTES}. This is no checkpoint.")


def _damaged(path: Path, error: Exception) -> DataError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return DataError(
        f"{path} cannot be read as a checkpoint ({lines[-1][:200]}): truncated, damaged or of another kind. Fetch it "
        "again and compare its digest with the publisher's."
    )
