"""The steps that share a labelling: what they are told, what they tell, and that a mistake is made once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olivine.artifacts.group import Group
from olivine.errors import DataError, OlivineError, StoreError, UsageError
from olivine.platform import share_steps
from olivine.platform.share_steps import run_groups_executor, run_share_executor
from olivine.steps import StepCall


def told(folder: Path, **parameters: Any) -> str:
    return json.dumps({"inputs": {"parameterValues": parameters}, "outputs": {"outputFile": str(folder / "out.json")}})


def share(folder: Path, **changes: Any) -> str:
    given = {"store": str(folder / "store"), "recipe": "tiny_cpu", "settings": [], "drives_id": "d", "group": "2/3"}
    return told(folder, **{name: value for name, value in (given | changes).items() if value is not None})


def answer(folder: Path) -> Any:
    """What KFP reads."""
    text = (folder / "out.json").read_text()
    spec = pytest.importorskip("kfp.pipeline_spec.pipeline_spec_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    json_format.Parse(text, spec.ExecutorOutput())
    return json.loads(text)


# The local runner hands numbers over as 3.0.
@pytest.mark.parametrize("number", [3, 3.0])
def test_every_group_gets_a_name(tmp_path: Path, number: float) -> None:
    assert run_groups_executor(told(tmp_path, number=number)) == ["1/3", "2/3", "3/3"]
    assert answer(tmp_path) == {"parameterValues": {"groups": ["1/3", "2/3", "3/3"]}}


@pytest.mark.parametrize("number", [0, 1.5, "three", None])
def test_what_is_no_number_of_groups_is_refused(tmp_path: Path, number: Any) -> None:
    with pytest.raises(UsageError):
        run_groups_executor(told(tmp_path, number=number))


def test_a_share_is_told_of_its_group_and_tells_its_keyframes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[StepCall, Group]] = []

    def label(call: StepCall, group: Group) -> int:
        asked.append((call, group))
        return 17

    monkeypatch.setattr(share_steps, "run_label_group", label)
    assert run_share_executor(share(tmp_path)) == 17
    assert asked == [(StepCall(str(tmp_path / "store"), "tiny_cpu", [], {"drives": "d"}, None), Group(2, 3))]
    assert answer(tmp_path) == {"parameterValues": {"keyframes": 17}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group": None}, "step share: the parameter 'group' is missing"),
        ({"group": "4/3"}, "'4/3' is no group"),
        ({"store": None}, "the parameter 'store' is missing"),
        ({"surplus": 1}, "there is no parameter surplus"),
    ],
)
def test_a_share_of_nothing_known_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_share_executor(share(tmp_path, **changes))


@pytest.mark.parametrize(("error", "tries"), [(DataError("wrong"), 1), (StoreError("away"), 2)])
def test_a_group_makes_a_mistake_once_and_the_others_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OlivineError, tries: int
) -> None:
    asked: list[Group] = []

    def fail(call: StepCall, group: Group) -> int:
        asked.append(group)
        raise error

    monkeypatch.setenv("OLIVINE_RUN", "run-1")
    monkeypatch.setattr(share_steps, "run_label_group", fail)
    for group in ("1/2", "1/2", "2/2"):
        with pytest.raises(type(error)):
            run_share_executor(share(tmp_path, group=group))
    assert asked == [Group(1, 2)] * tries + [Group(2, 2)]
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("word", ["groups", "share"])
def test_they_are_for_pipelines(olivine: Callable[..., tuple[int, str, str]], word: str) -> None:
    code, _, err = olivine(word)
    assert code == 64
    assert f"olivine: {word} is a step of the pipelines that label." in err


def test_as_a_pipeline_calls_them(olivine: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    assert olivine("groups", "--executor-input", told(tmp_path, number=2)) == (0, "1/2 2/2\n", "")
