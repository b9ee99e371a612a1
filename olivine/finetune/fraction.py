"""Which keyframes' hand labels a fine-tuning may see."""

from __future__ import annotations

from collections.abc import Sequence

from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.finetune.recipe import FinetuneRecipe


def labelled_keyframes(drives: Drives, recipe: FinetuneRecipe) -> list[str]:
    """Tokens of the labelled fraction: every N-th scene (counting from 1) or keyframe of `splits`, in table order.

    Raises:
        DataError: the drives have no hand labels; UsageError: the fraction is empty.
    """
    if not drives.has_lidarseg():
        raise DataError(f"drives {drives.artifact.id[:12]} have no hand labels: fine-tuning needs lidarseg files.")
    tokens = drives.tokens(recipe.splits)
    unit_of = drives.column("scene") if recipe.fraction_unit == "scene" else {token: token for token in tokens}
    units = list(dict.fromkeys(unit_of[token] for token in tokens))
    kept = set(keep_every_nth(units, recipe.every_nth))
    if not kept:
        raise UsageError(
            f"every_nth {recipe.every_nth} keeps none of {len(units)} {recipe.fraction_unit}s of {recipe.splits}: give "
            f"at most {len(units)}, or count by keyframe (fraction_unit=keyframe)."
        )
    return [token for token in tokens if unit_of[token] in kept]


def keep_every_nth(units: Sequence[str], every_nth: int) -> Sequence[str]:
    """The N-th, 2N-th, ... of `units`: N = 100, 20, 10, 4, 1 keeps 7, 35, 70, 175, 700 of the official 700 scenes."""
    return units[every_nth - 1 :: every_nth]
