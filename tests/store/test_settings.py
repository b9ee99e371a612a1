"""Where S3 is, from the environment."""

from __future__ import annotations

import pytest

from olivine.errors import ConfigError
from olivine.store.settings import S3Settings

NAMES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_amazon_by_default() -> None:
    assert S3Settings.from_environment() == S3Settings(None, "us-east-1")
    assert S3Settings.from_environment().encrypted


def test_the_nearer_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("https://s3", "https://all", "eu-1", "eu-2", "key"), strict=True):
        monkeypatch.setenv(name, value)
    assert S3Settings.from_environment() == S3Settings("https://s3", "eu-1")


def test_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8333")
    assert not S3Settings.from_environment().encrypted


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1:1",
        "ftp://host",
        "http://",
        "http://u:hunter2@host",  # pragma: allowlist secret
        "http://h/path",
        "http://h:x",
        "http://[",
    ],  # pragma: allowlist secret
)
def test_bad_endpoints(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is not") as caught:
        S3Settings.from_environment()
    assert "hunter2" not in str(caught.value)
