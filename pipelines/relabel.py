"""Label and weigh drives that were ingested before, with another labeler or other classes."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from pipelines.parts import closed, label_and_weigh


@dsl.pipeline(name="olivine-relabel", description="New weak labels and sampling weights for drives that are ingested.")
def relabel(
    store: str,
    drives_id: str,
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
    label_groups: int = 1,
) -> None:
    """Label and weigh.

    Args:
        store: Where the artifacts are. A directory, or s3://bucket/prefix.
        drives_id: Id of the drives, as the step `ingest` gave it.
        recipe: Name of the recipe; `olivine recipes` lists them.
        settings: Changes to the recipe, each "stage.field=value".
        label_groups: Steps that share the labelling, side by side. 1 labels in one step.
    """
    given: dict[str, Any] = {"store": store, "recipe": recipe, "settings": settings, "drives_id": drives_id}
    with closed(store):
        label_and_weigh(given, label_groups)
