"""Weights of foundation models: their digest first, then every tensor in its place or none at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from olivine.errors import DataError, IntegrityError, UsageError
from olivine.models.vfm.recipe import WeightsRecipe
from olivine.models.weights_path import place_weights, weights_digest

EXTRA = "pip install 'olivine[label]'"


def verify_weights(recipe: WeightsRecipe, what: str) -> Path:
    """The path of a recipe's weights, once their digest is known to be the recipe's.

    Raises:
        UsageError: the recipe names none, or a URI outside of what is configured. ConfigError: they cannot be read.
            IntegrityError: they are others.
    """
    if recipe.weights is None:
        raise UsageError(
            f"label.{what} names no weights: --set label.{what}.weights=PATH --set label.{what}.sha256=DIGEST "
            "(`olivine label fetch-weights` lists them, `olivine label digest PATH` prints the digest)."
        )
    assert recipe.sha256 is not None
    return verify(recipe.weights, recipe.sha256, f"label.{what}.sha256")


def verify(weights: str, sha256: str, field: str) -> Path:
    """The path of a file or folder, once its digest is known to be that of the recipe's `field` (errors: as above)."""
    path = place_weights(weights, sha256)
    found = weights_digest(path)
    if found != sha256:
        raise IntegrityError(f"{path} has sha256 {found}, {field} is {sha256}: refused before the first image.")
    return path


def load_pretrained(model: Any, path: Path) -> Any:
    """`model.from_pretrained` of a class of transformers, from a folder, with every tensor accounted for.

    The library itself fills what is missing with random numbers and goes on.

    Raises:
        DataError: no such model in the folder, or tensors that are missing, left over or of another shape.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        network, info = model.from_pretrained(
            str(path), local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise DataError(f"{path}: no weights of a {model.__name__}: {str(error).splitlines()[0]}") from error
    check_names(path, info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"])
    return network.eval().requires_grad_(False)


def check_names(path: Path, *groups: Iterable[Any]) -> None:
    """Raise DataError unless no tensor is missing, left over, or of another shape (in this order)."""
    for what, names in zip(
        ("are missing", "are left over", "have another shape"), map(sorted, map(list, groups)), strict=False
    ):
        if names:
            raise DataError(f"{path}: weights of another model: {len(names)} tensors {what}, the first is {names[0]}.")
