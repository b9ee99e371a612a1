"""Read the JSON tables of a nuScenes v1.0 data set as a stream of records, in bounded memory.

`sample_data` and `ego_pose` of the full data set hold millions of records and more than a gigabyte each, of which a
keyframe reader wants one in eleven. So records are decoded one by one from a small window over the file.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from olivine.errors import DataError

Record = dict[str, Any]
T = TypeVar("T")

_WINDOW_CHARS = 1 << 20
_LONGEST_RECORD_CHARS = 1 << 24
_INT64_LIMIT = 1 << 63
_REMEDY = "extract the metadata archive of this version again"
_skip_space = re.compile(r"\s*").match


def versions_present(root: Path) -> list[str]:
    """Names of the folders under `root` that hold nuScenes tables, sorted."""
    return sorted(path.parent.name for path in root.glob("*/scene.json"))


def version_folder(root: Path, version: str) -> Path:
    """The folder of tables `<root>/<version>`; DataError, with the versions that are there, when it is not."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: give the folder that holds samples/ and v1.0-*/")
    present = versions_present(root)
    if not present:
        raise DataError(f"{root} holds no nuScenes tables (no */scene.json): is it empty, or a folder too high or low?")
    if version not in present:
        raise DataError(f"{root} has no version {version!r}; versions present: {', '.join(present)}")
    return root / version


def iterate_records(folder: Path, table: str) -> Iterator[Record]:
    """Every record of `<folder>/<table>.json`, a JSON array of objects, in file order.

    Raises DataError, naming the file and line, when the table is missing or is not such an array to its very end.
    """
    path = folder / f"{table}.json"
    try:
        with path.open(encoding="utf-8") as file:
            yield from _Window(file, path).records()
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {_REMEDY}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}): {_REMEDY}") from None


def field(record: Record, table: str, name: str, kind: type[T]) -> T:
    """`record[name]`, which must be a `kind`; DataError naming table, token and field otherwise."""
    value = record.get(name)
    # The exact type: a bool is no number. (This line runs millions of times.)
    if type(value) is kind and (kind is not int or _is_whole(value)):
        return value
    found = "has no field" if name not in record else f"has {str(value)[:80]!r} in field"
    expected = f" of type {kind.__name__}"
    raise DataError(f"table {table}: record {record.get('token', '(no token)')} {found} {name}{expected}; {_REMEDY}")


def numbers(record: Record, table: str, name: str, count: int) -> list[float]:
    """`record[name]`, which must be a list of `count` numbers (rows of a matrix are joined)."""
    values = field(record, table, name, list)
    if values and type(values[0]) is list:
        values = [item for row in values for item in (row if type(row) is list else [row])]
    if len(values) != count or not all(type(item) is float or _is_whole(item) for item in values):
        raise DataError(f"table {table}: record {record.get('token')}: {name} is not {count} numbers; {_REMEDY}")
    return values


def dangling(table: str, record: Record, name: str, target: str) -> DataError:
    """The error for a token that no record of table `target` has."""
    return DataError(
        f"table {table}: record {record.get('token')}: {name} {record.get(name)!r} is in no record of table {target}; "
        f"the tables do not belong together: {_REMEDY}"
    )


def _is_whole(item: Any) -> bool:
    return type(item) is int and -_INT64_LIMIT < item < _INT64_LIMIT


class _Window:
    """A moving window over a JSON array of objects."""

    def __init__(self, file: Any, path: Path) -> None:
        self.file, self.path = file, path
        self.text, self.at, self.lines_before = "", 0, 1
        self.is_fresh = False
        self.decode = json.JSONDecoder().raw_decode

    def records(self) -> Iterator[Record]:
        self._expect("[")
        if self._peek() != "]":
            yield from self._batch()
            while self._peek() == ",":
                self.at += 1
                yield from self._batch()
        self._expect("]")
        if self._peek():
            raise self._malformed("there is text after the closing bracket")

    def _batch(self) -> list[Record]:
        """All complete records in the window at once, where that is easy; else the next one.

        The last "}," may stand within a string or a nested object, but then what is before it is not JSON.
        """
        end = self.text.rfind("},", self.at) + 1
        if self.is_fresh and end:
            self.is_fresh = False
            with contextlib.suppress(ValueError, RecursionError):
                batch = json.loads(f"[{self.text[self.at : end]}]")
                if all(type(record) is dict for record in batch):
                    self.at = end
                    return batch  # type: ignore[no-any-return]
        return [self._record()]

    def _record(self) -> Record:
        if self._peek() != "{":
            raise self._malformed("a record was expected")
        while True:
            try:
                record, self.at = self.decode(self.text, self.at)
                return record  # type: ignore[no-any-return]
            except (ValueError, RecursionError) as error:
                # A record cut by the window's edge looks just like a malformed one, until no more text comes.
                if len(self.text) - self.at > _LONGEST_RECORD_CHARS or not self._refill():
                    raise self._malformed(str(error)) from None

    def _peek(self) -> str:
        """The next character that is not white space, or "" at the end of the file."""
        while True:
            self.at = _skip_space(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._refill():
                return ""

    def _refill(self) -> bool:
        more = self.file.read(_WINDOW_CHARS)
        self.lines_before += self.text.count("\n", 0, self.at)
        self.text, self.at, self.is_fresh = self.text[self.at :] + more, 0, True
        return bool(more)

    def _expect(self, character: str) -> None:
        if self._peek() != character:
            raise self._malformed(f"{character!r} was expected" + ("" if self._peek() else ", but the file ends"))
        self.at += 1

    def _malformed(self, reason: str) -> DataError:
        line = self.lines_before + self.text.count("\n", 0, self.at)
        return DataError(f"{self.path} is malformed at the record on line {line}: {reason}; {_REMEDY}")
