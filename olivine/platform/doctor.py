"""`olivine doctor`: what a newcomer's machine or cluster has and lacks, a line each, with what to do about it."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from olivine.errors import OlivineError
from olivine.platform.kfp_api import Kfp
from olivine.platform.trainjob.cluster import Cluster
from olivine.platform.trainjob.spec import RUNTIME
from olivine.store import open_store
from olivine.store.admin import try_conditional_writes

_DISK_GB, _MEMORY_GB = 10, 8
_LIBRARIES = {
    "torch": "training; pip install 'olivine[train]'",
    "deepspeed": "training; pip install 'olivine[train]'",
    "kfp": "pipelines; pip install 'olivine[pipeline]'",
    "embreex": "synthetic drives; pip install 'olivine[synth]'",
    "MinkowskiEngine": "the second sparse backend, optional; make minkowski",
}
_OPTIONAL = frozenset({"MinkowskiEngine", "embreex"})
_RIGHTS = (
    *(("trainer.kubeflow.org", "trainjobs", verb) for verb in ("create", "get", "list", "patch", "delete")),
    ("", "pods", "get"),
    ("", "pods", "list"),
    ("", "pods/log", "get"),
    ("", "events", "list"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    state: Literal["ok", "note", "fault"]
    what: str
    said: str


def check_machine(store: str) -> Iterator[Finding]:
    """Look at this machine: Python, memory, disk, libraries, GPU, and the store (nothing of a store is read)."""
    version = sys.version_info
    known = (3, 11) <= version[:2] < (3, 13)
    yield Finding("ok" if known else "fault", "Python", f"{version[0]}.{version[1]}; 3.11 and 3.12 are known to work")
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield _enough("memory", memory_gb, _MEMORY_GB)
    yield _enough("disk here", shutil.disk_usage(".").free / 1e9, _DISK_GB)
    for name, use in _LIBRARIES.items():
        there = importlib.util.find_spec(name) is not None
        missing: Literal["note", "fault"] = "note" if name in _OPTIONAL else "fault"
        yield Finding("ok" if there else missing, name, "installed" if there else f"not installed: for {use}")
    yield _find_gpu()
    yield _try("store", lambda: try_conditional_writes(open_store(store, retry_s=10.0).url))


def check_cluster(cluster: Cluster) -> Iterator[Finding]:
    """Look at a cluster: its API server, Trainer and JobSet, the runtime, and what the step `pretrain` may do there."""
    yield _try("Kubernetes", cluster.server_version)
    yield _try("Trainer", lambda: _require(cluster, "trainer.kubeflow.org", "v1alpha1", "trainjobs"))
    yield _try("JobSet", lambda: _require(cluster, "jobset.x-k8s.io", "v1alpha2", "jobsets"))
    yield _try("runtime", lambda: _find_runtime(cluster))
    for right in _RIGHTS:
        yield _try(f"may {right[2]} {right[1]}", functools.partial(_may, cluster, *right))


def check_kfp(host: str) -> Finding:
    """Whether KFP answers at an address."""

    def look() -> str:
        Kfp(host).list_runs(1)
        return f"{host} answers"

    return _try("KFP", look)


class _Missing(OlivineError):
    """A part that is not there; the message says what to do."""


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", what, look())
    except OlivineError as error:
        return Finding("fault", what, str(error))


def _enough(what: str, there_gb: float, needed_gb: float) -> Finding:
    state: Literal["ok", "note"] = "ok" if there_gb >= needed_gb else "note"
    return Finding(state, what, f"{there_gb:.0f} GB; the demo needs about {needed_gb:.0f}")


def _find_gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("note", "GPU", "none; everything runs on the CPU too, more slowly")
    listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    return Finding("ok" if listed.returncode == 0 else "fault", "GPU", (listed.stdout or listed.stderr).strip()[:200])


def _require(cluster: Cluster, group: str, version: str, resource: str) -> str:
    if resource not in cluster.resources(group, version):
        raise _Missing(f"{group}/{version} {resource} is not in the cluster. docs/cluster.md says how to install it.")
    return f"{group}/{version}"


def _find_runtime(cluster: Cluster) -> str:
    if not cluster.has_runtime(RUNTIME):
        raise _Missing(f"there is no ClusterTrainingRuntime {RUNTIME}: kubectl apply -k k8s/runtimes.")
    return RUNTIME


def _may(cluster: Cluster, group: str, resource: str, verb: str) -> str:
    if not cluster.may(group, resource, verb):
        raise _Missing(f"not allowed in {cluster.namespace}: apply k8s/base, which has the role for it.")
    return f"in {cluster.namespace}"
