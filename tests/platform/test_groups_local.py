"""A labelling that groups share, through the local runner: what runs, in which order, and how it fails.

The work of a group is stood in for; tests/pipelines/test_label_groups.py does it for real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from runner_bench import Bench, Watched, use_stand_in

from olivine.errors import DataError
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult, StepResult

GROUPS = ["1/3", "2/3", "3/3"]


@dataclass
class Ordered(Watched):
    """Begin and end of the groups in their order."""

    groups: list[str] = field(default_factory=list)

    def start(self, label: str) -> None:
        super().start(label)
        self.groups += [label] if label.startswith("share") else []

    def end(self, step: StepResult) -> None:
        super().end(step)
        self.groups += [step.label] if step.stage == "share" else []


@pytest.fixture(scope="module")
def shared(make_bench: Callable[[], Bench]) -> Iterator[tuple[Bench, RunResult]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        bench = make_bench()
        use_stand_in(monkeypatch, bench)
        bench.watched = Ordered()
        yield bench, bench.run(seeds=[0], label_groups=3)


def test_groups_label_before_the_step_that_publishes(shared: tuple[Bench, RunResult]) -> None:
    bench, result = shared
    stages = [step.stage for step in result.steps]
    assert stages[:7] == ["ingest", "groups", *["share"] * 3, "label", "weigh"]
    assert stages.count("label") == 1
    assert sorted(call["parameters"]["group"] for call in bench.calls("share")) == GROUPS


def test_a_group_is_told_what_the_step_label_is_told(shared: tuple[Bench, RunResult]) -> None:
    bench, _ = shared
    (label,) = bench.calls("label")
    given = dict(label["parameters"])
    # In the order of the groups, however they ended.
    assert given.pop("labelled") == [1, 2, 3]
    for call in bench.calls("share"):
        assert call["artifacts"] == label["artifacts"]
        assert {key: value for key, value in call["parameters"].items() if key != "group"} == given


def test_one_group_at_a_time_has_the_whole_machine(shared: tuple[Bench, RunResult]) -> None:
    bench, _ = shared
    assert {call["threads"] for call in bench.calls("share")} == {None}
    begun_and_ended = bench.watched.groups
    assert sorted(begun_and_ended[::2]) == [f"share {group}" for group in GROUPS]
    assert begun_and_ended[::2] == begun_and_ended[1::2]


def relabel(bench: Bench, **parameters: Any) -> list[str]:
    """Run it on drives that are there; return the steps that ended well."""
    with pytest.raises(DataError):
        bench.run("label:exit 65")
    given = {"store": bench.store, "drives_id": bench.watched.ended[0].id, "recipe": "tiny_cpu"} | parameters
    bench.watched.ended.clear()
    run_pipeline("relabel", given, None, bench.watched)
    return [step.label for step in bench.watched.ended]


@pytest.mark.parametrize("number", [1, 0])
def test_without_several_groups_there_is_one_step(bench: Bench, number: int) -> None:
    assert relabel(bench, label_groups=number) == ["label", "weigh"]


def test_a_group_that_fails_ends_the_run_before_anything_is_published(bench: Bench) -> None:
    with pytest.raises(DataError, match=r"^share 2/2: the reason for 65"):
        relabel(bench, label_groups=2, settings=["act=share/2/2:exit 65"])
    assert "label" not in [step.label for step in bench.watched.ended]


def test_each_recipe_of_a_comparison_has_groups_of_its_own(bench: Bench) -> None:
    """A loop within a loop: what one recipe's groups report never reaches the step of another."""
    recipes = ["slidr@tiny_cpu", "olivine@tiny_cpu"]
    given = {"drives": "raw", "store": bench.store, "recipes": recipes, "baseline": "random@tiny_cpu"}
    given |= {"fractions": [2], "seeds": [0], "label_groups": 2}
    run_pipeline("compare_recipes", given, bench.folder / "out", bench.watched)
    did = [(call["parameters"]["recipe"], call["parameters"]["group"]) for call in bench.calls("share")]
    assert sorted(did[:2]) + sorted(did[2:]) == [(recipe, group) for recipe in recipes for group in ("1/2", "2/2")]
    assert [call["parameters"]["recipe"] for call in bench.calls("label")] == recipes
    assert [call["parameters"]["labelled"] for call in bench.calls("label")] == [[1, 2], [1, 2]]
