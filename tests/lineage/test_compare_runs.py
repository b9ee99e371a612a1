"""Runs side by side: what differs behind them, their results in pairs, and what is no comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lineage.graph import Graph, build_graph, publish, publish_result

from olivine.artifacts import Artifact
from olivine.artifacts.withdrawn import withdraw
from olivine.errors import IntegrityError, UsageError
from olivine.lineage.compare import compare_runs, compare_with_baseline
from olivine.lineage.compare_command import run_compare_executor
from olivine.report.compare import Comparison
from olivine.store import open_store


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """Beside a and b: `c`, another rate on the drives of a with seeds 0 and 1, and `random` with the same seeds."""
    graph = build_graph(open_store(str(tmp_path_factory.mktemp("compare") / "store")))
    graph.made["backbone_c"] = pretrained(graph, "a", lr=0.3)
    for name, backbone in (("c", graph["backbone_c"]), ("random", None)):
        for seed in (0, 1):
            miou = {"c": 0.29, "random": 0.2}[name] + 0.02 * seed
            tuned, scored = publish_result(graph.store, graph["drives_a"], backbone, miou, seed)
            graph.made[f"segmenter_{name}{seed}"], graph.made[f"metrics_{name}{seed}"] = tuned, scored
    return graph


def pretrained(graph: Graph, drives: str, **recipe: Any) -> Artifact:
    inputs = {
        port: graph[f"{kind}_{drives}"]
        for port, kind in (("drives", "drives"), ("weak_labels", "labels"), ("density_weights", "weights"))
    }
    return publish(graph.store, "pretrain", "backbone", inputs, recipe, {"method": "olivine"})


def compare(graph: Graph, *names: str, **options: Any) -> Comparison:
    """Runs by the names of the graph: `metrics_a0`, or `arm=metrics_a0,metrics_a1`."""

    def translate(run: str) -> str:
        arm, equals, parts = run.rpartition("=")
        return f"{arm}{equals}{','.join(graph.id(part)[:12] for part in parts.split(','))}"

    return compare_runs(graph.store, [translate(name) for name in names], **options)


def shown(comparison: Comparison, group: str) -> dict[str, list[str]]:
    """Cells by name and roles."""
    return {
        f"{difference.name} ({', '.join(difference.roles)})" if difference.roles else difference.name: difference.cells
        for difference in comparison.differences.get(group, [])
    }


def test_backbones_are_told_apart_by_recipe_and_data(wide: Graph) -> None:
    found = compare(wide, "backbone_a", "backbone_b")
    assert list(found.arms) == [f"olivine {wide.id(f'backbone_{name}')[:6]}" for name in "ab"]
    assert shown(found, "recipe")["lr (backbone)"] == ["0.1", "0.2"]
    assert shown(found, "recipe")["labeler (weak_labels)"] == ["a", "b"]
    assert "variant (density_weights)" not in shown(found, "recipe")
    data = shown(found, "data")
    assert data["drives (drives)"] == ["2, not in all: n008", "2, not in all: odd drive/<b>"]
    assert data["scenes.train (drives)"] == ["1, not in all: a-scene-0", "1, not in all: b-scene-0"]
    assert "scenes.test (drives)" not in data
    assert "keyframes (drives)" not in data
    assert [len(cell) for cell in data["digest (drives)"]] == [12, 12]
    assert set(shown(found, "artifacts")) == {"drives", "weak_labels", "density_weights", "backbone"}
    assert {"code", "environment"}.isdisjoint(found.differences)


def test_results_of_equal_seeds_are_paired_with_the_first_run(wide: Graph) -> None:
    found = compare(wide, "base=backbone_a", "other=backbone_c", "random=metrics_random1")
    rows = {row.arm: row for row in found.rows}
    assert list(rows) == ["base", "other", "random"] == list(found.arms)
    assert rows["base"].miou_by_seed == {0: 0.27134, 1: pytest.approx(0.28134)}
    assert rows["other"].differences == pytest.approx([0.01866, 0.02866])
    assert rows["random"].differences == pytest.approx([0.22 - 0.28134])
    assert {found.name_regime(row) for row in found.rows} == {"1/100 by scene"}
    assert not found.claims


def test_results_on_other_drives_are_not_paired(wide: Graph) -> None:
    found = compare(wide, "a=backbone_a", "b=backbone_b")
    assert [row.differences for row in found.rows] == [[], []]
    drives = {row.arm: f"1/100 by scene, drives {wide.id(f'drives_{row.arm}')[:6]}" for row in found.rows}
    assert {row.arm: found.name_regime(row) for row in found.rows} == drives


def test_an_arm_joins_its_seeds_in_any_order(wide: Graph) -> None:
    found = compare(wide, "a=metrics_a1,metrics_a0", "c=metrics_c0,metrics_c1")
    assert found.rows[1].differences == pytest.approx([0.01866, 0.02866])
    assert shown(found, "recipe") == {"lr (backbone)": ["0.1", "0.3"], **only_of_a(found)}
    assert [len(cell.split(", ")) for cell in shown(found, "artifacts")["metrics"]] == [2, 2]
    alone = compare(wide, "metrics_a0", "metrics_a1")
    assert shown(alone, "recipe") == {"seed (segmenter, metrics)": ["0", "1"]}


def only_of_a(found: Comparison) -> dict[str, list[str]]:
    """Fields that the recipe of backbone c does not have."""
    return {name: cells for name, cells in shown(found, "recipe").items() if cells[1] == "-"}


def test_a_random_start_has_nothing_of_pretraining(wide: Graph) -> None:
    found = compare(wide, "segmenter_random0", "segmenter_a0")
    assert list(found.arms) == ["random", "olivine"]
    assert shown(found, "artifacts")["backbone"] == ["none", wide.id("backbone_a")[:12]]
    assert "recipe" not in found.differences
    assert shown(found, "data")["kind (weak_labels)"] == ["none", "grounded_sam"]
    assert shown(found, "data")["keyframes (backbone)"] == ["none", "4"]
    assert found.rows[1].differences == pytest.approx([0.07134])


def test_other_drives_in_pretraining_have_a_line_of_their_own(wide: Graph) -> None:
    crossed, _ = publish_result(wide.store, wide["drives_a"], wide["backbone_b"], 0.25)
    wide.made["crossed"] = crossed
    found = compare(wide, "segmenter_a0", "crossed")
    ids = [wide.id(f"drives_{name}")[:12] for name in "ab"]
    assert shown(found, "artifacts")["drives of backbone"] == ids
    assert "drives" not in shown(found, "artifacts")


def test_all_tells_what_is_equal_too(wide: Graph) -> None:
    found = compare(wide, "backbone_a", "backbone_c", everything=True)
    assert shown(found, "recipe")["variant (density_weights)"] == ["both", "both"]
    commits = shown(found, "code")
    assert "commit (drives, weak_labels, density_weights, backbone)" in commits
    assert any(name.startswith("package.") for name in shown(found, "environment"))


def test_the_cost_is_that_of_the_newest_run(wide: Graph) -> None:
    folder = f"records/runs/pretrain/{wide.id('backbone_c')}"
    record = {"started": "2999-01-01T00:00:00+00:00", "wall_s": 7200.0, "peak_gpu_mb": 30000.0}
    wide.store.create(f"{folder}/later.json", json.dumps(record).encode())
    cost = shown(compare(wide, "backbone_a", "backbone_c"), "cost")
    assert cost["wall_s (backbone)"][1] == "7200"
    assert cost["peak_gpu_mb (backbone)"] == ["-", "30000"]
    assert "wall_s (drives)" not in cost
    against_random = shown(compare(wide, "random=metrics_random0", "c=metrics_c0"), "cost")
    assert against_random["wall_s (backbone)"] == ["none", "7200"]


def test_data_and_labels_have_differences_and_no_results(wide: Graph) -> None:
    found = compare(wide, "labels_a", "labels_b")
    assert found.rows == []
    assert shown(found, "recipe")["labeler (weak_labels)"] == ["a", "b"]


def test_what_weakens_the_numbers_is_said_once(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    drives = publish(store, "ingest", "drives", {}, {"source": "a"}, {"synthetic": True})
    runs = []
    for kind in ("simulated", "simulated2"):
        labels = publish(
            store, "label", "weak_labels", {"drives": drives}, {"labeler": kind}, {"kind": "simulated", "accuracy": 0.7}
        )
        inputs = {"drives": drives, "weak_labels": labels}
        summary = {"method": "olivine", "encoder": {"note": "an encoder that no one trained."}}
        runs.append(publish(store, "pretrain", "backbone", inputs, {}, summary).id)
    notes = compare_runs(store, runs).notes
    assert [note.split(":")[0] for note in notes] == ["SYNTHETIC drives", "SIMULATED weak labels", "STAND-IN"]


def test_a_withdrawn_drive_is_named(graph: Graph) -> None:
    withdraw(graph.store, "n008", "a face is seen", "ada")
    notes = compare(graph, "backbone_a", "backbone_b").notes
    assert len(notes) == 1
    assert notes[0].startswith("WITHDRAWN: The drive n008 was withdrawn by ada")


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "needs two runs or more"),
        (["backbone_a"], "needs two runs or more"),
        (["backbone_a", "backbone_a"], "is given twice"),
        (["x=metrics_a0,metrics_a0", "metrics_c0"], "is given twice"),
        (["x=metrics_a0,segmenter_a1", "metrics_c0"], r"several kinds \(metrics, segmenter\)"),
        (["x=metrics_a0,metrics_random1", "metrics_c0"], r"several methods \(olivine, random\)"),
        (["x=metrics_a0", "x=metrics_c0"], "two runs are named 'x'"),
        (["x=metrics_a0,metrics_c0", "metrics_random0"], "two metrics of seed 0 at 1/100 by scene"),
    ],
)
def test_what_is_no_comparison_is_refused(wide: Graph, runs: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        compare(wide, *runs)


@pytest.mark.parametrize("run", ["abc", "f" * 12, "x=", "x=ffffff,"])
def test_what_names_nothing_is_refused(wide: Graph, run: str) -> None:
    with pytest.raises(UsageError, match="artifact"):
        compare_runs(wide.store, [wide.id("backbone_a"), run])


def test_a_missing_input_is_named(graph: Graph) -> None:
    graph.store.delete(graph["labels_a"].manifest.key)
    with pytest.raises(IntegrityError, match=graph.id("labels_a")):
        compare(graph, "backbone_a", "backbone_b")


def test_the_command_prints_and_writes_a_page(
    wide: Graph, olivine: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    where = ["--store", wide.store.url.removeprefix("file://")]
    runs = [f"<a>={wide.id('backbone_a')}", wide.id("backbone_c")[:8]]
    code, out, _ = olivine("compare", *runs, *where, "--out", tmp_path / "page.html", "--title", "<Two>")
    assert code == 0
    assert "lr (backbone)" in out
    assert "+2.37" in out
    assert "claims nothing" in out
    page = (tmp_path / "page.html").read_text()
    assert "<h1>&lt;Two&gt;</h1>" in page
    assert "<td>+2.37</td>" in page
    assert '<th scope="row">lr</th><td class="text wrap quiet">backbone</td>' in page
    assert "<script" not in page
    assert "<a>" not in page
    _, out, _ = olivine("compare", *runs, *where, "--json")
    told = json.loads(out)
    assert told["rows"][1]["difference"] == pytest.approx(0.02366)
    assert {"name": "lr", "of": ["backbone"], "values": {"<a>": [0.1], "olivine": [0.3]}} in told["differences"][
        "recipe"
    ]
    code, _, err = olivine("compare", runs[0], *where)
    assert (code, "two runs or more" in err) == (UsageError.exit_code, True)


def test_runs_that_are_alike_say_so(wide: Graph, olivine: Callable[..., tuple[int, str, str]]) -> None:
    twin = publish(wide.store, "label", "weak_labels", {"drives": wide["drives_a"]}, {"labeler": "a2"}, {})
    runs = [wide.id("labels_a"), twin.id, "--store", wide.store.url.removeprefix("file://")]
    assert "No metrics of a segmenter were made from these" in olivine("compare", *runs)[1]


def executor_input(graph: Graph, out: Path, **changes: Any) -> str:
    ids = {arm: [[graph.id(f"metrics_{arm}{seed}")] for seed in (0, 1)] for arm in ("random", "a", "c")}
    parameters = {"store": graph.store.url.removeprefix("file://"), "title": "From loops"}
    parameters |= {"metrics_ids": [ids["a"], ids["c"]], "baseline_ids": ids["random"]} | changes
    page = {"name": "comparison", "uri": str(out / "comparison"), "type": {"schemaTitle": "system.HTML"}}
    outputs = {"outputFile": str(out / "output.json"), "artifacts": {"comparison": {"artifacts": [page]}}}
    return json.dumps({"inputs": {"parameterValues": parameters}, "outputs": outputs})


def test_a_step_takes_ids_out_of_loops_within_loops(wide: Graph, tmp_path: Path) -> None:
    run_compare_executor(executor_input(wide, tmp_path))
    [artifact] = json.loads((tmp_path / "output.json").read_text())["artifacts"]["comparison"]["artifacts"]
    arm = f"olivine {wide.id('backbone_c')[:6]}"
    assert artifact["metadata"][f"miou {arm} 1/100 by scene"] == pytest.approx(0.3)
    assert artifact["metadata"][f"difference {arm} 1/100 by scene"] == pytest.approx(0.09)
    assert (artifact["metadata"]["baseline"], artifact["metadata"]["split"]) == ("random", "test")
    page = (tmp_path / "comparison").read_text()
    assert '<th scope="row">lr</th>' in page


def test_both_ways_to_name_arms_agree(wide: Graph) -> None:
    by_backbone = compare_with_baseline(
        wide.store, [wide.id("metrics_a1"), wide.id("metrics_a0")], [wide.id("metrics_random0")]
    )
    by_name = compare(wide, "random=metrics_random0", "olivine=metrics_a0,metrics_a1")
    assert [row.as_json() for row in by_backbone.rows] == [row.as_json() for row in by_name.rows]
    assert by_backbone.differences == by_name.differences


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "step compare: there is no parameter colour"),
        ({"metrics_ids": [[1]]}, "must be a list of ids"),
    ],
)
def test_a_wrong_parameter_is_refused(wide: Graph, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_compare_executor(executor_input(wide, tmp_path, **changes))
    assert not (tmp_path / "comparison").exists()
