"""Self-conflict against a count of every pair of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from chain import Chain
from comparison import run_stage
from hypothesis import given
from hypothesis import strategies as st
from imported import import_without_heads

from olivine.drives import Drives
from olivine.errors import UsageError
from olivine.packs import Pack, bytes_array
from olivine.report.figures import conflict_counts
from olivine.report.figures.conflict import draw_conflict
from olivine.report.figures.conflict_counts import (
    Conflict,
    count_all_others,
    count_conflict,
    count_other_labels,
    labelled_tokens,
)

CLASSES = st.sampled_from([0, 1, 2, 255])
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), max_size=12)


def brute_force(truth, label) -> tuple[int, int]:
    """Negatives of the anchor's class and all; `label` None: every other is a negative."""
    own = every = 0
    for i in range(len(truth)):
        for j in range(len(truth)):
            is_negative = i != j if label is None else label[i] != label[j] and 255 not in (label[i], label[j])
            if is_negative and 255 not in (truth[i], truth[j]):
                own += truth[i] == truth[j]
                every += 1
    return own, every


@given(PAIRS)
def test_counts_are_those_of_all_pairs_of_pairs(pairs):
    truth, label = (np.array([pair[side] for pair in pairs], np.uint8) for side in (0, 1))
    for found, expected in (
        (count_all_others(truth), brute_force(truth, None)),
        (count_other_labels(truth, label), brute_force(truth, label)),
    ):
        assert (found.own_C.sum(), found.all_C.sum()) == expected


def test_labels_that_are_right_leave_no_conflict():
    truth = np.array([0, 0, 1, 2, 2, 2], np.uint8)
    assert count_other_labels(truth, truth).share == 0
    assert count_all_others(truth).share == pytest.approx((2 + 6) / 30)
    assert count_all_others(truth).of_class(2) == pytest.approx(2 / 5)
    assert count_all_others(truth).of_class(7) is None
    assert Conflict.none().share is None


def test_all_pairs_drawn_are_all_pairs_of_the_batch(chain: Chain):
    labels, tokens = Pack(chain.made["label"]), chain.drives.tokens("train")[:2]
    recipe = {"num_pairs": 10**6, "radial_bin_m": 0.1, "seed": 0}
    counted = count_conflict(chain.drives, labels, [tokens], True, recipe)
    truth = np.concatenate(
        [chain.drives.lidarseg(token)[chain.drives.keyframe(token).pair_point_M] for token in tokens]
    )
    label = np.concatenate([bytes_array(labels.head(token)["pair_label.npy"]) for token in tokens])
    count = np.bincount(truth[truth > 0])
    expected = (count * (count - 1)).sum() / (count.sum() * (count.sum() - 1))
    assert counted["uniform", "all"].share == pytest.approx(expected)
    # Without replacement, and with room for all: no sampler can change what is drawn.
    known = (truth > 0) & (label != 255)
    own, every = 0, 0
    for category, weak in set(zip(truth[known].tolist(), label[known].tolist(), strict=True)):
        here = ((truth == category) & (label == weak) & known).sum()
        own += here * ((truth == category) & (label != weak) & known).sum()
        every += here * ((label != weak) & known).sum()
    for sampler in ("uniform", "density", "category", "both"):
        assert counted[sampler, "others"].share == pytest.approx(own / every)
    assert counted["superpixels", "all"].share is None


def test_a_superpixel_has_its_commonest_class():
    pairs = conflict_counts._Pairs(
        truth_M=np.array([3, 3, 4, 4, 255, 3], np.uint8),
        label_M=np.zeros(6, np.uint8),
        radial_M=np.zeros(6, np.int64),
        superpixel_M=np.array([7, 7, 7, 9, 9, -1]),
    )
    assert conflict_counts._superpixel_truth(pairs).tolist() == [3, 4]


def test_hand_labels_of_train_alone_are_read(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    read = []
    lidarseg = Drives.lidarseg
    monkeypatch.setattr(Drives, "lidarseg", lambda self, token: read.append(token) or lidarseg(self, token))
    figure = draw_conflict(chain.made["pretrain"])
    assert set(read) == set(chain.drives.tokens("train"))
    assert "4 batches of 2 keyframes out of 8, 256 pairs each" in " ".join(figure.facts)
    assert draw_conflict(chain.made["pretrain"]) == figure


def test_without_hand_labels_classes_are_the_weak_ones(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drives, "has_lidarseg", lambda self, token=None: False)
    figure = draw_conflict(chain.made["pretrain"])
    [table] = figure.tables
    assert {row[2] for row in table.rows} == {"0.00"}
    assert "weak ones" in figure.facts[-1]
    assert labelled_tokens(chain.drives, Pack(chain.made["label"])) == (chain.drives.tokens("train"), False)


def test_superpixels_are_a_row_where_there_are_any(own_chain: Chain):
    made = {"drives": own_chain.made["ingest"].id}
    store = own_chain.store.url.removeprefix("file://")
    made["weak_labels"] = run_stage("label", store, made, "label.superpixels=slic").id
    made["density_weights"] = run_stage("weigh", store, made).id
    figure = draw_conflict(run_stage("pretrain", store, made))
    assert figure.tables[0].rows[-1][0] == "superpixels (SLidR)"
    assert 0 < float(figure.tables[0].rows[-1][1]) < 100


def test_an_imported_backbone_is_refused(own_chain: Chain):
    with pytest.raises(UsageError, match=r"was imported.*olivine pretrain"):
        draw_conflict(import_without_heads(own_chain.made["pretrain"]))
