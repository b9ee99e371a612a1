"""Executor input and output of a Kubeflow Pipelines container component, as plain JSON: no kfp is needed to run a step.

`--executor-input` carries parameters, input artifacts and where outputs belong; the step writes the executor output
itself, so that artifacts keep their metadata.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from olivine.artifacts import Artifact, Manifest
from olivine.errors import DataError, UsageError

_MOUNTS = {"s3": "/s3", "gs": "/gcs", "minio": "/minio"}


class _Entry(BaseModel, extra="allow"):
    uri: str


class _Artifacts(BaseModel):
    artifacts: list[_Entry] = []


class _Inputs(BaseModel):
    parameterValues: dict[str, Any] = {}
    artifacts: dict[str, _Artifacts] = {}


class _Outputs(BaseModel):
    outputFile: str
    artifacts: dict[str, _Artifacts] = {}


class _Input(BaseModel):
    inputs: _Inputs = _Inputs()
    outputs: _Outputs


@dataclass(frozen=True)
class ExecutorInput:
    """What the platform hands to a step."""

    raw: _Input

    @classmethod
    def parse(cls, text: str) -> ExecutorInput:
        """Read the JSON text.

        Raises:
            UsageError: it is not JSON, or not what KFP makes; the message names the first field that is wrong.
        """
        try:
            return cls(_Input.model_validate_json(text))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"])[:200] or "text"
            raise UsageError(
                f"--executor-input: {field}: {first['msg'][:200]}. It is what KFP fills in for '{{{{$}}}}'."
            ) from error

    @property
    def parameters(self) -> dict[str, Any]:
        """Input parameters by name."""
        return self.raw.inputs.parameterValues

    @property
    def output_file(self) -> Path:
        """Where the executor output belongs."""
        return Path(self.raw.outputs.outputFile)

    def manifests(self, name: str) -> list[Manifest]:
        """Manifests of an input artifact (several for a collected list, none for an optional one that was left out).

        Raises:
            DataError: a manifest is missing or damaged; UsageError: a URI that no launcher makes.
        """
        paths = [_local_path(entry.uri) for entry in self.raw.inputs.artifacts.get(name, _Artifacts()).artifacts]
        return [_read_manifest(path) for path in paths]

    def output_path(self, name: str) -> Path:
        """Where the bytes of an output artifact are to be written; UsageError when the step has no such output."""
        return _local_path(self._output(name).uri)

    def output_paths(self) -> dict[str, Path]:
        """Where the bytes of each output artifact are to be written."""
        return {name: self.output_path(name) for name in self.raw.outputs.artifacts}

    def write_output(self, name: str, artifact: Artifact, **parameters: str) -> None:
        """Write an artifact's manifest as the step's output `name`, its headline facts as metadata, and parameters."""
        manifest = artifact.manifest
        path = self.output_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(manifest.to_json())
        metadata = {
            "id": manifest.id,
            "data_digest": manifest.data_digest,
            "store": artifact.store.url,
            "kind": manifest.kind,
            **{f"count_{key}": value for key, value in manifest.counts.items()},
            **{key: value for key, value in manifest.summary.items() if isinstance(value, int | float | str)},
        }
        self.write_raw(name, metadata, parameters)

    def write_raw(self, name: str, metadata: dict[str, Any], parameters: dict[str, str]) -> None:
        """Write the executor output: the metadata of one artifact, and output parameters."""
        artifact = {**self._output(name).model_dump(), "metadata": metadata}
        self._write({"artifacts": {name: {"artifacts": [artifact]}}, "parameterValues": parameters})

    def write_parameters(self, **parameters: Any) -> None:
        """Write the executor output of a step that makes no artifact."""
        self._write({"parameterValues": parameters})

    def _write(self, output: dict[str, Any]) -> None:
        self.output_file.parent.mkdir(parents=True, exist_ok=True)
        self.output_file.write_text(json.dumps(output))

    def add_output(self, name: str, data: bytes, metadata: dict[str, Any]) -> None:
        """Write one more artifact, after `write_output`; nothing happens when the step has no such output."""
        if not self.raw.outputs.artifacts.get(name):
            return
        path = self.output_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        output = json.loads(self.output_file.read_text())
        output["artifacts"][name] = {"artifacts": [{**self._output(name).model_dump(), "metadata": metadata}]}
        self.output_file.write_text(json.dumps(output))

    def _output(self, name: str) -> _Entry:
        entries = self.raw.outputs.artifacts.get(name, _Artifacts()).artifacts
        if not entries:
            there = ", ".join(self.raw.outputs.artifacts) or "none"
            raise UsageError(f"--executor-input has no output artifact {name!r} (there: {there}).")
        return entries[0]


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.from_json(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: the manifest of an input cannot be read ({error.strerror}).") from error


def _local_path(uri: str) -> Path:
    """Where the launcher put the object of a URI: s3://b/k is at /s3/b/k; a path stands for itself."""
    scheme, sign, rest = uri.partition("://")
    if sign and scheme not in _MOUNTS:
        raise UsageError(f"{uri[:200]!r}: artifacts of KFP lie at a path or at one of {', '.join(_MOUNTS)}://.")
    path = Path(f"{_MOUNTS[scheme]}/{rest}" if sign else uri)
    if ".." in path.parts or "\0" in uri or not path.is_absolute():
        raise UsageError(f"{uri[:200]!r}: not the absolute path of an artifact.")
    return path
