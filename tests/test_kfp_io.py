"""Executor input and output: what KFP writes is read, what the step writes KFP reads, and nothing else passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olivine.artifacts import Artifact
from olivine.errors import DataError, OlivineError, UsageError
from olivine.kfp_io import ExecutorInput
from olivine.store import open_store


def executor_input(folder: Path, **inputs: Any) -> dict[str, Any]:
    """As kfp.local and the launcher write it, for a step with the output artifact `drives`."""
    artifact = {"name": "drives", "type": {"schemaTitle": "system.Dataset"}, "uri": str(folder / "task" / "drives")}
    return {
        "inputs": inputs,
        "outputs": {
            "parameters": {"id": {"outputFile": str(folder / "task" / "id")}},
            "artifacts": {"drives": {"artifacts": [artifact]}},
            "outputFile": str(folder / "task" / "executor_output.json"),
        },
    }


@pytest.fixture
def sample(tmp_path: Path, publish_sample: Callable[..., Artifact]) -> Artifact:
    return publish_sample(open_store(str(tmp_path / "store")))


def test_an_artifact_goes_out_and_comes_in_again(tmp_path: Path, sample: Artifact) -> None:
    io = ExecutorInput.parse(json.dumps(executor_input(tmp_path)))
    io.write_output("drives", sample, id=sample.id)
    output = json.loads(io.output_file.read_text())
    (written,) = output["artifacts"]["drives"]["artifacts"]
    assert output["parameterValues"] == {"id": sample.id}
    assert written["name"] == "drives"
    assert written["type"] == {"schemaTitle": "system.Dataset"}
    assert written["metadata"] == {
        "id": sample.id,
        "data_digest": sample.manifest.data_digest,
        "store": sample.store.url,
        "kind": "drives",
        "count_frames": 3,
        "headline": 0.5,
    }
    reader = ExecutorInput.parse(json.dumps(executor_input(tmp_path, artifacts={"drives": {"artifacts": [written]}})))
    assert reader.manifests("drives") == [sample.manifest]


def test_kfp_reads_what_the_step_writes(tmp_path: Path, sample: Artifact) -> None:
    spec = pytest.importorskip("kfp.pipeline_spec.pipeline_spec_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    io = ExecutorInput.parse(json.dumps(executor_input(tmp_path)))
    io.write_output("drives", sample, id=sample.id)
    output = json_format.Parse(io.output_file.read_text(), spec.ExecutorOutput())
    assert output.parameter_values["id"].string_value == sample.id
    assert output.artifacts["drives"].artifacts[0].metadata["headline"] == 0.5


def test_parameters_and_places_of_outputs(tmp_path: Path) -> None:
    values = {"store": "s3://bucket/prefix", "seed": 3.0, "settings": ["a.b=1"]}
    io = ExecutorInput.parse(json.dumps(executor_input(tmp_path, parameterValues=values)))
    assert io.parameters == values
    assert io.output_path("drives") == tmp_path / "task" / "drives"
    assert io.output_paths() == {"drives": tmp_path / "task" / "drives"}
    assert io.manifests("not given") == []


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://bucket/a/b", "/s3/bucket/a/b"),
        ("gs://bucket/a", "/gcs/bucket/a"),
        ("minio://mlpipeline/a", "/minio/mlpipeline/a"),
        ("/plain/a b?c#d", "/plain/a b?c#d"),
        ("s3://bucket/a?b", "/s3/bucket/a?b"),
    ],
)
def test_uris_lie_where_the_launcher_puts_them(tmp_path: Path, uri: str, path: str) -> None:
    raw = executor_input(tmp_path)
    raw["outputs"]["artifacts"]["drives"]["artifacts"][0]["uri"] = uri
    assert ExecutorInput.parse(json.dumps(raw)).output_path("drives") == Path(path)


@pytest.mark.parametrize(
    "uri",
    [
        "http://host/a",
        "oci://host/a",
        "file:///a",
        "://a",
        "relative/a",
        "",
        "s3://bucket/../../etc/a",
        "/a/../b",
        "/a\0b",
    ],
)
def test_other_uris_are_refused(tmp_path: Path, uri: str) -> None:
    raw = executor_input(tmp_path)
    raw["outputs"]["artifacts"]["drives"]["artifacts"][0]["uri"] = uri
    with pytest.raises(UsageError):
        ExecutorInput.parse(json.dumps(raw)).output_path("drives")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text: Invalid JSON"),
        ("{{$}}", "text: Invalid JSON"),
        ("[]", "text: "),
        ("{}", "outputs: Field required"),
        ('{"outputs": {}}', "outputs.outputFile: Field required"),
        ('{"outputs": {"outputFile": 3}}', "outputs.outputFile: "),
        ('{"outputs": {"outputFile": "/o"}, "inputs": {"parameterValues": []}}', "inputs.parameterValues: "),
        (
            '{"outputs": {"outputFile": "/o", "artifacts": {"drives": {"artifacts": [{}]}}}}',
            "outputs.artifacts.drives.artifacts.0.uri: Field required",
        ),
        ("[" * 100_000, "text: "),
    ],
)
def test_what_kfp_does_not_write_is_refused_by_its_field(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ExecutorInput.parse(text)
    assert str(caught.value).startswith(f"--executor-input: {message}")
    assert len(str(caught.value)) < 600


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | JSON.map(json.dumps))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(OlivineError):
        ExecutorInput.parse(text)


def test_an_output_that_the_step_does_not_have_is_named(tmp_path: Path, sample: Artifact) -> None:
    io = ExecutorInput.parse(json.dumps(executor_input(tmp_path)))
    with pytest.raises(UsageError, match=r"no output artifact 'metrics' \(there: drives\)"):
        io.write_output("metrics", sample)


def test_a_manifest_that_is_missing_or_damaged_is_named(tmp_path: Path, sample: Artifact) -> None:
    path = tmp_path / "input"
    raw = executor_input(tmp_path, artifacts={"drives": {"artifacts": [{"uri": str(path)}]}})
    io = ExecutorInput.parse(json.dumps(raw))
    with pytest.raises(DataError, match=r"input: the manifest of an input cannot be read \(No such file"):
        io.manifests("drives")
    path.write_bytes(sample.manifest.to_json().replace(b'"frames":3', b'"frames":4'))
    with pytest.raises(DataError, match="was changed after it was published"):
        io.manifests("drives")
