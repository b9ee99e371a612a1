"""Counting self-conflict: negatives of the anchor's own class in the batches of a pretraining.

Shapes: M pairs of a batch, S drawn ones, C classes by id from 0, L weak classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from olivine.drives import Drives
from olivine.packs import Pack, bytes_array
from olivine.packs.superpixels import NO_SUPERPIXEL, PAIR_MEMBER
from olivine.points.density import estimate_density
from olivine.points.frequency import Variant, category_frequency, look_up_frequency, sampling_weights
from olivine.points.voxelize import radial_index

UNLABELLED, NUM_IDS = 255, 256
SUPERPIXELS = "superpixels"
_MOST_BATCHES = 50


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
        return cls(np.zeros(NUM_IDS, np.int64), np.zeros(NUM_IDS, np.int64))

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
    count_C = np.bincount(truth_S[truth_S != UNLABELLED], minlength=NUM_IDS)
    return Conflict(count_C * (count_C - 1).clip(0), count_C * max(int(count_C.sum()) - 1, 0))


def count_other_labels(truth_S: NDArray[np.uint8], label_S: NDArray[np.uint8]) -> Conflict:
    """Drawn pairs of another weak label are the negatives, as in the category-aware loss: conflict is label error."""
    known_S = (truth_S != UNLABELLED) & (label_S != UNLABELLED)
    code_S = truth_S[known_S].astype(np.int64) * NUM_IDS + label_S[known_S]
    joint_CL = np.bincount(code_S, minlength=NUM_IDS**2).reshape(NUM_IDS, NUM_IDS)
    own_CL = joint_CL * (joint_CL.sum(axis=1, keepdims=True) - joint_CL)
    all_CL = joint_CL * (joint_CL.sum() - joint_CL.sum(axis=0))
    return Conflict(own_CL.sum(axis=1), all_CL.sum(axis=1))


def labelled_tokens(drives: Drives, labels: Pack) -> tuple[list[str], bool]:
    """Train keyframes with weak labels, those with hand labels alone where there are any."""
    tokens = [token for token in drives.tokens("train") if labels.index.position(token) is not None]
    known = [token for token in tokens if drives.has_lidarseg(token)]
    return known or tokens, bool(known)


def make_batches(tokens: Sequence[str], size: int, seed: int) -> Iterator[list[str]]:
    """Batches in an order of their own, as many as one can wait for."""
    order = np.random.default_rng(seed).permutation(len(tokens))
    for start in range(0, min(len(order), size * _MOST_BATCHES), size):
        yield [tokens[row] for row in order[start : start + size]]


def count_conflict(
    drives: Drives, labels: Pack, batches: Sequence[Sequence[str]], has_truth: bool, recipe: dict[str, Any]
) -> dict[tuple[str, str], Conflict]:
    """Conflict by sampler and by what the loss takes for negatives, `all` or `others`; and that of `superpixels`.

    Args:
        drives, labels: what the pairs and their labels are read from.
        batches: keyframes, batch by batch.
        has_truth: whether the class of a pair is its hand label, or else its weak one.
        recipe: that of the pretraining: `num_pairs`, `radial_bin_m`, `radial_rounding`, `seed`.
    """
    counted = {(sampler, loss): Conflict.none() for sampler in get_args(Variant) for loss in ("all", "others")}
    counted[SUPERPIXELS, "all"] = Conflict.none()
    rng = np.random.default_rng((int(recipe["seed"]), 1))
    for tokens in batches:
        pairs = _read_batch(drives, labels, tokens, has_truth, recipe)
        density_M = estimate_density(pairs.radial_M)
        frequency_C = category_frequency(pairs.label_M, UNLABELLED, UNLABELLED)
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
        counted[SUPERPIXELS, "all"].add(count_all_others(_superpixel_truth(pairs)))
    return counted


def _read_batch(drives: Drives, labels: Pack, tokens: Sequence[str], has_truth: bool, recipe: dict[str, Any]) -> _Pairs:
    # Recipes that do not say it rounded down.
    rounding = recipe.get("radial_rounding", "down")
    parts, first = [], 0
    for token in tokens:
        keyframe, head = drives.keyframe(token), labels.head(token)
        label_M = bytes_array(head["pair_label.npy"])
        truth_M = label_M
        if has_truth:
            # Ids from 0, as those of weak classes; 0 - 1 is 255, not known.
            truth_M = (drives.lidarseg(token)[keyframe.pair_point_M] - 1).astype(np.uint8)
        radial_N = radial_index(keyframe.points_N4[:, :3], float(recipe["radial_bin_m"]), rounding)
        radial_M = radial_N[keyframe.pair_point_M].astype(np.int64)
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
    known_M = (pairs.superpixel_M >= 0) & (pairs.truth_M != UNLABELLED)
    ids, row_K = np.unique(pairs.superpixel_M[known_M], return_inverse=True)
    table_SC = np.bincount(row_K * NUM_IDS + pairs.truth_M[known_M], minlength=len(ids) * NUM_IDS)
    truth_S: NDArray[np.uint8] = table_SC.reshape(-1, NUM_IDS).argmax(axis=1).astype(np.uint8)
    return truth_S
