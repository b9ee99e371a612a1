"""What the documents tell people to type exists, and the files they point to are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from olivine.errors import OlivineError

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")) + sorted(ROOT.glob("components/*/README.md"))

GROUPS = (
    *("score", "figure", "store", "study", "weights", "datasets", "lineage", "drives", "registry", "schedule"),
    "detect",
)
LABEL_COMMANDS = [["label", word] for word in ("digest", "fetch-weights", "inspect", "recompose")]


def _commands():
    for document in DOCUMENTS:
        for block in re.findall(r"```bash\n(.*?)```", document.read_text(), flags=re.S):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.split("#")[0].strip()
                if line:
                    yield pytest.param(line, id=f"{document.name}: {line}")


@pytest.mark.parametrize("line", list(_commands()))
def test_commands_in_documents_exist(line):
    program, *arguments = line.split()
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M)
        assert arguments[0] in targets
    elif program == "olivine":
        words = [word for word in arguments if not word.startswith("-") or word == "--help"]
        # `label` is a stage and a group.
        is_group = words[:1] and (words[0] in GROUPS or words[:2] in LABEL_COMMANDS)
        command = words[:2] if is_group else words[:1]
        answer = subprocess.run(
            [sys.executable, "-m", "olivine", *command, "--help"],
            capture_output=True,
            text=True,
            check=False,
            env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        )
        assert answer.returncode == 0, answer.stderr
        for flag in [argument for argument in arguments if argument.startswith("-")]:
            assert flag in answer.stdout, f"{flag} is no flag of olivine {' '.join(command)}"
    elif program.startswith("scripts/"):
        assert os.access(ROOT / program, os.X_OK)
    else:
        assert program in {"source", "cd", "git", "pip", "pre-commit"}


def _anchors(document: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(document):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", document.read_text()):
        page = document.parent / target if target else document
        assert page.exists(), f"{document}: {target} is not there"
        assert not anchor or anchor in _anchors(page), f"{document}: {target} has no heading #{anchor}"


def test_every_page_is_in_the_list_of_pages():
    listed = set(re.findall(r"\]\((\w+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert listed == {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}


def test_every_extra_is_told():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = (ROOT / "docs/README.md").read_text().split("## Extras")[1].split("## Environment")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", told, flags=re.M)) == set(declared) - {"dev", "bench"}


def test_every_exit_code_is_told():
    told = set(re.findall(r"\b\d{2,3}\b", (ROOT / "docs/README.md").read_text().split("## Exit codes")[1]))
    assert {str(kind.exit_code) for kind in (OlivineError, *_below(OlivineError))} < told


def _below(kind: type[OlivineError]) -> list[type[OlivineError]]:
    return [found for child in kind.__subclasses__() for found in (child, *_below(child))]
