"""The local runner: the compiled pipeline, step by step, and every way in which a step can end."""

from __future__ import annotations

import builtins
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from runner_bench import STAND_IN, Bench, environment_of, is_running, use_stand_in, wait_until

from olivine.artifacts import find_artifact
from olivine.errors import ConfigError, DataError, Interrupted, OlivineError, StoreError, UsageError
from olivine.platform import processes, steps
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult
from olivine.store import open_store

SEEDS = [7, 0, 3]
STAGES_ONCE = ["ingest", "label", "weigh", "pretrain"]
ARMS = ("random", "backbone")


@pytest.fixture(scope="module")
def good_run(make_bench: Callable[[], Bench]) -> Iterator[tuple[Bench, RunResult]]:
    """One run that goes well, for all tests that only look at it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        bench = make_bench()
        use_stand_in(monkeypatch, bench)
        yield bench, bench.run(seeds=SEEDS, title="A title", version="v1.0-mini")


def test_every_step_of_the_pipeline_runs_once(good_run: tuple[Bench, RunResult]) -> None:
    bench, result = good_run
    arms = [(init, seed) for init in ARMS for seed in SEEDS]
    assert sorted((step.init, step.seed) for step in result.of_stage("finetune")) == sorted(arms)
    assert sorted((step.init, step.seed) for step in result.of_stage("evaluate")) == sorted(arms)
    assert [step.stage for step in result.steps[:4]] == STAGES_ONCE
    assert result.steps[-1].stage == "report"
    assert len(result.steps) == len(bench.calls()) == 4 + 2 * len(arms) + 1
    assert bench.watched.ended == result.steps
    assert sorted(bench.watched.started) == sorted(step.label for step in result.steps)


def test_results_are_what_lies_in_the_store(good_run: tuple[Bench, RunResult]) -> None:
    bench, result = good_run
    store = open_store(bench.store)
    for step in result.steps[:-1]:
        assert find_artifact(store, step.stage, str(step.id)).manifest == step.manifest
        assert step.data_digest == step.manifest.data_digest
        assert not step.found
        assert step.wall_s >= step.made_wall_s >= 0
        assert step.peak_rss_mb > 1
        assert step.exit_code == 0


def test_parameters_and_artifacts_reach_the_steps(good_run: tuple[Bench, RunResult]) -> None:
    bench, result = good_run
    (ingest,) = bench.calls("ingest")
    assert ingest["parameters"] == {
        "source": "raw",
        "version": "v1.0-mini",
        "store": bench.store,
        "recipe": "tiny_cpu",
        "settings": [],
    }
    for call in bench.calls():
        given = call["parameters"]
        assert given["store"] == bench.store
        for port, ids in call["artifacts"].items():
            if call["word"] != "report":
                assert ids == [given[f"{port}_id"]], (call["word"], port)
    made = {step.stage: step.id for step in result.steps[:4]}
    (pretrain,) = bench.calls("pretrain")
    assert pretrain["parameters"]["drives_id"] == made["ingest"]
    assert pretrain["parameters"]["weak_labels_id"] == made["label"]
    assert pretrain["parameters"]["density_weights_id"] == made["weigh"]
    for call in bench.calls("finetune"):
        assert call["parameters"]["drives_id"] == made["ingest"]
        expected = made["pretrain"] if call["parameters"]["init"] == "backbone" else ""
        assert call["parameters"].get("backbone_id", "") == expected
        assert isinstance(call["parameters"]["seed"], int)


def test_the_report_gets_both_arms_in_the_order_of_the_seeds(good_run: tuple[Bench, RunResult]) -> None:
    bench, result = good_run
    by_arm = {(step.init, step.seed): step.id for step in result.of_stage("evaluate")}
    (report,) = bench.calls("report")
    assert report["parameters"]["metrics_ids"] == [by_arm["backbone", seed] for seed in SEEDS]
    assert report["parameters"]["baseline_ids"] == [by_arm["random", seed] for seed in SEEDS]
    assert report["artifacts"]["metrics"] == report["parameters"]["metrics_ids"]
    assert report["artifacts"]["baseline"] == report["parameters"]["baseline_ids"]
    assert result.files == {"report": bench.folder / "out" / "report.html"}
    assert result.files["report"].read_text() == "<h1>A title</h1>"


def test_steps_that_run_two_at_a_time_share_the_processors(good_run: tuple[Bench, RunResult]) -> None:
    bench, _ = good_run
    half = str(max(1, len(os.sched_getaffinity(0)) // 2))
    threads = {(call["word"], call["threads"]) for call in bench.calls()}
    assert threads == {(word, None) for word in [*STAGES_ONCE, "report"]} | {("finetune", half), ("evaluate", half)}


def test_nothing_is_left_behind(good_run: tuple[Bench, RunResult]) -> None:
    bench, _ = good_run
    assert {path.name for path in bench.folder.iterdir()} == {"notes", "out", "store", "tmp"}
    assert [path.name for path in (bench.folder / "out").iterdir()] == ["report.html"]
    assert not list((bench.folder / "tmp").iterdir())


def test_a_second_run_finds_what_is_finished(
    good_run: tuple[Bench, RunResult], make_bench: Callable[[], Bench]
) -> None:
    bench, first = good_run
    again = Bench(bench.folder)
    result = again.run(seeds=SEEDS[:1], title="A title", version="v1.0-mini")
    assert all(step.found for step in result.steps if step.manifest)
    assert {step.id for step in result.steps} < {step.id for step in first.steps}
    made = {step.id: step.made_wall_s for step in first.steps}
    assert all(step.made_wall_s == made[step.id] for step in result.steps)


def test_what_steps_write_is_passed_on_with_their_label(good_run: tuple[Bench, RunResult]) -> None:
    bench, result = good_run
    assert sorted(bench.watched.lines) == sorted((step.label, f"{step.stage} done") for step in result.steps)


def test_kfp_leaves_no_trace_in_the_process(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = (builtins.print, root.level, list(root.handlers), list(root.filters))
    with pytest.raises(UsageError):
        bench.run("label:exit 64")
    assert (builtins.print, root.level, list(root.handlers), list(root.filters)) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("code", "kind"), [(64, UsageError), (65, DataError), (78, ConfigError), (143, Interrupted)])
def test_a_users_error_ends_the_run_with_its_message_and_code(bench: Bench, code: int, kind: type) -> None:
    with pytest.raises(kind) as caught:
        bench.run(f"ingest:exit {code}")
    assert str(caught.value) == f"ingest: the reason for {code}\nand what to do"
    assert caught.value.exit_code == code
    assert [call["word"] for call in bench.calls()] == ["ingest"]
    assert bench.watched.failed == [("ingest", str(caught.value), False)]


def test_a_bug_ends_the_run_and_is_not_tried_again(bench: Bench) -> None:
    with pytest.raises(OlivineError, match=r"label: exit code 1: RuntimeError: a bug in the step$") as caught:
        bench.run("label:crash")
    assert caught.value.exit_code == 1
    assert [call["word"] for call in bench.calls()] == ["ingest", "label"]


def test_a_failing_store_is_tried_again_as_often_as_the_pipeline_says(bench: Bench) -> None:
    with pytest.raises(StoreError) as caught:
        bench.run("ingest:exit 75")
    assert caught.value.exit_code == 75
    assert len(bench.calls()) == 3
    assert [again for _, _, again in bench.watched.failed] == [True, True, False]


def test_a_step_killed_by_the_system_is_tried_again_and_then_named(bench: Bench) -> None:
    with pytest.raises(OlivineError, match="ingest: killed by SIGKILL") as caught:
        bench.run("ingest:kill")
    assert caught.value.exit_code == 137
    assert len(bench.calls()) == 3


def test_a_passing_fault_does_not_fail_the_run(bench: Bench) -> None:
    with pytest.raises(DataError, match="label"):
        bench.run("ingest:exit_once 75", "label:exit 65")
    assert [call["word"] for call in bench.calls()] == ["ingest", "ingest", "label"]


def test_a_failure_in_the_loop_keeps_its_message_and_stops_the_other_iteration(bench: Bench) -> None:
    # Two places, and no promise which iterations take them: the first to come hangs, the next one fails.
    with pytest.raises(DataError, match=r"^finetune from random, seed \d: exit code 65, without a word\.$") as caught:
        bench.run("finetune/random:first_hangs 65", seeds=[0, 1, 2, 3])
    assert caught.value.exit_code == 65
    assert not any(is_running(pid) for pid in bench.hanging())
    calls = [call for call in bench.calls("finetune") if call["parameters"]["init"] == "random"]
    assert len(calls) == 2, "a step was started after the run had failed"
    assert [message for _, message, _ in bench.watched.failed] == [str(caught.value)]


@pytest.mark.parametrize("hang", ["hang", "hang yielding"])
def test_a_step_that_takes_too_long_is_ended_with_its_children(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, hang: str
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    # The clock stands still until the step hangs.
    monkeypatch.setattr(bench.watched, "line", lambda label, text: now_s.__setitem__(0, 61.0))
    with pytest.raises(Interrupted, match=r"ingest: not done after 60 s and stopped. .*--timeout-s"):
        bench.run(f"ingest:{hang}", timeout_s=60.0)
    assert not any(is_running(pid) for pid in bench.hanging())
    assert len(bench.calls()) == 1


def test_a_step_that_writes_no_output_fails(bench: Bench) -> None:
    with pytest.raises(OlivineError, match="ingest: ended well but wrote no executor output"):
        bench.run("ingest:silent")


def test_the_process_that_was_given_must_exist(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.PROGRAMS, "olivine", ("/nowhere/olivine",))
    with pytest.raises(ConfigError, match="/nowhere/olivine cannot be started: No such file"):
        bench.run()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epochs": 3}, "no parameter 'epochs'. There are: cpu_per_node"),
        ({"drives": ""}, "needs drives: -p drives=VALUE. Its parameters"),
        ({"seeds": 3}, "seeds = 3: list expected"),
        ({"settings": "{"}, None),
        ({"recipe": 3}, "recipe = 3: string expected"),
        ({"seeds": "0,x"}, "seeds = '0,x': list expected"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_starts(
    bench: Bench, parameters: dict[str, object], message: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        bench.run(**parameters)
    assert message is None or message in str(caught.value)
    assert not bench.calls()


def test_an_unknown_pipeline_is_refused() -> None:
    with pytest.raises(UsageError, match="no pipeline 'fall': choose one of compare_recipes, evaluate_only, full"):
        run_pipeline("fall", {})


DRIVER = """
import sys
from olivine.platform import steps
steps.PROGRAMS["olivine"] = (sys.executable, {stand_in!r})
sys.argv = ["olivine", "run", *sys.argv[1:]]
from olivine.cli import main
main()
"""


@contextmanager
def driver(bench: Bench, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`olivine run` as a process of its own."""
    command = [sys.executable, "-c", DRIVER.format(stand_in=str(STAND_IN)), "--drives", "raw", "--store", bench.store]
    command += ["--recipe", "tiny_cpu", "--out", str(bench.folder / "out"), *arguments]
    with subprocess.Popen(
        command, env=environment_of(bench), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as runner:
        try:
            yield runner
        finally:
            runner.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_steps_and_the_run(bench: Bench, number: signal.Signals) -> None:
    with driver(bench, "--set", "act=ingest:hang") as runner:
        pids = bench.hanging()
        runner.send_signal(number)
        _, errors = runner.communicate()
    assert runner.returncode == 128 + number
    assert errors.splitlines()[-1].startswith(f"olivine: stopped by {number.name}; run it again")
    assert "Traceback" not in errors
    assert not any(is_running(pid) for pid in pids)


def test_a_runner_that_is_killed_takes_its_steps_with_it_and_a_second_run_goes_on(bench: Bench) -> None:
    with driver(bench, "--set", "act=label:hang") as runner:
        pids = bench.hanging()
        runner.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids))
        wait_until(lambda: not list((bench.folder / "tmp").iterdir()))
    with pytest.raises(DataError):
        bench.run("weigh:exit 65")
    assert [(step.stage, step.found) for step in bench.watched.ended] == [("ingest", True), ("label", False)]


def test_the_command_line_ends_with_the_message_and_code_of_the_step(bench: Bench) -> None:
    with driver(bench, "--set", "act=ingest:exit 65") as runner:
        out, errors = runner.communicate()
    assert runner.returncode == 65
    assert out == f"{'ingest':34} failed\n"
    assert errors.splitlines() == [
        "[ingest] chatter before",
        "[ingest] olivine: the reason for 65",
        "[ingest] and what to do",
        "olivine: ingest: the reason for 65",
        "and what to do",
    ]
