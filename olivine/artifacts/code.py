"""Which code made an artifact: a digest of the sources a stage may run, and the commit when there is a checkout."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import subprocess
from pathlib import Path

from olivine import __version__
from olivine.artifacts.manifest import CodeVersion
from olivine.stages import DETECTION_KINDS, WORDS

_PACKAGE = Path(__file__).resolve().parents[1]
# Import contracts keep these out of every stage, so a change in them cannot change an artifact.
_AROUND_THE_STAGES = frozenset(
    {"__main__.py", "demo.py", "steps.py", "kfp_io.py"}
    | {"platform", "report", "synth", "recipes", "study", "exchange", "lineage", "registry", "cli"}
)
_DETECTION = "detect"
_RECORDED_LIBRARIES = (
    *("numpy", "pyarrow", "pillow", "torch", "torchvision", "deepspeed", "timm", "MinkowskiEngine"),
    *("transformers", "segment-anything", "groundingdino-py"),
)


def package_of(stage: str, kind: str) -> str:
    """The package that makes artifacts of this kind: the stage's own, or that of detection."""
    return _DETECTION if kind in DETECTION_KINDS else stage


@functools.cache
def code_digest(stage: str) -> str:
    """SHA-256 over the Python sources that `stage` can reach: its own package and the shared ones below it."""
    foreign = _AROUND_THE_STAGES | ({*WORDS, _DETECTION} - {stage})
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        relative = path.relative_to(_PACKAGE)
        if relative.parts[0] not in foreign:
            digest.update(f"{relative.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@functools.cache
def code_version(stage: str) -> CodeVersion:
    """Version, source digest, and commit and dirty flag where the package runs from a git checkout."""
    commit = _git("rev-parse", "HEAD")
    dirty = bool(_git("status", "--porcelain", "--", str(_PACKAGE))) if commit else None
    return CodeVersion(version=__version__, digest=code_digest(stage), commit=commit, dirty=dirty)


@functools.cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that numbers depend on, of those installed."""
    versions = {}
    for name in _RECORDED_LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(*arguments: str) -> str | None:
    if not (_PACKAGE.parent / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(_PACKAGE.parent), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
