"""Files of weights from elsewhere: damaged, exchanged, or made to run code."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors

from olivine.errors import ConfigError, IntegrityError
from olivine.models.image.checkpoint import read_tensors

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


class Mark:
    """A pickle that touches a file when it is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def saved(content: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def read(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    path.write_bytes(content)
    return read_tensors(path, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.safetensors", save_safetensors(TENSORS)),
        ("w.pth", saved(TENSORS)),
        ("w.pth.tar", saved({"epoch": 800, "arch": "resnet50", "state_dict": TENSORS})),
        ("w.pth.tar", saved({"state_dict": TENSORS}, _use_new_zipfile_serialization=False)),
    ],
    ids=["safetensors", "flat", "wrapped", "before torch 1.6"],
)
def test_tensors_by_name_in_every_container(tmp_path: Path, name: str, content: bytes) -> None:
    tensors = read(tmp_path / name, content)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[key], TENSORS[key]) for key in TENSORS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pth.*Nothing is downloaded"):
        read_tensors(tmp_path / "none.pth", "0" * 64)


def test_another_file_is_refused_with_both_digests(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(saved(TENSORS))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(IntegrityError, match=rf"{re.escape(str(path))} has sha256 {found}, .* expects {'1' * 64}"):
        read_tensors(path, "1" * 64)


def test_a_truncated_file_has_another_digest(tmp_path: Path) -> None:
    path, content = tmp_path / "w.pth", saved(TENSORS)
    path.write_bytes(content[:-7])
    with pytest.raises(IntegrityError, match="refused"):
        read_tensors(path, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_with_its_own_digest_is_refused_too(tmp_path: Path, name: str, share: float) -> None:
    content = save_safetensors(TENSORS) if name.endswith("safetensors") else saved(TENSORS)
    with pytest.raises(IntegrityError, match=r"w\.\w+ is no file of plain tensors"):
        read(tmp_path / name, content[: int(share * len(content))])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_code_in_a_file_is_never_run(tmp_path: Path, legacy: bool, nested: bool) -> None:
    mark = tmp_path / "was-run"
    hostile: Any = {"state_dict": TENSORS | {"b": Mark(mark)}} if nested else Mark(mark)
    content = saved(hostile, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(IntegrityError, match="no file of plain tensors"):
        read(tmp_path / "w.pth", content)
    assert not mark.exists()


def test_a_bare_pickle_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    with pytest.raises(IntegrityError, match="no file of plain tensors"):
        read(tmp_path / "w.pth", pickle.dumps(Mark(mark)))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [([1.0], "list"), ({}, "dict"), ({"a": {"b": torch.ones(1)}}, "dict named 'a'"), ({7: torch.ones(1)}, "named 7")],
)
def test_anything_but_tensors_by_name_is_refused(tmp_path: Path, content: Any, found: str) -> None:
    with pytest.raises(IntegrityError, match=found):
        read(tmp_path / "w.pth", saved(content))
