"""The whole chain, from raw drives to the report that compares the pretrained backbone with a random start."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from components.container import IMAGE, place
from components.ingest import component as ingest
from components.report import component as report
from pipelines.parts import closed, label_and_weigh, measure, pass_on, pretrain_where_asked


@dsl.pipeline(name="olivine-full", description="Drives in, an audited 3D backbone out, compared with a random start.")
def full(
    drives: str,
    store: str,
    version: str = "v1.0-trainval",
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
    seeds: list[int] = [0, 1, 2],  # noqa: B006
    title: str = "Random start and pretrained backbone",
    label_groups: int = 1,
    num_nodes: int = 0,
    gpus_per_node: int = 8,
    cpu_per_node: str = "16",
    memory_per_node: str = "64Gi",
    node_selector: dict = {},  # noqa: B006
    namespace: str = "",
    image: str = IMAGE,
) -> None:
    """Ingest, label, weigh and pretrain once; fine-tune and evaluate both arms with every seed; report.

    Args:
        drives: Folder of the raw drives, in nuScenes v1.0 layout.
        store: Where artifacts are kept. A directory, or s3://bucket/prefix.
        version: Folder of the tables in the raw drives.
        recipe: Name of the recipe; `olivine recipes` lists them.
        settings: Changes to the recipe, each "stage.field=value".
        seeds: One fine-tuning of each arm for every seed.
        title: Title of the report.
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
        ingested = place(ingest.ingest(source=drives, version=version, **common), ingest.NEEDS)
        # KFP's cache key would hold the name of the folder, not what lies in it.
        ingested.set_caching_options(False)
        with_drives = common | pass_on("drives", ingested)
        pretrained = pretrain_where_asked(label_and_weigh(with_drives, label_groups), nodes)
        with dsl.ParallelFor(seeds, name="seeds", parallelism=8) as seed:
            from_random = measure("random", seed, with_drives, {})
            from_backbone = measure("backbone", seed, with_drives, pretrained)
        reported = report.report(
            metrics=dsl.Collected(from_backbone.outputs["metrics"]),
            metrics_ids=dsl.Collected(from_backbone.outputs["id"]),
            baseline=dsl.Collected(from_random.outputs["metrics"]),
            baseline_ids=dsl.Collected(from_random.outputs["id"]),
            store=store,
            title=title,
        )
        place(reported, report.NEEDS)
