"""Which code made an artifact."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from olivine.artifacts import code
from olivine.artifacts.code import code_digest, code_version, library_versions, package_of
from olivine.artifacts.environment import image_digest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a few files instead of the real one."""
    folder = tmp_path / "olivine"
    for name in (
        "errors.py",
        "cli/chain.py",
        "ingest/stage.py",
        "weigh/stage.py",
        "points/project.py",
        "platform/kfp.py",
        "detect/find.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"# {name}\n")
    monkeypatch.setattr(code, "_PACKAGE", folder)
    _forget()
    yield folder
    _forget()


def _forget() -> None:
    code_digest.cache_clear()
    code_version.cache_clear()


@pytest.mark.parametrize("name", ["errors.py", "weigh/stage.py", "points/project.py"])
def test_what_a_stage_can_run_changes_its_digest(package: Path, name: str) -> None:
    before = code_digest("weigh")
    (package / name).write_text("changed")
    _forget()
    assert code_digest("weigh") != before


@pytest.mark.parametrize(
    "name", ["ingest/stage.py", "cli/chain.py", "platform/kfp.py", "points/notes.txt", "detect/find.py"]
)
def test_what_it_cannot_run_does_not(package: Path, name: str) -> None:
    before = code_digest("weigh")
    (package / name).write_text("changed")
    _forget()
    assert code_digest("weigh") == before


def test_detection_has_code_of_its_own(package: Path) -> None:
    assert [package_of("finetune", kind) for kind in ("segmenter", "detector")] == ["finetune", "detect"]
    for name, changes in (("detect/find.py", True), ("points/project.py", True), ("weigh/stage.py", False)):
        before = code_digest("detect")
        (package / name).write_text("changed")
        _forget()
        assert (code_digest("detect") != before) is changes


def test_a_renamed_file_is_other_code(package: Path) -> None:
    before = code_digest("weigh")
    (package / "weigh/stage.py").rename(package / "weigh/other.py")
    _forget()
    assert code_digest("weigh") != before


def test_outside_of_a_checkout_there_is_no_commit(package: Path) -> None:
    assert (code_version("weigh").commit, code_version("weigh").dirty) == (None, None)


def test_a_checkout_names_commit_and_changes(package: Path) -> None:
    git = ["git", "-C", str(package.parent), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *arguments], check=True)
    clean = code_version("weigh")
    assert clean.commit is not None
    assert len(clean.commit) == 40
    assert clean.dirty is False
    (package / "errors.py").write_text("changed")
    _forget()
    assert code_version("weigh").dirty is True


def test_libraries_that_numbers_depend_on() -> None:
    assert library_versions()["numpy"].count(".") == 2


def test_the_platform_names_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLIVINE_IMAGE_DIGEST", raising=False)
    assert image_digest() is None
    monkeypatch.setenv("OLIVINE_IMAGE_DIGEST", "sha256:ab")
    assert image_digest() == "sha256:ab"
