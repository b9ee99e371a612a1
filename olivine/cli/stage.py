"""How a command runs a stage, by hand or as a step of a pipeline, and how it prints what was made."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from olivine.stages import BY_WORD

if TYPE_CHECKING:
    from olivine.artifacts import Artifact
    from olivine.training.execution import Execution


def run_stage(
    word: str,
    executor_input: str | None,
    as_json: bool,
    *,
    store: str,
    recipe: str,
    settings: list[str] | None,
    ids: dict[str, str],
    source: str | None = None,
    execution: Execution | None = None,
) -> Artifact:
    """Run the stage `word` and print the kind and id of what it made.

    Args:
        word: word of the stage.
        executor_input: what KFP says to a step of a pipeline; all but `execution` is then read from it.
        as_json: print all that is known of the artifact, as JSON.
        store: URL of the store.
        recipe: name of the recipe.
        settings: changes of it, as `stage.field=value`.
        ids: ids of the inputs, by port; empty for those that are left out.
        source: what `ingest` reads.
        execution: how a pretraining is carried out.

    Raises:
        OlivineError: whatever the stage reports.
    """
    from olivine.steps import StepCall, is_first_process, run_step

    if executor_input is not None:
        from olivine.platform.executor import run_executor

        artifact = run_executor(word, executor_input, execution)
    else:
        inputs = {port: ids[port] for port in BY_WORD[word].takes if ids.get(port)}
        artifact = run_step(word, StepCall(store, recipe, settings or [], inputs, source, execution))
    if is_first_process():
        print_artifact(artifact, as_json)
    return artifact


def print_artifact(artifact: Artifact, as_json: bool) -> None:
    """Kind and id for the next command; what a person should know of it besides goes to stderr."""
    from olivine.steps import describe

    found = describe(artifact)
    if as_json:
        print(json.dumps(found))
        return
    for trap in found["summary"].get("traps", []):
        print(f"note: {trap}", file=sys.stderr)
    for item in found["quarantined"]:
        print(f"left out {item['frame']}: {item['reason']}", file=sys.stderr)
    print(", ".join(f"{value} {name}" for name, value in found["counts"].items()), file=sys.stderr)
    print(f"{found['kind']} {found['id']}")
