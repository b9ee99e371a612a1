"""What lies outside the store and still decides the labels: the folder of imported masks."""

from __future__ import annotations

from pathlib import Path

from olivine.artifacts import canonical_json, sha256_hex
from olivine.label.recipe import LabelRecipe


def source_digest(recipe: LabelRecipe) -> str | None:
    """Digest over the names and bytes of the masks to import; None for labelers that read the drives alone.

    Sizes would not do: an uncompressed mask keeps its size when the image is labelled again.
    """
    if recipe.labeler != "import" or recipe.folder is None:
        return None
    folder = Path(recipe.folder)
    files = sorted((path.relative_to(folder).as_posix(), sha256_hex(path)) for path in folder.rglob("*.png"))
    return sha256_hex(canonical_json(files))
