"""No credential reaches a page, whatever form it has."""

from __future__ import annotations

import pytest

from olivine.platform.trainjob.failure import redact

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCY"  # pragma: allowlist secret


@pytest.mark.parametrize(
    "text",
    [
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"AWS_SECRET_ACCESS_KEY: {SECRET}",
        f"'AWS_SECRET_ACCESS_KEY': '{SECRET}'",
        f'"aws_secret_access_key": "{SECRET}"',
        f"aws_access_key_id={SECRET}",
        f"AWS_SESSION_TOKEN={SECRET}",
        f"secretKey: {SECRET}",
        f"secret-key={SECRET}",
        f"password={SECRET}",
        f"PGPASSWORD={SECRET}",
        f"passwd: {SECRET}",
        f"api_key={SECRET}",
        f"apikey={SECRET}",
        f"api-key: {SECRET}",
        f"HF_TOKEN={SECRET}",
        f"token: {SECRET}",
        f"--token={SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"https://user:{SECRET}@host/path",
        f"https://host/key?X-Amz-Signature={'ab12' * 8}&x=1",
        "id AKIAIOSFODNN7EXAMPLE in the clear",  # pragma: allowlist secret
        f"https://host/key?X-Amz-Security-Token={SECRET}&x=1",
        f"credential={SECRET}",
    ],
)
def test_credentials_are_left_out(text: str) -> None:
    shown = redact(f"before {text} after")
    assert SECRET not in shown
    assert "ab12" not in shown
    assert "AKIAIOSFODNN7EXAMPLE" not in shown  # pragma: allowlist secret
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize(
    "text",
    ["loss 0.31 at step 12", "s3://bucket/prefix/key", "2026-11-25T02:00:00Z done", "keyframe 7 of 9: tokens 12"],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text
