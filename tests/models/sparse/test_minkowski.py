"""Parity of the two backends: the full network of 38 M parameters on two sweeps, real-sized in float32.

In float64 values and gradients agree to rounding: the backends compute the same function. In float32 the values
do as well, but not the gradients: a unit of a ReLU network at zero falls on either side, and on a fresh network each
backend's float32 gradient is 0.5 to 1 % away from the float64 one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from olivine.errors import DataError

ROOT = Path(__file__).parents[3]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.minkowski,
    pytest.mark.skipif(
        importlib.util.find_spec("MinkowskiEngine") is None, reason="MinkowskiEngine is not installed (make minkowski)"
    ),
]


def compare_backends(voxel_size_m: float, dtype: str) -> dict[str, Any]:
    script = Path(__file__).with_name("minkowski_parity.py")
    environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", str(script), str(voxel_size_m), dtype]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_float32_outputs_agree_at_the_size_of_a_sweep() -> None:
    report = compare_backends(0.1, "float32")
    assert report["voxels"] > 35_000
    assert report["output"] < 1e-4
    assert report["statistics"] < 1e-3


def test_float64_gradients_agree_to_rounding() -> None:
    report = compare_backends(0.3, "float64")
    assert report["gradients"] == 186
    assert report["output"] < 1e-10
    assert report["gradient"] < 1e-10


def test_duplicates_are_refused() -> None:
    # In this process, where pytest turns warnings into errors: the import must keep the library's own to itself.
    from olivine.models.sparse import get_backend

    with pytest.raises(DataError, match="1 of 2"):
        get_backend("minkowski").grids(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]], dtype=torch.int32))
