"""Keys and URLs: nothing may point outside of a store, and nothing may be taken for another place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from olivine.errors import UsageError
from olivine.store.keys import check_key, is_key, parse_location

SEGMENTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._+=@-]{0,30}", fullmatch=True)
KEYS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)


@given(KEYS)
@settings(max_examples=500)
def test_plain_keys_are_keys(key: str) -> None:
    assert check_key(key) == key


@given(st.text())
@settings(max_examples=500)
@example("")
@example("/etc/passwd")
@example("a/../../b")
@example("a/./b")
@example("a\0b")
@example("a\n")
@example("a\\b")
@example("C:/x")
@example("ａ")  # a full-width letter, which some file systems fold into a plain one
def test_whatever_is_a_key_stays_inside(key: str) -> None:
    if is_key(key):
        assert re.fullmatch(r"[\x21-\x7e]+", key)
        assert (Path("/store") / key).resolve().is_relative_to("/store")
        assert not any(segment.startswith(".") for segment in key.split("/"))
    else:
        with pytest.raises(UsageError, match="not a store key"):
            check_key(key)


def test_lengths_of_keys() -> None:
    assert is_key("a" * 200)
    assert not is_key("a" * 201)
    assert is_key("/".join(["a" * 99] * 9))
    assert not is_key("/".join(["a" * 99] * 10))


@given(st.text())
@settings(max_examples=500)
@example("http://[")
@example("s3://")
@example("file://%00")
@example("~nobody-of-this-name/x")
@example("\0")
def test_any_text_is_a_location_or_a_usage_error(url: str) -> None:
    try:
        location = parse_location(url)
    except UsageError:
        return
    assert parse_location(location.url) == location


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{1,40}[a-z0-9]", fullmatch=True), st.one_of(st.just(""), KEYS))
@settings(max_examples=200)
def test_s3_locations_come_back(bucket: str, prefix: str) -> None:
    location = parse_location(f"s3://{bucket}/{prefix}")
    assert (location.directory, location.bucket, location.prefix) == (None, bucket, prefix)
    assert parse_location(location.url) == location


@given(st.text(st.characters(categories=("L", "N", "Zs", "S", "P"))))
@settings(max_examples=200)
def test_directories_come_back(name: str) -> None:
    path = Path("/somewhere") / f"x{name}"
    location = parse_location(str(path))
    assert location.directory == path.resolve()
    assert parse_location(location.url) == location


@pytest.mark.parametrize("url", ["file:///a/b", "file://localhost/a/b", "/a/b", "/a/x/../b", "file:///a/x/%2e%2e/b"])
def test_forms_of_one_directory(url: str) -> None:
    assert parse_location(url).directory == Path("/a/b")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "  ",
        "http://host/x",
        "s3:/bucket/x",
        "file:/a",
        "file://host/a",
        "s3://",
        "s3:///x",
        "s3://Bucket/x",
        "s3://a..b/x",
        "s3://ab",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "s3://bucket/a b",
        "s3://bucket/x?versionId=1",
        "s3://bucket/x#part",
        "s3://bucket:80/x",
        "s3://buck\net/x",
        "gs://bucket/x",
        "/a\0b",
        "file:///a%00b",
        "file:///a%0Ab",
        "file:///a%FFb",
    ],
)
def test_what_is_no_store(url: str) -> None:
    with pytest.raises(UsageError, match="not a store"):
        parse_location(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket/x",  # pragma: allowlist secret
        "http://u:hunter2@host/x",  # pragma: allowlist secret
        "s3://bucket/x?key=hunter2",
    ],
)
def test_secrets_in_a_url_are_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_location(url)
    assert "hunter2" not in str(caught.value)
