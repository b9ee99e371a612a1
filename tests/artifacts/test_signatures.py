"""Signatures of statements: made where a key is named, and only the right key, type and bytes pass."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from olivine.artifacts import Artifact
from olivine.artifacts.provenance import BY_SUBJECT, statement_key
from olivine.artifacts.signatures import KEY_VARIABLE, SIGNATURES, pre_authentication, read_public_keys, signed_by
from olivine.errors import ConfigError
from olivine.lineage.source import Place
from olivine.lineage.verify import verify_lineage
from olivine.store import Store


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A signing key in the environment, and its public half in a folder."""
    write_keys(tmp_path, "team")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "team.pem"))
    return tmp_path / "team"


def write_keys(folder: Path, name: str) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(private)
    (folder / name).mkdir()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / name / "public.pem").write_bytes(public)


def statement_of(artifact: Artifact) -> tuple[str, bytes]:
    (key,) = artifact.store.list(f"{BY_SUBJECT}/{artifact.id}")
    digest = key.rsplit("/", 1)[1]
    return digest, artifact.store.read(statement_key(digest))


def test_the_encoding_is_that_of_dsse() -> None:
    """The example of the specification."""
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_published_artifacts_are_signed(store: Store, publish_sample: Callable[..., Artifact], keys: Path) -> None:
    artifact = publish_sample(store, drives=publish_sample(store))
    public = read_public_keys(keys)
    assert signed_by(store, *statement_of(artifact), public) == list(public)
    assert verify_lineage(store, Place("label", artifact.id), public) == []


def test_another_key_does_not_pass(
    store: Store, publish_sample: Callable[..., Artifact], keys: Path, tmp_path: Path
) -> None:
    artifact = publish_sample(store)
    write_keys(tmp_path, "stranger")
    strangers = read_public_keys(tmp_path / "stranger")
    (problem,) = verify_lineage(store, Place("ingest", artifact.id), strangers)
    assert "none of the 1 keys has signed it (drives" in problem


def test_unsigned_is_found_only_where_keys_are_asked_for(
    store: Store, publish_sample: Callable[..., Artifact], keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    artifact = publish_sample(store)
    assert list(store.list(SIGNATURES)) == []
    assert verify_lineage(store, Place("ingest", artifact.id)) == []
    assert len(verify_lineage(store, Place("ingest", artifact.id), read_public_keys(keys))) == 1


@pytest.mark.parametrize("field", ["payload", "payloadType", "sig", "keyid"])
def test_a_changed_envelope_does_not_pass(
    store: Store, publish_sample: Callable[..., Artifact], keys: Path, field: str
) -> None:
    artifact = publish_sample(store)
    digest, statement = statement_of(artifact)
    (key,) = store.list(f"{SIGNATURES}/{digest}")
    envelope = json.loads(store.read(key))
    holder = envelope if field in envelope else envelope["signatures"][0]
    changed = base64.b64encode(b"other" * 20).decode()
    holder[field] = changed if field in ("payload", "sig") else "other"
    store.delete(key)
    store.create(key, json.dumps(envelope).encode())
    assert signed_by(store, digest, statement, read_public_keys(keys)) == []


def test_a_key_that_is_none_is_said_without_its_content(
    store: Store, publish_sample: Callable[..., Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "not-a-key-8c1f"  # pragma: allowlist secret
    (tmp_path / "bad.pem").write_text(secret)
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "other.pem").write_bytes(other)
    for name, message in (("bad", "cannot be read"), ("other", "no Ed25519 key"), ("missing", "cannot be read")):
        monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / f"{name}.pem"))
        with pytest.raises(ConfigError, match=message) as caught:
            publish_sample(store)
        assert secret not in str(caught.value)
        assert list(store.list("")) == [], "before any work"
    with pytest.raises(ConfigError, match="no public key"):
        read_public_keys(tmp_path / "nowhere")
