"""`make chaos`: the faults at their full numbers within a budget of time, into build/faults/results.json.

Each entry says whose checkpoints they were (`contender`), how many tries there were, how many were survived, and what the
goal is; what the budget does not reach is left out and said. `--document` writes docs/reliability.md from the entries.
Run again it does what is missing alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "faults" / "results.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
BATCH = 50
"""Kills between two looks at the clock."""


@dataclass(frozen=True)
class Kills:
    """SIGKILL of a process that saves checkpoints, `tries` times."""

    fault: str
    contender: str
    ranks: int
    tries: int
    goal: str

    @property
    def key(self) -> str:
        return f"{self.fault} {self.contender}"

    def run(self, deadline_s: float) -> dict[str, Any] | None:
        total = {"tries": 0, "survived": 0, "half_written": 0, "lost": 0, "saved": 0}
        with tempfile.TemporaryDirectory() as folder:
            while total["tries"] < self.tries and time.monotonic() < deadline_s:
                tries = min(BATCH, self.tries - total["tries"])
                place = str(Path(folder, str(total["tries"])))
                worker = str(Path(__file__).with_name("checkpoint_kill_worker.py"))
                command = [sys.executable, worker, place, self.contender, str(self.ranks), str(tries)]
                # What a killed process leaves among the temporary files goes with the rest.
                given = environment() | {"TMPDIR": folder}
                answer = subprocess.run(command, capture_output=True, text=True, check=False, env=given)
                if answer.returncode:
                    return {"left_out": answer.stderr.strip().splitlines()[-1][:200]}
                found = json.loads(answer.stdout.splitlines()[-1])
                total = {name: total[name] + found[name] for name in total}
        if total["tries"] and not total["saved"]:
            return {"left_out": "nothing was saved before the kills: it says nothing"}
        return total if total["tries"] else None


@dataclass(frozen=True)
class Tests:
    """Tests that inject a fault; each is a try of this list, whatever number of injections is inside it."""

    fault: str
    paths: str
    goal: str
    contender: str = "ours"

    @property
    def key(self) -> str:
        return f"{self.fault} {self.contender}"

    def run(self, deadline_s: float) -> dict[str, Any] | None:
        left_s = deadline_s - time.monotonic()
        if left_s < 60:
            return None
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder, "report.xml")
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
            # The format that knows properties of a test.
            command += ["-o", "junit_family=xunit1", *self.paths.split()]
            try:
                answer = subprocess.run(
                    command, capture_output=True, text=True, check=False, env=environment(), cwd=ROOT, timeout=left_s
                )
            except subprocess.TimeoutExpired:
                return None
            measured = longest(report)
        counts = {name: int(number) for number, name in re.findall(r"(\d+) (passed|failed|error)", answer.stdout)}
        survived = counts.pop("passed", 0)
        tries = survived + sum(counts.values())
        if not tries:
            return {"left_out": "no test ran"}
        return {"tries": tries, "survived": survived, "lost": tries - survived} | (
            {"measured_s": measured} if measured else {}
        )


@dataclass(frozen=True)
class Script:
    """The same fault for somebody else: a program that is given a folder and its arguments, and prints one JSON line."""

    fault: str
    contender: str
    program: str
    arguments: tuple[int, ...]
    goal: str = "comparison"

    @property
    def key(self) -> str:
        return f"{self.fault} {self.contender}"

    def run(self, deadline_s: float) -> dict[str, Any] | None:
        left_s = deadline_s - time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            program = str(Path(__file__).with_name(self.program))
            command = [sys.executable, program, folder, *map(str, self.arguments)]
            try:
                answer = subprocess.run(
                    command, capture_output=True, text=True, check=False, env=environment(), timeout=max(1.0, left_s)
                )
            except subprocess.TimeoutExpired:
                return None
        if answer.returncode:
            return {"left_out": answer.stderr.strip().splitlines()[-1][:200]}
        found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
        return found


FAULTS: tuple[Kills | Tests | Script, ...] = (
    Kills("F1", "ours", 1, 1000, "1 000 of 1 000 load the newest finished checkpoint, none half-written"),
    Kills("F1", "torch_save", 1, 200, "comparison"),
    Kills("F1", "deepspeed", 1, 100, "comparison"),
    Kills("F1", "lightning", 1, 100, "comparison"),
    Kills("F1", "lightning_two_disks", 1, 100, "comparison"),
    Kills("F2", "ours", 4, 200, "no commit with a missing shard in 200 runs"),
    Kills("F2", "torch_save", 4, 50, "comparison"),
    Kills("F2", "deepspeed", 4, 30, "comparison"),
    Kills("F2", "lightning", 4, 30, "comparison"),
    Tests(
        "F3",
        "tests/training/test_resume.py::test_stopped_by_sigterm",
        "checkpoint committed in less than 20 s, exit code 143, goes on there",
    ),
    Tests(
        "F4",
        "tests/training/test_training_processes.py -k killed",
        "kill -9 of a rank, SIGTERM: bits of the unbroken run",
    ),
    Tests(
        "F5",
        "tests/faults/test_other_ranks.py::test_the_restored_state_is_equal_to_the_bit "
        "tests/faults/test_other_ranks.py::test_losses_of_one_process tests/faults/test_other_ranks_double.py",
        "on 1, 2, 4 ranks: the bits that were saved; losses of one process, 50 steps on, to 1e-9 in float64, but for "
        "rounding in float32",
    ),
    Script("F5", "deepspeed", "deepspeed_ranks_worker.py", (2, 1, 4)),
    Tests("F7", "tests/training/test_training_processes.py -k hangs", "rank named, run failed, in less than 120 s"),
    Tests("F8", "tests/faults/test_not_finite.py", "stop or skip within one step, keyframes kept"),
    Tests("F9", "tests/faults/test_store_requests.py", "20 % of requests fail: every stage succeeds"),
    Tests(
        "F10",
        "tests/faults/test_store_bits.py tests/packs/test_cache.py --deselect tests/faults/test_store_bits.py::test_torch_load_is_given_the_same",
        "10 000 of 10 000 flipped bits found",
    ),
    Script("F10", "torch_load", "torch_bits_worker.py", (10_000,)),
    Tests("F12", "tests/faults/test_store_disk_full.py", "one clear error, nothing half published"),
    Tests("F13", "tests/ingest/test_pack.py tests/ingest/test_stage.py", "bad frames listed, more than 5 % fail"),
    Tests(
        "F24",
        "tests/properties tests/training/test_order.py tests/training/test_optimiser_shards.py",
        "no counter-example",
    ),
)


def longest(report: Path) -> dict[str, float]:
    """The greatest of each figure [s] that the tests recorded as a property; hypothesis records texts of its own."""
    found: dict[str, float] = {}
    if report.exists():
        for entry in ElementTree.parse(report).iter("property"):
            name = str(entry.get("name"))
            if name.endswith("_s"):
                found[name] = max(float(str(entry.get("value"))), found.get(name, 0.0))
    return found


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OLIVINE_CHAOS": "1"}


def run(budget_min: float, only: list[str], scale: float) -> list[dict[str, Any]]:
    """Do what is missing in the results, in the order of the list, and keep them after each."""
    results = {entry["key"]: entry for entry in _kept()}
    deadline_s = time.monotonic() + 60 * budget_min
    for fault in FAULTS:
        wanted = not only or fault.fault in only or fault.key in only
        if fault.key in results or not wanted or time.monotonic() > deadline_s:
            continue
        started = time.monotonic()
        given = Kills(*_scaled(fault, scale)) if isinstance(fault, Kills) else fault
        found = given.run(deadline_s)
        if found is None:
            continue
        entry = {"key": fault.key, "id": fault.fault, "contender": fault.contender, "goal": fault.goal, **found}
        results[fault.key] = entry | {"seconds": round(time.monotonic() - started)}
        print(json.dumps(results[fault.key]), flush=True)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(list(results.values()), indent=1) + "\n")
    return list(results.values())


def _scaled(fault: Kills, scale: float) -> tuple[Any, ...]:
    return fault.fault, fault.contender, fault.ranks, max(1, round(fault.tries * scale)), fault.goal


def _kept() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def document(results: list[dict[str, Any]]) -> str:
    """docs/reliability.md: what stays of the file up to its table, and the table of these results."""
    head = DOCUMENT.read_text().split("<!-- results -->")[0]
    columns = ["fault", "tries", "survived", "half-written", "lost", "measured", "others survived", "goal"]
    lines = [_line(columns), _line(["---"] * len(columns))]
    for id in dict.fromkeys(fault.fault for fault in FAULTS):
        entries = [entry for entry in results if entry["id"] == id]
        ours = next((entry for entry in entries if entry["contender"] == "ours"), None)
        others = ", ".join(_other(entry) for entry in entries if entry is not ours)
        if ours and "left_out" in ours:
            lines.append(_line([id, f"left out: {ours['left_out']}", "", "", "", "", others, ours["goal"]]))
        elif ours:
            numbers = [ours["tries"], ours["survived"], ours.get("half_written", ""), ours["lost"]]
            measured = ", ".join(f"{name} {value:g}" for name, value in ours.get("measured_s", {}).items())
            lines.append(_line([id, *map(str, numbers), measured, others, ours["goal"]]))
        elif others:
            lines.append(_line([id, "", "", "", "", "", others, ""]))
    missing = [fault.key for fault in FAULTS if fault.key not in {entry["key"] for entry in results}]
    said = f"\nNot run: {', '.join(missing)}.\n" if missing else ""
    return f"{head}<!-- results -->\n\n" + "\n".join(lines) + "\n" + said


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _other(entry: dict[str, Any]) -> str:
    """What another way of keeping checkpoints survived."""
    if "left_out" in entry:
        return f"{entry['contender']} left out: {entry['left_out']}"
    on = "; ".join(f"on {ranks} ranks: {answer}" for ranks, answer in entry.get("by_ranks", {}).items())
    return f"{entry['contender']} {entry['survived']} of {entry['tries']}" + (f" ({on})" if on else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget-min", type=float, default=60.0, help="minutes that all of it may take")
    parser.add_argument("--only", nargs="*", default=[], help="what to run, as F1 'F5 deepspeed'")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full number of kills")
    parser.add_argument("--document", action="store_true", help="write docs/reliability.md from the results")
    arguments = parser.parse_args()
    results = run(arguments.budget_min, arguments.only, arguments.scale)
    if arguments.document:
        DOCUMENT.write_text(document(results))


if __name__ == "__main__":
    main()
