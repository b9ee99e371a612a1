"""Several recipes at several label fractions, and a random start beside them: one table."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from components.compare import component as compare
from components.container import IMAGE, place
from components.ingest import component as ingest
from pipelines.parts import closed, label_and_weigh, measure, pass_on, pretrain_where_asked


def _measure_all(
    init: str, fractions: Any, seeds: Any, common: dict[str, Any], start: dict[str, Any]
) -> dsl.PipelineTask:
    """Fine-tune and evaluate from one start, at every label fraction with every seed."""
    with (
        dsl.ParallelFor(fractions, name="label fractions", parallelism=4) as every_nth,
        dsl.ParallelFor(seeds, name="seeds", parallelism=8) as seed,
    ):
        return measure(init, seed, common, start, every_nth=every_nth)


@dsl.pipeline(name="olivine-compare-recipes", description="Recipes at label fractions, against a random start.")
def compare_recipes(
    drives: str,
    store: str,
    version: str = "v1.0-trainval",
    recipes: list[str] = ["slidr", "olivine"],  # noqa: B006 - KFP takes the default of a parameter from here
    baseline: str = "random",
    fractions: list[int] = [100, 20, 10],  # noqa: B006
    settings: list[str] = [],  # noqa: B006
    seeds: list[int] = [0, 1, 2],  # noqa: B006
    title: str = "Recipes compared",
    label_groups: int = 1,
    num_nodes: int = 0,
    gpus_per_node: int = 8,
    cpu_per_node: str = "16",
    memory_per_node: str = "64Gi",
    node_selector: dict = {},  # noqa: B006
    namespace: str = "",
    image: str = IMAGE,
) -> None:
    """Ingest once; label, weigh and pretrain by each recipe; fine-tune and evaluate each; one table.

    Args:
        drives: Folder of the raw drives, in nuScenes v1.0 layout.
        store: Where artifacts are kept. A directory, or s3://bucket/prefix.
        version: Folder of the tables in the raw drives.
        recipes: Names of recipes that pretrain; `olivine recipes` lists them. All of one scale.
        baseline: Recipe by which the drives are ingested and a network is fine-tuned from random parameters.
        fractions: Label fractions. N keeps every N-th train scene, so that 100 is about 1 %.
        settings: Changes to all recipes, each "stage.field=value".
        seeds: One fine-tuning at each fraction for every seed; five or more for a claim.
        title: Title of the table.
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
    common: dict[str, Any] = {"store": store, "settings": settings}
    with closed(store):
        ingested = place(ingest.ingest(source=drives, version=version, recipe=baseline, **common), ingest.NEEDS)
        # KFP's cache key would hold the name of the folder, not what lies in it.
        ingested.set_caching_options(False)
        shared = common | pass_on("drives", ingested)
        from_random = _measure_all("random", fractions, seeds, shared | {"recipe": baseline}, {})
        # One after the other: recipes that share labels find them, and each pretraining has the nodes for itself.
        with dsl.ParallelFor(recipes, name="recipes", parallelism=1) as recipe:
            with_recipe = shared | {"recipe": recipe}
            pretrained = pretrain_where_asked(label_and_weigh(with_recipe, label_groups), nodes)
            from_backbone = _measure_all("backbone", fractions, seeds, with_recipe, pretrained)
        compared = compare.compare(
            metrics=dsl.Collected(from_backbone.outputs["metrics"]),
            metrics_ids=dsl.Collected(from_backbone.outputs["id"]),
            baseline=dsl.Collected(from_random.outputs["metrics"]),
            baseline_ids=dsl.Collected(from_random.outputs["id"]),
            store=store,
            title=title,
        )
        place(compared, compare.NEEDS)
