"""W1, the density behind the sampling weights: `python -m benchmarks.w1_density`.

One batch of four sweeps, the density of its radial bins at every point. Every contender runs in a process of its own on
the same input, so that its peak memory is its own; its error is against the dense expression in float64.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.inputs import digest, lidar_sweep

NUM_SWEEPS = 4
BIN_M = 0.1
MIN_REPETITIONS, MAX_REPETITIONS = 3, 20
LIMIT_S = 60.0
GOALS = {"time": 20.0, "memory": 50.0, "error": 1e-6}

Contender = Callable[[NDArray[np.int32]], NDArray[np.float64]]


def dense_torch(radial_index_N: NDArray[np.int32], dtype: str = "float32") -> NDArray[np.float64]:
    """Published formulation: a Gaussian between every distinct radius and every point."""
    import torch

    r_N = torch.from_numpy(radial_index_N).to(getattr(torch, dtype))
    bandwidth = 1.06 * r_N.std() * len(r_N) ** (-1 / 5)
    unique_U, inverse_N = torch.unique(r_N, return_inverse=True)
    kernel_UN = torch.exp(-0.5 * ((unique_U[:, None] - r_N[None, :]) / bandwidth) ** 2) / (2 * torch.pi) ** 0.5
    return (kernel_UN.sum(dim=1) / (len(r_N) * bandwidth))[inverse_N].double().numpy()


def dense_torch_float64(radial_index_N: NDArray[np.int32]) -> NDArray[np.float64]:
    """Published formulation in double precision: what errors are measured against."""
    return dense_torch(radial_index_N, "float64")


def scipy_gaussian_kde(radial_index_N: NDArray[np.int32]) -> NDArray[np.float64]:
    """scipy.stats.gaussian_kde at the distinct radii, the same bandwidth."""
    from scipy.stats import gaussian_kde

    unique_U, inverse_N = np.unique(radial_index_N, return_inverse=True)
    factor = 1.06 * len(radial_index_N) ** (-1 / 5)
    return gaussian_kde(radial_index_N, bw_method=factor)(unique_U)[inverse_N]


def kdepy_fft(radial_index_N: NDArray[np.int32]) -> NDArray[np.float64]:
    """KDEpy.FFTKDE on the grid of integers, the same bandwidth."""
    from KDEpy import FFTKDE

    bandwidth = 1.06 * radial_index_N.std(ddof=1) * len(radial_index_N) ** (-1 / 5)
    first = int(radial_index_N.min()) - 1
    grid = np.arange(first, int(radial_index_N.max()) + 2, dtype=np.float64)
    estimate = FFTKDE(kernel="gaussian", bw=bandwidth).fit(radial_index_N.astype(np.float64))
    return estimate.evaluate(grid)[radial_index_N - first]


def sklearn_tree(radial_index_N: NDArray[np.int32]) -> NDArray[np.float64]:
    """sklearn.neighbors.KernelDensity at the distinct radii, exact tolerances, the same bandwidth."""
    from sklearn.neighbors import KernelDensity

    bandwidth = 1.06 * radial_index_N.std(ddof=1) * len(radial_index_N) ** (-1 / 5)
    unique_U, inverse_N = np.unique(radial_index_N, return_inverse=True)
    estimate = KernelDensity(bandwidth=bandwidth).fit(radial_index_N[:, None])
    return np.exp(estimate.score_samples(unique_U[:, None]))[inverse_N]


def olivine(radial_index_N: NDArray[np.int32]) -> NDArray[np.float64]:
    """Ours: a histogram and one convolution."""
    from olivine.points.density import estimate_density

    return estimate_density(radial_index_N)


EXACT = "dense_torch_float64"
CONTENDERS: dict[str, Contender] = {
    contender.__name__: contender
    for contender in (dense_torch, dense_torch_float64, scipy_gaussian_kde, kdepy_fft, sklearn_tree, olivine)
}


def batch() -> NDArray[np.int32]:
    """Radial bins of every point of one batch: int32 [N], 0 to about 1 000."""
    points_N4 = np.concatenate([lidar_sweep(seed) for seed in range(NUM_SWEEPS)])
    return np.floor(np.hypot(points_N4[:, 0], points_N4[:, 1]) / BIN_M).astype(np.int32)


def run() -> list[dict[str, Any]]:
    """Run all contenders on the same batch; three rows: time, memory, error."""
    radial_index_N = batch()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "radial_index.npy"
        np.save(source, radial_index_N)
        results = {name: _in_own_process(name, source) for name in CONTENDERS}
        exact_N = np.load(source.with_name(f"{EXACT}.npy"))
        for name, result in results.items():
            if "left_out" not in result:
                density_N = np.load(source.with_name(f"{name}.npy"))
                result["max_relative_error"] = float(np.max(np.abs(density_N - exact_N) / exact_N))
    ours, reference = results["olivine"], results["dense_torch"]
    about = {
        "input": f"{NUM_SWEEPS} sweeps, {len(radial_index_N)} points, {len(np.unique(radial_index_N))} distinct radii",
        "digest": digest(radial_index_N),
        "contenders": results,
    }
    error = ours["max_relative_error"]
    return [
        _row("W1 time", ours["median_ms"], reference["median_ms"], GOALS["time"], "ms") | about,
        _row("W1 memory", ours["peak_mb"], reference["peak_mb"], GOALS["memory"], "MB"),
        {
            "id": "W1 error",
            "ours": error,
            "reference": reference["max_relative_error"],
            "ratio": reference["max_relative_error"] / max(error, np.finfo(float).tiny),
            "goal": f"<= {GOALS['error']:g}",
            "met": error <= GOALS["error"],
            "unit": "max relative error against float64",
        },
    ]


def _row(name: str, ours: float, reference: float, goal: float, unit: str) -> dict[str, Any]:
    ratio = reference / ours
    return {
        "id": name,
        "ours": ours,
        "reference": reference,
        "ratio": ratio,
        "goal": f">= {goal:g}x",
        "met": ratio >= goal,
        "unit": unit,
    }


def _in_own_process(name: str, source: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.w1_density", "--contender", name, "--source", str(source)]
    environment = os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=environment, timeout=MIN_REPETITIONS * LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return {"left_out": f"more than {LIMIT_S:.0f} s a repetition"}
    except subprocess.CalledProcessError as failure:
        return {"left_out": failure.stderr.strip().splitlines()[-1]}
    return dict(json.loads(done.stdout))


def _measure(name: str, source: Path) -> dict[str, float]:
    """Time one contender here, after a small call that loads its libraries; keep its result beside the source."""
    contender, radial_index_N = CONTENDERS[name], np.load(source)
    contender(radial_index_N[::100].copy())
    Path("/proc/self/clear_refs").write_text("5")  # the kernel forgets the peak of the imports
    baseline_mb = _memory_mb("VmRSS")
    times_ms: list[float] = []
    fewest, most = (1, 1) if name == EXACT else (MIN_REPETITIONS, MAX_REPETITIONS)
    while len(times_ms) < most and (len(times_ms) < fewest or sum(times_ms) < LIMIT_S * 1e3):
        start = time.perf_counter()
        density_N = contender(radial_index_N)
        times_ms.append((time.perf_counter() - start) * 1e3)
    peak_mb = _memory_mb("VmHWM") - baseline_mb
    np.save(source.with_name(f"{name}.npy"), density_N)
    return {
        "median_ms": float(np.median(times_ms)),
        "p95_ms": float(np.percentile(times_ms, 95)),
        "repetitions": len(times_ms),
        "peak_mb": peak_mb,
    }


def _memory_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field)) * 1024 / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", choices=CONTENDERS, help="measure this one alone, in this process")
    parser.add_argument("--source", type=Path, help="radial bins as .npy, with --contender")
    arguments = parser.parse_args()
    measured = _measure(arguments.contender, arguments.source) if arguments.contender else run()
    print(json.dumps(measured, indent=None if arguments.contender else 2))
