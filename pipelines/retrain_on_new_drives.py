"""Scheduled retraining: plan, train on all complete drives when enough of them are new, and promote behind a gate."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from components.container import IMAGE, place
from components.evaluate import component as evaluate
from components.gate import component as gate
from components.ingest import component as ingest
from components.plan import component as plan
from pipelines.parts import RUN, closed, label_and_weigh, measure, pass_on, pretrain_where_asked

_GATE_SPLIT = "select"


def _train(
    planned: Any, version: Any, seed: Any, common: dict[str, Any], label_groups: Any, nodes: dict[str, Any]
) -> tuple[Any, Any]:
    """The chain on the drives of a plan; return the drives, and the task that scored the new segmenter."""
    ingested = place(ingest.ingest(source=planned.outputs["source"], version=version, **common), ingest.NEEDS)
    with_drives = common | pass_on("drives", ingested)
    with_weights = label_and_weigh(with_drives, label_groups)
    pretrained = pretrain_where_asked(with_weights | {"start_id": planned.outputs["start"]}, nodes)
    return with_drives, measure("backbone", seed, with_drives, pretrained, split=_GATE_SPLIT)


def _decide(candidate: Any, decision: dict[str, Any], baseline: dict[str, Any]) -> None:
    scores = {"metrics": candidate.outputs["metrics"], "metrics_id": candidate.outputs["id"]}
    place(gate.gate(**scores, **baseline, **decision), gate.NEEDS).set_caching_options(False)


@dsl.pipeline(
    name="olivine-retrain-on-new-drives",
    description="Trains when enough new drives are registered, and promotes what is not worse. For a schedule.",
)
def retrain_on_new_drives(
    store: str,
    version: str = "v1.0-trainval",
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
    min_new: int = 1,
    only: list[str] = [],  # noqa: B006
    warm_start: bool = True,
    margin: float = 0.01,
    seed: int = 0,
    claim_hours: float = 48.0,
    label_groups: int = 1,
    num_nodes: int = 0,
    gpus_per_node: int = 8,
    cpu_per_node: str = "16",
    memory_per_node: str = "64Gi",
    node_selector: dict = {},  # noqa: B006
    namespace: str = "",
    image: str = IMAGE,
) -> None:
    """Plan; if there is something to do: ingest, label, weigh, pretrain, fine-tune, evaluate, and pass the gate.

    Args:
        store: Where drives are registered and artifacts kept. A directory, or s3://bucket/prefix.
        version: Folder of the tables in every drive.
        recipe: Name of the recipe; `olivine recipes` lists them.
        settings: Changes to the recipe, each "stage.field=value".
        min_new: Fewer new drives than this are not worth a training.
        only: Train on just these drives, new or not (backfill). Empty is all drives.
        warm_start: Pretrain from the backbone of the promoted model. Off, or without one, from random parameters.
        margin: How much mIoU (0..1) on the select scenes the new segmenter may be worse than the promoted one.
        seed: Seed of the fine-tuning.
        claim_hours: For how long no other run may train on the same drives, should this one vanish.
        label_groups: Steps that share the labelling, side by side. 1 labels in one step.
        num_nodes: Nodes to pretrain on, as a TrainJob. 0 pretrains in the step itself.
        gpus_per_node: GPUs of each node; 0 pretrains on the CPU. For num_nodes above 0.
        cpu_per_node: Cores of each node.
        memory_per_node: Memory of each node.
        node_selector: Labels that a node must have, as {"gpu": "h100"}.
        namespace: Where the TrainJob runs. Empty is the namespace of the run.
        image: Image of the nodes.
    """
    nodes = {"num_nodes": num_nodes, "gpus_per_node": gpus_per_node, "cpu_per_node": cpu_per_node}
    nodes |= {"memory_per_node": memory_per_node, "node_selector": node_selector}
    nodes |= {"namespace": namespace, "image": image}
    common: dict[str, Any] = {"store": store, "recipe": recipe, "settings": settings}
    with closed(store):
        request = {"min_new": min_new, "only": only, "claim_hours": claim_hours, "run": RUN}
        request["warm_start"] = warm_start
        planned = place(plan.plan(version=version, **common, **request), plan.NEEDS)
        # The registry grows under the same name.
        planned.set_caching_options(False)
        with dsl.If(planned.outputs["plan"] != "", name="something to do"):
            with_drives, candidate = _train(planned, version, seed, common, label_groups, nodes)
            decision = {"plan": planned.outputs["plan"], "margin": margin, "store": store, "run": RUN}
            with dsl.If(planned.outputs["promoted"] != "", name="against the promoted one"):
                scored = evaluate.evaluate(
                    **with_drives, segmenter_id=planned.outputs["promoted"], split=_GATE_SPLIT
                ).set_display_name("evaluate the promoted one")
                place(scored, evaluate.NEEDS)
                baseline = {"baseline": scored.outputs["metrics"], "baseline_id": scored.outputs["id"]}
                _decide(candidate, decision, baseline)
            with dsl.Else(name="first"):
                _decide(candidate, decision, {})
