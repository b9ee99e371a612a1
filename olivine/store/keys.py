"""Keys and URLs of a store: what is allowed, so that nothing can point outside of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from olivine.errors import UsageError

_LONGEST_KEY = 900
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=@-]{0,199}")
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


def is_key(key: str) -> bool:
    """Whether `key` is a plain relative key such as `blobs/sha256/ab12`."""
    return len(key) <= _LONGEST_KEY and all(_SEGMENT.fullmatch(segment) for segment in key.split("/"))


def check_key(key: str) -> str:
    """Return `key` when it is one, else raise UsageError."""
    if not is_key(key):
        raise UsageError(
            f"{key[:200]!r} is not a store key: use letters, digits and ._+=@- in segments separated by '/', each "
            f"starting with a letter, a digit or _, of at most 200 characters ({_LONGEST_KEY} in all)."
        )
    return key


@dataclass(frozen=True)
class Location:
    """Where a store is: a directory (`bucket` is None) or a prefix in an S3 bucket."""

    directory: Path | None
    bucket: str | None
    prefix: str

    @property
    def url(self) -> str:
        """The canonical `file://` or `s3://` form."""
        if self.directory is not None:
            return self.directory.as_uri()
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_location(url: str) -> Location:
    """Read a directory path, a `file://` or an `s3://bucket/prefix` URL.

    Raises:
        UsageError: another scheme, a bucket name that S3 does not allow, or a prefix that is not a plain key. The
            message does not repeat what stands before an '@' or behind a '?': it may be a secret.
    """
    if not url.strip() or _CONTROL.search(url):
        raise _not_a_store(url)
    try:
        location = _parse_url(url) if _SCHEME.match(url) else _directory(url)
    except (ValueError, RuntimeError, OSError) as error:
        raise _not_a_store(url) from error
    if location is None:
        raise _not_a_store(url)
    return location


def _parse_url(url: str) -> Location | None:
    parts = urlsplit(url)
    if parts.query or parts.fragment or not url[len(parts.scheme) :].startswith("://"):
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return _directory(unquote(parts.path, errors="strict"))
    if parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc):
        prefix = parts.path.strip("/")
        return Location(None, parts.netloc, check_key(prefix) if prefix else "")
    return None


def _directory(path: str) -> Location | None:
    return Location(Path(path).expanduser().resolve(), None, "") if not _CONTROL.search(path) else None


def _not_a_store(url: str) -> UsageError:
    shown = re.sub(r"//[^/]*@", "//…@", url.split("?")[0])[:200]
    return UsageError(f"{shown!r} is not a store: give a directory, file:///path or s3://bucket/prefix.")
