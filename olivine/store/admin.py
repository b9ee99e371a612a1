"""What an owner of a store does once: make it ready, and hand out links. The one file that uses the minio client."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, GOVERNANCE, Filter
from minio.credentials.providers import ChainedProvider, EnvAWSProvider, IamAwsProvider
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import (
    AbortIncompleteMultipartUpload,
    Expiration,
    LifecycleConfig,
    NoncurrentVersionExpiration,
    Rule,
)
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from olivine.errors import ConfigError, OlivineError, StoreError, UsageError
from olivine.store.keys import Location, check_key, parse_location
from olivine.store.settings import S3Settings
from olivine.store.store import open_store

_PARTS_DAYS = 30
_UPLOAD_DAYS = 7
# So long a deletion can be taken back; then nothing is left of what somebody may have asked to be removed.
_OLD_VERSION_DAYS = 7
_RETRIES = 5
_LONGEST_LINK = timedelta(days=7)
_DENIED = frozenset({"AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId", "AllAccessDisabled"})
_UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "InvalidRequest", "InvalidBucketState"})
_UNSET = frozenset({"NoSuchLifecycleConfiguration", "ObjectLockConfigurationNotFoundError"})


def init_store(url: str, lock_records_days: int | None = None) -> list[str]:
    """Make a store ready for use; safe to run again. Return a report, one line a matter.

    On S3: the bucket (made when missing), versions of objects kept, a lifecycle, and a trial whether create-only writes
    and compare-and-swap hold. By the lifecycle the server removes unfinished uploads, old `parts/`, and what was
    deleted or replaced below the prefix; rules of others stay as they are, and a locked version until its lock ends.

    Args:
        url: the store.
        lock_records_days: lock the objects now below `records/` against change for so many days, in a bucket that this
            call made or that has object lock; objects written later need another call.

    Raises:
        ConfigError: no permission, or a server that ignores conditional writes: it must not be used.
    """
    location = parse_location(url)
    if location.directory is not None:
        open_store(url)
        return [
            f"directory: {location.directory} is ready",
            try_conditional_writes(url),
            "versions, lifecycle, object lock: do not apply to a directory (objects are never overwritten; unused "
            "parts/ stay until they are deleted)",
        ]
    client, bucket = _client(), str(location.bucket)
    with _translated(location):
        return [
            _make_bucket(client, bucket, lock_records_days is not None),
            try_conditional_writes(url),
            _where_supported("versions", lambda: _keep_versions(client, bucket)),
            _where_supported("lifecycle", lambda: _set_lifecycle(client, location)),
            _where_supported("object lock", lambda: _lock_records(client, location, lock_records_days)),
        ]


def presign(url: str, key: str, expires: timedelta) -> str:
    """A link that lets anybody read one object until it expires.

    Raises:
        UsageError: the store is a directory, or the time is not between one second and seven days (a limit of S3).
    """
    location = parse_location(url)
    if location.directory is not None:
        raise UsageError(f"{url}: a directory has no links; copy {key} itself, or use an S3 store.")
    if not timedelta(seconds=1) <= expires <= _LONGEST_LINK:
        raise UsageError(f"A link for {expires} is not possible: give between 1 second and {_LONGEST_LINK.days} days.")
    with _translated(location):
        return str(_client().presigned_get_object(str(location.bucket), _full_key(location, check_key(key)), expires))


def _client() -> Minio:
    settings = S3Settings.from_environment()
    return Minio(
        urlsplit(settings.endpoint).netloc if settings.endpoint else "s3.amazonaws.com",
        secure=settings.encrypted,
        region=settings.region,
        credentials=ChainedProvider([EnvAWSProvider(), IamAwsProvider()]),
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=10, read=60),
            retries=urllib3.Retry(total=_RETRIES, backoff_factor=0.1, status_forcelist=[500, 502, 503, 504]),
        ),
    )


def _make_bucket(client: Minio, bucket: str, object_lock: bool) -> str:
    if client.bucket_exists(bucket):
        return f"bucket: {bucket} was there"
    client.make_bucket(bucket, object_lock=object_lock)
    return f"bucket: {bucket} made" + (" with object lock" if object_lock else "")


def try_conditional_writes(url: str) -> str:
    """Try create-only writes and compare-and-swap on a store, under a name of their own, and say that they hold.

    Raises:
        ConfigError: the server ignores them: it must not be used. StoreError: it cannot be reached.
    """
    store, name = open_store(url), f"probes/{uuid.uuid4().hex}"
    first = store.move_ref(name, b"1", None)
    try:
        ref = store.read_ref(name)
        second = store.create(f"refs/{name}", b"2")
        moved, stale = store.move_ref(name, b"3", ref), store.move_ref(name, b"4", ref)
    finally:
        store.delete(f"refs/{name}")
    if (first, second, moved, stale) != (True, False, True, False):
        raise ConfigError(
            f"{store.url}: this server ignores conditional writes (If-None-Match, If-Match), so two runs could "
            "overwrite each other. Use another one, for instance Amazon S3 or SeaweedFS."
        )
    return "conditional writes: create-only and compare-and-swap hold"


def _keep_versions(client: Minio, bucket: str) -> str:
    if client.get_bucket_versioning(bucket).status != ENABLED:
        client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    return "versions: kept"


def _set_lifecycle(client: Minio, location: Location) -> str:
    bucket, ours = str(location.bucket), _rules(location)
    names = {rule.rule_id for rule in ours}
    others = [rule for rule in _lifecycle_rules(client, bucket) if rule.rule_id not in names]
    client.set_bucket_lifecycle(bucket, LifecycleConfig(others + ours))
    return (
        f"lifecycle: {_full_key(location, 'parts/')} removed after {_PARTS_DAYS} days, what was deleted or replaced "
        f"after {_OLD_VERSION_DAYS}, unfinished uploads after {_UPLOAD_DAYS}"
    )


def _rules(location: Location) -> list[Rule]:
    """What the server is to remove, a rule each."""
    parts, all_keys = _full_key(location, "parts/"), _full_key(location, "")
    return [
        Rule(
            ENABLED,
            rule_id="olivine-unfinished-uploads",
            rule_filter=Filter(prefix=""),
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(days_after_initiation=_UPLOAD_DAYS),
        ),
        Rule(
            ENABLED,
            rule_id=f"olivine-{parts.strip('/').replace('/', '-')}"[:255],
            rule_filter=Filter(prefix=parts),
            expiration=Expiration(days=_PARTS_DAYS),
        ),
        # A deleted object is an old version behind a mark, and S3 removes such a mark by a rule without days alone.
        Rule(
            ENABLED,
            rule_id=f"olivine-old-versions-{all_keys}"[:255],
            rule_filter=Filter(prefix=all_keys),
            expiration=Expiration(expired_object_delete_marker=True),
            noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=_OLD_VERSION_DAYS),
        ),
    ]


def _lifecycle_rules(client: Minio, bucket: str) -> list[Rule]:
    try:
        config = client.get_bucket_lifecycle(bucket)
    except S3Error as error:
        if error.code in _UNSET:
            return []
        raise
    return list(config.rules) if config else []


def _lock_records(client: Minio, location: Location, days: int | None) -> str:
    if days is None:
        return "object lock: not asked for"
    bucket, until = str(location.bucket), datetime.now(UTC) + timedelta(days=days)
    client.get_object_lock_config(bucket)  # refused where the bucket has none; some servers would accept what follows
    names = [
        str(item.object_name)
        for item in client.list_objects(bucket, prefix=_full_key(location, "records/"), recursive=True)
    ]
    for name in names:
        client.set_object_retention(bucket, name, Retention(GOVERNANCE, until))
    return f"object lock: {len(names)} records locked until {until:%Y-%m-%d}; run again to lock newer ones"


def _where_supported(matter: str, act: Callable[[], str]) -> str:
    try:
        return act()
    except S3Error as error:
        if error.code not in _UNSUPPORTED | _UNSET:
            raise
        return f"{matter}: not done, the server or bucket does not support it ({error.code})"


def _full_key(location: Location, key: str) -> str:
    return f"{location.prefix}/{key}" if location.prefix else key


@contextmanager
def _translated(location: Location) -> Iterator[None]:
    try:
        yield
    except OlivineError:
        raise
    except S3Error as error:
        if error.code in _DENIED:
            raise ConfigError(
                f"{location.url}: no permission ({error.code}). Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
                "the policy of the bucket."
            ) from error
        if error.code == "NoSuchBucket":
            raise ConfigError(f"{location.url}: no such bucket. Make it with `olivine store init`.") from error
        raise StoreError(f"{location.url}: the server answered {error.code}. Run again.") from error
    except (MinioException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        raise StoreError(
            f"{location.url}: cannot be reached ({type(error).__name__}). Check AWS_ENDPOINT_URL, then run again."
        ) from error
