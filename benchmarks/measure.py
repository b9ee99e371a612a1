"""How W2, W3, W5 and W10 measure: each contender in a fresh process on two cores, median, p95 and peak memory.

A benchmark module names its contenders in a dictionary and calls `main`; `compare` starts itself once per contender.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

FEWEST, MOST, LIMIT_S = 3, 20, 60.0
TIMEOUT_S = 600.0

Call = Callable[[], Any]


def repeat(call: Call, fewest: int = FEWEST) -> dict[str, Any]:
    """Median, p95 and mean processor time [ms] of `call` after one warm-up, and the memory [MB] it adds at its peak."""
    call()
    forget_peak()
    baseline_mb, start_cpu = memory_mb("VmRSS"), time.process_time()
    times_ms: list[float] = []
    while len(times_ms) < fewest or (len(times_ms) < MOST and sum(times_ms) < LIMIT_S * 1e3):
        start = time.perf_counter()
        call()
        times_ms.append((time.perf_counter() - start) * 1e3)
    return {
        "median_ms": float(np.median(times_ms)),
        "p95_ms": float(np.percentile(times_ms, 95)),
        "cpu_ms": (time.process_time() - start_cpu) * 1e3 / len(times_ms),
        "repetitions": len(times_ms),
        "peak_mb": memory_mb("VmHWM") - baseline_mb,
    }


def compare(module: str, contenders: Iterable[str], *arguments: str) -> dict[str, dict[str, Any]]:
    """What every contender measured, or why it was left out, each in a process of its own."""
    return {name: in_own_process(module, name, *arguments) for name in contenders}


def in_own_process(module: str, contender: str, *arguments: str) -> dict[str, Any]:
    """One contender; a failure (a library that is not installed, a lack of time) leaves it out and says why."""
    command = [sys.executable, "-m", module, "--contender", contender, *arguments]
    threads = str(min(2, len(os.sched_getaffinity(0))))
    environment = os.environ | {"OMP_NUM_THREADS": threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return {"left_out": f"took more than {TIMEOUT_S:.0f} s"}
    except subprocess.CalledProcessError as failure:
        return {"left_out": (failure.stderr.strip() or f"exit code {failure.returncode}").splitlines()[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row(name: str, ours: float, reference: float | None, goal: float, unit: str, **more: Any) -> dict[str, Any]:
    """One line of the table; `ratio` is how many times smaller ours is, None where the reference was left out."""
    ratio = None if reference is None else reference / ours
    line = {"id": name, "ours": ours, "reference": reference, "ratio": ratio, "goal": f">= {goal:g}x", "unit": unit}
    return line | {"met": ratio is not None and ratio >= goal} | more


def forget_peak() -> None:
    """Let the kernel forget this process's peak memory."""
    Path("/proc/self/clear_refs").write_text("5")


def memory_mb(name: str, process: int | str = "self") -> float:
    """A field of /proc/<process>/status, such as VmRSS or VmHWM."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6


def main(
    doc: str | None, run: Callable[[], list[dict[str, Any]]], measure: Callable[..., dict[str, Any]], *more: str
) -> None:
    """The command line of a benchmark module: all contenders, or one alone."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--contender", help="measure this one alone, in this process")
    for name in more:
        parser.add_argument(f"--{name}", help="given by the parent process")
    arguments = vars(parser.parse_args())
    contender = arguments.pop("contender")
    if contender:
        print(json.dumps(measure(contender, **arguments)))
    else:
        print(json.dumps(run(), indent=2))
