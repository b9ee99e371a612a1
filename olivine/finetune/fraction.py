"""Which keyframes' hand labels a fine-tuning may see."""

from __future__ import annotations

from collections.abc import Sequence

from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.finetune.recipe import FinetuneRecipe


def labelled_keyframes(drives: Drives, recipe: FinetuneRecipe) -> list[str]:
    """Tokens of the labelled fraction of `splits`, in table order: every N-th scene, keyframe or scan.

    Raises:
        DataError: the drives have no hand labels; UsageError: the fraction is empty.
    """
    if not drives.has_lidarseg():
        raise DataError(f"drives {drives.artifact.id[:12]} have no hand labels: fine-tuning needs lidarseg files.")
    tokens = drives.tokens(recipe.splits)
    unit_of = drives.column("scene") if recipe.fraction_unit == "scene" else {token: token for token in tokens}
    units = list(dict.fromkeys(unit_of[token] for token in tokens))
    if not units:
        raise UsageError(f"drives {drives.artifact.id[:12]} have no keyframe in the split {recipe.splits!r}.")
    if recipe.every_nth > len(units):
        other = ", or count by keyframe (fraction_unit=keyframe)" if recipe.fraction_unit == "scene" else ""
        raise UsageError(
            f"every_nth {recipe.every_nth} keeps none of {len(units)} {recipe.fraction_unit}s of {recipe.splits}: give "
            f"at most {len(units)}{other}."
        )
    keep = keep_from_first if recipe.fraction_unit == "scan" else keep_every_nth
    kept = set(keep(units, recipe.every_nth))
    return [token for token in tokens if unit_of[token] in kept]


def keep_every_nth(units: Sequence[str], every_nth: int) -> Sequence[str]:
    """The N-th, 2N-th, ... of `units`: N = 100, 20, 10, 4, 1 keeps 7, 35, 70, 175, 700 of the official 700 scenes."""
    return units[every_nth - 1 :: every_nth]


def keep_from_first(units: Sequence[str], every_nth: int) -> Sequence[str]:
    """The first, N+1-th, 2N+1-th, ...: N = 100, 20, 10, 5, 1 keeps 192, 957, 1913, 3826, 19130 train scans of
    SemanticKITTI. Fewer than N are refused before: one of them would be more than the fraction that is reported."""
    return units[::every_nth]
