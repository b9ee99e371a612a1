"""Score one segmenter on drives."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from kfp import dsl

from components.container import place
from components.evaluate import component as evaluate
from pipelines.parts import closed


@dsl.pipeline(name="olivine-evaluate-only", description="Scores, confusion and model card of a segmenter.")
def evaluate_only(
    store: str,
    drives_id: str,
    segmenter_id: str,
    split: str = "test",
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
) -> None:
    """Evaluate.

    Args:
        store: Where the artifacts are. A directory, or s3://bucket/prefix.
        drives_id: Id of the drives, as the step `ingest` gave it.
        segmenter_id: Id of the segmenter, as the step `finetune` gave it.
        split: Scenes to score on. "test" for a number that is reported, "select" for choosing between models.
        recipe: Name of the recipe; `olivine recipes` lists them.
        settings: Changes to the recipe, each "stage.field=value".
    """
    given = {"store": store, "drives_id": drives_id, "segmenter_id": segmenter_id, "split": split}
    with closed(store):
        place(evaluate.evaluate(recipe=recipe, settings=settings, **given), evaluate.NEEDS)
