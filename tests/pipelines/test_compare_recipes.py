"""The comparison of recipes with its real steps, on tiny synthetic drives: loops, a table, and nothing done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chain import VERSION

from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult


def run(root: Path, folder: Path, **changes: Any) -> RunResult:
    given = {"drives": str(root), "store": str(folder / "store"), "version": VERSION, "seeds": [5], "fractions": [2, 1]}
    given |= {"recipes": ["slidr@tiny_cpu", "olivine@tiny_cpu"], "baseline": "random@tiny_cpu"}
    return run_pipeline("compare_recipes", given | {"settings": ["finetune.epochs=1"]} | changes, folder / "out")


@pytest.mark.timeout(900)
def test_recipes_meet_in_one_table(chain_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    result = run(chain_root, tmp_path)
    assert {step.manifest.summary["method"] for step in result.of_stage("pretrain")} == {"slidr", "olivine"}
    tuned = {
        (step.manifest.summary["init"], step.manifest.summary["fraction"]): set(step.manifest.summary["keyframes"])
        for step in result.of_stage("finetune")
    }
    fractions = ("1/1 by scene", "1/2 by scene")
    assert tuned.keys() == {(arm, fraction) for arm in ("random", "slidr", "olivine") for fraction in fractions}
    assert tuned["random", "1/2 by scene"] < tuned["random", "1/1 by scene"]
    assert tuned["random", "1/2 by scene"] == tuned["slidr", "1/2 by scene"] == tuned["olivine", "1/2 by scene"]
    page = result.files["comparison"].read_text()
    assert page.count("<td>1/2 by scene</td>") == page.count("<td>1/1 by scene</td>") == 3
    more = run(chain_root, tmp_path, fractions=[2])
    assert all(step.found for step in more.steps if step.manifest)
