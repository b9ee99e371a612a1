"""One call for each stage, the same from the command line and from a pipeline step: ids in, an artifact out."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from olivine.artifacts import Artifact, begin, find_artifact
from olivine.artifacts.group import Group
from olivine.artifacts.withdrawn import withdrawals
from olivine.errors import DataError, UsageError
from olivine.kfp_io import ExecutorInput
from olivine.recipe import StageRecipe
from olivine.recipes import load_recipe
from olivine.registry.assemble import assemble
from olivine.registry.plan import read_plan
from olivine.registry.start import drives_behind
from olivine.stages import BY_WORD, PORT_KINDS, STAGES
from olivine.store import Store, open_store
from olivine.training.execution import Execution

CLUSTER_PARAMETERS = frozenset(
    {"num_nodes", "gpus_per_node", "cpu_per_node", "memory_per_node", "node_selector", "namespace", "image"}
)
"""Parameters of a pretraining on several nodes: where it runs, and not what it makes."""


PLAN_SOURCE = "plan:"
"""A source that begins so names a set of registered drives, and not a folder."""


@dataclass(frozen=True)
class StepCall:
    """What a step is told: the store, the recipe with its overrides, and its inputs by port."""

    store: str
    recipe: str
    settings: list[str] = field(default_factory=list)
    inputs: dict[str, str] = field(default_factory=dict)
    source: str | None = None
    execution: Execution | None = None


def run_step(word: str, call: StepCall) -> Artifact:
    """Run the stage `word`, or find what it has made already; return its artifact.

    Raises:
        OlivineError: whatever the stage reports.
    """
    store, inputs, recipe = _prepare(word, call)
    return _find_finished(word, store, inputs, recipe) or _STEPS[word](call, store, inputs, recipe)


def _prepare(word: str, call: StepCall) -> tuple[Store, dict[str, Artifact], Any]:
    """The store, the inputs and the recipe of a call."""
    recipe = getattr(load_recipe(call.recipe, call.settings), word)
    if recipe is None:
        raise UsageError(f"recipe {call.recipe!r} has no {word}: fine-tune without a backbone, which is its method.")
    store = open_store(call.store)
    inputs = {port: found for port in BY_WORD[word].takes if (found := _find_input(word, port, store, call))}
    refuse_withdrawn(store, inputs)
    return store, inputs, recipe


def _find_input(word: str, port: str, store: Store, call: StepCall) -> Artifact | None:
    kind = PORT_KINDS.get(port, port)
    name, maker = call.inputs.get(port), _MAKERS[kind]
    if name:
        return find_artifact(store, maker, name, kind)
    if port in BY_WORD[word].optional:
        return None
    raise UsageError(f"say which {port} to use: --{port.replace('_', '-')} ID, as `olivine {maker}` printed it.")


def refuse_withdrawn(store: Store, inputs: dict[str, Artifact]) -> None:
    """Nothing more is made from drives that hold a withdrawn one, nor from a backbone that was trained on one.

    Raises:
        UsageError: with the reasons.
    """
    drives, start = inputs.get("drives"), inputs.get("start")
    held = {"drives": set(drives.manifest.summary.get("drives", [])) if drives else set()}
    held["start"] = drives_behind(start) if start else set()
    withdrawn = withdrawals(store) if any(held.values()) else {}
    for port, problem, remedy in (
        ("drives", "drives {} hold what was withdrawn", "Ingest again: withdrawn drives are left out."),
        ("start", "backbone {} was trained on what was withdrawn", "Start from another one, or from random."),
    ):
        gone = {drive: found for drive, found in withdrawn.items() if drive in held[port]}
        if gone:
            reasons = "; ".join(f"{drive} ({found[-1].reason})" for drive, found in gone.items())
            raise UsageError(f"{problem.format(inputs[port].id[:12])}: {reasons}. {remedy}")


def _find_finished(word: str, store: Store, inputs: dict[str, Artifact], recipe: StageRecipe) -> Artifact | None:
    """A finished artifact, found before the stage is imported, which takes seconds where torch is in it.

    Stages whose identity holds more than inputs and recipe (ingest and label, which read files) never match here, and
    look for themselves.
    """
    manifests = {port: artifact.manifest for port, artifact in inputs.items()}
    found = begin(store, word, BY_WORD[word].makes, manifests, recipe.resolved(), seed=0)
    return found if isinstance(found, Artifact) else None


def _ingest(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.ingest.stage import run

    if not call.source:
        raise UsageError("say which raw drives to read: --drives FOLDER, in nuScenes layout.")
    if not call.source.startswith(PLAN_SOURCE):
        return run(Path(call.source), store, recipe)
    plan = read_plan(store, call.source.removeprefix(PLAN_SOURCE))
    with tempfile.TemporaryDirectory(prefix="olivine-drives-") as folder:
        return run(assemble(store, plan, Path(folder)), store, recipe)


def _label(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.label.stage import run

    return run(inputs["drives"], recipe)


def _weigh(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.weigh.stage import run

    return run(inputs["drives"], inputs["weak_labels"], recipe)


def _pretrain(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.pretrain.stage import run

    labels, weights = inputs["weak_labels"], inputs["density_weights"]
    return run(inputs["drives"], labels, weights, recipe, call.execution, inputs.get("start"))


def _finetune(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.finetune.stage import run

    return run(inputs["drives"], inputs.get("backbone"), recipe)


def _evaluate(call: StepCall, store: Store, inputs: dict[str, Artifact], recipe: Any) -> Artifact:
    from olivine.evaluate.stage import run

    return run(inputs["drives"], inputs["segmenter"], recipe)


_MAKERS = {stage.makes: stage.word for stage in STAGES}
_STEPS: dict[str, Callable[[StepCall, Store, dict[str, Artifact], Any], Artifact]] = {
    "ingest": _ingest,
    "label": _label,
    "weigh": _weigh,
    "pretrain": _pretrain,
    "finetune": _finetune,
    "evaluate": _evaluate,
}
assert tuple(_STEPS) == tuple(BY_WORD)


def find_step(word: str, call: StepCall) -> Artifact | None:
    """What the step would make, when it is finished already; see `_find_finished` for the stages it knows.

    Raises:
        OlivineError: the recipe or an input is wrong.
    """
    store, inputs, recipe = _prepare(word, call)
    return _find_finished(word, store, inputs, recipe)


def run_label_group(call: StepCall, group: Group) -> int:
    """Label the shards of one group of several, for a step `label` after them; return how many keyframes are labelled.

    Raises:
        OlivineError: whatever the stage reports.
    """
    from olivine.label.stage import run_group

    _, inputs, recipe = _prepare("label", call)
    return run_group(inputs["drives"], recipe, group)


def run_executor(
    word: str,
    executor_input: str,
    execution: Execution | None = None,
    run: Callable[[str, StepCall], Artifact] = run_step,
) -> Artifact:
    """Run a stage as a pipeline step: everything comes from, and goes to, the executor input.

    Parameters of a step are `store`, `recipe`, `settings`, `<port>_id` for the id of each input, and `source` and
    `version` (ingest), `labelled` (label), `seed`, `init`, `every_nth` and `splits` (finetune), `split` (evaluate), and
    those in CLUSTER_PARAMETERS (pretrain), which are read by who gives another `run`. The ids are parameters, beside
    the artifacts themselves, because the platform's cache key knows the names of artifacts and not their content.

    Raises:
        UsageError: a parameter is missing, unknown or not what it must be; else whatever the stage reports.
    """
    io = ExecutorInput.parse(executor_input)
    call = replace(step_call(word, io.parameters), execution=execution)
    check_inputs(word, io, call)
    artifact = run(word, call)
    if is_first_process():
        io.write_output(BY_WORD[word].makes, artifact, id=artifact.id)
    return artifact


def step_call(word: str, parameters: dict[str, Any]) -> StepCall:
    """The call that the parameters of a pipeline step ask for; UsageError when they do not."""
    left = dict(parameters)
    missing = [name for name in ("store", "recipe") if not left.get(name)]
    if missing:
        raise UsageError(f"step {word}: the parameter {missing[0]!r} is missing.")
    settings = [str(item) for item in left.pop("settings", None) or []]
    if word == "ingest" and "version" in left:
        # In front, so that an explicit setting wins, as on the command line.
        settings.insert(0, f"ingest.version={json.dumps(left.pop('version'))}")
    if word == "pretrain":
        left = {name: value for name, value in left.items() if name not in CLUSTER_PARAMETERS}
    if word == "label":
        # What the groups before it say: the platform lets the step wait for them by it. Their work is in the store.
        left.pop("labelled", None)
    inputs = {port: str(left.pop(f"{port}_id", None) or "") for port in BY_WORD[word].takes}
    if word == "evaluate" and (split := left.pop("split", None)):
        settings.append(f"evaluate.split={json.dumps(split)}")
    if word == "finetune":
        settings.append(f"finetune.seed={whole_number('seed', left.pop('seed', None))}")
        # 0 leaves the label fraction to the recipe.
        if every_nth := whole_number("every_nth", left.pop("every_nth", 0)):
            settings.append(f"finetune.every_nth={every_nth}")
        if splits := left.pop("splits", None):
            settings.append(f"finetune.splits={json.dumps(splits)}")
        inputs = _start_from(str(left.pop("init", "")), inputs)
    call = StepCall(str(left.pop("store")), str(left.pop("recipe")), settings, inputs, left.pop("source", None))
    if left:
        raise UsageError(f"step {word}: there is no parameter {', '.join(left)}.")
    return call


def check_inputs(word: str, io: ExecutorInput, call: StepCall) -> None:
    """The artifacts that the platform shows in its lineage must be those that the step uses."""
    for port, id in call.inputs.items():
        shown = [manifest.id for manifest in io.manifests(port)]
        if shown not in ([], [id]):
            raise DataError(f"step {word}: {port}_id is {id[:12]}, but the artifact {port} is {shown[0][:12]}.")


def _start_from(init: str, inputs: dict[str, str]) -> dict[str, str]:
    if init not in ("random", "backbone"):
        raise UsageError(f"step finetune: init is {init!r}, but must be 'random' or 'backbone'.")
    if init == "backbone" and not inputs["backbone"]:
        raise UsageError("step finetune: init is 'backbone', but backbone_id is empty.")
    return inputs if init == "backbone" else inputs | {"backbone": ""}


def whole_number(name: str, value: Any) -> int:
    """A parameter of a step that must be a whole number; UsageError when it is none."""
    # The platform's loop items may arrive as 3.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        raise UsageError(f"{name} is {value!r}, but must be a whole number.")
    return int(value)


def is_first_process() -> bool:
    """Whether this process speaks and writes for all that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def describe(artifact: Artifact) -> dict[str, Any]:
    """What a person or a script wants to know of a finished artifact."""
    manifest = artifact.manifest
    return {
        "kind": manifest.kind,
        "id": manifest.id,
        "data_digest": manifest.data_digest,
        "counts": manifest.counts,
        "quarantined": [item.model_dump() for item in manifest.quarantined],
        "summary": manifest.summary,
    }
