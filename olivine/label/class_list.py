"""Class lists: what the ids of weak labels mean, what a detector is asked for, which nuScenes categories they cover."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olivine.errors import UsageError
from olivine.nuscenes_categories import CATEGORY_NAMES

IGNORE_ID: Final = 255
"""Pixels and pairs without a weak label."""

_FOLDER = Path(__file__).parent / "classes"
_SEPARATORS = ".?"
"""What text encoders of detectors take as the end of a phrase."""


class WeakClass(BaseModel):
    """One weak class, the nuScenes categories that it covers (none for a background class), and its prompts.

    A detector is asked for every prompt; what it finds by any of them is of this class, so prompts are synonyms.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: int = Field(ge=0, lt=IGNORE_ID)
    name: str
    nuscenes: tuple[str, ...]
    prompts: tuple[str, ...] = ()


class Trap(BaseModel):
    """An id that means two things in the masks of whoever made this list."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: int = Field(ge=0, lt=IGNORE_ID)
    meaning: str


class ClassList(BaseModel):
    """All weak classes of a label set; ids count from 0 without a gap, 255 is unlabelled."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    source: str
    ignore_id: Literal[255] = IGNORE_ID
    trap: Trap | None = None
    classes: tuple[WeakClass, ...]

    @model_validator(mode="after")
    def _check(self) -> ClassList:
        if [item.id for item in self.classes] != list(range(len(self.classes))):
            raise ValueError("ids must be 0, 1, 2, ... in order")
        covered = [name for item in self.classes for name in item.nuscenes]
        unknown = set(covered) - set(CATEGORY_NAMES)
        if unknown or len(covered) != len(set(covered)):
            raise ValueError(f"each nuScenes category may stand once; unknown or doubled: {sorted(unknown) or covered}")
        return self

    @model_validator(mode="after")
    def _check_prompts(self) -> ClassList:
        asked = [prompt for item in self.classes for prompt in item.prompts]
        bad = [p for p in asked if not p or p != " ".join(p.lower().split()) or any(sign in p for sign in _SEPARATORS)]
        if bad:
            raise ValueError(f"a prompt is lower-case words with single spaces and without . or ?, unlike {bad[0]!r}")
        twice = sorted({prompt for prompt in asked if asked.count(prompt) > 1})
        if twice:
            raise ValueError(f"each prompt may stand once, or its class is not known: {twice[0]!r}")
        return self

    @property
    def prompts(self) -> dict[str, int]:
        """Class id by prompt, in the order of the list: what a detector is asked."""
        return {prompt: item.id for item in self.classes for prompt in item.prompts}

    @property
    def names(self) -> list[str]:
        """Class names by id."""
        return [item.name for item in self.classes]

    def from_nuscenes(self) -> NDArray[np.uint8]:
        """Look-up [256] uint8: nuScenes category 1..16 -> weak class id; anything else -> 255."""
        table = np.full(256, IGNORE_ID, np.uint8)
        for item in self.classes:
            for name in item.nuscenes:
                table[CATEGORY_NAMES.index(name) + 1] = item.id
        return table


def load_class_list(name: str) -> ClassList:
    """A class list by its name or by the path of a JSON file.

    Raises:
        UsageError: there is no such list, or the file is not one.
    """
    path = _FOLDER / f"{name}.json" if "/" not in name and not name.endswith(".json") else Path(name)
    try:
        return ClassList.model_validate_json(path.read_bytes())
    except OSError as error:
        known = ", ".join(sorted(item.stem for item in _FOLDER.glob("*.json")))
        raise UsageError(f"{name!r} is no class list: give one of {known}, or the path of a JSON file.") from error
    except ValidationError as error:
        raise UsageError(f"{path}: not a class list: {error.errors()[0]['msg']}.") from error
