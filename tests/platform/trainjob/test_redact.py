"""No credential reaches a page, whatever form it has."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.platform.trainjob.failure import redact

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCY"  # pragma: allowlist secret
IN_URL = st.text(string.ascii_letters + string.digits + "@:!$&()*+,;=-._~%")


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
        f"the download with hf_{SECRET} failed",
        f"the download with ghp_{SECRET} failed",
        f"https://{SECRET}@host/path",
        f"s3://user:pa@{SECRET}@host/path",  # pragma: allowlist secret
        f"password=a,{SECRET}",
        f"password: 'two {SECRET}'",  # pragma: allowlist secret
        f'password: "never closed {SECRET}\n',
        f"Authorization: Basic {SECRET}",
    ],
)
def test_credentials_are_left_out(text: str) -> None:
    shown = redact(f"before {text} after")
    assert SECRET not in shown
    assert "ab12" not in shown
    assert "AKIAIOSFODNN7EXAMPLE" not in shown  # pragma: allowlist secret
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@given(st.text())
def test_what_is_in_quotes_goes_whole(secret: str) -> None:
    quoted = json.dumps(secret)
    assert redact(f'{{"password": {quoted}}} after') == '{"password": …} after'
    inside = json.dumps(f'{{"password": {quoted}}} after')
    assert redact(inside).startswith('"{\\"password\\": …')
    assert not set(redact(inside).removesuffix('} after"').removeprefix('"{\\"password\\": …'))


@given(IN_URL, IN_URL)
def test_a_password_with_an_at_sign_goes_whole(first: str, second: str) -> None:
    assert redact(f"before s3://user:{first}@{second}@host/path after") == "before s3://…@host/path after"


def test_a_long_line_without_spaces_is_read_once() -> None:
    text = "x" * 300_000
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/a@b",
        "file:///a@b",
        "loss 0.31 at step 12",
        "s3://bucket/prefix/key",
        "2026-11-25T02:00:00Z done",
        "keyframe 7 of 9: tokens 12",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert redact(text) == text
