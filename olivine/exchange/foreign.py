"""Weights as they lie in somebody's file or folder: tensors by their names there, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from olivine.errors import DataError, IntegrityError
from olivine.exchange.checkpoint import Checkpoint, read_checkpoint
from olivine.exchange.layouts import Layout
from olivine.exchange.match import show
from olivine.exchange.network import OWN_KEY, read_statement

CONFIG_FILE, TENSORS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
"""Files of a folder in layout `huggingface`."""

LONGEST_TEXT = 1000
"""Longest licence, and longest sentence on its origin, that a file may state [characters]."""

_MOST_TEXTS = 20
_LARGEST_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True)
class ForeignWeights:
    """Tensors by the names in `file`, the file's identity, and what it states of its network, licences and origin.

    `is_ours`: it was written by `olivine.exchange.exporting`, so it states all of its network.
    """

    file: str
    sha256: str
    size_bytes: int
    tensors: dict[str, Tensor]
    statement: dict[str, Any]
    licences: tuple[str, ...]
    origin: tuple[str, ...]
    is_ours: bool


def read_weights(source: Path, layout: Layout) -> ForeignWeights:
    """Read a checkpoint, or for layout `huggingface` a folder; nothing in it is executed.

    Raises:
        DataError: it cannot be read safely, holds no tensors, or says of itself what cannot be understood.
        IntegrityError: a folder whose tensors are not those its config promises.
    """
    if layout.name == "huggingface":
        return _read_folder(source)
    checkpoint = read_checkpoint(source)
    return _weights(checkpoint, find_tensors(checkpoint.content, layout, str(source)), checkpoint.content)


def find_tensors(content: Any, layout: Layout, where: str) -> dict[str, Tensor]:
    """The tensors of the network inside a checkpoint, by the names they have there; DataError when there are none."""
    outer = content if isinstance(content, Mapping) else {}
    inner = next((outer[key] for key in layout.keys if isinstance(outer.get(key), Mapping)), outer)
    tensors = {str(name): value for name, value in inner.items() if isinstance(value, Tensor)}
    if not tensors:
        raise DataError(
            f"{where} holds no tensors where layout {layout.name} keeps them ({', '.join(layout.keys)}); at its top: "
            f"{show(str(key) for key in outer) or type(content).__name__}. Choose another layout."
        )
    return tensors


def _read_folder(folder: Path) -> ForeignWeights:
    config = _read_config(folder / CONFIG_FILE)
    checkpoint = read_checkpoint(folder / TENSORS_FILE)
    promised = _own(config).get("tensors_sha256")
    if checkpoint.sha256 != promised:
        raise IntegrityError(
            f"{checkpoint.path} has sha256 {checkpoint.sha256}, but {CONFIG_FILE} promises {ascii(promised)[:80]}: one "
            "of them was changed or not wholly fetched. Fetch the folder again."
        )
    tensors = {name: value for name, value in checkpoint.content.items() if isinstance(value, Tensor)}
    return _weights(checkpoint, tensors, config)


def _read_config(path: Path) -> Any:
    if not path.is_file() or path.stat().st_size > _LARGEST_CONFIG_BYTES:
        raise DataError(f"{path} is missing or no config. Give a folder that `olivine weights export` wrote.")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({str(error)[:200]}). Fetch the folder again.") from error
    if "network" not in _own(config):
        raise DataError(f"{path} states no network of this program. Give a folder that `olivine weights export` wrote.")
    return config


def _weights(checkpoint: Checkpoint, tensors: dict[str, Tensor], told: Any) -> ForeignWeights:
    """Tensors, and what `told` (the checkpoint around them, or a config beside them) says of them."""
    where = str(checkpoint.path)
    return ForeignWeights(
        file=checkpoint.path.name,
        sha256=checkpoint.sha256,
        size_bytes=checkpoint.size_bytes,
        tensors=tensors,
        statement=read_statement(told, where),
        licences=_read_texts(told, "licences", where),
        origin=_read_texts(told, "origin", where),
        is_ours="network" in _own(told),
    )


def _read_texts(told: Any, name: str, where: str) -> tuple[str, ...]:
    stated = _own(told).get(name, [])
    is_list = isinstance(stated, list | tuple) and len(stated) <= _MOST_TEXTS
    if not is_list or not all(isinstance(item, str) and _is_shown(item) for item in stated):
        raise DataError(f"{where}: its {name} are no short list of short texts. Fetch it again, or export it again.")
    return tuple(stated)


def _is_shown(text: str) -> bool:
    """Whether a text from a file may be shown: short, and nothing that acts on a terminal."""
    return len(text) <= LONGEST_TEXT and text.isprintable()


def _own(told: Any) -> Mapping[str, Any]:
    """What a file of ours says of itself; empty for files of other programs."""
    own = told.get(OWN_KEY) if isinstance(told, Mapping) else None
    return own if isinstance(own, Mapping) else {}
