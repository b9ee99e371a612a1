"""Self-conflict: how many of an anchor's negatives are of the anchor's own class (paper, figure 1).

A contrastive loss pushes an anchor away from its negatives, those of the anchor's own class among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.packs import Pack
from olivine.report.colours import Swatch, hand_classes, weak_classes
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.conflict_counts import SUPERPIXELS, Conflict, count_conflict, labelled_tokens, make_batches
from olivine.report.figures.figure import Figure, Panel, Table, described, origin_facts
from olivine.report.trace import open_input

_ALL, _OTHERS = ("#5d7392", (93, 115, 146)), ("#74871a", (116, 135, 26))
_SAMPLERS = {"uniform": "uniform", "density": "by density", "category": "by class", "both": "density x class"}


def draw_conflict(backbone: Artifact) -> Figure:
    """Self-conflict in the batches of a pretraining: its drives, weak labels, batch size, pairs and seed.

    Classes are those of the hand labels of `train` where there are any, else the weak ones.

    Raises:
        UsageError: a backbone that was imported: nothing is known of its pairs. DataError: no pair has a class.
    """
    if "weak_labels" not in backbone.manifest.inputs:
        raise UsageError(
            f"{described(backbone)} was imported: it has no drives and weak labels whose pairs could be counted. Give "
            "one that `olivine pretrain` made."
        )
    store = backbone.store
    artifact, labels = open_input(store, backbone, "drives"), open_input(store, backbone, "weak_labels")
    drives, recipe = Drives(artifact), backbone.manifest.recipe
    tokens, has_truth = labelled_tokens(drives, Pack(labels))
    swatches = hand_classes(artifact) if has_truth else weak_classes(labels)
    batches = list(make_batches(tokens, int(recipe["batch_size"]), int(recipe["seed"])))
    counted = count_conflict(drives, Pack(labels), batches, has_truth, recipe)
    if counted["uniform", "all"].share is None:
        raise DataError(f"{described(labels)}: no pair of {len(tokens)} keyframes has a class to compare by.")
    kind = "hand" if has_truth else "weak"
    return Figure(
        name="self-conflict",
        title="Self-conflict: negatives of the anchor's own class",
        caption=f"Share of an anchor's negatives that have the {kind} label of the anchor. Grey-blue: all other drawn "
        "pairs are negatives (PPKT; the point-pixel loss). Green: only those of another weak label are (OLIVINE's "
        "category-aware loss)"
        + ("; what is left is label error, and weak classes finer than the hand labels." if has_truth else "."),
        panels=[
            Panel("By loss and sampler", _draw_samplers(counted), "Means over all anchors."),
            Panel(
                "By class of the anchor",
                _draw_classes(counted, swatches),
                "Point-pixel loss, uniform; and category-aware loss, density x class.",
            ),
        ],
        legend=[Swatch("all others are negatives", _ALL[1]), Swatch("other weak labels are negatives", _OTHERS[1])],
        facts=_facts(artifact, labels, backbone, len(batches), len(tokens), has_truth),
        tables=[_table(counted)],
    )


def _facts(
    drives: Artifact, labels: Artifact, backbone: Artifact, num_batches: int, num_keyframes: int, has_truth: bool
) -> list[str]:
    recipe = backbone.manifest.recipe
    facts = [
        *origin_facts(drives, labels),
        f"{described(backbone)}: {num_batches} batches of {recipe['batch_size']} keyframes out of {num_keyframes}, "
        f"{recipe['num_pairs']} pairs each, seed {recipe['seed']}; weights are those of each batch.",
    ]
    if not has_truth:
        facts.append("There are no hand labels: classes are the weak ones, by which the category-aware loss has none.")
    return facts


def _rows(counted: Mapping[tuple[str, str], Conflict]) -> list[tuple[str, float | None, float | None]]:
    rows = [
        (name, counted[sampler, "all"].share, counted[sampler, "others"].share) for sampler, name in _SAMPLERS.items()
    ]
    superpixels = counted[SUPERPIXELS, "all"].share
    return [*rows, (SUPERPIXELS, superpixels, None)] if superpixels is not None else rows


def _draw_samplers(counted: Mapping[tuple[str, str], Conflict]) -> Markup:
    rows = []
    for name, everything, others in _rows(counted):
        bars = [_bar(everything, _ALL[0], f"{name}, all others")]
        rows.append((name, bars + ([_bar(others, _OTHERS[0], f"{name}, other labels")] if others is not None else [])))
    return bar_chart("self-conflict by loss and sampler", rows, "% of negatives")


def _draw_classes(counted: Mapping[tuple[str, str], Conflict], swatches: Sequence[Swatch]) -> Markup:
    rows = []
    for id, swatch in enumerate(swatches):
        shares = counted["uniform", "all"].of_class(id), counted["both", "others"].of_class(id)
        if any(share is not None for share in shares):
            pair = zip(shares, (_ALL[0], _OTHERS[0]), ("all others", "other labels"), strict=True)
            rows.append((swatch.name, [_bar(share, colour, f"{swatch.name}, {what}") for share, colour, what in pair]))
    return bar_chart("self-conflict by class of the anchor", rows, "% of negatives")


def _bar(share: float | None, colour: str, name: str) -> Bar:
    if share is None:
        return Bar(None, colour, "not drawn", name)
    return Bar(100 * share, colour, f"{100 * share:.3g} %", name)


def _table(counted: Mapping[tuple[str, str], Conflict]) -> Table:
    def shown(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.2f}"

    names = {
        SUPERPIXELS: "superpixels (SLidR)",
        "uniform": "uniform (PPKT)",
        "density x class": "density x class (OLIVINE)",
    }
    rows = [(names.get(name, name), shown(all_), shown(others)) for name, all_, others in _rows(counted)]
    heading = ("drawn", "all others are negatives", "other weak labels are negatives")
    return Table("Negatives of the anchor's own class [%]", heading, rows)
