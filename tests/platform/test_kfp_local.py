"""The private parts of kfp that the local runner replaces: that they are still there, and what happens when not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from olivine.errors import ConfigError, OlivineError
from olivine.kfp_io import ExecutorInput
from olivine.platform import kfp_local
from olivine.platform.compiled_pipelines import load_pipeline, parse_pipeline
from olivine.platform.kfp_local import check_private_api, run_orchestrator
from olivine.stages import BY_WORD

PARAMETERS = {"drives": "raw", "store": "store"}


def test_the_installed_kfp_is_known() -> None:
    check_private_api()


def test_a_folder_named_docker_is_not_taken_for_its_client(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    program = "from olivine.platform.kfp_local import check_private_api; check_private_api()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


class OtherHandler:
    def __init__(self, image: str, command: list[str]) -> None: ...


class OtherStore:
    def get_parent_input(self, task: str, key: str) -> None: ...


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        ("kfp.local.subprocess_task_handler", "SubprocessTaskHandler", OtherHandler),
        ("kfp.local.task_dispatcher", "subprocess_task_handler", object()),
        ("kfp.local.task_dispatcher", "logging_utils", object()),
        ("kfp.local.io", "IOStore", OtherStore),
        ("kfp.local.executor_input_utils", "dsl_artifact_to_artifact_list", lambda artifacts: artifacts),
        ("kfp.local.orchestrator.task_spec_utils", "create_parameter_loop_iteration_task_spec", lambda spec: spec),
    ],
)
def test_another_kfp_is_refused_by_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, name: str, value: Any
) -> None:
    monkeypatch.setattr(sys.modules[module], name, value)
    with pytest.raises(ConfigError, match=r"kfp 2\.\d+\.\d+ is not known to the local runner: install olivine\[pipe"):
        run_orchestrator(load_pipeline("full").text, PARAMETERS, tmp_path, lambda command: None)


@pytest.mark.parametrize("name", kfp_local._TALK)
def test_a_kfp_without_a_silenced_function_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delattr(sys.modules["kfp.local.logging_utils"], name)
    with pytest.raises(ConfigError, match="is not known"):
        check_private_api()


def test_without_kfp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "kfp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kfp", None)
    with pytest.raises(ConfigError, match=r"pip install 'olivine\[pipeline\]'"):
        run_orchestrator("", {}, tmp_path, lambda command: None)


def test_without_yaml_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"pip install 'olivine\[pipeline\]'"):
        load_pipeline("full")


def test_an_error_of_a_step_comes_out_as_it_was(tmp_path: Path) -> None:
    error = OlivineError("the reason")

    def fail(command: list[str]) -> None:
        raise error

    with pytest.raises(OlivineError) as caught:
        run_orchestrator(load_pipeline("full").text, PARAMETERS, tmp_path, fail)
    assert caught.value is error
    assert not (tmp_path / "workspace").exists()


def test_a_failure_of_kfp_itself_is_told_with_what_it_logged(tmp_path: Path) -> None:
    """A step that writes nothing lets kfp stumble over the outputs it lacks."""
    with pytest.raises(OlivineError, match="the pipeline could not be run: Tried to get output"):
        run_orchestrator(load_pipeline("full").text, PARAMETERS, tmp_path, lambda command: None)


def test_commands_arrive_with_their_placeholders_filled_in(tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def stop(command: list[str]) -> None:
        commands.append(command)
        raise OlivineError("enough")

    with pytest.raises(OlivineError, match="enough"):
        run_orchestrator(load_pipeline("full").text, PARAMETERS, tmp_path, stop)
    (command,) = commands
    assert command[:3] == ["olivine", "ingest", "--executor-input"]
    assert str(tmp_path / "steps") in command[3]
    assert parse_pipeline("full", load_pipeline("full").text).retries["ingest"] == 2


def main_output(word: str, io: ExecutorInput) -> str:
    """The artifact that later steps ask for; outputs come in no order."""
    return BY_WORD[word].makes if word in BY_WORD else next(iter(io.output_paths()))


def test_loops_within_loops_are_collected_in_their_order(tmp_path: Path) -> None:
    """Without processes: every step answers with an artifact and an id that say what it was called with."""
    seen: list[tuple[str, ExecutorInput]] = []

    def answer(command: list[str]) -> None:
        word, io = command[1], ExecutorInput.parse(command[3])
        seen.append((word, io))
        given = io.parameters
        id = f"{word}({given['segmenter_id']})" if word == "evaluate" else f"{word}({given.get('recipe')})"
        if word == "finetune":
            id = f"{given['recipe']}/{given['every_nth']:.0f}/{given['seed']:.0f}/{given.get('backbone_id') or '-'}"
        io.write_raw(main_output(word, io), {"id": id}, {"id": id} if word not in ("compare", "close") else {})

    given = {"recipes": ["a", "b"], "baseline": "r", "fractions": [4, 2], "seeds": [1, 0]}
    run_orchestrator(load_pipeline("compare_recipes").text, PARAMETERS | given, tmp_path, answer)
    (compared,) = [io for word, io in seen if word == "compare"]
    arms = {"baseline": [("r", "-")], "metrics": [("a", "pretrain(a)"), ("b", "pretrain(b)")]}
    for port, starts in arms.items():
        expected = [
            [[f"evaluate({recipe}/{every_nth}/{seed}/{start})" for seed in (1, 0)] for every_nth in (4, 2)]
            for recipe, start in starts
        ]
        ids = compared.parameters[f"{port}_ids"]
        assert ids == (expected if port == "metrics" else expected[0])
        shown = [entry.metadata["id"] for entry in compared.raw.inputs.artifacts[port].artifacts]
        assert shown == [id for arm in expected for fraction in arm for id in fraction]
    assert [io.parameters["recipe"] for word, io in seen if word == "pretrain"] == ["a", "b"]


@pytest.mark.parametrize("start", ["b" * 64, ""])
def test_a_retraining_starts_from_what_its_plan_says(tmp_path: Path, start: str) -> None:
    seen: dict[str, ExecutorInput] = {}

    def answer(command: list[str]) -> None:
        word, io = command[1], ExecutorInput.parse(command[3])
        seen[word] = io
        outputs = {"plan": "p", "source": "plan:p", "start": start, "promoted": ""} if word == "plan" else {"id": word}
        io.write_raw(main_output(word, io), {}, outputs if word not in ("gate", "close") else {})

    run_orchestrator(load_pipeline("retrain_on_new_drives").text, {"store": "store"}, tmp_path, answer)
    assert seen["plan"].parameters["warm_start"] is True
    assert seen["pretrain"].parameters["start_id"] == start
    assert seen["pretrain"].parameters["drives_id"] == "ingest"
    assert seen["finetune"].parameters["backbone_id"] == "pretrain"
    assert seen["gate"].parameters["plan"] == "p"
