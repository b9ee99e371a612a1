"""A stage has one word: its package, component, command, tests and prefix in the store bear it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from olivine.cli import app
from olivine.errors import UsageError
from olivine.recipes.whole import Recipe
from olivine.stages import BY_WORD, PORT_KINDS, STAGES, WORDS
from olivine.steps import _STEPS, CLUSTER_PARAMETERS, step_call

AROUND = ("report", "compare", "plan", "groups", "share", "gate", "close")
REPOSITORY = Path(__file__).resolve().parents[1]


def folders(path: Path) -> set[str]:
    return {folder.name for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(("_", "."))}


def test_words_are_ordered_and_each_port_is_made_by_an_earlier_stage() -> None:
    assert WORDS == ("ingest", "label", "weigh", "pretrain", "finetune", "evaluate")
    made: set[str] = set()
    for stage in STAGES:
        kinds = {PORT_KINDS.get(port, port) for port in stage.takes}
        # A pretraining may start from what an earlier one made.
        assert kinds - {PORT_KINDS[port] for port in stage.optional if port in PORT_KINDS} <= made, stage.word
        assert set(stage.optional) <= set(stage.takes)
        made.add(stage.makes)


def test_components_are_the_stages_and_what_goes_around_them() -> None:
    assert folders(REPOSITORY / "components") == {*WORDS, *AROUND}
    for word in (*WORDS, *AROUND):
        folder = REPOSITORY / "components" / word
        assert (folder / "component.py").is_file()
        assert (folder / "README.md").read_text().startswith(f"# {word}\n")


@pytest.mark.parametrize("word", WORDS)
def test_package_tests_command_recipe_and_step_bear_the_word(word: str) -> None:
    assert (REPOSITORY / "olivine" / word / "stage.py").is_file()
    assert list((REPOSITORY / "tests" / word).glob("test_*.py"))
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert word in commands | {group.name for group in app.registered_groups}
    assert word in Recipe.model_fields
    assert word in _STEPS


@pytest.fixture
def components(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the component of each stage takes and makes; components are no part of the package."""
    pytest.importorskip("kfp")
    monkeypatch.syspath_prepend(REPOSITORY)
    return {
        word: getattr(importlib.import_module(f"components.{word}.component"), word).component_spec for word in WORDS
    }


@pytest.mark.parametrize("word", WORDS)
def test_the_component_has_the_ports_of_the_stage(components: dict[str, Any], word: str) -> None:
    stage, spec = BY_WORD[word], components[word]
    artifacts = {name for name, port in spec.inputs.items() if "system." in str(port.type)}
    assert artifacts == set(stage.takes)
    shown = {"confusion", "model_card"} if word == "evaluate" else set()
    assert set(spec.outputs) == {stage.makes, "id"} | shown
    ids = {f"{port}_id" for port in stage.takes}
    extra = {
        "ingest": {"source", "version"},
        "label": {"labelled"},
        "finetune": {"seed", "init", "every_nth", "splits"},
    }
    extra |= {"evaluate": {"split"}}
    assert set(spec.inputs) - artifacts == ids | extra.get(word, set()) | {"store", "recipe", "settings"}


def test_pretraining_on_nodes_takes_what_the_stage_takes_and_where_to_run(components: dict[str, Any]) -> None:
    module = importlib.import_module("components.pretrain.component")
    on_nodes, here = module.pretrain_on_nodes.component_spec, components["pretrain"]
    assert set(on_nodes.inputs) - set(here.inputs) == CLUSTER_PARAMETERS
    assert set(on_nodes.outputs) == set(here.outputs)
    names = [name for name, port in on_nodes.inputs.items() if "system." not in str(port.type)]
    step_call("pretrain", {name: [] if name == "settings" else "x" for name in names})


def test_a_group_takes_what_the_step_label_takes(components: dict[str, Any]) -> None:
    share, label = importlib.import_module("components.share.component").share.component_spec, components["label"]
    assert set(share.inputs) - {"group"} == set(label.inputs) - {"labelled"}
    assert set(share.outputs) == {"keyframes"}


@pytest.mark.parametrize("word", WORDS)
def test_every_parameter_of_a_component_is_understood_by_its_step(components: dict[str, Any], word: str) -> None:
    values = {"seed": 1, "init": "random", "every_nth": 4, "splits": "train", "settings": []}
    names = [name for name, port in components[word].inputs.items() if "system." not in str(port.type)]
    step_call(word, {name: values.get(name, "x") for name in names})
    with pytest.raises(UsageError):
        step_call(word, {name: values.get(name, "x") for name in [*names, "surplus"]})
