"""The scanner of CI: it finds what is planted, and leaves alone what is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "secrets.sh"
KEY = "AKIA" + "QYLPMN5HHHFPZAM2"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of the script alone, with the scanner where the script looks for it."""
    scanner = shutil.which("detect-secrets-hook", path=str(Path(sys.executable).parent))
    if scanner is None:
        reason = "no scanner: pip install detect-secrets"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(reason)
        pytest.skip(reason)
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "detect-secrets-hook").symlink_to(scanner)
    return tmp_path


def scan(checkout: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    command = ["bash", "scripts/secrets.sh", name]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", f"key: {KEY}\n"),
        ("a.py", 'password = "correct-horse-battery"\n'),  # pragma: allowlist secret
        ("a.md", "-----BEGIN " + "PRIVATE KEY-----\n"),
        ("a.sh", "curl https://ada:" + "hunter2hunter2@example.org\n"),
    ],
)
def test_what_is_planted_is_found(checkout: Path, name: str, text: str) -> None:
    found = scan(checkout, name, text)
    assert found.returncode != 0
    assert f"{name}:1" in found.stdout
    assert KEY not in found.stdout, "what was found is not printed"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.md", "sha256: " + "0123456789abcdef" * 4 + "\n"),
        ("a.yaml", "secretName: olivine-s3\nsecretKey: AWS_SECRET_ACCESS_KEY\n"),
        ("a.py", f'KEY = "{KEY}"  # pragma: allowlist secret\n'),
        ("requirements/test.txt", f"{KEY}\n"),
    ],
)
def test_what_is_none_is_left_alone(checkout: Path, name: str, text: str) -> None:
    found = scan(checkout, name, text)
    assert found.returncode == 0, found.stdout
