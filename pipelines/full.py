"""The whole chain, from raw drives to the report that compares the pretrained backbone with a random start."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from components.container import place
from components.evaluate import component as evaluate
from components.finetune import component as finetune
from components.ingest import component as ingest
from components.label import component as label
from components.pretrain import component as pretrain
from components.report import component as report
from components.weigh import component as weigh


def _pass_on(port: str, task: dsl.PipelineTask) -> dict[str, Any]:
    """An artifact for the lineage view, and its id for the cache key."""
    return {port: task.outputs[port], f"{port}_id": task.outputs["id"]}


def _measure_arm(init: str, seed: Any, with_drives: dict[str, Any], start: dict[str, Any]) -> dsl.PipelineTask:
    """Fine-tune from `start` and evaluate: one arm with one seed."""
    tuned = place(finetune.finetune(init=init, seed=seed, **with_drives, **start), finetune.NEEDS)
    scored = place(evaluate.evaluate(**with_drives, **_pass_on("segmenter", tuned)), evaluate.NEEDS)
    tuned.set_display_name(f"finetune from {init}")
    return scored.set_display_name(f"evaluate from {init}")


@dsl.pipeline(name="olivine-full", description="Drives in, an audited 3D backbone out, compared with a random start.")
def full(
    drives: str,
    store: str,
    version: str = "v1.0-trainval",
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
    seeds: list[int] = [0, 1, 2],  # noqa: B006
    title: str = "Random start and pretrained backbone",
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
    """
    common: dict[str, Any] = {"store": store, "recipe": recipe, "settings": settings}
    ingested = place(ingest.ingest(source=drives, version=version, **common), ingest.NEEDS)
    # KFP's cache key would hold the name of the folder, not what lies in it.
    ingested.set_caching_options(False)
    with_drives = common | _pass_on("drives", ingested)
    labelled = place(label.label(**with_drives), label.NEEDS)
    with_labels = with_drives | _pass_on("weak_labels", labelled)
    weighed = place(weigh.weigh(**with_labels), weigh.NEEDS)
    pretrained = place(pretrain.pretrain(**with_labels, **_pass_on("density_weights", weighed)), pretrain.NEEDS)
    with dsl.ParallelFor(seeds, name="seeds", parallelism=8) as seed:
        from_random = _measure_arm("random", seed, with_drives, {})
        from_backbone = _measure_arm("backbone", seed, with_drives, _pass_on("backbone", pretrained))
    reported = report.report(
        metrics=dsl.Collected(from_backbone.outputs["metrics"]),
        metrics_ids=dsl.Collected(from_backbone.outputs["id"]),
        baseline=dsl.Collected(from_random.outputs["metrics"]),
        baseline_ids=dsl.Collected(from_random.outputs["id"]),
        store=store,
        title=title,
    )
    place(reported, report.NEEDS)
