"""Which keyframes' hand labels a fine-tuning may see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from olivine.artifacts import Manifest
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.finetune.recipe import FinetuneRecipe

_MOST_NAMED = 5


def labelled_keyframes(drives: Drives, recipe: FinetuneRecipe) -> list[str]:
    """Tokens of the labelled fraction of `splits`, in table order: every N-th scene, keyframe or scan.

    Raises:
        DataError: the drives, or keyframes of the fraction, have no hand labels; UsageError: the fraction is empty.
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
    chosen = [token for token in tokens if unit_of[token] in kept]
    require_labels(drives, chosen, "the labelled fraction")
    return chosen


def require_labels(drives: Drives, tokens: Sequence[str], what: str) -> None:
    """DataError that names the scenes of those of `tokens` that have no hand labels, before any work is done on them.

    `what` says in the message what the tokens are.
    """
    bare = [token for token in tokens if not drives.has_lidarseg(token)]
    if not bare:
        return
    scene_of, drives_id = drives.column("scene"), drives.artifact.id[:12]
    counts = Counter(scene_of[token] for token in bare)
    named = ", ".join(f"{scene} ({count})" for scene, count in list(counts.items())[:_MOST_NAMED])
    more = f" and {len(counts) - _MOST_NAMED} more" if len(counts) > _MOST_NAMED else ""
    raise DataError(
        f"{len(bare)} of {len(tokens)} keyframes of {what} of drives {drives_id} have no hand labels, in: "
        f"{named}{more}. Add their labels, or leave them out of the split in splits.json, and ingest again."
    )


def left_out_of(manifest: Manifest, splits: str) -> str | None:
    """What the fraction of these drives was counted without, as a sentence; None where nothing was left out.

    Whether a withdrawn drive held frames of `splits` is not known any more: all of them are named.
    """
    scenes = manifest.summary["scenes"]
    counted = {*scenes["train"], *(scenes["select"] if splits == "all_train" else ())}
    # A scene that lost all of its frames is in no split: it may have been in this one.
    others = {scene for named in scenes.values() for scene in named} - counted
    bad = [item.frame for item in manifest.quarantined if item.frame.rsplit("/", 1)[0] not in others]
    withdrawn = manifest.recipe.get("withdrawn", [])
    parts = [
        *([f"{len(bad)} bad keyframe{'s' if len(bad) > 1 else ''} of {splits} (first: {bad[0]})"] if bad else []),
        *([f"what the withdrawn drives {', '.join(withdrawn)} held"] if withdrawn else []),
    ]
    if not parts:
        return None
    return (
        f"The label fraction is counted without {' and without '.join(parts)}: it may hold other scenes or scans than "
        "the same fraction of the whole list."
    )


def keep_every_nth(units: Sequence[str], every_nth: int) -> Sequence[str]:
    """The N-th, 2N-th, ... of `units`: N = 100, 20, 10, 4, 1 keeps 7, 35, 70, 175, 700 of the official 700 scenes."""
    return units[every_nth - 1 :: every_nth]


def keep_from_first(units: Sequence[str], every_nth: int) -> Sequence[str]:
    """The first, N+1-th, 2N+1-th, ...: N = 100, 20, 10, 5, 1 keeps 192, 957, 1913, 3826, 19130 train scans of
    SemanticKITTI. Fewer than N are refused before: one of them would be more than the fraction that is reported."""
    return units[::every_nth]
