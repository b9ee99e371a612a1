"""A small study from end to end: real drives, real stages, two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from olivine.artifacts import find_artifact
from olivine.errors import UsageError
from olivine.store import open_store
from olivine.study import command
from olivine.study.miniature import LINEAR_PROBE, ONE_PERCENT
from olivine.study.runner import Place, run_tasks
from olivine.study.tasks import Arm, Cell, Regime, Task

RANDOM, OLIVINE = Arm("random", "random", "random"), Arm("olivine", "olivine", "olivine")
SHORT_PROBE = Regime(LINEAR_PROBE.name, LINEAR_PROBE.title, (*LINEAR_PROBE.settings, "finetune.epochs=2"))
CELLS = [
    *(Cell(arm, ONE_PERCENT, 0, seed) for arm in (RANDOM, OLIVINE) for seed in (0, 1)),
    Cell(OLIVINE, SHORT_PROBE, 0, 0),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def summary(out: Path):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(command, "plan_cells", lambda size: CELLS)
        yield command.run_miniature("quick", out)


def test_every_cell_is_the_score_of_its_metrics(summary, out):
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    store = open_store(str(out / "store"))
    for cell in CELLS:
        name = f"{cell.arm.name} {cell.regime.name} {cell.pretrain_seed} {cell.seed}"
        metrics = find_artifact(store, "evaluate", summary["metrics"][name])
        segmenter = find_artifact(store, "finetune", metrics.manifest.inputs["segmenter"].id)
        assert segmenter.manifest.recipe["seed"] == cell.seed
        assert segmenter.manifest.summary["init"] == cell.arm.name
        found = summary["arms"][cell.arm.name]["regimes"][cell.regime.name]
        assert found["values"][found["seeds"].index(cell.seed)] == metrics.manifest.summary["miou"]


def test_it_says_what_it_is(summary, out):
    assert summary["claims"] is False
    for text in ((out / "summary.md").read_text(), (out / "report.html").read_text()):
        assert "Synthetic drives and simulated weak labels" in text
        assert "claims nothing" in text
        assert "stand_in" in text, "the image encoder is named"
    verdicts = {(order["better"], order["worse"], order["regime"]): order["verdict"] for order in summary["orders"]}
    assert verdicts["olivine", "random", "1%"] in ("holds", "undecided", "reversed")
    assert verdicts["olivine", "slidr", "lp"] == "missing"


def test_again_without_work(summary, out, monkeypatch):
    monkeypatch.setattr(command, "plan_cells", lambda size: CELLS)
    before = {path: path.stat().st_mtime_ns for path in (out / "store").rglob("manifest.json")}
    started = time.time_ns()
    again = command.run_miniature("quick", out)
    assert again["arms"] == summary["arms"]
    after = {path: path.stat().st_mtime_ns for path in (out / "store").rglob("manifest.json")}
    assert after == before
    assert all(made < started for made in after.values())


def test_a_task_that_fails_ends_the_study_with_its_name(out, summary):
    place = Place(str(out / "store"), str(out / "drives"), out)
    done = []
    tasks = [
        Task("ingest", "random@tiny_cpu"),
        Task("finetune", "random@tiny_cpu", ("finetune.seed=-1",), (("drives", Task("ingest", "random@tiny_cpu")),)),
    ]
    with pytest.raises(UsageError, match=r"study: finetune random@tiny_cpu finetune\.seed=-1: recipe .*seed = -1"):
        run_tasks(tasks, place, 1, lambda task, seconds: done.append(task.word))
    assert done == ["ingest"]


def test_the_estimate_counts_every_step():
    tasks = [Task("pretrain", "x")] * 3 + [Task("finetune", "x")] * 2
    minutes = command.estimate_minutes(tasks, command.SIZES["quick"], 2)
    seconds = command.SECONDS_PER_TASK["tiny_cpu"]
    assert minutes == pytest.approx((3 * seconds["pretrain"] + 2 * seconds["finetune"]) / 120)


DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from study.test_command import CELLS
from olivine.study import command
if __name__ == "__main__":
    command.plan_cells = lambda size: CELLS[:2]
    command.run_miniature("quick", Path({out!r}))
"""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_killed_study_leaves_no_process_and_goes_on(tmp_path, summary):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.format(tests=str(Path(__file__).parents[1]), out=str(tmp_path / "out")))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.DEVNULL)
    manifests = tmp_path / "out" / "store" / "finetune"
    deadline = time.monotonic() + 120
    while not any(manifests.glob("*/manifest.json")) and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.05)
    started = children(run.pid)
    run.kill()
    run.wait()
    assert len(started) >= 2
    deadline = time.monotonic() + 20
    while any(map(is_alive, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, started)), "a worker outlived its study"
    subprocess.run([sys.executable, str(script)], env=environment, check=True, stdout=subprocess.DEVNULL)
    again = json.loads((tmp_path / "out" / "summary.json").read_text())
    random = again["arms"]["random"]["regimes"]["1%"]
    assert random["values"] == summary["arms"]["random"]["regimes"]["1%"]["values"]
