"""One byte string for one value."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.artifacts.digest import artifact_id, canonical_json, file_digests, sha256_hex
from olivine.errors import DataError

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=5,
)


@given(VALUES)
@settings(max_examples=200)
def test_the_same_again_after_reading_it_back(value: object) -> None:
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


def test_order_does_not_matter_and_numbers_as_keys_are_strings() -> None:
    assert canonical_json({"b": 1, "a": [1, 2.5, None]}) == b'{"a":[1,2.5,null],"b":1}'
    assert canonical_json({10: "x", 9: "y"}) == canonical_json({"9": "y", "10": "x"})
    assert canonical_json((1, "ä")) == '[1,"ä"]'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}, {1, 2}, Path("x"), "\ud800", b"bytes"])
def test_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(DataError, match="JSON"):
        canonical_json(value)


def test_digest_of_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 1_000_000)
    assert (
        sha256_hex(tmp_path / "x") == sha256_hex(b"abc" * 1_000_000) == hashlib.sha256(b"abc" * 1_000_000).hexdigest()
    )


def test_digests_of_files_in_their_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{number:03d}" for number in range(40)]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "a folder").mkdir()
    paths = [tmp_path / name for name in [*names, "not there", "a folder"]]
    assert file_digests(paths, "labels") == [*(sha256_hex(name.encode()) for name in names), None, None]
    assert json.loads(capsys.readouterr().err)["done"] == 42


def test_all_that_determines_an_artifact_changes_its_id() -> None:
    base = ("weigh", "density_weights", {"drives": "0" * 64}, {"seed": 1}, "c" * 64)
    others = [
        ("label", *base[1:]),
        (base[0], "other", *base[2:]),
        (*base[:2], {"drives": "1" * 64}, *base[3:]),
        (*base[:2], {"other": "0" * 64}, *base[3:]),
        (*base[:3], {"seed": 2}, base[4]),
        (*base[:4], "d" * 64),
    ]
    assert len({artifact_id(*parts) for parts in [base, *others]}) == 7
