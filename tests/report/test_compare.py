"""The table of arms and label fractions, and what cannot be compared; over manifests alone, no stage runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import pytest
from lineage.graph import publish, publish_drives, publish_result

from olivine.artifacts import Artifact, open_artifact
from olivine.errors import UsageError
from olivine.report.compare import Comparison, Regime, Row, arms_by_backbone, compare_results, render_comparison
from olivine.report.interval import paired_interval
from olivine.store import Store, open_store


@dataclass(frozen=True)
class Published:
    """Metrics by (arm, seed), or (arm/N, seed) at another label fraction."""

    store: Store
    drives: Artifact
    metrics: dict[tuple[str, int], Artifact]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Two arms at 1/2, seed 0 of both at 1/1, and a second backbone of the same method."""
    store = open_store(str(tmp_path_factory.mktemp("wide") / "store"))
    drives = publish_drives(store, "a", ("n008", "n015"))
    backbones: dict[str, Artifact | None] = {"random": None}
    for name in ("olivine", "other"):
        recipe, summary = {"lr": len(name), "splits": "all_train"}, {"method": "olivine"}
        backbones[name] = publish(store, "pretrain", "backbone", {"drives": drives}, recipe, summary)
    runs = [("random", 0, 2, 0.2), ("random", 1, 2, 0.25), ("olivine", 0, 2, 0.24), ("olivine", 1, 2, 0.26)]
    runs += [("random", 0, 1, 0.4), ("olivine", 0, 1, 0.38), ("other", 0, 2, 0.3)]
    metrics = {}
    for name, seed, every_nth, miou in runs:
        _, scored = publish_result(store, drives, backbones[name], miou, seed, every_nth=every_nth)
        metrics[name if every_nth == 2 else f"{name}/{every_nth}", seed] = scored
    return Published(store, drives, metrics)


def compare(store: Store, metrics: Sequence[Artifact], baseline: Sequence[Artifact]) -> Comparison:
    arms = arms_by_backbone(store, metrics, baseline)
    ids = {name: [item.id for item in items] for name, items in arms.items()}
    return Comparison(ids, compare_results(store, arms), {})


def miou(artifact: Artifact) -> float:
    return float(artifact.manifest.summary["miou"])


def test_rows_are_means_and_differences_of_equal_seeds_and_fractions(wide: Published) -> None:
    metrics = wide.metrics
    baseline = [metrics["random", 0], metrics["random", 1], metrics["random/1", 0]]
    ours = [metrics["olivine", 1], metrics["olivine", 0], metrics["olivine/1", 0], metrics["olivine", 0]]
    found = compare(wide.store, ours, baseline)
    assert (found.baseline, found.splits) == ("random", ["test"])
    shown = [(row.arm, found.name_regime(row), list(row.miou_by_seed)) for row in found.rows]
    assert shown == [
        ("random", "1/2 by scene", [0, 1]),
        ("olivine", "1/2 by scene", [0, 1]),
        ("random", "1/1 by scene", [0]),
        ("olivine", "1/1 by scene", [0]),
    ]
    differences = [miou(metrics["olivine", seed]) - miou(metrics["random", seed]) for seed in (0, 1)]
    assert found.rows[1].differences == pytest.approx(differences)
    assert found.rows[1].difference == pytest.approx(fmean(differences))
    assert found.rows[1].interval == paired_interval(found.rows[1].differences)
    assert found.rows[1].miou == pytest.approx(fmean(miou(metrics["olivine", seed]) for seed in (0, 1)))
    assert found.rows[3].difference == pytest.approx(miou(metrics["olivine/1", 0]) - miou(metrics["random/1", 0]))
    assert found.rows[3].interval is None
    assert found.rows[0].differences == []
    assert not any(row.claims for row in found.rows)


def test_two_backbones_of_one_method_are_told_apart(wide: Published) -> None:
    found = compare(wide.store, [wide.metrics["other", 0], wide.metrics["olivine", 0]], [wide.metrics["random", 0]])
    names = [row.arm for row in found.rows]
    assert names[0] == "random"
    assert len(set(names)) == 3
    assert all(name.startswith("olivine ") for name in names[1:])


def test_without_a_run_of_the_same_seed_and_fraction_there_is_no_difference(wide: Published) -> None:
    found = compare(wide.store, [wide.metrics["olivine", 0], wide.metrics["olivine/1", 0]], [wide.metrics["random", 0]])
    assert [row.differences == [] for row in found.rows] == [True, False, True]
    page = render_comparison(found, "A <title>")
    assert "<title>A &lt;title&gt;</title>" in page
    assert "<td>-</td><td>-</td><td>0</td>" in page


def test_enough_pairs_claim_and_a_missing_score_is_no_pair() -> None:
    regime = Regime(2, "scene", "no", "test", "d" * 64)
    row = Row("olivine", regime, {0: 0.5, 1: None}, [0.1] * 5)
    assert row.claims
    assert row.miou == 0.5
    assert Row("olivine", regime, {0: None}, []).miou is None


def test_linear_probing_is_a_regime_of_its_own() -> None:
    assert Regime(1, "scene", "cached", "test", "").fraction == "1/1 by scene, probed (cached)"


@pytest.mark.parametrize(
    ("metrics", "baseline", "message"),
    [
        ([], [("random", 0)], "needs the metrics of a baseline"),
        ([("olivine", 0)], [], "needs the metrics of a baseline"),
        ([("random", 0)], [("random", 0)], "at least one other arm"),
        ([("olivine", 0)], [("random", 0), ("olivine", 1)], r"several arms \(olivine, random\)"),
    ],
)
def test_what_is_no_comparison_is_refused(
    wide: Published, metrics: list[tuple[str, int]], baseline: list[tuple[str, int]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare(wide.store, [wide.metrics[key] for key in metrics], [wide.metrics[key] for key in baseline])


def test_two_runs_that_differ_in_more_are_refused(wide: Published) -> None:
    _, longer = publish_result(wide.store, wide.drives, None, 0.3, every_nth=2, epochs=9)
    with pytest.raises(UsageError, match="arm random has two metrics of seed 0 at 1/2 by scene"):
        compare(wide.store, [longer, wide.metrics["olivine", 0]], [wide.metrics["random", 0]])


def test_other_splits_are_rows_of_their_own(wide: Published) -> None:
    scored = wide.metrics["olivine", 0].manifest
    inputs = {"drives": wide.drives, "segmenter": segmenter_of(wide, "olivine")}
    on_select = publish(wide.store, "evaluate", "metrics", inputs, {"split": "select"},
                        scored.summary | {"split": "select"})  # fmt: skip
    found = compare(wide.store, [on_select], [wide.metrics["random", 0]])
    assert [found.name_regime(row) for row in found.rows] == ["1/2 by scene, select", "1/2 by scene, test"]
    assert all(row.differences == [] for row in found.rows)


def segmenter_of(wide: Published, arm: str) -> Artifact:
    ref = wide.metrics[arm, 0].manifest.inputs["segmenter"]
    found = open_artifact(wide.store, ref.stage, ref.id)
    assert found is not None
    return found
