from __future__ import annotations

from olivine.label.recipe import LabelRecipe
from olivine.label.source import source_digest


def test_masks_count_by_name_and_content(tmp_path):
    recipe = LabelRecipe(labeler="import", folder=str(tmp_path))
    (tmp_path / "CAM_BACK").mkdir()
    mask = tmp_path / "CAM_BACK" / "a.png"
    mask.write_bytes(b"12")
    (tmp_path / "notes.txt").write_text("not a mask")
    first = source_digest(recipe)
    (tmp_path / "notes.txt").write_text("changed")
    assert source_digest(recipe) == first
    mask.write_bytes(b"21")
    assert source_digest(recipe) != first
    mask.write_bytes(b"12")
    assert source_digest(recipe) == first
    mask.rename(tmp_path / "CAM_BACK" / "b.png")
    assert source_digest(recipe) != first


def test_other_labelers_read_no_folder(tmp_path):
    assert source_digest(LabelRecipe(labeler="truth", folder=str(tmp_path))) is None
