"""Figures of counts: classes, density, cost and IoU, against counts made here."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from chain import Chain
from comparison import Compared
from imported import import_without_heads

from olivine.artifacts.record import records_folder
from olivine.drives import Drives
from olivine.errors import DataError, UsageError
from olivine.packs import Pack, bytes_array
from olivine.report.figures.class_bars import draw_class_bars
from olivine.report.figures.cost import draw_cost
from olivine.report.figures.density import draw_density
from olivine.report.figures.distribution import draw_distribution
from olivine.report.table import percent


def shown(body: object) -> dict[str, str]:
    """Text beside each bar by what is read out of it."""
    pairs = re.findall(r"<g><title>([^<]*): [^<]*</title>(?:<rect[^>]*/>)?<text[^>]*>([^<]*)</text>", str(body))
    return {name: text.replace("&lt;", "<") for name, text in pairs}


def test_classes_are_counted_in_points_pairs_and_pixels(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    train = chain.drives.tokens("train")
    read = []
    lidarseg = Drives.lidarseg
    monkeypatch.setattr(Drives, "lidarseg", lambda self, token: read.append(token) or lidarseg(self, token))
    figure = draw_distribution(chain.made["ingest"], chain.made["label"], "official")
    assert sorted(read) == sorted(train)
    assert [panel.title for panel in figure.panels] == ["Points by class", "Pairs by class", "Pixels by class"]
    monkeypatch.undo()
    count = np.bincount(np.concatenate([chain.drives.lidarseg(token) for token in train]), minlength=17)[1:]
    assert shown(figure.panels[0].body)["car"] == f"{100 * count[3] / count.sum():.3g} %"
    labels = Pack(chain.made["label"])
    pairs = np.concatenate([bytes_array(labels.head(t)["pair_label.npy"]) for t in labels.index.column("keyframe")])
    names = [item["name"] for item in json.loads(chain.made["label"].read("classes.json"))["classes"]]
    share = 100 * (pairs == names.index("road")).sum() / (pairs != 255).sum()
    assert shown(figure.panels[1].body)["road"] == f"{share:.3g} %"


def test_without_hand_labels_or_masks_there_are_pairs_alone(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drives, "has_lidarseg", lambda self, token=None: False)
    monkeypatch.setitem(chain.made["label"].manifest.summary, "pixels_by_class", [])
    figure = draw_distribution(chain.made["ingest"], chain.made["label"], "safe")
    assert [panel.title for panel in figure.panels] == ["Pairs by class"]


def test_weights_move_pairs_as_the_artifact_says(chain: Chain):
    figure = draw_density(chain.made["ingest"], chain.made["label"], chain.made["weigh"])
    pack, sums = Pack(chain.made["weigh"]), np.zeros((2, 256))
    for token in pack.index.column("keyframe"):
        head = pack.head(token)
        label, weight = bytes_array(head["pair_label.npy"]), bytes_array(head["pair_weight.npy"])
        sums += [np.bincount(label, minlength=256), np.bincount(label, weight, 256)]
    share = 100 * sums[:, :13] / sums[:, :13].sum(axis=1, keepdims=True)
    found = shown(figure.panels[1].body)
    names = [item["name"] for item in json.loads(chain.made["label"].read("classes.json"))["classes"]]
    for id, name in enumerate(names):
        assert (found[f"{name} before"], found[f"{name} after"]) == (f"{share[0, id]:.3g} %", f"{share[1, id]:.3g} %")
    assert share[1].std() < share[0].std()
    assert "variant both" in figure.caption
    assert draw_density(chain.made["ingest"], chain.made["label"], chain.made["weigh"]) == figure


def test_bars_are_means_over_seeds(compared: Compared):
    figure = draw_class_bars(compared.store, compared.all)
    found, [table] = shown(figure.panels[0].body), figure.tables
    for arm in ("random", "olivine"):
        scores = [compared.metrics[arm, seed].manifest.summary["miou"] for seed in (0, 1)]
        assert found[f"mIoU, {arm}"] == percent(float(np.mean(scores)))
    assert table.heading == ("class", "olivine", "random")
    row = dict(zip(table.heading, table.rows[0], strict=True))
    assert sorted(re.findall(r"\((\w+)\)", " ".join(row.values()))) in (["best", "second"], [])
    assert len(table.rows) == 17


def test_equal_arms_are_not_marked(compared: Compared):
    figure = draw_class_bars(compared.store, [compared.metrics["random", 0]])
    assert "best" not in str(figure.tables[0].rows)


def test_the_same_seed_twice_is_refused(compared: Compared):
    with pytest.raises(UsageError, match="twice"):
        draw_class_bars(compared.store, [compared.metrics["random", 0]] * 2)
    with pytest.raises(UsageError, match="--metrics"):
        draw_class_bars(compared.store, [])


def test_cost_is_that_of_the_record(chain: Chain):
    backbone = chain.made["pretrain"]
    [key] = backbone.store.list(records_folder(backbone.manifest))
    record = json.loads(backbone.store.read(key))
    figure = draw_cost([backbone])
    rows = {row[0]: row[1] for row in figure.tables[0].rows}
    assert rows["wall time [min]"] == f"{record['wall_s'] / 60:.1f}"
    assert rows["peak memory [MB]"] == f"{record['peak_rss_mb']:.0f}"
    assert rows["keyframes per second"] == f"{record['samples_per_s']:.2f}"
    assert rows["steps"] == str(backbone.manifest.counts["steps"])
    assert [panel.title for panel in figure.panels][:2] == ["Wall time [min]", "Peak memory [MB]"]
    if not record["peak_gpu_mb"]:
        assert "GPU" not in " ".join(panel.title for panel in figure.panels)


def test_what_left_no_record_is_said(own_chain: Chain):
    imported = import_without_heads(own_chain.made["pretrain"])
    for key in list(imported.store.list(records_folder(imported.manifest))):
        imported.store.delete(key)
    figure = draw_cost([imported])
    rows = {row[0]: row[1] for row in figure.tables[0].rows}
    assert (rows["wall time [min]"], rows["device"], rows["steps"]) == ("not recorded",) * 3
    assert figure.panels == []


def test_a_cost_of_nothing_is_refused(chain: Chain):
    with pytest.raises(UsageError, match="--backbone"):
        draw_cost([])
    with pytest.raises(UsageError, match="twice"):
        draw_cost([chain.made["pretrain"]] * 2)


def test_drives_alone_have_their_hand_labels(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    figure = draw_distribution(chain.made["ingest"], None, "official")
    assert [panel.title for panel in figure.panels] == ["Points by class"]
    monkeypatch.setattr(Drives, "has_lidarseg", lambda self, token=None: False)
    with pytest.raises(DataError, match=r"no train keyframe has hand labels\. Give --weak-labels"):
        draw_distribution(chain.made["ingest"], None, "official")
