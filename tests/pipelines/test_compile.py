"""Compiling: the copies in the repository are current, the platform's own schema accepts them, images go by digest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from olivine.errors import UsageError
from pipelines import compile as compiling
from pipelines.compile import GOLDEN_FOLDERS, PIPELINES, check_image, compile_pipeline, find_drift, main, write_all

REPOSITORY = Path(__file__).resolve().parents[2]
DIGEST = "registry.example/olivine@sha256:" + "0" * 64


@pytest.fixture(scope="module", params=sorted(PIPELINES))
def spec(request: pytest.FixtureRequest) -> dict[str, Any]:
    return documents(request.param)[0]


def documents(name: str) -> list[dict[str, Any]]:
    """The pipeline, and what Kubernetes does for its steps."""
    return list(yaml.safe_load_all(compile_pipeline(name)))


def test_the_copies_in_the_repository_are_current() -> None:
    assert find_drift() == []


def test_compiling_does_not_depend_on_the_process() -> None:
    program = "from pipelines.compile import compile_pipeline; print(compile_pipeline('full'), end='')"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=REPOSITORY, env=environment
        ).stdout
        for environment in ({"PYTHONHASHSEED": seed, "PYTHONPATH": str(REPOSITORY)} for seed in "12")
    }
    assert texts == {compile_pipeline("full")}


def test_the_platform_accepts_what_is_compiled(spec: dict[str, Any]) -> None:
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    with pytest.raises(json_format.ParseError):
        json_format.ParseDict(spec | {"rooot": {}}, pipeline_spec_pb2.PipelineSpec())


def test_every_step_has_an_explicit_command_and_the_executor_input(spec: dict[str, Any]) -> None:
    for name, executor in spec["deploymentSpec"]["executors"].items():
        container = executor["container"]
        assert container["command"][0] == "olivine"
        assert len(container["command"]) == 2, name
        assert container["args"] == ["--executor-input", "{{$}}"]
        assert container["image"] == "olivine:dev"
        assert container["resources"]["resourceMemoryLimit"]


def tasks_of(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Stage, task and component of every step, at every depth."""
    found = []
    for dag in [spec["root"], *spec["components"].values()]:
        for task in dag.get("dag", {}).get("tasks", {}).values():
            component = spec["components"][task["componentRef"]["name"]]
            if "executorLabel" in component:
                container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
                found.append((container["command"][1], task, component))
    return found


KNOWS_ITS_RUN = {"plan", "gate", "close"}
"""Steps that look at what has no digest: the registry, and what was promoted meanwhile."""

# Masks and class lists are files: the key would hold their names and not what is in them.
NEVER_CACHED = KNOWS_ITS_RUN | {"share", "label"}
"""What `share` makes is no output: KFP would not see that it is gone."""


def test_every_step_is_tried_again(spec: dict[str, Any]) -> None:
    for stage, task, _ in tasks_of(spec):
        assert task["retryPolicy"]["maxRetryCount"] == 2, stage


def test_what_is_cached_has_the_id_of_every_input_among_its_parameters(spec: dict[str, Any]) -> None:
    """The platform's cache key knows names of artifacts, not their content."""
    for stage, task, component in tasks_of(spec):
        cached = task.get("cachingOptions", {}).get("enableCache", False)
        reads_a_folder = stage == "ingest" and spec["pipelineInfo"]["name"] != "olivine-retrain-on-new-drives"
        assert cached == (stage not in NEVER_CACHED and not reads_a_folder), stage
        for port in task["inputs"].get("artifacts", {}):
            parameter = f"{port}_ids" if stage in ("report", "compare") else f"{port}_id"
            source = task["inputs"]["parameters"][parameter]
            assert "runtimeValue" not in source, (stage, port)
            assert component["inputDefinitions"]["parameters"][parameter]


def test_what_is_cached_does_not_know_its_run(spec: dict[str, Any]) -> None:
    """The id of the run among the parameters would make every run work anew."""
    for stage, task, _ in tasks_of(spec):
        values = [value.get("runtimeValue", {}).get("constant") for value in task["inputs"]["parameters"].values()]
        assert ("{{$.pipeline_job_uuid}}" in values) == (stage in KNOWS_ITS_RUN), stage


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_kubernetes_gives_every_step_credentials_a_run_and_a_timeout(name: str) -> None:
    spec, platform = documents(name)
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors.keys() == spec["deploymentSpec"]["executors"].keys()
    for config in executors.values():
        json_format.ParseDict(config, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
        assert int(config["activeDeadlineSeconds"]) >= 1800
        assert config["fieldPathAsEnv"] == [{"name": "OLIVINE_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}]
        (settings,) = config["configMapAsEnv"]
        assert (settings["configMapName"], settings["optional"]) == ("olivine-settings", True)
        assert {item["configMapKey"]: item["envVar"] for item in settings["keyToEnv"]} == {
            "pushgateway": "OLIVINE_PUSHGATEWAY",
            "weights": "OLIVINE_WEIGHTS",
        }
        (secret,) = config["secretAsEnv"]
        assert (secret["secretName"], secret["optional"]) == ("olivine-s3", True)


def test_however_a_run_ends_it_is_closed(spec: dict[str, Any]) -> None:
    """The last step is KFP's exit task: it hears of the end of the one group that holds all the others."""
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks.keys() == {"close", "exit-handler-1"}
    assert tasks["close"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert tasks["close"]["dependentTasks"] == ["exit-handler-1"]


def test_a_random_start_is_shown_without_a_backbone() -> None:
    starts = {}
    for stage, task, _ in tasks_of(documents("full")[0]):
        if stage == "finetune":
            init = task["inputs"]["parameters"]["init"]["runtimeValue"]["constant"]
            starts[init] = "backbone" in task["inputs"]["artifacts"]
    assert starts == {"random": False, "backbone": True}


def loops_of(spec: dict[str, Any]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Every loop by its name, with the group of tasks that it stands in."""
    return {
        task["taskInfo"]["name"]: (task, component["dag"]["tasks"])
        for component in spec["components"].values()
        for task in component.get("dag", {}).get("tasks", {}).values()
        if "parameterIterator" in task
    }


def test_recipes_are_compared_one_after_the_other() -> None:
    """Recipes that share labels then find them, and a pretraining has the nodes for itself."""
    loops = loops_of(documents("compare_recipes")[0])
    limits = {name: task.get("iteratorPolicy", {}).get("parallelismLimit") for name, (task, _) in loops.items()}
    assert limits == {"recipes": 1, "groups": None, "label fractions": 4, "seeds": 8}


@pytest.mark.parametrize("name", ["full", "retrain_on_new_drives", "relabel", "compare_recipes"])
def test_labelling_is_shared_by_groups_and_never_by_frames(name: str) -> None:
    """As many steps as the form says, however many drives there are; a last step waits for all of them."""
    spec = documents(name)[0]
    assert spec["root"]["inputDefinitions"]["parameters"]["label_groups"]["defaultValue"] == 1
    loop, beside = loops_of(spec)["groups"]
    items = loop["inputs"]["parameters"][loop["parameterIterator"]["items"]["inputParameter"]]
    assert items["taskOutputParameter"] == {"producerTask": "groups", "outputParameterKey": "groups"}
    assert "label_groups" in beside["groups"]["inputs"]["parameters"]["number"]["componentInputParameter"]
    (share,) = spec["components"][loop["componentRef"]["name"]]["dag"]["tasks"].values()
    assert share["componentRef"]["name"] == "comp-share"
    assert share["inputs"]["parameters"]["group"]["componentInputParameter"] == loop["parameterIterator"]["itemInput"]
    (last,) = (task for task in beside.values() if task["componentRef"]["name"].startswith("comp-label"))
    (loop_name,) = (key for key, task in beside.items() if task is loop)
    assert loop_name in last["dependentTasks"]
    assert last["inputs"]["parameters"]["labelled"]["taskOutputParameter"]["producerTask"] == loop_name
    given = {key: value for key, value in last["inputs"]["parameters"].items() if key != "labelled"}
    assert given.keys() == share["inputs"]["parameters"].keys() - {"group"}


def test_weighing_is_one_step(spec: dict[str, Any]) -> None:
    """It takes milliseconds a keyframe; docs/cluster.md has the figure."""
    assert [stage for stage, _, _ in tasks_of(spec)].count("weigh") <= 1


REQUIRED = {
    "full": ["drives", "store"],
    "retrain_on_new_drives": ["store"],
    "relabel": ["drives_id", "store"],
    "evaluate_only": ["drives_id", "segmenter_id", "store"],
    "compare_recipes": ["drives", "store"],
}


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_the_form_explains_every_parameter(name: str) -> None:
    inputs = documents(name)[0]["root"]["inputDefinitions"]["parameters"]
    assert all(value["description"] for value in inputs.values())
    assert [key for key, value in inputs.items() if not value.get("isOptional")] == REQUIRED[name]
    if name == "compare_recipes":
        assert [inputs[key]["defaultValue"] for key in ("recipes", "baseline")] == [["slidr", "olivine"], "random"]
    else:
        assert inputs["recipe"]["defaultValue"] == "olivine"


def test_an_image_stands_in_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image", DIGEST, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}.yaml") for name in PIPELINES]
    for name in PIPELINES:
        text = (tmp_path / f"{name}.yaml").read_text()
        spec = next(iter(yaml.safe_load_all(text)))
        assert {entry["container"]["image"] for entry in spec["deploymentSpec"]["executors"].values()} == {DIGEST}
        assert text.replace(DIGEST, "olivine:dev") == compile_pipeline(name)
    full = next(iter(yaml.safe_load_all((tmp_path / "full.yaml").read_text())))
    assert full["root"]["inputDefinitions"]["parameters"]["image"]["defaultValue"] == DIGEST


@pytest.mark.parametrize("image", ["olivine:1", "olivine", "olivine@sha256:12", f"{DIGEST} ", "a b@sha256:" + "0" * 64])
def test_an_image_that_can_be_moved_is_refused(image: str) -> None:
    with pytest.raises(UsageError, match="no image by digest"):
        check_image(image, allow_tag=False)


def test_a_tag_is_taken_when_it_is_allowed() -> None:
    assert check_image("registry:5000/olivine:1", allow_tag=True) == "registry:5000/olivine:1"
    with pytest.raises(UsageError):
        check_image("two\nimages", allow_tag=True)


def test_an_image_never_reaches_the_copies_in_the_repository() -> None:
    with pytest.raises(UsageError, match="--image needs --out"):
        main(["--image", DIGEST])


def test_drift_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folders = (tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(compiling, "GOLDEN_FOLDERS", folders)
    monkeypatch.setattr(compiling, "_ROOT", tmp_path)
    write_all(folders)
    assert main(["--check"]) == 0
    (folders[1] / "full.yaml").write_text((folders[1] / "full.yaml").read_text() + "\n")
    (folders[0] / "full.yaml").unlink()
    assert main(["--check"]) == 1
    remedy = "is not what its pipeline compiles to: run `python -m pipelines.compile`."
    assert capsys.readouterr().err == f"a/full.yaml {remedy}\nb/full.yaml {remedy}\n"


def test_the_package_carries_a_copy() -> None:
    assert {folder.relative_to(REPOSITORY).as_posix() for folder in GOLDEN_FOLDERS} == {
        "pipelines/compiled",
        "olivine/platform/compiled",
    }
