"""The images: what must not be in them, and, where an engine and a base image are there, one that is built and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "containers" / "Containerfile").read_text()
TARGETS = ("pipeline", "train-cpu", "train-cuda")


def stages() -> dict[str, tuple[str, str]]:
    """Name of each stage: what it builds on, and its instructions."""
    found = {}
    for part in re.split(r"^FROM ", TEXT, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        base, name = re.fullmatch(r"(\S+) AS (\S+)", head).groups()
        found[name] = (base, body)
    return found


def test_no_image_has_an_entrypoint() -> None:
    assert not re.search(r"^ENTRYPOINT", TEXT, flags=re.M)


@pytest.mark.parametrize("target", TARGETS)
def test_every_image_runs_without_rights_and_says_what_it_is(target: str) -> None:
    base, body = stages()[target]
    assert base == "runtime"
    assert "USER" not in body
    runtime = stages()["runtime"][1]
    assert "USER 1000:1000" in runtime
    for label in ("title", "version", "revision", "licenses"):
        assert f"org.opencontainers.image.{label}=" in runtime


def test_what_is_installed_is_pinned() -> None:
    for line in re.findall(r"pip install.*", TEXT):
        assert "--constraint constraints.txt" in line or re.search(r"torch==[\d.]+ torchvision==[\d.]+", line)
    pyproject = (ROOT / "pyproject.toml").read_text()
    for pin in set(re.findall(r"torch(?:vision)?==[\d.]+", TEXT)):
        assert f'"{pin}"' in pyproject, "the same release as everywhere else"


def test_what_is_copied_holds_no_data_and_no_tests() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, flags=re.M)
    assert sorted(" ".join(copied).split()) == [
        "LICENSE", "NOTICE", "README.md", "olivine", "pyproject.toml", "requirements/test.txt",
    ]  # fmt: skip


def test_the_image_without_torch_is_built_and_weighs() -> None:
    engine = next((name for name in ("podman", "docker") if shutil.which(name) and _works(name)), None)
    base = os.environ.get("OLIVINE_TEST_BASE", "")
    if engine is None or not base:
        pytest.skip(
            f"no container is built: engine {engine or 'none that works'}, OLIVINE_TEST_BASE {base or 'not set'}"
        )
    build = [engine, "build", "-f", str(ROOT / "containers" / "Containerfile"), "--target", "pipeline"]
    subprocess.run([*build, "--build-arg", f"BASE={base}", "-t", "olivine-test", str(ROOT)], check=True)
    shown = subprocess.run(
        [engine, "run", "--rm", "--read-only", "--tmpfs", "/tmp", "olivine-test", "olivine", "weigh", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--weak-labels" in shown.stdout
    torch = subprocess.run([engine, "run", "--rm", "olivine-test", "python3", "-c", "import torch"], check=False)
    assert torch.returncode != 0


def _works(engine: str) -> bool:
    return subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0
