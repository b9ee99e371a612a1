"""The full pipeline with its real steps, on tiny synthetic drives and the recipe `tiny_cpu`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chain import VERSION

from olivine.artifacts import find_artifact, verify
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.store import open_store

STAGES = ["ingest", "label", "weigh", "pretrain", "evaluate", "evaluate", "finetune", "finetune", "report"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def result(chain_root: Path, folder: Path) -> Iterator[RunResult]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        yield run(chain_root, folder)


def run(root: Path, folder: Path, store: str = "") -> RunResult:
    parameters = {
        "drives": str(root),
        "store": store or str(folder / "store"),
        "version": VERSION,
        "recipe": "tiny_cpu",
        "seeds": [5],
        "settings": ["finetune.epochs=1"],
        "title": "A test of the full pipeline",
    }
    return run_pipeline("full", parameters, folder / "out")


def test_every_step_makes_a_sound_artifact(result: RunResult, folder: Path) -> None:
    assert sorted(step.stage for step in result.steps) == sorted(STAGES)
    store = open_store(str(folder / "store"))
    for step in result.steps:
        if step.manifest:
            artifact = find_artifact(store, step.stage, str(step.id))
            assert artifact.manifest == step.manifest
            assert verify(artifact) == []
            assert step.made_wall_s > 0
            assert step.peak_rss_mb > 10


def test_on_a_real_s3_server_it_makes_the_same(
    result: RunResult, chain_root: Path, tmp_path: Path, s3_store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    on_s3 = run(chain_root, tmp_path, s3_store_url)

    def made(result: RunResult) -> set[tuple[str, str | None, str, str]]:
        return {(s.stage, s.init, s.manifest.id, s.manifest.data_digest) for s in result.steps if s.manifest}

    assert made(on_s3) == made(result)
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_arms_differ_in_their_start_and_in_nothing_else(result: RunResult) -> None:
    random, backbone = (
        next(step.manifest for step in result.of_stage("finetune") if step.init == init)
        for init in ("random", "backbone")
    )
    assert (random.summary["init"], backbone.summary["init"]) == ("random", "olivine")
    assert set(backbone.inputs) - set(random.inputs) == {"backbone"}
    assert backbone.inputs["backbone"].id == result.of_stage("pretrain")[0].id
    assert random.recipe == backbone.recipe
    assert random.recipe["seed"] == 5
    assert random.recipe["epochs"] == 1


def test_scores_are_of_the_segmenters_of_their_arm(result: RunResult) -> None:
    made = {step.init: step.id for step in result.of_stage("finetune")}
    for step in result.of_stage("evaluate"):
        assert step.manifest.inputs["segmenter"].id == made[step.init]
        assert step.seed == 5
        assert 0 <= step.manifest.summary["miou"] <= 1


def test_the_page_bears_the_title(result: RunResult, folder: Path) -> None:
    assert result.files == {"report": folder / "out" / "report.html"}
    assert "A test of the full pipeline" in result.files["report"].read_text()


def test_a_second_run_finds_everything(result: RunResult, chain_root: Path, folder: Path) -> None:
    again = run(chain_root, folder)
    assert {step.id for step in again.steps} == {step.id for step in result.steps}
    assert all(step.found for step in again.steps if step.manifest)
