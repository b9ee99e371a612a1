"""A stage as a step of a pipeline, with what only a platform needs around it.

KFP tries a failed step again whatever its exit code, so a mistake of the user would be made three times. Such a step
leaves a record under the run and its input, and a later try that finds it ends at once with the same message.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from olivine.artifacts import Artifact, canonical_json, sha256_hex
from olivine.errors import USER_EXIT_CODES, ConfigError, DataError, IntegrityError, OlivineError, UsageError
from olivine.kfp_io import ExecutorInput
from olivine.lineage.card import render_card
from olivine.lineage.source import Place
from olivine.platform.cards import confusion_metadata
from olivine.platform.made import note_made
from olivine.platform.push import push_step
from olivine.platform.trainjob.failure import redact
from olivine.platform.trainjob.step import RUN_VARIABLE, failures_folder, run_pretrain_executor
from olivine.registry.documents import Document, read_document
from olivine.steps import run_executor as run_stage
from olivine.store import Store, open_store
from olivine.training.execution import Execution

Made = TypeVar("Made")

_ERRORS = {kind.exit_code: kind for kind in (UsageError, DataError, ConfigError)}


class Failed(Document):
    """A mistake of the user that ended a step."""

    step: str
    message: str
    exit_code: int


def run_executor(word: str, executor_input: str, execution: Execution | None = None) -> Artifact:
    """Run the stage `word` as a pipeline step; `execution` is how a pretraining in this process is carried out.

    Raises:
        OlivineError: whatever the stage reports, or what an earlier try of this step in this run reported.
    """
    start_s = time.monotonic()
    with mistakes_made_once(word, ExecutorInput.parse(executor_input).parameters) as run:
        if word == "pretrain":
            artifact = run_pretrain_executor(executor_input, execution)
        else:
            artifact = run_stage(word, executor_input)
    if run:
        note_made(artifact, run)
        push_step(run, word, time.monotonic() - start_s, artifact.manifest.counts.get("keyframes", 0))
    if word == "evaluate":
        _show(ExecutorInput.parse(executor_input), artifact)
    return artifact


def run_once(word: str, executor_input: str, call: Callable[[str], Made]) -> Made:
    """Run a step that is no stage, likewise: a mistake of the user costs one try."""
    with mistakes_made_once(word, ExecutorInput.parse(executor_input).parameters):
        return call(executor_input)


@contextlib.contextmanager
def mistakes_made_once(word: str, parameters: dict[str, Any]) -> Iterator[str | None]:
    """A mistake of the user that is made inside is kept under the run, and not made again; yields the id of the run.

    Raises:
        OlivineError: what an earlier try of this step in this run reported.
    """
    run = os.environ.get(RUN_VARIABLE)
    key = f"{failures_folder(run)}/{word}-{sha256_hex(canonical_json(parameters))[:16]}.json" if run else None
    store = open_store(str(parameters["store"])) if key and parameters.get("store") else None
    if store and key:
        _refuse_again(store, key)
    try:
        yield run
    except OlivineError as error:
        if store and key and _is_mistake(error):
            store.create(key, Failed(step=word, message=redact(str(error)), exit_code=error.exit_code).to_json())
        raise


def _is_mistake(error: OlivineError) -> bool:
    # Bytes that are wrong or gone are nobody's mistake, and another try may find or make them anew.
    return error.exit_code in USER_EXIT_CODES and not isinstance(error, IntegrityError)


def _show(io: ExecutorInput, metrics: Artifact) -> None:
    """What the KFP UI draws of the metrics, where the step has outputs for it."""
    segmenter = Place("finetune", metrics.manifest.inputs["segmenter"].id)
    io.add_output("confusion", b"", confusion_metadata(metrics))
    io.add_output("model_card", render_card(metrics.store, segmenter).encode(), {})


def _refuse_again(store: Store, key: str) -> None:
    try:
        failed = read_document(store, key, Failed)
    except FileNotFoundError:
        return
    kind = _ERRORS.get(failed.exit_code, OlivineError)
    raise kind(f"{failed.message} (said by an earlier try of this step; nothing has changed since)")
