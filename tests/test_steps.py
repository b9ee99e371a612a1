"""Pipeline steps: what their parameters ask of a stage, and that the artifacts shown are those used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import Chain, worker_environment

from olivine.artifacts import Artifact
from olivine.errors import DataError, UsageError
from olivine.steps import StepCall, run_executor, step_call
from olivine.store import open_store

BASE = {"store": "s3://b/p", "recipe": "demo"}


def test_ingest_takes_source_and_version_and_an_explicit_setting_wins() -> None:
    parameters = BASE | {"source": "/raw", "version": "v1.0-mini", "settings": ["ingest.version=other"]}
    settings = ['ingest.version="v1.0-mini"', "ingest.version=other"]
    assert step_call("ingest", parameters) == StepCall("s3://b/p", "demo", settings, {}, "/raw")


def test_ids_of_inputs_go_to_their_ports() -> None:
    ids = {"drives_id": "a" * 64, "weak_labels_id": "b" * 64}
    call = step_call("weigh", BASE | ids | {"settings": []})
    assert call == StepCall("s3://b/p", "demo", [], {"drives": "a" * 64, "weak_labels": "b" * 64}, None)


def test_a_backbone_to_start_from_is_an_input_like_any_other() -> None:
    ids = {
        f"{port}_id": digit * 64
        for port, digit in zip(("drives", "weak_labels", "density_weights"), "abc", strict=True)
    }
    assert step_call("pretrain", BASE | ids).inputs["start"] == ""
    assert step_call("pretrain", BASE | ids | {"start_id": "d" * 64}).inputs["start"] == "d" * 64


@pytest.mark.parametrize("seed", [3, 3.0])
@pytest.mark.parametrize(("init", "backbone"), [("random", ""), ("backbone", "c" * 64)])
def test_finetune_takes_seed_and_start(seed: float, init: str, backbone: str) -> None:
    parameters = BASE | {"drives_id": "a" * 64, "backbone_id": "c" * 64, "seed": seed, "init": init}
    call = step_call("finetune", parameters)
    assert call.settings == ["finetune.seed=3"]
    assert call.inputs == {"drives": "a" * 64, "backbone": backbone}


@pytest.mark.parametrize(("every_nth", "settings"), [(0, []), (20, ["20"]), (20.0, ["20"])])
def test_a_label_fraction_wins_over_that_of_the_recipe(every_nth: float, settings: list[str]) -> None:
    given = {"drives_id": "a" * 64, "seed": 1, "init": "random", "settings": ["finetune.every_nth=5"]}
    call = step_call("finetune", BASE | given | {"every_nth": every_nth})
    assert call.settings == ["finetune.every_nth=5", "finetune.seed=1", *(f"finetune.every_nth={n}" for n in settings)]


@pytest.mark.parametrize(
    ("word", "parameters", "message"),
    [
        ("label", {"recipe": "demo"}, "step label: the parameter 'store' is missing"),
        ("label", {"store": "s"}, "the parameter 'recipe' is missing"),
        ("label", BASE | {"drives": "a"}, "there is no parameter drives"),
        ("label", BASE | {"seed": 1}, "there is no parameter seed"),
        ("finetune", BASE | {"init": "random"}, "seed is None"),
        ("finetune", BASE | {"init": "random", "seed": 1.5}, "seed is 1.5, but must be a whole number"),
        ("finetune", BASE | {"init": "random", "seed": float("inf")}, "seed is inf"),
        ("finetune", BASE | {"init": "random", "seed": True}, "seed is True"),
        ("finetune", BASE | {"init": "", "seed": 1}, "init is ''"),
        ("finetune", BASE | {"init": "random", "seed": 1, "every_nth": 2.5}, "every_nth is 2.5"),
        ("finetune", BASE | {"init": "backbone", "seed": 1}, "backbone_id is empty"),
    ],
)
def test_parameters_that_ask_for_nothing_known_are_refused(word: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        step_call(word, parameters)
    assert message in str(caught.value)


def test_an_artifact_that_is_not_the_one_of_the_id_is_refused(
    tmp_path: Path, publish_sample: Callable[..., Artifact]
) -> None:
    store = open_store(str(tmp_path / "store"))
    shown, used = (publish_sample(store, number=number) for number in range(2))
    (tmp_path / "drives").write_bytes(shown.manifest.to_json())
    values = {"store": store.url, "recipe": "tiny_cpu", "drives_id": used.id, "settings": []}
    artifacts = {"drives": {"artifacts": [{"uri": str(tmp_path / "drives")}]}}
    text = json.dumps(
        {
            "inputs": {"parameterValues": values, "artifacts": artifacts},
            "outputs": {"outputFile": str(tmp_path / "output.json")},
        }
    )
    with pytest.raises(DataError, match=f"drives_id is {used.id[:12]}, but the artifact drives is {shown.id[:12]}"):
        run_executor("label", text)


FIND_ALL = """
import json, sys
from olivine.steps import StepCall, run_step
for word, call in json.loads(sys.argv[1]).items():
    print(word, run_step(word, StepCall(**call)).id)
print([name for name in ("torch", "deepspeed") if name in sys.modules])
"""


def test_what_is_finished_is_found_without_the_import_of_torch(chain: Chain) -> None:
    words = ("weigh", "pretrain", "finetune", "evaluate")
    calls = json.dumps({word: vars(chain.call(word)) for word in words})
    command = [sys.executable, "-c", FIND_ALL, calls]
    found = subprocess.run(command, env=worker_environment(), capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == [*(f"{word} {chain.made[word].id}" for word in words), "[]"]
