"""A drive exists when its _READY.json does, and no byte of it is used unchecked."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from olivine.errors import DataError, IntegrityError, UsageError
from olivine.registry.catalogue import find_missing, read_catalogue
from olivine.registry.ready import Ready, ReadyFile, add_drive, file_key, read_file, ready_key
from olivine.store import Store

from .samples import VERSION, add, write_drive


def test_a_registered_drive_is_read_back_byte_for_byte(store: Store, tmp_path: Path) -> None:
    root = write_drive(tmp_path, "one")
    ready = add_drive(store, "one", root, VERSION)
    assert {file.path for file in ready.files} == {f"{VERSION}/scene.json", "samples/LIDAR_TOP/one+0800__1.pcd.bin"}
    for file in ready.files:
        assert read_file(store, "one", file) == (root / file.path).read_bytes()
    assert read_catalogue(store).drives == {"one": ready}


def test_without_its_last_object_a_drive_does_not_exist(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path, "one", "two")
    store.delete(ready_key("one"))
    assert list(read_catalogue(store).drives) == ["two"]


def test_an_upload_that_was_killed_goes_on(store: Store, tmp_path: Path) -> None:
    (first,) = add(store, tmp_path, "one")
    store.delete(ready_key("one"))
    store.delete(file_key("one", first.files[0].path))
    assert add_drive(store, "one", tmp_path / "one", VERSION) == first


def test_the_same_drive_twice_is_one_and_another_under_its_name_is_refused(store: Store, tmp_path: Path) -> None:
    (first,) = add(store, tmp_path, "one")
    assert add_drive(store, "one", tmp_path / "one", VERSION) == first
    (tmp_path / "one" / "more.txt").write_text("x")
    with pytest.raises(DataError, match="registered with other files"):
        add_drive(store, "one", tmp_path / "one", VERSION)
    (tmp_path / "one" / VERSION / "scene.json").write_text("[]")
    with pytest.raises(IntegrityError, match="upload it again"):
        add_drive(store, "one", tmp_path / "one", VERSION)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"y" + data[1:]])
def test_a_file_that_was_changed_is_not_used(store: Store, tmp_path: Path, change) -> None:
    (ready,) = add(store, tmp_path, "one")
    key = file_key("one", ready.files[0].path)
    data = store.read(key)
    store.delete(key)
    store.create(key, change(data))
    with pytest.raises(IntegrityError, match="not the bytes"):
        read_file(store, "one", ready.files[0])
    store.delete(key)
    with pytest.raises(DataError, match="is missing"):
        read_file(store, "one", ready.files[0])
    assert find_missing(store, ready) == [ready.files[0].path]


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"drive":"one"}', b"\xff", b'{"a":' * 20_000])
def test_a_damaged_ready_refuses_its_drive_and_no_other(store: Store, tmp_path: Path, text: bytes) -> None:
    add(store, tmp_path, "one", "two")
    store.delete(ready_key("one"))
    store.create(ready_key("one"), text)
    catalogue = read_catalogue(store)
    assert list(catalogue.drives) == ["two"]
    assert "not a Ready" in catalogue.refused["one"]


def test_a_ready_of_another_drive_is_refused(store: Store, tmp_path: Path) -> None:
    (ready,) = add(store, tmp_path, "one")
    store.create(ready_key("two"), ready.to_json())
    assert read_catalogue(store).refused == {"two": f"{ready_key('two')} is that of drive one"}


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../b", "a//b", "_READY.json", "", ".hidden", "a\\b", "a\0"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        ReadyFile(path=path, sha256="0" * 64, size_bytes=0)


@pytest.mark.parametrize("name", ["../one", "one/two", "", ".one", "a" * 81])
def test_names_that_lead_elsewhere_are_refused(store: Store, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a drive"):
        add_drive(store, name, write_drive(tmp_path, "one"), VERSION)
    assert list(store.list("")) == []
    file = ReadyFile(path=f"{VERSION}/scene.json", sha256="0" * 64, size_bytes=0)
    with pytest.raises(ValidationError):
        Ready(drive=name, version=VERSION, files=(file,))


def test_a_folder_without_tables_and_a_link_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no tables"):
        add_drive(store, "one", write_drive(tmp_path, "one"), "v2.0")
    (tmp_path / "one" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="a link"):
        add_drive(store, "one", tmp_path / "one", VERSION)
    with pytest.raises(UsageError, match="no folder"):
        add_drive(store, "one", tmp_path / "nothing", VERSION)
