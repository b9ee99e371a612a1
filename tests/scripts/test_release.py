"""The release script: what it refuses, and that its signature holds and breaks with a byte. Pushing needs a registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


def release(dist: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name not in ("OLIVINE_SIGNING_KEY", "COSIGN_KEY")}
    command = ["bash", str(ROOT / "scripts" / "release.sh"), *arguments]
    given = known | {"OLIVINE_DIST": str(dist)} | environment
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    assert openssl("genpkey", "-algorithm", "ed25519", "-out", str(path)).returncode == 0
    return path


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "pipelines").mkdir(parents=True)
    (folder / "olivine-0.1.0-py3-none-any.whl").write_bytes(b"a wheel")
    (folder / "pipelines" / "full.yaml").write_text("a pipeline\n")
    return folder


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_parses_and_passes_the_linter(script: Path) -> None:
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    linter = shutil.which("shellcheck")
    if linter is None:
        reason = "no shellcheck: install the Debian package shellcheck"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = subprocess.run([linter, "--severity=warning", str(script)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_signature_covers_every_file_and_breaks_with_one_byte(dist: Path, key: Path, tmp_path: Path) -> None:
    signed = release(dist, "sign", OLIVINE_SIGNING_KEY=str(key))
    assert signed.returncode == 0, signed.stderr
    names = [line.split("  ")[1] for line in (dist / "SHA256SUMS").read_text().splitlines()]
    assert names == ["./olivine-0.1.0-py3-none-any.whl", "./pipelines/full.yaml"]
    assert openssl("pkey", "-in", str(key), "-pubout", "-out", str(tmp_path / "key.pub")).returncode == 0
    verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(tmp_path / "key.pub")]
    verify += ["-in", str(dist / "SHA256SUMS"), "-sigfile", str(dist / "SHA256SUMS.sig")]
    check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert openssl(*verify).returncode == 0
    assert subprocess.run(check, cwd=dist, capture_output=True, check=False).returncode == 0
    (dist / "pipelines" / "full.yaml").write_text("another one\n")
    assert subprocess.run(check, cwd=dist, capture_output=True, check=False).returncode != 0
    (dist / "SHA256SUMS").write_text((dist / "SHA256SUMS").read_text().replace("a", "b"))
    assert openssl(*verify).returncode != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which step"),
        (["publish"], "say which step"),
        (["images", "registry.example/olivine"], "images takes a repository and a base image"),
        (["images", "registry.example/olivine", "python:3.11"], "is not named by digest"),
        (["sign"], "OLIVINE_SIGNING_KEY names no key"),
    ],
)
def test_what_is_missing_is_said(dist: Path, arguments: list[str], message: str) -> None:
    done = release(dist, *arguments)
    assert done.returncode == 64
    assert message in done.stderr
    assert not (dist / "SHA256SUMS").exists()


def test_images_are_not_left_unsigned(dist: Path, key: Path) -> None:
    (dist / "images.txt").write_text("registry.example/olivine-pipeline@sha256:" + "0" * 64 + "\n")
    done = release(dist, "sign", OLIVINE_SIGNING_KEY=str(key))
    assert done.returncode == 64
    assert "COSIGN_KEY names no key" in done.stderr


def test_the_images_are_those_of_the_dockerfile() -> None:
    script = (ROOT / "scripts" / "release.sh").read_text()
    (targets,) = re.findall(r"for target in (.*); do", script)
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    stages = re.findall(r"^FROM \S*runtime AS (\S+)\nCOPY", dockerfile, flags=re.M)
    assert targets.split() == stages
    assert re.search(r"cyclonedx-bom==[\d.]+", script)
