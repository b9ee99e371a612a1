"""What a data set is: where its files lie, which raw ids make which class, which sequences make which split.

A new data set is a new JSON file, by name beside the others in `tables/` or anywhere by its path; no code.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olivine.errors import UsageError

UNKNOWN = 255
"""What the look-up gives for a raw id that the table does not list."""

_FOLDER = Path(__file__).parent / "tables"
_NUM_RAW_IDS = 1 << 16
_SAFE_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")


class LabelClass(BaseModel):
    """One class that is scored. The first of its raw ids is the one that submissions write; `rgb` 0..255 is the colour
    that the data set shows it in, where it states one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1)
    raw_ids: tuple[int, ...] = Field(min_length=1)
    rgb: tuple[int, int, int] | None = None


class Layout(BaseModel):
    """Names of files below the root, a folder for each {sequence} and a file for each {frame}, and what points are."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    points: str
    """As sequences/{sequence}/velodyne/{frame}.bin: float32 records of x, y, z [m], intensity and what follows."""

    labels: str
    """As sequences/{sequence}/labels/{frame}.label: uint32 a point, whose low 16 bits are the raw id."""

    predictions: str = ""
    """The same for predictions, where the data set's own evaluator says so."""

    labels_of_split: dict[str, str] = {}
    """Splits whose labels lie elsewhere."""

    values_per_point: int = Field(4, ge=4, le=16)
    """Numbers in a record of a point."""

    intensity_max: float | None = None
    """Greatest intensity; null where it is not documented."""

    @model_validator(mode="after")
    def _check(self) -> Layout:
        for pattern in (self.points, self.labels, *self.labels_of_split.values(), *filter(None, [self.predictions])):
            filled = pattern.replace("{sequence}", "s", 1).replace("{frame}", "f", 1)
            fits = pattern.count("{sequence}") == pattern.count("{frame}") == 1
            if not fits or not all(_SAFE_PART.fullmatch(part) for part in filled.split("/")):
                raise ValueError(f"{pattern!r} must be a relative path with {{sequence}} and {{frame}} once each")
            # In one folder nothing would tell the frames of a sequence from those of a longer name that begins alike.
            folder, _, file = pattern.rpartition("/")
            if "{sequence}" not in folder or "{frame}" not in file:
                raise ValueError(
                    f"{pattern!r} must have {{sequence}} in the name of a folder and {{frame}} in that of the file: "
                    "give each sequence a folder of its own"
                )
        return self


class DataSetTable(BaseModel):
    """A labelled data set. Class ids count from 1 in the order of `classes`; 0 is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    source: str
    """Where these facts come from."""

    licence: str
    layout: Layout
    classes: tuple[LabelClass, ...] = Field(min_length=1, max_length=UNKNOWN - 1)
    ignored: tuple[int, ...]
    """Raw ids that are ignored on purpose. Any other id that no class lists is an error where it occurs."""

    sequences: dict[str, tuple[str, ...]] = {}
    """Sequences of each split that is made of whole sequences."""

    select: tuple[str, ...] = ()
    """Sequences of `train` on which models are chosen: our choice, made so that none is chosen on `val`."""

    lists: dict[str, str] = {}
    """For other splits a text file below the root, whose lines begin with the file of points of a scan."""

    traps: dict[str, str] = {}
    """By split: what to know before a number on it is believed."""

    @model_validator(mode="after")
    def _check(self) -> DataSetTable:
        listed = [raw for item in self.classes for raw in item.raw_ids] + list(self.ignored)
        twice = sorted({raw for raw in listed if listed.count(raw) > 1})
        outside = [raw for raw in listed if not 0 <= raw < _NUM_RAW_IDS]
        if twice or outside:
            raise ValueError(f"each raw id may stand once and lies in 0..65535, unlike {(twice or outside)[0]}")
        if len({item.name for item in self.classes}) < len(self.classes):
            raise ValueError("two classes have one name")
        if not self.splits or set(self.sequences) & set(self.lists):
            raise ValueError("a split is made of sequences or of a list, and there must be one")
        if not set(self.select) <= set(self.sequences.get("train", ())):
            raise ValueError("select must be sequences of train")
        unknown = (set(self.traps) | set(self.layout.labels_of_split)) - set(self.splits)
        if unknown:
            raise ValueError(f"there is no split {sorted(unknown)[0]!r}")
        parts = [name for names in self.sequences.values() for name in names] + list(self.lists.values())
        unsafe = [part for part in parts if not _SAFE_PART.fullmatch(part)]
        if unsafe:
            raise ValueError(f"{unsafe[0]!r} is no name of a folder or file")
        return self

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return (*self.sequences, *self.lists)

    @property
    def class_names(self) -> list[str]:
        """Names of the class ids 1, 2, ...: id `c` is `class_names[c - 1]`."""
        return [item.name for item in self.classes]

    @property
    def num_ids(self) -> int:
        """Classes and the ignored one."""
        return len(self.classes) + 1

    def raw_to_class(self) -> NDArray[np.uint8]:
        """Look-up uint8 [65536]: raw id -> class id 1.., 0 for ignored, `UNKNOWN` for what is not listed."""
        table = np.full(_NUM_RAW_IDS, UNKNOWN, np.uint8)
        table[list(self.ignored)] = 0
        for number, item in enumerate(self.classes, start=1):
            table[list(item.raw_ids)] = number
        return table

    def class_to_raw(self) -> NDArray[np.uint32]:
        """Look-up uint32 [C + 1]: class id -> the raw id that predictions are written as; 0 -> 0."""
        return np.array([0, *(item.raw_ids[0] for item in self.classes)], np.uint32)

    def labels_pattern(self, split: str) -> str:
        """Where the labels of a split lie."""
        return self.layout.labels_of_split.get(split, self.layout.labels)

    def points_folder(self, root: Path, sequence: str) -> Path:
        """Folder of the scans of a sequence."""
        return (root / self.layout.points.replace("{sequence}", sequence)).parent

    def require_split(self, split: str) -> str:
        """`split`; UsageError when there is none of that name."""
        if split not in self.splits:
            raise UsageError(f"{self.name} has no split {split!r}: choose one of {', '.join(self.splits)}.")
        return split


def is_safe_name(name: str) -> bool:
    """Whether a name of a folder or file stays where it is put."""
    return bool(_SAFE_PART.fullmatch(name))


def known_tables() -> list[str]:
    """Names of the tables that come with olivine."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


@functools.cache
def load_table(name: str) -> DataSetTable:
    """A table by its name, or by the path of a JSON file.

    Raises:
        UsageError: there is no such table, or the file is not one.
    """
    path = _FOLDER / f"{name}.json" if _SAFE_PART.fullmatch(name) and not name.endswith(".json") else Path(name)
    try:
        return DataSetTable.model_validate_json(path.read_bytes())
    except OSError:
        raise UsageError(
            f"{name!r} is no data set: give one of {', '.join(known_tables())}, or the path of a JSON file."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{path} is no table of a data set: {where + ': ' if where else ''}{first['msg']}.") from None
