"""The streaming reader of JSON tables against the standard parser, and every way a table can be broken."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olivine.errors import DataError
from olivine.ingest import tables
from olivine.ingest.tables import dangling, field, iterate_records, numbers, version_folder

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
many_records = st.lists(st.dictionaries(st.text(max_size=6), values, max_size=5), max_size=8)


def write(folder, text, table="scene"):
    (folder / f"{table}.json").write_text(text, "utf-8")
    return folder


@settings(max_examples=300, deadline=None)
@given(records=many_records, indent=st.sampled_from([None, 0, 3]), window=st.integers(1, 40))
def test_equals_the_standard_parser_whatever_the_window(tmp_path_factory, records, indent, window):
    folder = write(tmp_path_factory.mktemp("tables"), json.dumps(records, indent=indent, ensure_ascii=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_WINDOW_CHARS", window)
        assert list(iterate_records(folder, "scene")) == records


@pytest.mark.parametrize("cut", range(1, 42))
def test_a_table_cut_anywhere_is_malformed(tmp_path, cut):
    text = '[\n{"token": "a}"},\n{"token": "b", "n": 1}\n]'
    assert len(list(iterate_records(write(tmp_path, text), "scene"))) == 2
    with pytest.raises(DataError, match=r"scene\.json is malformed at the record on line \d"):
        list(iterate_records(write(tmp_path, text[:-cut]), "scene"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("{}", 1),
        ("[1]", 1),
        ('[{"a": 1} {"a": 2}]', 1),
        ('[\n{"a": 1},\n{"a": oops}\n]', 3),
        ('[{"a": 1},]', 1),
        ('[{"a": 1}, 2, {"a": 3},{"a": 4}]', 1),
        ("[]\n[]", 2),
        ("[\n" + "[" * 100_000, 2),
        ('[{"a": ' + "[" * 100_000, 1),
    ],
)
def test_malformed_tables_are_refused_with_their_line(tmp_path, text, line):
    with pytest.raises(DataError, match=f"on line {line}: .*extract the metadata archive"):
        list(iterate_records(write(tmp_path, text), "scene"))


def test_a_malformed_record_does_not_pull_the_whole_file_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_WINDOW_CHARS", 10)
    monkeypatch.setattr(tables, "_LONGEST_RECORD_CHARS", 100)
    text = '[{"a": "' + "x" * 1000 + '"}]'
    with pytest.raises(DataError, match="malformed"):
        list(iterate_records(write(tmp_path, text), "scene"))


def test_missing_table_and_wrong_encoding(tmp_path):
    with pytest.raises(DataError, match=r"log\.json is missing: extract"):
        list(iterate_records(tmp_path, "log"))
    (tmp_path / "log.json").write_bytes(b'[{"token": "\xff"}]')
    with pytest.raises(DataError, match=r"log\.json is not UTF-8"):
        list(iterate_records(tmp_path, "log"))


def test_field_checks_presence_and_type():
    record = {"token": "t1", "n": 3, "flag": True, "huge": 1 << 63}
    assert field(record, "log", "n", int) == 3
    assert field(record, "log", "flag", bool) is True
    with pytest.raises(DataError, match="table log: record t1 has no field name of type str"):
        field(record, "log", "name", str)
    with pytest.raises(DataError, match="table log: record t1 has '3' in field n of type str"):
        field(record, "log", "n", str)
    for name in ("flag", "huge"):
        with pytest.raises(DataError, match=f"field {name} of type int"):
            field(record, "log", name, int)


def test_numbers_checks_count_and_type():
    record = {"token": "t1", "pose": [1, 2.5], "matrix": [[1, 2], [3, 4]], "words": ["a", "b"], "flags": [True, False]}
    record["huge"] = [1, 10**400]
    assert numbers(record, "log", "pose", 2) == [1.0, 2.5]
    assert numbers(record, "log", "matrix", 4) == [1.0, 2.0, 3.0, 4.0]
    for name, count in (("pose", 3), ("words", 2), ("flags", 2), ("huge", 2), ("absent", 2)):
        with pytest.raises(DataError, match="table log: record t1"):
            numbers(record, "log", name, count)


def test_dangling_names_both_tables():
    error = dangling("sample", {"token": "t1", "next": "t2"}, "next", "sample")
    assert "table sample: record t1: next 't2' is in no record of table sample" in str(error)


def test_version_folder(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        version_folder(tmp_path / "absent", "v1.0-mini")
    with pytest.raises(DataError, match="holds no nuScenes tables"):
        version_folder(tmp_path, "v1.0-mini")
    for version in ("v1.0-trainval", "v1.0-mini"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "scene.json").write_text("[]")
    with pytest.raises(DataError, match=r"no version 'v2'; versions present: v1\.0-mini, v1\.0-trainval"):
        version_folder(tmp_path, "v2")
    assert version_folder(tmp_path, "v1.0-mini") == tmp_path / "v1.0-mini"
