"""Work that is cut into shards: each is kept when it is done, and a run that was killed goes on with the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from olivine.artifacts.output import Output
from olivine.progress import Progress

Items = TypeVar("Items", bound=Sequence[Any])


def cut_shards(items: Items, per_shard: int) -> dict[int, Items]:
    """The items of each shard by its number, in their order."""
    starts = range(0, len(items), per_shard)
    return {number: cast(Items, items[start : start + per_shard]) for number, start in enumerate(starts)}


def finish_shards(
    out: Output, shards: Mapping[int, Items], progress: Progress, make: Callable[[int, Items], dict[str, Any]]
) -> dict[int, dict[str, Any]]:
    """The note of each shard, in the order given: of an earlier run, or of `make`, which keeps it as a part."""
    notes = {}
    for number, items in shards.items():
        note = out.load_part(f"shard-{number:05d}")
        if note:
            progress.skip(len(items))
        else:
            note = make(number, items)
        notes[number] = note
    return notes
