"""A store that somebody else prepared: nothing outside of it is read, written or removed, and nothing is executed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from olivine.artifacts import Artifact, Output, begin, open_artifact, verify
from olivine.artifacts.manifest import LARGEST_MANIFEST_BYTES
from olivine.errors import DataError, IntegrityError
from olivine.store import Store, open_store


class Gadget:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def all_calls(store: Store, key: str) -> list[Callable[[], object]]:
    return [
        lambda: store.create(key, b"1"),
        lambda: store.read(key),
        lambda: store.read_range(key, 0, 3),
        lambda: store.size(key),
        lambda: store.delete(key),
        lambda: list(store.list(key)),
    ]


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/secret"])
@pytest.mark.parametrize("relative", [False, True])
def test_links_are_never_followed(root: Path, outside: Path, link: str, relative: bool) -> None:
    store = open_store(str(root))
    place = root / link
    place.parent.mkdir(parents=True, exist_ok=True)
    target = outside / "secret" if link.endswith("secret") else outside
    place.symlink_to(os.path.relpath(target, place.parent) if relative else target)
    for key in ("a/b/secret", link):
        for call in all_calls(store, key):
            with pytest.raises(DataError, match="symbolic link"):
                call()
    assert list(store.list("")) == []
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("link", ["refs", "refs/runs", "refs/runs/a"])
def test_links_in_refs_are_never_followed(root: Path, outside: Path, link: str) -> None:
    store = open_store(str(root))
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside / "secret" if link.endswith("a") else outside)
    for call in (lambda: store.read_ref("runs/a"), lambda: store.move_ref("runs/a", b"1", None)):
        with pytest.raises(DataError, match="symbolic link"):
            call()
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_link_to_nowhere_is_no_place_to_write(root: Path, outside: Path) -> None:
    store = open_store(str(root))
    (root / "a").symlink_to(outside / "new")
    with pytest.raises(DataError, match="symbolic link"):
        store.create("a", b"1")
    assert not (outside / "new").exists()


def test_the_folder_of_a_store_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    assert open_store(str(root)).create("a", b"1")
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("name", [".staging", ".staging.lock", ".refs.lock"])
def test_links_in_place_of_the_stores_own_files(root: Path, outside: Path, name: str) -> None:
    root.mkdir()
    (root / name).symlink_to(outside if name == ".staging" else outside / "secret")
    with pytest.raises(DataError, match="symbolic link"):
        open_store(str(root))
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_only_files_of_killed_writers_are_removed(root: Path) -> None:
    (root / ".staging").mkdir(parents=True)
    (root / ".staging" / "thesis.tex").write_bytes(b"dear")
    (root / ".staging" / ("0" * 32)).write_bytes(b"left")
    open_store(str(root))
    assert [path.name for path in (root / ".staging").iterdir()] == ["thesis.tex"]


def test_a_pipe_does_not_hang_a_reader(root: Path) -> None:
    store = open_store(str(root))
    os.mkfifo(root / "a")
    for call in all_calls(store, "a")[1:4]:
        with pytest.raises(DataError, match="not a plain file"):
            call()


@pytest.mark.parametrize("place", ["data", "manifest", "record", "part"])
def test_pickles_are_never_loaded(
    root: Path, tmp_path: Path, place: str, publish_sample: Callable[..., Artifact]
) -> None:
    store, made = open_store(str(root)), tmp_path / "made-by-a-pickle"
    artifact = publish_sample(store)
    out = begin(store, "ingest", "drives", {}, {"number": 1}, seed=0)
    assert isinstance(out, Output)
    out.save_part("one", [], {})
    prefix = {"data": "blobs", "manifest": "ingest", "record": "records", "part": "parts"}[place]
    for key in store.list(prefix):
        (root / key).write_bytes(pickle.dumps(Gadget(made)))
    if place == "part":
        assert out.load_part("one") is None
    elif place == "manifest":
        with pytest.raises(IntegrityError):
            open_artifact(store, "ingest", artifact.id)
    else:
        assert verify(artifact) != []
    assert not made.exists()


def test_a_huge_manifest_is_not_read(root: Path, publish_sample: Callable[..., Artifact]) -> None:
    store = open_store(str(root))
    artifact = publish_sample(store)
    os.truncate(root / artifact.manifest.key, 1 << 40)  # a hole: takes no room, and would fill the memory
    before = store.traffic.read_bytes
    with pytest.raises(IntegrityError, match="larger than"):
        open_artifact(store, "ingest", artifact.id)
    assert store.traffic.read_bytes - before == LARGEST_MANIFEST_BYTES + 1
