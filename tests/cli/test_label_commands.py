"""What goes around the stage `label`, as commands."""

from __future__ import annotations

import hashlib
import subprocess

import pytest

from olivine.cli.label import _segmenter_settings, digest, fetch_weights
from olivine.errors import ConfigError, UsageError
from olivine.models.vfm.fetch import SOURCES
from olivine.models.weights_path import weights_digest


def test_weights_are_listed_with_size_and_licence(capsys):
    fetch_weights()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SOURCES)
    assert all(" MB " in line and "Apache-2.0" in line for line in lines)


def test_weights_that_no_one_knows(tmp_path):
    with pytest.raises(UsageError, match="no weights 'sam3' to fetch: choose one of mobile_sam"):
        fetch_weights("sam3", tmp_path)


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ConfigError, match=r"facebook/sam-vit-base cannot be fetched.*Copy config.json, model.safetens"):
        fetch_weights("sam-vit-base", tmp_path)


def test_the_digest_of_a_folder_is_what_sha256sum_says(tmp_path, capsys):
    for name in ("model.safetensors", "config.json", "Vocab.txt", ".hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    command = "LC_ALL=C sha256sum *.* | sha256sum"
    expected = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    digest(tmp_path)
    assert capsys.readouterr().out.strip() == expected.split()[0]
    assert weights_digest(tmp_path / "config.json") == hashlib.sha256(b"config.json").hexdigest()
    (tmp_path / "config.json").write_text("another")
    assert weights_digest(tmp_path) != expected.split()[0]


@pytest.mark.parametrize(("name", "message"), [("none", "cannot be read"), ("empty", "holds no files")])
def test_nothing_has_no_digest(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=message):
        weights_digest(tmp_path / name)


def test_a_segmenter_alone_makes_masks_without_classes():
    alone = ["label.segmenter.name=mobile_sam", "label.labeler=none", "label.superpixels=automatic"]
    assert _segmenter_settings("mobile-sam", []) == alone
    assert _segmenter_settings("mobile_sam", ["label.labeler=grounded_sam"]) == alone[:1]
    assert _segmenter_settings("", []) == []
