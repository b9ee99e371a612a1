"""The pipeline of the comparison through the local runner: loops within loops, collected into one real table.

The steps that train are stood in for, so that every number of the table is known beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from runner_bench import Bench, use_stand_in

from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.platform.run_command import print_results

RECIPES, FRACTIONS, SEEDS = ["slidr@tiny_cpu", "olivine@tiny_cpu"], [2, 4], [7, 0]


@pytest.fixture(scope="module")
def compared(make_bench: Callable[[], Bench]) -> Iterator[tuple[Bench, RunResult]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        bench = make_bench()
        use_stand_in(monkeypatch, bench)
        given = {"drives": "raw", "store": bench.store, "recipes": RECIPES, "baseline": "random@tiny_cpu"}
        given |= {"fractions": FRACTIONS, "seeds": SEEDS, "title": "Which <recipe>?"}
        yield bench, run_pipeline("compare_recipes", given, bench.folder / "out", bench.watched)


def test_every_recipe_meets_every_fraction_with_every_seed(compared: tuple[Bench, RunResult]) -> None:
    bench, _ = compared
    met = {
        (call["parameters"]["recipe"], call["parameters"]["init"], call["parameters"]["every_nth"], seed)
        for call in bench.calls("finetune")
        for seed in [call["parameters"]["seed"]]
    }
    arms = [("random@tiny_cpu", "random"), *((recipe, "backbone") for recipe in RECIPES)]
    assert met == {(*arm, every_nth, seed) for arm in arms for every_nth in FRACTIONS for seed in SEEDS}
    assert len(bench.calls("finetune")) == len(bench.calls("evaluate")) == len(met) == 12


def test_recipes_pretrain_once_each_on_the_same_drives(compared: tuple[Bench, RunResult]) -> None:
    bench, result = compared
    (ingested,) = result.of_stage("ingest")
    for word in ("label", "weigh", "pretrain"):
        calls = bench.calls(word)
        assert [call["parameters"]["recipe"] for call in calls] == RECIPES, word
        assert {call["parameters"]["drives_id"] for call in calls} == {ingested.id}
    backbones = dict(zip(RECIPES, [step.id for step in result.of_stage("pretrain")], strict=True))
    for call in bench.calls("finetune"):
        given = call["parameters"]
        expected = backbones[given["recipe"]] if given["init"] == "backbone" else ""
        assert given.get("backbone_id", "") == expected


def test_the_table_holds_means_and_paired_differences(compared: tuple[Bench, RunResult]) -> None:
    _, result = compared
    page = result.files["comparison"].read_text()
    assert "<h1>Which &lt;recipe&gt;?</h1>" in page
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, flags=re.S)]
    assert [row for row in rows if row[0].startswith("1/")] == [
        ["1/4 by scene", "random", "28.50", "baseline", "-", "-", "0: 25.00, 7: 32.00"],
        ["1/4 by scene", "slidr", "31.00", "+2.50", "+2.50 to +2.50", "2", "0: 27.50, 7: 34.50"],
        ["1/4 by scene", "olivine", "31.00", "+2.50", "+2.50 to +2.50", "2", "0: 27.50, 7: 34.50"],
        ["1/2 by scene", "random", "28.50", "baseline", "-", "-", "0: 25.00, 7: 32.00"],
        ["1/2 by scene", "slidr", "33.50", "+5.00", "+5.00 to +5.00", "2", "0: 30.00, 7: 37.00"],
        ["1/2 by scene", "olivine", "33.50", "+5.00", "+5.00 to +5.00", "2", "0: 30.00, 7: 37.00"],
    ]
    assert "Fewer than 5 paired seeds" in page
    assert "<script" not in page


def test_the_end_names_each_arm_by_recipe_and_fraction(
    compared: tuple[Bench, RunResult], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, result = compared
    print_results(result)
    shown = capsys.readouterr().out.splitlines()
    scores = {"1/2": "33.50  30.00 37.00", "1/4": "31.00  27.50 34.50"}
    rows = [(f"olivine@tiny_cpu, {fraction}", scores[fraction]) for fraction in scores]
    rows += [(f"random, {fraction}", "28.50  25.00 32.00") for fraction in scores]
    rows += [(f"slidr@tiny_cpu, {fraction}", scores[fraction]) for fraction in scores]
    assert shown[1:] == [
        f"{'start':21} mIoU [%]  by seed",
        *(f"{name:21}    {score}" for name, score in rows),
        "",
        f"comparison: {Path(bench.folder, 'out', 'comparison.html')}",
    ]
    assert "finetune from olivine@tiny_cpu, 1/4, seed 7" in bench.watched.started
