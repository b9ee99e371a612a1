"""Which figures there are: what `olivine figure list` prints and docs/figures.md explains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One figure: the command's name, its numbers in the paper, the options that it needs, and what it shows."""

    name: str
    paper: str
    needs: str
    shows: str


CATALOGUE = (
    Entry(
        "self-conflict",
        "figure 1",
        "--backbone ID",
        "share of an anchor's negatives that are of its own class, by loss and sampler",
    ),
    Entry("pipeline", "figure 2", "--metrics ID", "the pipeline as it ran: stages, ids and counts"),
    Entry(
        "errors",
        "figures 3, 8 to 11",
        "--metrics ID ...",
        "right and wrong points of several arms on one sweep, from above and in a camera",
    ),
    Entry("embeddings", "figure 4", "--backbone ID ...", "points of each class in the space of the heads, in a plane"),
    Entry("class-distribution", "figures 5 and 6", "--weak-labels ID", "classes in points, pairs and pixels"),
    Entry(
        "similarity",
        "figure 7",
        "--backbone ID",
        "similarity to an anchor under both pairs of heads; a click moves the anchor",
    ),
    Entry("weak-labels", "figures 12 and 13", "--weak-labels ID", "weak labels on the images and on the cloud"),
    Entry("density", "section 3.4", "--density-weights ID", "pairs over range before and after weighting"),
    Entry("class-bars", "tables 10 and 11", "--metrics ID ...", "IoU of every class, arm by arm"),
    Entry("cost", "table 9", "--backbone ID ...", "time, memory and throughput of each pretraining"),
)
"""Every figure, in the order of the paper."""


def catalogue_lines() -> list[str]:
    """One line a figure."""
    return [f"{entry.name:19} {entry.paper:18} {entry.needs:21} {entry.shows}" for entry in CATALOGUE]
