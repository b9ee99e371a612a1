"""Where the cache is: one answer for all who keep something in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from olivine.cache import cache_root
from olivine.lineage.mirror import mirror_path
from olivine.models.weights_path import cache_folder


def test_a_named_cache_holds_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    assert cache_folder() == tmp_path / "weights"
    assert mirror_path("s3://bucket/a").parent == tmp_path / "lineage"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_name_it_is_in_the_home_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OLIVINE_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("OLIVINE_CACHE", value)
    assert cache_root() == tmp_path / ".cache" / "olivine"
