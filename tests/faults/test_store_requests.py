"""One of five requests to S3 fails: everything succeeds all the same, and nothing is there twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from faulty_proxy import FAULTS, FaultyProxy

from olivine.artifacts import Artifact, Output, begin, open_artifact, verify
from olivine.store import Pieces, Store, open_store


@contextmanager
def running(proxy: FaultyProxy) -> Iterator[FaultyProxy]:
    with proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@pytest.fixture
def proxy(s3_server, s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with running(FaultyProxy(s3_server.port, share=0.2)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        yield proxy


@pytest.fixture
def shaky_store(proxy: FaultyProxy, s3_store_url: str) -> Store:
    return open_store(s3_store_url)


def test_artifacts_are_published_and_read(
    shaky_store: Store, proxy: FaultyProxy, publish_sample: Callable[..., Artifact]
) -> None:
    for number in range(4):
        drives = publish_sample(shaky_store, number)
        labels = publish_sample(shaky_store, number, drives=drives)
        assert open_artifact(shaky_store, "label", labels.id) is not None
        assert verify(labels) == []
    # 8 manifests, runs and statements; 4 shards, equal for drives and their labels, and one index in all.
    kinds = [key.split("/")[0] for key in shaky_store.list("") if not key.startswith("records/by-")]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"ingest": 4, "label": 4, "records": 16, "blobs": 5}
    assert len(list(shaky_store.list("records/by-subject"))) == 8
    assert proxy.met.keys() == set(FAULTS)


def test_every_call_succeeds(shaky_store: Store, proxy: FaultyProxy) -> None:
    for number in range(12):
        key = f"k/{number}"
        shaky_store.create(key, bytes([number]) * 5000)
        assert shaky_store.read(key) == bytes([number]) * 5000
        assert shaky_store.read_range(key, 10, 4000) == bytes([number]) * 4000
        assert shaky_store.size(key) == 5000
        assert list(shaky_store.list("k")) == [key]
        shaky_store.delete(key)
    assert list(shaky_store.list("")) == []
    assert proxy.met.keys() == set(FAULTS)


def test_a_ref_counts_right_when_its_content_names_the_writer(shaky_store: Store, proxy: FaultyProxy) -> None:
    for number in range(20):
        content = f"{number + 1} by writer {number}".encode()
        ref = shaky_store.read_ref("counter")
        moved = shaky_store.move_ref("counter", content, ref)
        after = shaky_store.read_ref("counter")
        assert after is not None
        # The answer can be lost, the move cannot: whoever reads again sees who moved it.
        assert after.content == content
        assert moved or proxy.met["late 500"] + proxy.met["dropped after"] > 0


def test_writes_whose_answers_break_off(s3_server, s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(s3_store_url)
    with running(FaultyProxy(s3_server.port, share=0.5, faults=("cut", "dropped before", "dropped after"))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        shaky = open_store(s3_store_url)
        for number in range(30):
            shaky.create(f"k/{number}", bytes([number]) * 300)
    assert [store.read(f"k/{number}") for number in range(30)] == [bytes([number]) * 300 for number in range(30)]


def test_reads_whose_answers_break_off(s3_server, s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(s3_store_url).create("k", data := bytes(range(250)) * 4)
    with running(FaultyProxy(s3_server.port, share=0.5, faults=("cut", "dropped before", "dropped after"))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        shaky = open_store(s3_store_url)
        for _ in range(15):
            assert shaky.read("k") == data
            assert shaky.read_range("k", 10, 500) == data[10:510]
        assert proxy.met.total() > 5


def test_answers_that_break_off(s3_server, s3_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {f"k/{number}" for number in range(20)}
    store = open_store(s3_store_url)
    for key in keys:
        store.create(key, b"1")
    with running(FaultyProxy(s3_server.port, share=0.3, faults=("cut",))) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        shaky = open_store(s3_store_url)
        for key in sorted(keys):
            assert set(shaky.list("k")) == keys
            shaky.delete(key)
            keys.remove(key)
        assert proxy.met["cut"] > 5
    assert list(store.list("")) == []


class LostEnd(FaultyProxy):
    """The first end of an upload in parts meets `fault`. Where it was done, the server knows no such upload any more.

    Other servers answer so; the one of the tests says once more that it is done.
    """

    def __init__(self, port: int, fault: str) -> None:
        super().__init__(port, share=1.0, faults=(fault,))
        self._fault, self._end = fault, ""

    def fate(self, command: str, path: str) -> str:
        if command != "POST" or "uploadId=" not in path:
            return "passed"
        if not self._end:
            self._end = path
            return super().fate(command, path)
        is_done = self._fault in ("dropped after", "late 500", "cut")
        if path != self._end or not is_done:
            return "passed"
        self.met["forgotten"] += 1
        return "forgotten"


@pytest.mark.parametrize("fault", ["dropped after", "late 500", "refused 500", "dropped before", "cut"])
def test_an_upload_in_parts_whose_end_is_not_answered(
    s3_server, s3_store_url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("olivine.store.s3._PART_BYTES", 5 << 20)
    whole = bytes(range(256)) * 25_000
    with running(LostEnd(s3_server.port, fault)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        out = begin(open_store(s3_store_url), "finetune", "checkpoint", {}, {"step": 1}, seed=0)
        assert isinstance(out, Output)
        blob = out.put("model.bin", Pieces([whole]))
        artifact = out.publish({"step": 1}, {}, ())
    assert proxy.met[fault] == 1
    assert proxy.met["forgotten"] == (fault in ("dropped after", "late 500"))
    assert blob.size_bytes == len(whole)
    assert verify(artifact) == []
    assert artifact.read("model.bin") == whole
