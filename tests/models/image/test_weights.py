from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from olivine.errors import ConfigError, IntegrityError
from olivine.models.image import load_image_encoder
from olivine.models.image.weights import MOBILESAM, cached_path, read_verified


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path))


def test_the_cache_folder_can_be_named_and_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached_path() == tmp_path / "weights" / MOBILESAM.file_name
    monkeypatch.delenv("OLIVINE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cached_path() == tmp_path / "home" / ".cache" / "olivine" / "weights" / MOBILESAM.file_name


def test_absent_weights_name_the_command_and_the_alternative() -> None:
    with pytest.raises(ConfigError, match=r"olivine label fetch-weights mobile_sam.*stand_in"):
        load_image_encoder("mobilesam")


def test_only_the_pinned_bytes_are_read() -> None:
    content = save({"a": torch.arange(3.0)})
    pinned = replace(MOBILESAM, file_sha256=hashlib.sha256(content).hexdigest())
    cached_path(pinned).parent.mkdir()
    cached_path(pinned).write_bytes(content)
    assert torch.equal(read_verified(pinned)["a"], torch.arange(3.0))
    cached_path(pinned).write_bytes(content[:-1] + b"\x01")
    with pytest.raises(IntegrityError, match="pinned is"):
        read_verified(pinned)
