"""Weights in object storage: read from the configured prefix alone, verified before they are kept, read once."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from olivine.errors import ConfigError, IntegrityError, UsageError
from olivine.models import weights_path as module
from olivine.models.vfm.recipe import DetectorRecipe
from olivine.models.vfm.weights import verify_weights
from olivine.models.weights_path import cache_folder, place_weights, weights_digest
from olivine.store import open_store
from olivine.store.admin import _client
from olivine.store.keys import parse_location

CONTENT = bytes(range(256)) * 40
FILES = {"config.json": b"{}", "model.safetensors": CONTENT}


@pytest.fixture
def prefix(s3_store_url, tmp_path, monkeypatch):
    """A bucket's prefix with one file and one folder of weights, which is the configured one; an empty cache."""
    store = open_store(s3_store_url)
    store.create("weights/sam.pth", CONTENT)
    for name, content in FILES.items():
        store.create(f"weights/dino/{name}", content)
    store.create("weights/dino/onnx/model.onnx", b"of no use")
    # A hub's own file, which the store's keys do not allow.
    location = parse_location(s3_store_url)
    client = _client()
    client.put_object(location.bucket, f"{location.prefix}/weights/dino/.gitattributes", io.BytesIO(b"no"), 2)
    store.create("elsewhere/sam.pth", CONTENT)
    monkeypatch.setenv("OLIVINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OLIVINE_WEIGHTS", f"{s3_store_url}/weights")
    return f"{s3_store_url}/weights"


def test_a_file_is_read_in_pieces_and_kept(prefix, monkeypatch):
    monkeypatch.setattr(module, "_PIECE_BYTES", 1000)
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = place_weights(f"{prefix}/sam.pth", digest)
    assert path.read_bytes() == CONTENT
    assert path == cache_folder() / digest / "sam.pth"
    # Found in the cache afterwards: the store is not asked again.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert place_weights(f"{prefix}/sam.pth", digest) == path


def test_a_copy_that_was_damaged_is_read_again(prefix):
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = place_weights(f"{prefix}/sam.pth", digest)
    path.write_bytes(b"")
    assert place_weights(f"{prefix}/sam.pth", digest).read_bytes() == CONTENT


def test_several_processes_may_place_one_folder(prefix, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    digest = weights_digest(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: place_weights(f"{prefix}/dino", digest), range(4)))
    assert len(set(paths)) == 1
    assert weights_digest(paths[0]) == digest
    assert [item.name for item in cache_folder().iterdir()] == [digest]


def test_a_folder_is_kept_without_the_folders_in_it(prefix, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(FILES.items()))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    path = place_weights(f"{prefix}/dino/", digest)
    assert {item.name: item.read_bytes() for item in path.iterdir()} == FILES
    assert weights_digest(path) == digest


def test_other_bytes_are_refused_and_nothing_is_kept(prefix):
    with pytest.raises(IntegrityError, match=r"sam.pth has sha256 .* the recipe says 0000"):
        place_weights(f"{prefix}/sam.pth", "0" * 64)
    assert not [item for item in cache_folder().rglob("*") if item.is_file()]


def test_what_is_not_there_is_named(prefix):
    with pytest.raises(ConfigError, match=r"none.pth: there is no such object or folder"):
        place_weights(f"{prefix}/none.pth", "0" * 64)


@pytest.mark.parametrize("inside", ["/../elsewhere/sam.pth", "/a/../../elsewhere/sam.pth", "/%2e%2e/elsewhere/sam.pth"])
def test_no_key_leads_out_of_the_prefix(prefix, inside):
    with pytest.raises(UsageError, match="is not a store key"):
        place_weights(prefix + inside, "0" * 64)


@pytest.mark.parametrize(
    "other", ["s3://other-bucket/sam.pth", "{base}/elsewhere/sam.pth", "{base}/weights-more/sam.pth"]
)
def test_other_places_are_refused(prefix, other):
    with pytest.raises(UsageError, match="only the weights that OLIVINE_WEIGHTS names are read: those below s3://"):
        place_weights(other.format(base=prefix.rpartition("/")[0]), "0" * 64)


def test_the_labelers_take_them(prefix):
    digest = hashlib.sha256(CONTENT).hexdigest()
    recipe = DetectorRecipe(weights=f"{prefix}/sam.pth", sha256=digest)
    assert verify_weights(recipe, "detector").read_bytes() == CONTENT
    other = recipe.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(IntegrityError, match="refused before its first use"):
        verify_weights(other, "detector")


def test_without_a_prefix_nothing_is_read(monkeypatch):
    monkeypatch.delenv("OLIVINE_WEIGHTS", raising=False)
    with pytest.raises(UsageError, match="OLIVINE_WEIGHTS names are read: none, for it is not set"):
        place_weights("s3://bucket/sam.pth", "0" * 64)


def test_files_of_this_machine_stay_where_they_are(tmp_path):
    (tmp_path / "sam.pth").write_bytes(CONTENT)
    assert place_weights(str(tmp_path / "sam.pth"), "0" * 64) == tmp_path / "sam.pth"
    assert place_weights((tmp_path / "sam.pth").as_uri(), "0" * 64) == Path(tmp_path / "sam.pth")
