"""The page about weak labels: its numbers against independent counts, and what a reader must not be told wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

from olivine.errors import UsageError
from olivine.label.class_list import load_class_list
from olivine.packs import Pack, bytes_array
from olivine.report.colours import covered_by
from olivine.report.label_counts import agree, count_labels
from olivine.report.labels import write_labels_page


@pytest.fixture(scope="module")
def counts(chain):
    labels = chain.made["label"]
    pack = Pack(labels)
    return count_labels(chain.drives, pack, pack.index.column("keyframe"), covered_by(labels), pack)


def pairs_of(chain, token):
    drives, classes = chain.drives, load_class_list("grounded_sam")
    label_M = bytes_array(Pack(chain.made["label"]).head(token)["pair_label.npy"])
    truth_M = drives.lidarseg(token)[drives.keyframe(token).pair_point_M]
    return label_M, classes.from_nuscenes()[truth_M], truth_M


def test_shares_of_a_frame(chain, counts):
    token = chain.drives.tokens("train")[1]
    label_M, true_M, _ = pairs_of(chain, token)
    frame = next(frame for frame in counts.frames if frame.token == token)
    known_M = (label_M != 255) & (true_M != 255)
    assert frame.right == np.mean(label_M[known_M] == true_M[known_M])
    assert frame.coverage == np.mean(label_M != 255)
    assert frame.equal == 1.0


def test_hand_labels_of_test_are_not_read(chain, counts):
    test = set(chain.drives.tokens("test"))
    assert {frame.token for frame in counts.frames if frame.right is None} == test
    known = sum(len(pairs_of(chain, token)[0]) for token in chain.drives.tokens("all_train"))
    zero = sum(int((pairs_of(chain, token)[2] == 0).sum()) for token in chain.drives.tokens("all_train"))
    assert counts.by_truth[1:].sum() == known - zero


def test_precision_and_recall(chain, counts):
    names = load_class_list("grounded_sam").names
    rows = agree(counts.by_truth, names, covered_by(chain.made["label"]))
    given, true, hand = (
        np.concatenate(columns)
        for columns in zip(*(pairs_of(chain, token) for token in chain.drives.tokens("all_train")), strict=True)
    )
    for id, row in enumerate(rows):
        labelled, right = (given == id) & (hand > 0), (given == id) & (true == id)
        assert row.pairs == labelled.sum()
        assert row.precision == (right.sum() / labelled.sum() if labelled.any() else None)
        assert row.recall == (right.sum() / (true == id).sum() if (true == id).any() else None)


def test_the_worst_come_first(counts):
    shares = [frame.right for frame in counts.worst(20)]
    assert None not in shares
    assert shares == sorted(shares)
    assert len(counts.worst(3)) == 3


def test_without_truth_the_emptiest_come_first(chain):
    pack, drives = Pack(chain.made["label"]), chain.drives
    found = count_labels(drives, pack, drives.tokens("test"), np.full(17, 255, np.uint8))
    assert not found.knows_truth
    coverage = [frame.coverage for frame in found.worst(5)]
    assert coverage == sorted(coverage)
    assert found.most_different(5) == []


def test_the_page(chain, own_chain, tmp_path):
    other = own_chain.run("label", "label.seed=5")
    out = write_labels_page(own_chain.store.url, chain.made["label"].id[:12], other.id, tmp_path / "labels.html")
    page = out.read_text()
    assert "SIMULATED weak labels" in page
    assert "those of test are never read" in page
    assert f"Compared with {other.id[:12]}" in page
    assert page.count("<img") == 3 * (2 * (1 + 2) + 2 + 1)
    assert all(f'<th scope="row">{name}</th>' in page for name in load_class_list("grounded_sam").names)
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page), "the page asks no server"
    assert "<script" not in page
    assert page.count('<img class="safe"') == page.count('<img class="official"') == 3 * (2 + 1)
    assert re.findall(r'alt="([^"]*)"', page).count("") == 0


@pytest.mark.parametrize("width", [390, 1300])
def test_the_page_in_a_browser(chain, browser, tmp_path, width):
    out = write_labels_page(chain.store.url, chain.made["label"].id, "", tmp_path / "labels.html")
    page, complaints = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(out.as_uri())
    sizes = page.eval_on_selector_all("img", "all => all.map(i => [i.complete, i.naturalWidth])")
    assert sizes
    assert all(complete and drawn > 0 for complete, drawn in sizes)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.close()


def test_labels_with_other_classes_are_not_compared(own_chain, tmp_path):
    other = own_chain.run("label", "label.classes=seem")
    with pytest.raises(UsageError, match="have other classes"):
        write_labels_page(own_chain.store.url, own_chain.made["label"].id, other.id, tmp_path / "labels.html")
