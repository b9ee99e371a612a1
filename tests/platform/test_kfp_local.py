"""The private parts of kfp that the local runner replaces: that they are still there, and what happens when not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from olivine.errors import ConfigError, OlivineError
from olivine.platform import kfp_local
from olivine.platform.compiled_pipelines import load_pipeline, parse_pipeline
from olivine.platform.kfp_local import check_private_api, run_orchestrator

PARAMETERS = {"drives": "raw", "store": "store"}


def test_the_installed_kfp_is_known() -> None:
    check_private_api()


class OtherHandler:
    def __init__(self, image: str, command: list[str]) -> None: ...


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        ("kfp.local.subprocess_task_handler", "SubprocessTaskHandler", OtherHandler),
        ("kfp.local.task_dispatcher", "subprocess_task_handler", object()),
        ("kfp.local.task_dispatcher", "logging_utils", object()),
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
