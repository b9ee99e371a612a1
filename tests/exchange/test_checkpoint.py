"""Reading somebody else's file: every kind that is tensors, and nothing that is code, damage or a bomb."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch

from olivine.errors import DataError
from olivine.exchange import checkpoint
from olivine.exchange.checkpoint import read_checkpoint, tensors_in

CONTENT = {"model_points": {"a": torch.arange(6.0).reshape(2, 3)}, "epoch": 50, "config": {"voxel_size": 0.1}}


class Gadget:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_of_torch(tmp_path, zipped):
    path = tmp_path / "model.pt"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert torch.equal(found.content["model_points"]["a"], CONTENT["model_points"]["a"])
    assert (found.content["epoch"], found.content["config"]) == (50, {"voxel_size": 0.1})
    assert found.size_bytes == path.stat().st_size
    assert len(found.sha256) == 64


def test_safetensors_under_any_name(tmp_path):
    path = tmp_path / "model.pth"
    safetensors.torch.save_file({"a": torch.ones(2)}, path)
    assert torch.equal(read_checkpoint(path).content["a"], torch.ones(2))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("forced", ["0", "1"])
def test_code_is_never_run(tmp_path, monkeypatch, zipped, forced):
    """Not even where torch is told by its environment to load anything."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    path, made = tmp_path / "model.pt", tmp_path / "made-by-a-pickle"
    content = {"model_points": {"a": torch.ones(2)}, "config": Gadget(made)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        DataError, match=r"model.pt is refused: to read it, posix.mkdir would have to be run.* save its"
    ):
        read_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False)
    assert made.exists(), "the file is harmless, and this test shows nothing"


def test_a_bare_pickle_with_code(tmp_path):
    path, made = tmp_path / "model.pkl", tmp_path / "made-by-a-pickle"
    path.write_bytes(pickle.dumps(Gadget(made)))
    with pytest.raises(DataError, match=r"model\.pkl"):
        read_checkpoint(path)
    assert not made.exists()


def test_a_config_with_classes_of_its_own_is_refused(tmp_path):
    """As PointContrast's checkpoints bear one."""
    path = tmp_path / "model.pt"
    torch.save({"state_dict": {"a": torch.ones(1)}, "config": zipfile.ZipInfo("of some class")}, path)
    with pytest.raises(DataError, match=r"refused: to read it, zipfile.ZipInfo would have to be run"):
        read_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["zip", "pickle", "safetensors"])
def test_truncated(tmp_path, kind, share):
    path = tmp_path / "model"
    if kind == "safetensors":
        safetensors.torch.save_file({"a": torch.ones(99)}, path)
    else:
        torch.save(CONTENT, path, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"model (cannot be read|is neither|has 0 bytes|is refused)"):
        read_checkpoint(path)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_bytes_end_in_an_error_or_in_tensors(tmp_path, seed):
    path = tmp_path / "model"
    torch.save(CONTENT, path, _use_new_zipfile_serialization=bool(seed % 2))
    data = bytearray(path.read_bytes())
    generator = torch.Generator().manual_seed(seed)
    for position in torch.randint(2, len(data), (20,), generator=generator).tolist():
        data[position] ^= 0xFF
    path.write_bytes(data)
    try:
        read_checkpoint(path)
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("data", [b"\x00" * 20, b"<html>", b"PK\x05\x06" + b"\x00" * 18, b"\x80\x02N."])
def test_other_files(tmp_path, data):
    path = tmp_path / "model"
    path.write_bytes(data)
    with pytest.raises(DataError, match="model"):
        read_checkpoint(path)
    with pytest.raises(DataError, match="no plain file"):
        read_checkpoint(tmp_path)


def test_a_pipe_does_not_hang_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="no plain file"):
        read_checkpoint(tmp_path / "pipe")


def test_a_compressed_archive_is_not_unfolded(tmp_path):
    path = tmp_path / "bomb.pt"
    plain = io.BytesIO()
    torch.save({"a": torch.zeros(10_000)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(DataError, match=r"is a zip, but none that torch\.save writes"):
        read_checkpoint(path)


def test_a_file_that_claims_too_much(tmp_path, monkeypatch):
    """A tensor of a few bytes may say that it is a hundred thousand times as large."""
    path = tmp_path / "model.pt"
    torch.save({"a": torch.ones(1).expand(100_000)}, path)
    read_checkpoint(path)
    monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 100_000)
    with pytest.raises(DataError, match="claim 400000 bytes, more than 100000"):
        read_checkpoint(path)
    torch.save({"a": torch.ones(100_000)}, path)
    with pytest.raises(DataError, match="Save the network's weights alone"):
        read_checkpoint(path)


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path):
    path = tmp_path / "model.pt"
    path.touch()
    os.truncate(path, 1 << 42)
    with pytest.raises(DataError, match="has 4398046511104 bytes"):
        read_checkpoint(path)


def test_a_header_of_safetensors_that_promises_too_much(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{" + b" " * 20)
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        read_checkpoint(path)


def test_tensors_are_found_in_order_and_containers_opened_once():
    shared = OrderedDict(b=torch.ones(1), c=[torch.ones(2), 3])
    content = {"x": shared, "a": torch.ones(3), "again": shared}
    content["self"] = content
    assert [keys for keys, _ in tensors_in(content)] == [("x", "b"), ("x", "c", "0"), ("a",)]
