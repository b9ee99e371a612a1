"""What several pipelines are made of."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads them.
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kfp import dsl

from components.close import component as close
from components.container import place
from components.evaluate import component as evaluate
from components.finetune import component as finetune
from components.groups import component as groups
from components.label import component as label
from components.pretrain import component as pretrain
from components.share import component as share
from components.weigh import component as weigh

RUN = dsl.PIPELINE_JOB_ID_PLACEHOLDER


def pass_on(port: str, task: dsl.PipelineTask) -> dict[str, Any]:
    """An artifact for the lineage view, and its id for the cache key."""
    return {port: task.outputs[port], f"{port}_id": task.outputs["id"]}


def either(port: str, here: dsl.PipelineTask, there: dsl.PipelineTask) -> dict[str, Any]:
    """As `pass_on`, of that one of two tasks in branches which ran."""
    return {
        port: dsl.OneOf(here.outputs[port], there.outputs[port]),
        f"{port}_id": dsl.OneOf(here.outputs["id"], there.outputs["id"]),
    }


@contextmanager
def closed(store: Any) -> Iterator[None]:
    """Whatever is made inside: however it ends, the end is published."""
    task = place(close.close(store=store, run=RUN), close.NEEDS).set_caching_options(False)
    with dsl.ExitHandler(task, name="run"):
        yield


def measure(
    init: str, seed: Any, common: dict[str, Any], start: dict[str, Any], split: str = "", every_nth: Any = None
) -> dsl.PipelineTask:
    """Fine-tune from `start` and evaluate: one arm with one seed, at the recipe's label fraction or 1/`every_nth`.

    What is scored on `split`, and not on the split of the recipe, is held out of the training.
    """
    fraction = {} if every_nth is None else {"every_nth": every_nth}
    held_out = {"splits": "train"} if split else {}
    tuned = place(finetune.finetune(init=init, seed=seed, **fraction, **held_out, **common, **start), finetune.NEEDS)
    given = {"split": split} if split else {}
    scored = place(evaluate.evaluate(**common, **pass_on("segmenter", tuned), **given), evaluate.NEEDS)
    tuned.set_display_name(f"finetune from {init}")
    return scored.set_display_name(f"evaluate from {init}")


def label_and_weigh(with_drives: dict[str, Any], label_groups: Any) -> dict[str, Any]:
    """Label, in one step or shared by `label_groups` of them, and weigh; return drives, labels and weights.

    Weighing is one step: it takes some milliseconds a keyframe.
    """
    with dsl.If(label_groups <= 1, name="in one step"):
        here = place(label.label(**with_drives), label.NEEDS)
        # KFP's cache key holds the names of masks and class lists, not what is in them; the store knows that.
        here.set_caching_options(False)
    with dsl.Else(name="in groups"):
        named = place(groups.groups(number=label_groups), groups.NEEDS)
        with dsl.ParallelFor(named.outputs["groups"], name="groups") as group:
            shared = place(share.share(group=group, **with_drives), share.NEEDS)
            # What it keeps is no output: it may be gone when KFP still remembers that the step was done.
            shared.set_caching_options(False)
        there = label.label(**with_drives, labelled=dsl.Collected(shared.outputs["keyframes"]))
        place(there, label.NEEDS).set_display_name("label what is left").set_caching_options(False)
    with_labels = with_drives | either("weak_labels", here, there)
    weighed = place(weigh.weigh(**with_labels), weigh.NEEDS)
    return with_labels | pass_on("density_weights", weighed)


def pretrain_where_asked(inputs: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """Pretrain in the step itself, or with `num_nodes` as a TrainJob; return the backbone as `pass_on` does."""
    with dsl.If(nodes["num_nodes"] == 0, name="in the step"):
        here = place(pretrain.pretrain(**inputs), pretrain.NEEDS)
    with dsl.Else(name="on nodes"):
        there = place(pretrain.pretrain_on_nodes(**inputs, **nodes), pretrain.NEEDS_ON_NODES)
        there.set_display_name("pretrain on nodes")
    return either("backbone", here, there)
