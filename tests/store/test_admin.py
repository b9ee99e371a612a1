"""Making a store ready, and links, on a real server."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from benchmarks.s3_server import S3Server
from olivine.errors import ConfigError, StoreError, UsageError
from olivine.store import open_store
from olivine.store.admin import init_store, presign
from olivine.store.store import Store


@pytest.fixture
def client(s3_server, s3_store_url: str) -> Minio:
    environment = s3_server.environment
    return Minio(
        f"127.0.0.1:{s3_server.port}",
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        secure=False,
        region="us-east-1",
    )


@pytest.fixture
def bucket(client: Minio) -> str:
    return f"made-{uuid.uuid4().hex[:12]}"


def test_a_new_bucket_is_made_ready_and_stays_so(client: Minio, bucket: str) -> None:
    report = init_store(f"s3://{bucket}/olivine")
    assert report[0] == f"bucket: {bucket} made"
    assert report[1] == "conditional writes: create-only and compare-and-swap hold"
    assert init_store(f"s3://{bucket}/olivine")[0] == f"bucket: {bucket} was there"
    assert client.get_bucket_versioning(bucket).status == "Enabled"
    lifecycle = client.get_bucket_lifecycle(bucket)
    assert lifecycle is not None
    assert len(lifecycle.rules) == 3
    expiry = {rule.rule_filter.prefix: rule.expiration.days for rule in lifecycle.rules if rule.expiration}
    assert expiry == {"olivine/parts/": 30, "olivine/": None}
    assert [r.abort_incomplete_multipart_upload.days_after_initiation for r in lifecycle.rules if not r.expiration] == [
        7
    ]
    assert list(open_store(f"s3://{bucket}").list("")) == []


def test_rules_of_others_stay(client: Minio, bucket: str) -> None:
    client.make_bucket(bucket)
    theirs = Rule(ENABLED, rule_id="theirs", rule_filter=Filter(prefix="logs/"), expiration=Expiration(days=3))
    client.set_bucket_lifecycle(bucket, LifecycleConfig([theirs]))
    init_store(f"s3://{bucket}/one")
    init_store(f"s3://{bucket}/two")
    lifecycle = client.get_bucket_lifecycle(bucket)
    assert lifecycle is not None
    prefixes = sorted(str(rule.rule_filter.prefix) for rule in lifecycle.rules if rule.expiration)
    assert prefixes == ["logs/", "one/", "one/parts/", "two/", "two/parts/"]


@pytest.mark.parametrize("prefix", ["", "team/olivine"])
def test_what_was_deleted_is_to_go_from_the_whole_prefix(client: Minio, bucket: str, prefix: str) -> None:
    report = init_store(f"s3://{bucket}/{prefix}")
    assert "what was deleted or replaced after 7" in report[3]
    lifecycle = client.get_bucket_lifecycle(bucket)
    assert lifecycle is not None
    (rule,) = [rule for rule in lifecycle.rules if rule.noncurrent_version_expiration]
    assert rule.status == ENABLED
    assert rule.rule_filter.prefix == (f"{prefix}/" if prefix else "")
    assert rule.noncurrent_version_expiration.noncurrent_days == 7
    assert rule.expiration.expired_object_delete_marker


def test_the_server_removes_the_mark_of_what_is_gone_and_no_version_before_its_time(
    client: Minio, bucket: str, s3_server: S3Server
) -> None:
    store = open_store(f"s3://{bucket}/olivine")
    init_store(store.url)
    for key in ("blobs/gone", "blobs/young", "blobs/kept"):
        store.create(key, b"1")
    store.delete("blobs/gone")
    store.delete("blobs/young")
    (version,) = (item for item in _versions(client, bucket) if item[0] == "olivine/blobs/gone" and not item[1])
    client.remove_object(bucket, version[0], version_id=version[2])  # as the rule does when the days have passed
    # What its worker does once a day; gRPC listens 10000 ports above.
    ask = f"s3.lifecycle.run-shard -shards 0-15 -s3 127.0.0.1:{s3_server.port + 10_000} -runtime 20s\n"
    said = subprocess.run(s3_server.shell, input=ask, capture_output=True, text=True, check=True, timeout=120)
    assert "complete" in said.stdout
    left = {(name.removeprefix("olivine/blobs/"), is_mark) for name, is_mark, _ in _versions(client, bucket)}
    assert left == {("young", False), ("young", True), ("kept", False)}


def _versions(client: Minio, bucket: str) -> list[tuple[str, bool, str]]:
    """Name, whether it is the mark of a deletion, and id of every version of the blobs."""
    items = client.list_objects(bucket, "olivine/blobs/", True, include_version=True)
    return [(str(item.object_name), item.is_delete_marker, str(item.version_id)) for item in items]


def test_stores_whose_prefixes_look_alike_keep_their_own_rules(client: Minio, bucket: str) -> None:
    init_store(f"s3://{bucket}/a/b")
    init_store(f"s3://{bucket}/a-b")
    lifecycle = client.get_bucket_lifecycle(bucket)
    assert lifecycle is not None
    old = [str(rule.rule_filter.prefix) for rule in lifecycle.rules if rule.noncurrent_version_expiration]
    assert sorted(old) == ["a-b/", "a/b/"]


def test_locked_records_cannot_be_removed(client: Minio, bucket: str) -> None:
    url = f"s3://{bucket}/olivine"
    assert init_store(url, lock_records_days=1)[0] == f"bucket: {bucket} made with object lock"
    open_store(url).create("records/runs/a", b"1")
    open_store(url).create("other/a", b"1")
    assert "1 records locked until" in init_store(url, lock_records_days=1)[-1]
    versions = {
        item.object_name: item.version_id for item in client.list_objects(bucket, None, True, include_version=True)
    }
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove_object(bucket, "olivine/records/runs/a", version_id=versions["olivine/records/runs/a"])
    client.remove_object(bucket, "olivine/other/a", version_id=versions["olivine/other/a"])


def test_a_bucket_without_object_lock_says_so(client: Minio, bucket: str) -> None:
    url = f"s3://{bucket}/olivine"
    init_store(url)
    open_store(url).create("records/runs/a", b"1")
    assert init_store(url, lock_records_days=1)[-1].startswith("object lock: not done")


def test_a_server_without_conditional_writes_is_refused(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite(store: Store, key: str, data: bytes) -> bool:
        store.delete(key)
        return create(store, key, data)

    create = Store.create
    monkeypatch.setattr(Store, "create", overwrite)
    with pytest.raises(ConfigError, match="ignores conditional writes"):
        init_store(s3_store_url)
    assert list(open_store(s3_store_url).list("")) == []


def test_a_directory_is_made(tmp_path: Path) -> None:
    report = init_store(str(tmp_path / "new"))
    assert report[0] == f"directory: {tmp_path / 'new'} is ready"
    assert "do not apply" in report[-1]
    assert list(open_store(str(tmp_path / "new")).list("")) == []


def test_a_link_reads_one_object(s3_store_url: str) -> None:
    open_store(s3_store_url).create("a/b", b"hello")
    link = presign(s3_store_url, "a/b", timedelta(minutes=5))
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(urllib.error.HTTPError) as caught, urllib.request.urlopen(link.replace("a/b", "a/c")):
        pass
    caught.value.close()
    assert caught.value.code == 403


@pytest.mark.parametrize("expires", [timedelta(0), timedelta(days=8), timedelta(seconds=-1)])
def test_links_that_cannot_be(s3_store_url: str, expires: timedelta) -> None:
    with pytest.raises(UsageError, match="1 second and 7 days"):
        presign(s3_store_url, "a", expires)


def test_a_directory_has_no_links(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no links"):
        presign(str(tmp_path), "a", timedelta(hours=1))


def test_wrong_credentials(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-77")
    with pytest.raises(ConfigError, match="no permission") as caught:
        init_store(s3_store_url)
    assert "wrong-secret-77" not in str(caught.value)


def test_no_server(s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("olivine.store.admin._RETRIES", 0)
    with pytest.raises(StoreError, match="cannot be reached"):
        init_store(s3_store_url)
