"""Freed memory is kept for the next tensor: counted in page faults, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


def test_a_block_of_64_mib_costs_no_page_faults_the_second_time():
    if sys.platform != "linux":
        pytest.skip("only glibc's allocator is told anything")
    usual, kept = faults("usual"), faults("keep")
    assert usual > 100
    assert kept < usual / 20
