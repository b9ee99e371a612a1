"""Freed memory is kept for the next tensor: counted in page faults, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from olivine import memory

_COUNT = """
import resource, sys
import numpy as np
from olivine.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(8 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(8 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", _COUNT, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize(("most", "told"), [(2**31 - 1, [2**31 - 1]), (1 << 25, [2**31 - 1, 1 << 25])])
def test_a_c_library_that_refuses_the_largest_threshold_is_told_the_largest_it_takes(monkeypatch, most, told):
    """glibc before 2.35 takes 32 MiB at most; its answer is given for it here."""
    calls = []

    class Library:
        @staticmethod
        def mallopt(parameter, value):
            calls.append((parameter, value))
            return int(parameter != memory._MMAP_THRESHOLD or value <= most)

    monkeypatch.setattr("ctypes.CDLL", lambda name: Library)
    memory.keep_freed_memory()
    assert [value for parameter, value in calls if parameter == memory._MMAP_THRESHOLD] == told
    assert {parameter for parameter, _ in calls} == {
        memory._MMAP_THRESHOLD, memory._TRIM_THRESHOLD, memory._TOP_PAD
    }  # fmt: skip


def test_a_block_of_64_mib_costs_no_page_faults_the_second_time():
    if sys.platform != "linux":
        pytest.skip("only glibc's allocator is told anything")
    usual, kept = faults("usual"), faults("keep")
    assert usual > 100
    assert kept < usual / 20
