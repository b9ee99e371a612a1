"""Which scenes train, select and test.

Three splits: `train`; `select`, on which models are chosen; `test`, read once for each reported number. For the real
data set `select` is the fixed list of 100 verifying scenes taken out of the official train list (reference code), and
`test` is the official val list. A data set of one's own states them in `<root>/<version>/splits.json`:
`{"train": [scene names], "select": [...], "test": [...]}`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from olivine.errors import DataError

Split = Literal["train", "select", "test"]

SPLITS: tuple[Split, ...] = get_args(Split)


def assign_splits(scene_names: Sequence[str], version: str, root: Path) -> dict[str, Split]:
    """The split of every scene, in the order of `scene_names`.

    `<root>/<version>/splits.json` decides when it is there, the official lists otherwise (v1.0-trainval, v1.0-mini,
    v1.0-test). Raises DataError when the file is malformed, leaves a scene out, names one twice or one that is not in
    the tables, or when a scene is on no official list.
    """
    own = root / version / "splits.json"
    known = _own_splits(own, scene_names) if own.exists() else _official_splits(version)
    lost = [name for name in scene_names if name not in known]
    if lost:
        source = own if own.exists() else f"the official {version}"
        raise DataError(
            f"scene {lost[0]} (and {len(lost) - 1} more of {len(scene_names)}) is in no split of {source}: "
            f"list every scene in {own}, as train, select or test"
        )
    return {name: known[name] for name in scene_names}


def _official_splits(version: str) -> dict[str, Split]:
    lists = json.loads(resources.files("olivine.ingest").joinpath("nuscenes_scenes.json").read_text("utf-8"))
    train, test = {
        "v1.0-trainval": (lists["train"], lists["val"]),
        "v1.0-mini": (lists["mini_train"], lists["mini_val"]),
        "v1.0-test": ([], lists["test"]),
    }.get(version, ([], []))
    verifying = set(lists["verifying"])
    splits: dict[str, Split] = {name: "select" if name in verifying else "train" for name in train}
    return splits | dict.fromkeys(test, "test")


def _own_splits(path: Path, scene_names: Sequence[str]) -> dict[str, Split]:
    present = set(scene_names)
    splits: dict[str, Split] = {}
    for split, names in read_splits(path).items():
        for name in names:
            if name not in present:
                raise DataError(
                    f"{path}: scene {name!r} of {split} is not in the scene table: remove it, or correct it"
                )
            if name in splits:
                raise DataError(f"{path}: scene {name!r} is listed twice ({splits[name]}, {split}): list it once")
            splits[name] = split
    return splits


def read_splits(path: Path) -> dict[Split, list[str]]:
    """Scenes by split as a file states them; DataError when it is not a list of names for each split."""
    try:
        content: Any = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): write train, select and test, each a list of scenes") from None
    sound = isinstance(content, dict) and set(content) == set(SPLITS)
    if not sound or not all(
        isinstance(names, list) and all(isinstance(n, str) for n in names) for names in content.values()
    ):
        raise DataError(f"{path} must hold exactly train, select and test, each a list of scene names")
    return {split: content[split] for split in SPLITS}
