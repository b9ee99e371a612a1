"""Writing artifacts: data first, the manifest last, and never two of one id."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olivine.artifacts import Artifact, Output, begin, find_artifact, open_artifact, sha256_hex, verify
from olivine.errors import DataError, IntegrityError, UsageError
from olivine.store import Pieces, Store, open_store


def begin_output(store: Store, number: int = 0) -> Output:
    out = begin(store, "ingest", "drives", {}, {"number": number}, seed=0)
    assert isinstance(out, Output)
    return out


def publish(out: Output) -> Artifact:
    return out.publish({"frames": 1}, {}, ())


def test_published_artifacts_are_found_and_read(store: Store, publish_sample: Callable[..., Artifact]) -> None:
    artifact = publish_sample(store)
    again = open_artifact(store, "ingest", artifact.id)
    assert again is not None
    assert again.manifest == artifact.manifest
    data = again.read("shard/a.bin")
    assert len(data) == 1000
    assert again.read_range("shard/a.bin", 10, 20, sha256_hex(data[10:30])) == data[10:30]
    assert find_artifact(store, "ingest", artifact.id[:6]).id == artifact.id
    assert verify(artifact) == []


def test_nothing_is_there_before_publish(store: Store) -> None:
    out = begin_output(store)
    out.put("a", b"1")
    assert open_artifact(store, "ingest", out.id) is None
    assert [key for key in store.list("") if key.endswith("manifest.json")] == []


def test_the_finished_artifact_is_returned_instead_of_working_again(
    store: Store, publish_sample: Callable[..., Artifact]
) -> None:
    first = publish_sample(store)
    again = begin(store, "ingest", "drives", {}, {"number": 0}, seed=0)
    assert isinstance(again, Artifact)
    assert again.manifest == first.manifest


def test_another_recipe_or_input_is_another_artifact(store: Store, publish_sample: Callable[..., Artifact]) -> None:
    one, other = publish_sample(store, 1), publish_sample(store, 2)
    labels = [publish_sample(store, 1, drives=drives) for drives in (one, other)]
    assert len({one.id, other.id, *(label.id for label in labels)}) == 4
    assert labels[0].manifest.inputs["drives"] == one.manifest.input_ref()
    assert labels[0].manifest.data_digest == one.manifest.data_digest != other.manifest.data_digest


def test_equal_data_are_stored_once(store: Store) -> None:
    out = begin_output(store)
    assert out.put("a", b"same").key == out.put("b", b"same").key
    publish(out)
    assert len(list(store.list("blobs"))) == 1


def test_of_50_publishers_one_wins_and_all_return_its_manifest(store: Store) -> None:
    def run(number: int) -> Artifact:
        out = Output(store, "ingest", "drives", {}, {"number": 0}, 0, begin_output(store, number=99).recorder)
        out.put("a", b"the same data")
        return out.publish({"publisher": number}, {}, ())

    with ThreadPoolExecutor(50) as pool:
        artifacts = list(pool.map(run, range(50)))
    assert len({artifact.manifest.to_json() for artifact in artifacts}) == 1
    assert len([key for key in store.list("ingest") if key.endswith("manifest.json")]) == 1
    assert len(list(store.list("blobs"))) == 1
    assert len(list(store.list("records/runs"))) == len(list(store.list("records/provenance"))) == 50
    assert verify(artifacts[0]) == []


def test_the_first_of_two_with_other_data_stands(store: Store) -> None:
    one, other = begin_output(store), begin_output(store)
    one.put("a", b"1")
    other.put("a", b"2")
    first = publish(one)
    with pytest.raises(IntegrityError, match="another run published other bytes"):
        publish(other)
    found = open_artifact(store, "ingest", first.id)
    assert found is not None
    assert found.read("a") == b"1"
    assert verify(found) == []
    digests = {json.loads(store.read(key))["data_digest"] for key in store.list("records/runs")}
    assert len(digests) == 2


def test_a_damaged_object_under_a_content_address_is_put_right(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    out = begin_output(store)
    blob = out.put("a", b"good data")
    (tmp_path / blob.key).write_bytes(b"bad data!")
    out.put("a", b"good data")
    assert publish(out).read("a") == b"good data"


def test_a_write_that_does_not_arrive_whole_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Store.create
    monkeypatch.setattr(Store, "create", lambda self, key, data: create(self, key, bytes(data)[:-1]))
    with pytest.raises(IntegrityError, match="do not have the promised digest"):
        begin_output(store).put("a", b"some data")


def test_pieces_are_written_as_bytes_are(store: Store) -> None:
    out = begin_output(store)
    blob = out.put("a", Pieces([b"some ", b"data"]))
    assert blob == begin_output(store).put("a", b"some data")
    assert publish(out).read("a") == b"some data"
    assert begin_output(store, 1).put("b", Pieces([b"some data"])).sha256 == blob.sha256


def test_pieces_over_a_damaged_object_are_put_right(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    out = begin_output(store)
    blob = out.put("a", b"good data")
    (tmp_path / blob.key).write_bytes(b"bad data!")
    out.put("a", Pieces([b"good ", b"data"]))
    assert publish(out).read("a") == b"good data"


def test_pieces_that_do_not_arrive_whole_are_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    create = Store.create_content
    monkeypatch.setattr(
        Store,
        "create_content",
        lambda self, pieces, key: create(self, Pieces([pieces.slice(0, len(pieces) - 1)]), key),
    )
    with pytest.raises(IntegrityError, match="do not have the promised digest"):
        begin_output(store).put("a", Pieces([b"some data"]))


@pytest.mark.parametrize("path", ["../a", "/a", "", "a b", "a/", "..", "a\0"])
def test_names_that_lead_out_are_refused(store: Store, path: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        begin_output(store).put(path, Pieces([b"1"]))
    with pytest.raises(UsageError, match="cannot be a name in an artifact"):
        begin_output(store).put(path, b"1")
    assert list(store.list("")) == []


def test_what_is_not_finite_in_a_summary_becomes_null(store: Store) -> None:
    # The IoU of a category that never occurs, say: it must not cost the finished work of a stage.
    artifact = begin_output(store).publish({}, {"iou": {"car": 0.5, "tram": math.nan}, "loss": math.inf}, ())
    assert artifact.manifest.summary == {"iou": {"car": 0.5, "tram": None}, "loss": None}


def test_a_recipe_that_is_not_finite_is_refused(store: Store) -> None:
    with pytest.raises(DataError, match="JSON"):
        begin(store, "ingest", "drives", {}, {"rate": math.nan}, seed=0)
