"""The table of recipes and label fractions, over metrics of the real stages, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from chain import Chain, command_line
from comparison import Compared, run_stage

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.command import run_compare_executor
from olivine.report.compare import Row, compare, render_comparison
from olivine.report.interval import paired_interval


@pytest.fixture(scope="module")
def wide(compared: Compared, chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Beside the two arms at 1/2, seed 0 of both at 1/1, and a second backbone of the same method."""
    own = compared.copy_to(tmp_path_factory.mktemp("wide") / "store")
    drives, first = chain.made["ingest"].id, chain.made["pretrain"].id
    inputs = {"drives": drives, "weak_labels": chain.made["label"].id, "density_weights": chain.made["weigh"].id}
    other = run_stage("pretrain", own.folder, inputs, "pretrain.seed=1").id
    metrics = dict(own.metrics)
    for name, start, every_nth in (("random", "", 1), ("olivine", first, 1), ("other", other, 2)):
        given = {"drives": drives} | ({"backbone": start} if start else {})
        tuned = run_stage("finetune", own.folder, given, f"finetune.every_nth={every_nth}", "finetune.epochs=1")
        metrics[f"{name}/{every_nth}", 0] = run_stage("evaluate", own.folder, {"drives": drives, "segmenter": tuned.id})
    return Compared(own.folder, metrics)


def miou(artifact: Artifact) -> float:
    return float(artifact.manifest.summary["miou"])


def test_rows_are_means_and_differences_of_equal_seeds_and_fractions(wide: Compared) -> None:
    metrics = wide.metrics
    baseline = [metrics["random", 0], metrics["random", 1], metrics["random/1", 0]]
    ours = [metrics["olivine", 1], metrics["olivine", 0], metrics["olivine/1", 0], metrics["olivine", 0]]
    found = compare(wide.store, ours, baseline)
    assert (found.baseline, found.split) == ("random", "test")
    shown = [(row.arm, row.fraction, list(row.miou_by_seed)) for row in found.rows]
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


def test_two_backbones_of_one_method_are_told_apart(wide: Compared) -> None:
    found = compare(wide.store, [wide.metrics["other/2", 0], wide.metrics["olivine", 0]], [wide.metrics["random", 0]])
    names = [row.arm for row in found.rows]
    assert names[0] == "random"
    assert len(set(names)) == 3
    assert all(name.startswith("olivine ") for name in names[1:])


def test_without_a_run_of_the_same_seed_and_fraction_there_is_no_difference(wide: Compared) -> None:
    found = compare(wide.store, [wide.metrics["olivine", 0], wide.metrics["olivine/1", 0]], [wide.metrics["random", 0]])
    assert [row.differences == [] for row in found.rows] == [True, False, True]
    page = render_comparison(found, "A <title>")
    assert "<title>A &lt;title&gt;</title>" in page
    assert "<td>-</td><td>-</td><td>0</td>" in page


def test_enough_pairs_claim_and_a_missing_score_is_no_pair() -> None:
    row = Row("olivine", "1/2 by scene", {0: 0.5, 1: None}, [0.1] * 5)
    assert row.claims
    assert row.miou == 0.5
    assert Row("olivine", "1/2 by scene", {0: None}, []).miou is None


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
    compared: Compared, metrics: list[tuple[str, int]], baseline: list[tuple[str, int]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare(compared.store, [compared.metrics[key] for key in metrics], [compared.metrics[key] for key in baseline])


def test_runs_that_differ_in_more_are_refused(own_compared: Compared, chain: Chain) -> None:
    drives, random = {"drives": chain.made["ingest"].id}, [own_compared.metrics["random", 0]]
    longer = run_stage("finetune", own_compared.folder, drives, "finetune.epochs=1")
    again = run_stage("evaluate", own_compared.folder, drives | {"segmenter": longer.id})
    with pytest.raises(UsageError, match="arm random at 1/2 has two metrics of seed 0"):
        compare(own_compared.store, [again, own_compared.metrics["olivine", 0]], random)
    ours = own_compared.metrics["olivine", 0].manifest.inputs["segmenter"].id
    on_select = run_stage("evaluate", own_compared.folder, drives | {"segmenter": ours}, "evaluate.split=select")
    with pytest.raises(UsageError, match=r"different splits \(test, select\)"):
        compare(own_compared.store, [on_select], random)


def test_the_command_writes_the_page_and_prints_the_numbers(compared: Compared, tmp_path: Path) -> None:
    out = tmp_path / "table.html"
    options = ["--metrics", compared.metrics["olivine", 0].id[:10], "--baseline", compared.metrics["random", 0].id[:10]]
    ended = command_line("compare", *options, "--store", str(compared.folder), "--out", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    baseline, ours = json.loads(ended.stdout)["rows"]
    assert ours["difference"] == pytest.approx(ours["miou"] - baseline["miou"])
    assert (ours["num_pairs"], ours["interval"]) == (1, None)
    assert "<title>Recipes compared</title>" in out.read_text()


def executor_input(compared: Compared, out: Path, **changes: Any) -> str:
    ids = {arm: [[compared.metrics[arm, seed].id] for seed in (0, 1)] for arm in ("random", "olivine")}
    parameters = {"store": str(compared.folder), "title": "From loops"}
    parameters |= {"metrics_ids": ids["olivine"], "baseline_ids": ids["random"]} | changes
    page = {"name": "comparison", "uri": str(out / "comparison"), "type": {"schemaTitle": "system.HTML"}}
    outputs = {"outputFile": str(out / "output.json"), "artifacts": {"comparison": {"artifacts": [page]}}}
    return json.dumps({"inputs": {"parameterValues": parameters}, "outputs": outputs})


def test_a_step_takes_ids_out_of_loops_within_loops(compared: Compared, tmp_path: Path) -> None:
    run_compare_executor(executor_input(compared, tmp_path))
    [artifact] = json.loads((tmp_path / "output.json").read_text())["artifacts"]["comparison"]["artifacts"]
    row = compare(compared.store, compared.all, [compared.metrics["random", seed] for seed in (0, 1)]).rows[1]
    assert artifact["metadata"]["miou olivine 1/2 by scene"] == row.miou
    assert artifact["metadata"]["difference olivine 1/2 by scene"] == row.difference
    assert artifact["metadata"]["baseline"] == "random"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "step compare: there is no parameter colour"),
        ({"metrics_ids": [[1]]}, "must be a list of ids"),
    ],
)
def test_a_wrong_parameter_is_refused(
    compared: Compared, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_compare_executor(executor_input(compared, tmp_path, **changes))
    assert not (tmp_path / "comparison").exists()
