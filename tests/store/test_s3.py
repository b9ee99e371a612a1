"""What only S3 can do wrong: credentials, buckets, servers that are not there, forked processes."""

from __future__ import annotations

import re
import subprocess
import sys
import traceback
from collections.abc import Callable

import obstore
import pytest

from olivine.errors import ConfigError, OlivineError, StoreError
from olivine.store import Pieces, Store, open_store

WRONG_SECRET = "wrong-secret-5d2e8f"  # pragma: allowlist secret
USED_BEFORE_FORK = """
import os, sys
from olivine.errors import ConfigError
from olivine.store import open_store
store = open_store(sys.argv[1])
store.create("a", b"1")
child = os.fork()
if child == 0:
    try:
        store.read("a")
    except ConfigError as error:
        os._exit(78 if "spawn" in str(error) else 1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
USED_AFTER_FORK = """
import os, sys
from olivine.store import open_store
store = open_store(sys.argv[1])
child = os.fork()
if child == 0:
    os._exit(0 if store.read("a") == b"1" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def all_calls(store: Store) -> list[Callable[[], object]]:
    return [
        lambda: store.create("a", b"1"),
        lambda: store.read("a"),
        lambda: store.read_range("a", 0, 1),
        lambda: store.size("a"),
        lambda: list(store.list("")),
        lambda: store.delete("a"),
        lambda: store.read_ref("a"),
        lambda: store.move_ref("a", b"1", None),
    ]


def test_a_wrong_secret_is_named_but_not_shown(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRONG_SECRET)
    for call in all_calls(open_store(s3_store_url)):
        with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value))
        assert WRONG_SECRET not in shown


def test_an_unknown_user(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(ConfigError, match="no permission"):
        open_store(s3_store_url).read("a")


def test_no_credentials(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="no credentials for http://127"):
        open_store(s3_store_url)


@pytest.mark.parametrize("call", [lambda store: store.read("a"), lambda store: store.read_ref("a")])
def test_a_missing_bucket_is_not_a_missing_key(s3_store_url: str, call: Callable[[Store], object]) -> None:
    with pytest.raises(ConfigError, match="no bucket 'there-is-none'"):
        call(open_store("s3://there-is-none/x"))


def test_a_server_that_is_not_there(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Port 9 of loopback: "discard", which nothing serves.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for call in all_calls(open_store(s3_store_url, retry_s=0.0)):
        with pytest.raises(StoreError, match="failed after retries") as caught:
            call()
        assert caught.value.exit_code == 75
        assert re.search(r"s3://[a-z-]+/[0-9a-f]{32}", str(caught.value))
        assert "\n" not in str(caught.value)


def test_a_forked_child_is_told_instead_of_hanging(s3_store_url: str) -> None:
    command = [sys.executable, "-c", USED_BEFORE_FORK, s3_store_url]
    assert subprocess.run(command, timeout=60, check=False).returncode == 78


def test_a_store_opened_before_a_fork_and_used_after_it(s3_store_url: str) -> None:
    open_store(s3_store_url).create("a", b"1")
    command = [sys.executable, "-c", USED_AFTER_FORK, s3_store_url]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_objects_larger_than_the_bulk_limit(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olivine.store.s3._BULK_BYTES", 1000)
    store = open_store(s3_store_url)
    assert store.create("a", b"1" * 5000)
    assert not store.create("a", b"2" * 5000)
    assert store.read("a") == b"1" * 5000


def test_every_error_is_one_of_ours(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://no-such-host.invalid")
    with pytest.raises(OlivineError):
        open_store(s3_store_url, retry_s=0.0).read("a")


@pytest.mark.parametrize("name", ["get", "get_range"])
def test_a_body_that_breaks_off_once_is_read_again(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Seen under load, with an answer that ended before its first byte: obstore gives up on it at once."""
    store = open_store(s3_store_url)
    store.create("k", b"0123456789")
    broken, real = [], getattr(obstore, name)

    def once(*arguments, **options):
        if not broken:
            broken.append(name)
            raise obstore.exceptions.GenericError("HTTP error: request or response body error")
        return real(*arguments, **options)

    monkeypatch.setattr(obstore, name, once)
    assert (store.read("k"), store.read_range("k", 2, 3)) == (b"0123456789", b"234")
    assert broken == [name]


def test_parts_that_break_off_are_sent_again(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olivine.store.s3._PART_BYTES", 5 << 20)
    store, whole = open_store(s3_store_url), bytes(range(256)) * 50_000
    broken, real = [], obstore.put

    def once(target, key, data, **options):
        if not broken:
            broken.append(next(iter(data)))
            raise obstore.exceptions.GenericError("HTTP error: request or response body error")
        return real(target, key, data, **options)

    monkeypatch.setattr(obstore, "put", once)
    assert store.create_content(Pieces([whole[:7_000_000], whole[7_000_000:]]), lambda: "k")
    assert store.read("k") == whole
    assert len(broken) == 1


def not_found(code: str) -> Callable[..., object]:
    def put(*arguments: object, **options: object) -> object:
        raise obstore.exceptions.NotFoundError(f"404 Not Found: <Error><Code>{code}</Code></Error>")

    return put


def test_an_object_that_was_cut_off_at_the_edge_of_a_part_is_not_the_content(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olivine.store.s3._PART_BYTES", 1000)
    whole = bytes(range(250)) * 12
    store = open_store(s3_store_url)
    store.create("k", whole[:2000])
    assert not store.holds("k", Pieces([whole]))
    assert store.holds("k", Pieces([whole[:2000]]))


def test_an_upload_that_the_server_forgot_is_begun_once_more(
    s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olivine.store.s3._PART_BYTES", 5 << 20)
    store, whole, real, calls = open_store(s3_store_url), bytes(range(256)) * 25_000, obstore.put, []
    gone = not_found("NoSuchUpload")

    def forgotten(target, key, data, **options):
        calls.append(key)
        return gone() if len(calls) == 1 else real(target, key, data, **options)

    monkeypatch.setattr(obstore, "put", forgotten)
    assert store.create_content(Pieces([whole]), lambda: "k")
    assert (len(calls), store.read("k")) == (2, whole)
    monkeypatch.setattr(obstore, "put", gone)
    with pytest.raises(StoreError, match=r"/k: the server forgot the upload twice .*run again") as caught:
        store.create_content(Pieces([whole]), lambda: "other/k")
    assert caught.value.exit_code == 75


def test_an_upload_in_parts_to_a_bucket_that_is_not_there(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Answered for the server: the one of the tests makes the bucket.
    monkeypatch.setattr("olivine.store.s3._PART_BYTES", 5 << 20)
    monkeypatch.setattr(obstore, "put", not_found("NoSuchBucket"))
    with pytest.raises(ConfigError, match="there is no bucket 'olivine-tests'"):
        open_store(s3_store_url).create_content(Pieces([bytes(6 << 20)]), lambda: "k")
