"""The manifest: nothing in it can be changed unseen, and no bytes can make its parser do anything else than refuse."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from olivine.artifacts.digest import artifact_id, canonical_json, sha256_hex
from olivine.artifacts.manifest import (
    LARGEST_MANIFEST_BYTES,
    Blob,
    CodeVersion,
    InputRef,
    Manifest,
    Quarantined,
    data_digest,
)
from olivine.errors import IntegrityError

INPUT = InputRef(stage="ingest", kind="drives", id="1" * 64, data_digest="2" * 64, manifest_digest="3" * 64)


def make_manifest() -> Manifest:
    recipe: dict[str, Any] = {"seed": 3, "bandwidth": 0.5, "names": ["a", "b"]}
    data = (
        Blob(path="shard/0.tar", sha256="a" * 64, size_bytes=10),
        Blob(path="i.json", sha256="b" * 64, size_bytes=0),
    )
    return Manifest(
        stage="weigh",
        kind="density_weights",
        id=artifact_id("weigh", "density_weights", {"drives": INPUT.id}, recipe, "c" * 64),
        data_digest=data_digest(data),
        inputs={"drives": INPUT},
        recipe=recipe,
        seed=3,
        code=CodeVersion(version="1", digest="c" * 64, commit=None, dirty=None),
        image_digest=None,
        libraries={"numpy": "1.26.4"},
        counts={"frames": 3},
        quarantined=(Quarantined(frame="f1", reason="no image"),),
        licences=("CC BY-NC-SA 4.0",),
        summary={"headline": 0.25, "by_class": {"car": 1.0}},
        data=data,
    ).seal()


PLAIN = json.loads(make_manifest().to_json())


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each leaf of a JSON value is."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    below = [found for key, inner in items for found in paths_of(inner, (*path, key))]
    return below or [path]


def edited(path: tuple[Any, ...]) -> dict[str, Any]:
    plain = copy.deepcopy(PLAIN)
    *way, last = path
    inner = plain
    for key in way:
        inner = inner[key]
    old = inner[last]
    inner[last] = (old[:-1] + ("0" if old[-1:] != "0" else "1")) if isinstance(old, str) else 7
    return plain


def test_it_comes_back() -> None:
    manifest = make_manifest()
    assert Manifest.from_json(manifest.to_json(), "here") == manifest


@pytest.mark.parametrize("path", paths_of(PLAIN), ids=lambda path: ".".join(map(str, path)))
def test_every_changed_field_is_found(path: tuple[Any, ...]) -> None:
    with pytest.raises(IntegrityError, match="here: "):
        Manifest.from_json(json.dumps(edited(path)).encode(), "here")


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_every_removed_field_is_found(name: str) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(json.dumps({key: value for key, value in PLAIN.items() if key != name}).encode(), "here")


def test_an_added_field_is_found() -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(json.dumps(PLAIN | {"more": 1}).encode(), "here")


def test_a_removed_input_is_found_even_with_a_new_digest() -> None:
    manifest = make_manifest().model_copy(update={"inputs": {}}).seal()
    with pytest.raises(IntegrityError, match="changed after it was published"):
        Manifest.from_json(manifest.to_json(), "here")


def test_changed_data_are_found_even_with_a_new_digest() -> None:
    manifest = make_manifest()
    manifest = manifest.model_copy(update={"data": manifest.data[:1]}).seal()
    with pytest.raises(IntegrityError, match="changed after it was published"):
        Manifest.from_json(manifest.to_json(), "here")


def test_a_field_that_only_a_later_release_writes_by_default_does_not_break_older_files() -> None:
    plain = {name: value for name, value in PLAIN.items() if name not in ("quarantined", "manifest_digest")}
    data = canonical_json(plain | {"manifest_digest": sha256_hex(canonical_json(plain))})
    assert Manifest.from_json(data, "here").quarantined == ()


def test_every_flipped_bit_of_the_file_is_found() -> None:
    data = make_manifest().to_json()
    for position in range(8 * (len(data) - 1)):  # the last byte is a line end: white space, which means nothing
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(IntegrityError):
            Manifest.from_json(bytes(flipped), "here")


@given(st.binary())
@settings(max_examples=500)
@example(b"")
@example(b"null")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 100_000)
@example(b'{"recipe": NaN}')
@example(b"\xff\xfe")
@example(b'"\\ud800"')
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(data, "here")


@given(st.text())
@settings(max_examples=500)
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(text.encode("utf-8", "surrogatepass"), "here")


HOSTILE_NUMBERS = ["NaN", "Infinity", "1e999", "9" * 5000, "-0.0", '"\\ud800"', "[" * 300 + "]" * 300, '{"":{"":{}}}']


@given(st.sampled_from(sorted(PLAIN)), st.sampled_from(HOSTILE_NUMBERS))
@settings(max_examples=200)
@example("recipe", '{"x": NaN}')
@example("recipe", '{"x": "\\ud800"}')
@example("recipe", '{"x": ' + "9" * 5000 + "}")
@example("summary", '{"x": ' + "[" * 190 + "]" * 190 + "}")
def test_hostile_values_in_any_field_are_refused(name: str, value: str) -> None:
    text = json.dumps(PLAIN | {name: "PUT-IT-HERE"}).replace('"PUT-IT-HERE"', value)
    with pytest.raises(IntegrityError):
        Manifest.from_json(text.encode(), "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(sorted(PLAIN)), JSON, min_size=1))
@settings(max_examples=200)
def test_any_json_in_its_fields_is_refused_or_the_same(fields: dict[str, Any]) -> None:
    try:
        manifest = Manifest.from_json(json.dumps(PLAIN | fields).encode(), "here")
    except IntegrityError:
        pass
    else:
        assert manifest == make_manifest()


def test_a_huge_file_is_refused_without_parsing() -> None:
    with pytest.raises(IntegrityError, match="larger than"):
        Manifest.from_json(b" " * (LARGEST_MANIFEST_BYTES + 1), "here")


@pytest.mark.parametrize(
    "path",
    ["", "/a", "../a", "a/../b", "a/", "a//b", ".a", "a/.b", "a\\b", "a\n", "a\0", "ä", "a b", "C:/a", "x" * 501],
)
def test_names_of_data_objects_stay_in_their_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        Blob(path=path, sha256="a" * 64, size_bytes=1)


def test_a_manifest_cannot_be_changed_in_memory() -> None:
    with pytest.raises(ValidationError):
        make_manifest().seed = 4


def test_a_data_object_that_is_not_there() -> None:
    assert make_manifest().blob("i.json").size_bytes == 0
    with pytest.raises(KeyError, match="holds no 'x'"):
        make_manifest().blob("x")
