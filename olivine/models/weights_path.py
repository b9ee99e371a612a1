"""Where a recipe says that a file of weights is: a path, or the same as a file:/// URI. Nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit


def weights_path(weights: str) -> Path:
    """The path of `weights`.

    Raises:
        ValueError: a URI of another kind.
    """
    if "://" in weights and not weights.startswith("file:///"):
        raise ValueError(f"weights are read from a path or a file:/// URI, never downloaded: not {weights}")
    parts = urlsplit(weights)
    return Path(unquote(parts.path) if parts.scheme == "file" else weights)
