"""Self-conflict: how many of an anchor's negatives are of the anchor's own class (paper, figure 1).

A contrastive loss pushes an anchor away from its negatives. Those of the anchor's class it should not be pushed away
from. Shapes: M pairs of a batch, S drawn ones, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.packs.superpixels import NO_SUPERPIXEL, PAIR_MEMBER
from olivine.points.density import estimate_density
from olivine.points.frequency import Variant, category_frequency, look_up_frequency, sampling_weights
from olivine.points.voxelize import radial_index
from olivine.report.colours import CATEGORIES, Swatch, weak_classes
from olivine.report.figures.charts import Bar, bar_chart
from olivine.report.figures.figure import Figure, Panel, Table, described, origin_facts
from olivine.report.trace import open_input

_UNLABELLED, _NUM_IDS = 255, 256
_MOST_BATCHES = 50
_ALL, _OTHERS = ("#5d7392", (93, 115, 146)), ("#74871a", (116, 135, 26))
_SAMPLERS = {"uniform": "uniform", "density": "by density", "category": "by class", "both": "density x class"}


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a batch: class of each, 255 where it is not known; superpixels numbered through, -1 for none."""

    truth_M: NDArray[np.uint8]
    label_M: NDArray[np.uint8]
    radial_M: NDArray[np.int64]
    superpixel_M: NDArray[np.int64]


@dataclass
class Conflict:
    """Negatives by class of their anchor, int64 [256]: of the anchor's own class, and all of known class."""

    own_C: NDArray[np.int64]
    all_C: NDArray[np.int64]

    @classmethod
    def none(cls) -> Conflict:
        """Nothing counted."""
        return cls(np.zeros(_NUM_IDS, np.int64), np.zeros(_NUM_IDS, np.int64))

    def add(self, other: Conflict) -> None:
        """Count another batch."""
        self.own_C += other.own_C
        self.all_C += other.all_C

    @property
    def share(self) -> float | None:
        """Of all negatives the share that is of its anchor's class; None without any."""
        return float(self.own_C.sum() / self.all_C.sum()) if self.all_C.any() else None

    def of_class(self, id: int) -> float | None:
        """The share for anchors of one class; None where it has none."""
        return float(self.own_C[id] / self.all_C[id]) if self.all_C[id] else None


def count_all_others(truth_S: NDArray[np.uint8]) -> Conflict:
    """Every other drawn pair is a negative, as in the point-pixel loss."""
    count_C = np.bincount(truth_S[truth_S != _UNLABELLED], minlength=_NUM_IDS)
    return Conflict(count_C * (count_C - 1).clip(0), count_C * max(int(count_C.sum()) - 1, 0))


def count_other_labels(truth_S: NDArray[np.uint8], label_S: NDArray[np.uint8]) -> Conflict:
    """Drawn pairs of another weak label are the negatives, as in the category-aware loss: conflict is label error."""
    known_S = (truth_S != _UNLABELLED) & (label_S != _UNLABELLED)
    code_S = truth_S[known_S].astype(np.int64) * _NUM_IDS + label_S[known_S]
    joint_CL = np.bincount(code_S, minlength=_NUM_IDS**2).reshape(_NUM_IDS, _NUM_IDS)
    own_CL = joint_CL * (joint_CL.sum(axis=1, keepdims=True) - joint_CL)
    all_CL = joint_CL * (joint_CL.sum() - joint_CL.sum(axis=0))
    return Conflict(own_CL.sum(axis=1), all_CL.sum(axis=1))


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
    tokens, has_truth = _labelled_tokens(drives, Pack(labels))
    swatches = list(CATEGORIES) if has_truth else weak_classes(labels)
    batches = list(_batches(tokens, int(recipe["batch_size"]), int(recipe["seed"])))
    counted = _count(drives, Pack(labels), batches, has_truth, recipe)
    if counted["uniform", "all"].share is None:
        raise DataError(f"{described(labels)}: no pair of {len(tokens)} keyframes has a class to compare by.")
    kind = "hand" if has_truth else "weak"
    return Figure(
        name="self-conflict",
        title="Self-conflict: negatives of the anchor's own class",
        caption=f"Share of an anchor's negatives that have the {kind} label of the anchor. Grey-blue: all other drawn "
        "pairs are negatives (PPKT; the point-pixel loss). Green: only those of another weak label are (OLIVINE's "
        "category-aware loss)" + ("; what is left is the error of the weak labels." if has_truth else "."),
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


def _labelled_tokens(drives: Drives, labels: Pack) -> tuple[list[str], bool]:
    """Train keyframes with weak labels, those with hand labels alone where there are any."""
    tokens = [token for token in drives.tokens("train") if labels.index.position(token) is not None]
    known = [token for token in tokens if drives.has_lidarseg(token)]
    return known or tokens, bool(known)


def _batches(tokens: Sequence[str], size: int, seed: int) -> Iterator[list[str]]:
    order = np.random.default_rng(seed).permutation(len(tokens))
    for start in range(0, min(len(order), size * _MOST_BATCHES), size):
        yield [tokens[row] for row in order[start : start + size]]


def _count(
    drives: Drives, labels: Pack, batches: Sequence[Sequence[str]], has_truth: bool, recipe: dict[str, Any]
) -> dict[tuple[str, str], Conflict]:
    counted = {(sampler, loss): Conflict.none() for sampler in get_args(Variant) for loss in ("all", "others")}
    counted["superpixels", "all"] = Conflict.none()
    rng = np.random.default_rng((int(recipe["seed"]), 1))
    for tokens in batches:
        pairs = _read_batch(drives, labels, tokens, has_truth, float(recipe["radial_bin_m"]))
        density_M = estimate_density(pairs.radial_M)
        frequency_C = category_frequency(pairs.label_M, _UNLABELLED, _UNLABELLED)
        for sampler in get_args(Variant):
            count_M = look_up_frequency(pairs.label_M, frequency_C)
            # The point-pixel loss draws from all pairs, labelled or not.
            everything_M = np.maximum(count_M, 1) if sampler in ("uniform", "density") else count_M
            for loss, drawn_from_M in (("all", everything_M), ("others", count_M)):
                weight_M = sampling_weights(density_M, drawn_from_M, sampler)
                drawn_S = _draw(weight_M, int(recipe["num_pairs"]), rng)
                truth_S, label_S = pairs.truth_M[drawn_S], pairs.label_M[drawn_S]
                one = count_all_others(truth_S) if loss == "all" else count_other_labels(truth_S, label_S)
                counted[sampler, loss].add(one)
        counted["superpixels", "all"].add(count_all_others(_superpixel_truth(pairs)))
    return counted


def _read_batch(drives: Drives, labels: Pack, tokens: Sequence[str], has_truth: bool, bin_m: float) -> _Pairs:
    parts, first = [], 0
    for token in tokens:
        keyframe, head = drives.keyframe(token), labels.head(token)
        label_M = bytes_array(head["pair_label.npy"])
        truth_M = label_M
        if has_truth:
            # Ids from 0, as those of weak classes; 0 - 1 is 255, not known.
            truth_M = (drives.lidarseg(token)[keyframe.pair_point_M] - 1).astype(np.uint8)
        radial_M = radial_index(keyframe.points_N4[:, :3], bin_m)[keyframe.pair_point_M].astype(np.int64)
        superpixel_M = np.full(len(label_M), -1, np.int64)
        if PAIR_MEMBER in head:
            id_M = bytes_array(head[PAIR_MEMBER]).astype(np.int64)
            numbered_M = keyframe.pair_pixel_M3[:, 0].astype(np.int64) * NO_SUPERPIXEL + id_M + first
            superpixel_M = np.where(id_M == NO_SUPERPIXEL, -1, numbered_M)
        first += 6 * NO_SUPERPIXEL
        parts.append((truth_M, label_M, radial_M, superpixel_M))
    return _Pairs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _draw(weight_M: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows drawn without replacement in proportion to their weight: the largest of log w + Gumbel noise."""
    with np.errstate(divide="ignore"):
        score_M = np.log(weight_M) + rng.gumbel(size=len(weight_M))
    count = min(count, int((weight_M > 0).sum()))
    drawn_S: NDArray[np.int64] = np.argsort(-score_M, kind="stable")[:count]
    return drawn_S


def _superpixel_truth(pairs: _Pairs) -> NDArray[np.uint8]:
    """The commonest class of each superpixel that holds a pair of known class."""
    known_M = (pairs.superpixel_M >= 0) & (pairs.truth_M != _UNLABELLED)
    ids, row_K = np.unique(pairs.superpixel_M[known_M], return_inverse=True)
    table_SC = np.bincount(row_K * _NUM_IDS + pairs.truth_M[known_M], minlength=len(ids) * _NUM_IDS)
    return table_SC.reshape(-1, _NUM_IDS).argmax(axis=1).astype(np.uint8)


def _rows(counted: dict[tuple[str, str], Conflict]) -> list[tuple[str, float | None, float | None]]:
    rows = [
        (name, counted[sampler, "all"].share, counted[sampler, "others"].share) for sampler, name in _SAMPLERS.items()
    ]
    superpixels = counted["superpixels", "all"].share
    return [*rows, ("superpixels", superpixels, None)] if superpixels is not None else rows


def _draw_samplers(counted: dict[tuple[str, str], Conflict]) -> Markup:
    rows = []
    for name, everything, others in _rows(counted):
        bars = [_bar(everything, _ALL[0], f"{name}, all others")]
        rows.append((name, bars + ([_bar(others, _OTHERS[0], f"{name}, other labels")] if others is not None else [])))
    return bar_chart("self-conflict by loss and sampler", rows, "% of negatives")


def _draw_classes(counted: dict[tuple[str, str], Conflict], swatches: Sequence[Swatch]) -> Markup:
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


def _table(counted: dict[tuple[str, str], Conflict]) -> Table:
    def shown(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.2f}"

    names = {
        "superpixels": "superpixels (SLidR)",
        "uniform": "uniform (PPKT)",
        "density x class": "density x class (OLIVINE)",
    }
    rows = [(names.get(name, name), shown(all_), shown(others)) for name, all_, others in _rows(counted)]
    heading = ("drawn", "all others are negatives", "other weak labels are negatives")
    return Table("Negatives of the anchor's own class [%]", heading, rows)
