"""Label and weigh drives that were ingested before, with another labeller or other classes."""

# Annotations stay values here (no `from __future__ import annotations`): KFP reads the parameters from them.
from typing import Any

from kfp import dsl

from components.container import place
from components.label import component as label
from components.weigh import component as weigh
from pipelines.parts import closed, pass_on


@dsl.pipeline(name="olivine-relabel", description="New weak labels and sampling weights for drives that are ingested.")
def relabel(
    store: str,
    drives_id: str,
    recipe: str = "olivine",
    settings: list[str] = [],  # noqa: B006 - KFP takes the default of a parameter from here
) -> None:
    """Label and weigh.

    Args:
        store: Where the artifacts are. A directory, or s3://bucket/prefix.
        drives_id: Id of the drives, as the step `ingest` gave it.
        recipe: Name of the recipe; `olivine recipes` lists them.
        settings: Changes to the recipe, each "stage.field=value".
    """
    given: dict[str, Any] = {"store": store, "recipe": recipe, "settings": settings, "drives_id": drives_id}
    with closed(store):
        labelled = place(label.label(**given), label.NEEDS)
        place(weigh.weigh(**given, **pass_on("weak_labels", labelled)), weigh.NEEDS)
