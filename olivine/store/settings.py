"""Where S3 is: endpoint and region from the AWS_* environment, for every client alike."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from olivine.errors import ConfigError

_CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


@dataclass(frozen=True)
class S3Settings:
    """Endpoint (None: Amazon's own for the region) and region."""

    endpoint: str | None
    region: str

    @property
    def encrypted(self) -> bool:
        """Whether the endpoint is reached by TLS."""
        return self.endpoint is None or not self.endpoint.startswith("http://")

    @classmethod
    def from_environment(cls) -> S3Settings:
        """Read AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_REGION and AWS_DEFAULT_REGION.

        Raises:
            ConfigError: the endpoint is not a plain http(s) URL, or there is one but no credentials for it (those that
                Amazon gives its own machines are not looked for, since asking for them takes minutes elsewhere).
        """
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        if endpoint is not None:
            _check(endpoint)
        return cls(endpoint, region)


def _check(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
        plain = plain and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        plain = False
    if not plain:
        raise ConfigError(
            "AWS_ENDPOINT_URL is not of the form http(s)://host[:port]. Credentials do not belong in it: set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if not any(os.environ.get(name) for name in _CREDENTIAL_VARIABLES):
        raise ConfigError(
            f"There are no credentials for {endpoint}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (files in "
            "~/.aws are not read)."
        )
