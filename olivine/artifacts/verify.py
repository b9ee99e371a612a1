"""Verify an artifact and everything it was made from: read all of it again and compare every digest."""

from __future__ import annotations

import json

from olivine.artifacts.artifact import Artifact, open_artifact, read_blob
from olivine.artifacts.manifest import InputRef
from olivine.artifacts.record import records_folder
from olivine.errors import DataError, IntegrityError


def verify(artifact: Artifact) -> list[str]:
    """Problems found in the artifact and in all that it was made from, one line each; empty when all is well.

    Manifests are compared with what was written down of them elsewhere: in those made from them, and in the records of
    their runs. So an edited manifest is found also when its own digests were made to match.
    """
    problems: list[str] = []
    seen: set[str] = set()
    waiting = [artifact]
    while waiting:
        current = waiting.pop()
        if current.id in seen:
            continue
        seen.add(current.id)
        problems += _check_data(current) + _check_records(current)
        for port, ref in current.manifest.inputs.items():
            try:
                given = _open_input(current, port, ref)
            except DataError as error:
                problems.append(str(error))
            else:
                waiting.append(given)
    return problems


def _open_input(artifact: Artifact, port: str, ref: InputRef) -> Artifact:
    given = open_artifact(artifact.store, ref.stage, ref.id)
    if given is None:
        raise IntegrityError(f"{artifact.manifest.key}: its {port} {ref.id[:12]} is missing")
    if given.manifest.input_ref() != ref:
        raise IntegrityError(f"{artifact.manifest.key}: its {port} {ref.id[:12]} is not what it was made from")
    return given


def _check_data(artifact: Artifact) -> list[str]:
    problems = []
    for blob in artifact.manifest.data:
        try:
            read_blob(artifact.store, blob)
        except DataError as error:
            problems.append(str(error))
    return problems


def _check_records(artifact: Artifact) -> list[str]:
    published = artifact.manifest.input_ref().model_dump()
    problems = []
    for key in artifact.store.list(records_folder(artifact.manifest)):
        try:
            recorded = json.loads(artifact.store.read(key))["artifact"]
        except (DataError, ValueError, KeyError, TypeError, RecursionError) as error:
            problems.append(f"{key}: not the record of a run ({error})")
        else:
            if recorded != published:
                problems.append(f"{artifact.manifest.key}: is not the manifest that {key} recorded")
    return problems
