"""Signatures of statements: DSSE envelopes with Ed25519 keys. Off unless a key is named.

Format: DSSE v1 (https://github.com/secure-systems-lab/dsse). An envelope lies beside its statement, at
`records/signatures/<statement>/<key id>.json`; the key id is the SHA-256 of the raw public key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olivine.artifacts.digest import canonical_json
from olivine.errors import ConfigError
from olivine.store import Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNATURES = "records/signatures"
KEY_VARIABLE = "OLIVINE_SIGNING_KEY"
"""Environment variable: path of a private Ed25519 key (PEM, no password). Statements are signed where it is set."""


def check_signing_key() -> None:
    """ConfigError where the environment names a key that cannot sign: said before the work, not after it."""
    if path := os.environ.get(KEY_VARIABLE):
        _private_key(Path(path))


def sign(store: Store, digest: str, statement: bytes) -> None:
    """Sign a statement with the key that the environment names; nothing happens where it names none.

    Raises:
        ConfigError: the key cannot be read or is no Ed25519 key. Its content is in no message.
    """
    path = os.environ.get(KEY_VARIABLE)
    if not path:
        return
    key = _private_key(Path(path))
    id = key_id(key.public_key())
    signature = base64.b64encode(key.sign(pre_authentication(PAYLOAD_TYPE, statement))).decode()
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": id, "sig": signature}],
    }
    store.create(f"{SIGNATURES}/{digest}/{id}.json", canonical_json(envelope))


def signed_by(store: Store, digest: str, statement: bytes, keys: Mapping[str, Ed25519PublicKey]) -> list[str]:
    """Ids of those of `keys` that have signed this statement."""
    return [
        id
        for id, key in keys.items()
        if _is_signed(_read(store, f"{SIGNATURES}/{digest}/{id}.json"), statement, id, key)
    ]


def read_public_keys(folder: Path) -> dict[str, Ed25519PublicKey]:
    """The public keys (`*.pem`) in a folder by key id.

    Raises:
        ConfigError: no folder, no key in it, or a file that is no public Ed25519 key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    keys = {}
    for file in sorted(folder.glob("*.pem")):
        try:
            key = load_pem_public_key(file.read_bytes())
        except (ValueError, OSError) as error:
            raise ConfigError(f"{file} is no public key ({type(error).__name__}). Give PEM files.") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"{file} is no Ed25519 key: openssl pkey -in KEY -pubout makes one of the private key.")
        keys[key_id(key)] = key
    if not keys:
        raise ConfigError(f"{folder} holds no public key (*.pem).")
    return keys


def key_id(key: Ed25519PublicKey) -> str:
    """SHA-256 (hex) of the raw public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """What is signed: type and payload with their lengths (PAE of DSSE v1)."""
    name = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ConfigError(f"{KEY_VARIABLE} is set, but signing needs cryptography: install olivine[sign].") from error
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(
            f"{KEY_VARIABLE}: {path} cannot be read as a private key ({type(error).__name__})."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{KEY_VARIABLE}: {path} is no Ed25519 key: openssl genpkey -algorithm ed25519 makes one.")
    return key


def _read(store: Store, key: str) -> dict[str, Any]:
    try:
        envelope = json.loads(store.read(key))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _is_signed(envelope: dict[str, Any], statement: bytes, id: str, key: Ed25519PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        if base64.b64decode(envelope["payload"], validate=True) != statement:
            return False
        (signature,) = (item["sig"] for item in envelope["signatures"] if item["keyid"] == id)
        key.verify(base64.b64decode(signature, validate=True), pre_authentication(envelope["payloadType"], statement))
    except (KeyError, TypeError, ValueError, AttributeError, InvalidSignature):
        return False
    return True
