"""Making a store ready, and links, on a real server."""

from __future__ import annotations

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
    assert len(lifecycle.rules) == 2
    expiry = {rule.rule_filter.prefix: rule.expiration.days for rule in lifecycle.rules if rule.expiration}
    assert expiry == {"olivine/parts/": 30}
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
    assert prefixes == ["logs/", "one/parts/", "two/parts/"]


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
