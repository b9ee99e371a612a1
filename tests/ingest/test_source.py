"""When an earlier ingest may be reused: the digest of the source."""

from __future__ import annotations

import os
import shutil

import pytest
from chain import VERSION

from olivine.ingest.nuscenes import read_keyframes
from olivine.ingest.source import source_digest


def digest(root):
    return source_digest(root, VERSION, read_keyframes(root, VERSION))


def test_the_same_files_elsewhere_are_the_same_source(own_root, tmp_path):
    before = digest(own_root)
    for path in own_root.rglob("*"):
        os.utime(path, (1, 1))
    assert digest(own_root) == before
    assert digest(shutil.move(own_root, tmp_path / "moved")) == before


@pytest.mark.parametrize("what", ["sweep", "image", "labels", "table", "splits", "gone"])
def test_whatever_changes_the_artifact_changes_it(own_root, what):
    before = digest(own_root)
    keyframe = read_keyframes(own_root, VERSION)[3]
    files = {
        "sweep": keyframe.lidar.file,
        "image": keyframe.images[2].file,
        "labels": keyframe.lidarseg_file,
        "table": f"{VERSION}/attribute.json",
        "splits": f"{VERSION}/splits.json",
    }
    if what == "gone":
        (own_root / files["image"]).unlink()
    else:
        with (own_root / files[what]).open("ab") as file:
            file.write(b" ")
    assert digest(own_root) != before


def test_a_corrected_label_is_another_source_though_its_file_has_the_same_size(own_root):
    before = digest(own_root)
    path = own_root / read_keyframes(own_root, VERSION)[3].lidarseg_file
    labels = bytearray(path.read_bytes())
    labels[0] = 24 if labels[0] != 24 else 17
    path.write_bytes(labels)
    assert digest(own_root) != before
