"""Process groups: every way in which a command can end, or be ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runner_bench import is_running, wait_until

from olivine.platform import processes, watchdog
from olivine.platform.processes import Ended, ProcessGroups

FOR_EVER_S = 3600.0
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("still here", flush=True))
print("ready", flush=True)
while True:
    time.sleep(600)
"""


def run_shell(groups: ProcessGroups, script: str, lines: list[str] | None = None) -> Ended:
    shown = [] if lines is None else lines
    return groups.run(["/bin/sh", "-c", script], os.environ, shown.append, FOR_EVER_S)


def collect(process: subprocess.Popen[Any]) -> None:
    """Wait for a child as soon as it ends, as init does for one that has lost its parent."""
    threading.Thread(target=process.wait).start()


def test_lines_of_both_streams_come_in_their_order() -> None:
    lines: list[str] = []
    with ProcessGroups() as groups:
        ended = run_shell(groups, "echo one; echo two >&2; printf 'three\\rfour'; exit 3", lines)
    assert lines == ["one", "two", "three", "four"]
    assert ended == Ended(3, ("one", "two", "three", "four"), timed_out=False)


def test_bytes_that_are_no_text_do_not_stop_the_reading() -> None:
    with ProcessGroups() as groups:
        assert run_shell(groups, "printf '\\377\\n'; echo after").last_lines == ("�", "after")


def test_a_signal_gives_the_exit_code_of_a_shell() -> None:
    with ProcessGroups() as groups:
        assert run_shell(groups, "kill -9 $$").exit_code == 137


def test_a_reader_that_is_gone_does_not_block_the_step() -> None:
    def broken(line: str) -> None:
        raise BrokenPipeError

    with ProcessGroups() as groups:
        ended = groups.run(["/bin/sh", "-c", "yes | head -c 1000000"], os.environ, broken, FOR_EVER_S)
    assert ended.exit_code == 0
    assert set(ended.last_lines) == {"y"}


def test_what_a_step_leaves_running_is_ended_with_it() -> None:
    with ProcessGroups() as groups:
        ended = run_shell(groups, "sleep 600 >/dev/null 2>&1 & echo $!")
        assert ended.exit_code == 0
        wait_until(lambda: not is_running(int(ended.last_lines[0])))


def test_a_process_that_left_its_group_does_not_hold_up_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_READER_WAIT_S", 0.1)
    with ProcessGroups() as groups:
        ended = run_shell(groups, "setsid sleep 600 & echo $!")
    assert ended.exit_code == 0
    os.kill(int(ended.last_lines[0]), signal.SIGKILL)


def test_at_the_deadline_a_step_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(processes, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    lines: list[str] = []

    def watch(line: str) -> None:
        lines.append(line)
        # "ready" brings the deadline, "still here" the end of the grace.
        now_s[0] += 2 * FOR_EVER_S

    with ProcessGroups(grace_s=FOR_EVER_S) as groups:
        ended = groups.run([sys.executable, "-c", STUBBORN], os.environ, watch, FOR_EVER_S)
    assert lines == ["ready", "still here"]
    assert ended.timed_out
    assert ended.exit_code == 137


def test_a_stop_ends_what_runs_and_starts_nothing_more() -> None:
    with ProcessGroups() as groups:
        ended: list[Ended] = []
        ready = threading.Event()

        def run() -> None:
            script = ["/bin/sh", "-c", "trap 'echo saved; exit 143' TERM; echo ready; while :; do sleep 0.05; done"]
            ended.append(groups.run(script, os.environ, lambda line: ready.set(), FOR_EVER_S))

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        ready.wait()
        groups.stop()
        for thread in threads:
            thread.join()
        assert {end.exit_code for end in ended} == {143}
        assert run_shell(groups, "echo no").last_lines == ()


def test_a_second_stop_kills_at_once() -> None:
    with ProcessGroups(grace_s=FOR_EVER_S) as groups:
        stop = [groups.stop, groups.stop]

        def on_line(line: str) -> None:
            stop.pop()()

        ended = groups.run([sys.executable, "-c", STUBBORN], os.environ, on_line, FOR_EVER_S)
    assert ended.exit_code == 137


def test_the_watchdog_ends_the_groups_that_are_left_when_its_input_ends() -> None:
    script = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
    with (
        subprocess.Popen(script, start_new_session=True, stdout=subprocess.PIPE, text=True) as left,
        subprocess.Popen([sys.executable, "-I", "-S", watchdog.__file__], stdin=subprocess.PIPE, text=True) as dog,
    ):
        assert left.stdout
        child = int(left.stdout.readline())
        collect(left)
        dog.communicate(f"+{left.pid}\n+{os.getpid()}\n-{os.getpid()}\n")
        assert left.wait() == -signal.SIGTERM
        wait_until(lambda: not is_running(child))


def test_the_watchdog_removes_the_scratch_folder_last(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "deep").mkdir(parents=True)
    script = f"trap 'test -d {scratch} && touch {tmp_path}/seen; exit' TERM; echo; while :; do sleep 0.05; done"
    with subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as left:
        assert left.stdout
        left.stdout.readline()
        collect(left)
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(scratch)]
        subprocess.run(command, input=f"+{left.pid}\n", text=True, check=True)
    assert (tmp_path / "seen").exists()
    assert not scratch.exists()


def test_what_cleans_up_runs_before_the_scratch_folder_goes(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with ProcessGroups(scratch, clean_up=["sh", "-c", f"test -d {scratch} && touch {tmp_path}/seen"]):
        assert not (tmp_path / "seen").exists()
    assert (tmp_path / "seen").exists()
    assert not scratch.exists()


def test_an_exception_in_the_waiting_thread_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def fail(*_: object) -> bool:
        wait_until(lambda: bool(lines))
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessGroups, "_wait", fail)
    with pytest.raises(KeyboardInterrupt), ProcessGroups() as groups:
        run_shell(groups, "echo $$; sleep 600", lines)
    assert not is_running(int(lines[0]))
