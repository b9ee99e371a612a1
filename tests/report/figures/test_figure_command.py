"""`olivine figure` as a user calls it: every figure in both formats, and clear answers to wrong calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison import Compared
from imported import import_without_heads

from olivine.artifacts import find_artifact
from olivine.report.figures.catalogue import CATALOGUE
from olivine.report.trace import trace

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ids(compared: Compared) -> dict[str, list[str]]:
    traced = trace(compared.store, compared.all)
    found = {artifact.manifest.kind: artifact.id for artifact in traced.artifacts}
    return {
        "--metrics": ["--metrics", compared.metrics["random", 0].id, "--metrics", compared.metrics["olivine", 0].id],
        "--backbone": ["--backbone", found["backbone"][:8]],
        "--weak-labels": ["--weak-labels", found["weak_labels"][:8]],
        "--density-weights": ["--density-weights", found["density_weights"][:8]],
    }


@pytest.mark.parametrize("suffix", [".html", ".svg"])
@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_every_figure_is_one_command(entry, suffix, ids, compared: Compared, olivine, tmp_path: Path):
    out = tmp_path / f"{entry.name}{suffix}"
    option = entry.needs.split()[0]
    code, printed, complaint = olivine("figure", entry.name, *ids[option], "--store", compared.folder, "--out", out)
    assert (code, printed.strip()) == (0, str(out)), complaint
    text = out.read_text()
    assert text.startswith("<!doctype html>" if suffix == ".html" else "<svg xmlns")
    assert "SYNTHETIC drives" in text


def test_the_list_names_every_command(olivine):
    code, printed, _ = olivine("figure", "list")
    assert code == 0
    assert [line.split()[0] for line in printed.splitlines()] == [entry.name for entry in CATALOGUE]
    code, shown, _ = olivine("figure", "--help")
    assert all(entry.name in shown for entry in CATALOGUE)


def test_the_document_says_the_same():
    document = (ROOT / "docs" / "figures.md").read_text()
    for entry in CATALOGUE:
        assert f"`olivine figure {entry.name}`" in document
    numbers = [int(word) for word in document.replace(",", " ").replace("|", " ").split() if word.isdecimal()]
    assert set(range(1, 14)) <= set(numbers)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
def test_an_id_that_is_not_there_is_named(entry, compared: Compared, olivine, tmp_path: Path):
    option = entry.needs.split()[0]
    code, _, complaint = olivine(
        "figure", entry.name, option, "0123456789", "--store", compared.folder, "--out", tmp_path / "x.html"
    )
    kind = option.removeprefix("--").replace("-", "_")
    assert code == 64
    assert f"'0123456789' is no {kind} in" in complaint
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_of_another_kind_is_refused(compared: Compared, olivine, tmp_path: Path):
    """The stage `pretrain` keeps features of images too."""
    backbone = find_artifact(compared.store, "pretrain", trace(compared.store, compared.all).of_kind("backbone").id)
    features = backbone.manifest.summary["image_features"]
    code, _, complaint = olivine(
        "figure", "similarity", "--backbone", features, "--store", compared.folder, "--out", tmp_path / "x.html"
    )
    assert code == 64
    assert "is no backbone in" in complaint


def test_other_formats_are_refused(compared: Compared, ids, olivine, tmp_path: Path):
    for name in ("similarity", "cost"):
        code, _, complaint = olivine(
            "figure", name, *ids["--backbone"], "--store", compared.folder, "--out", tmp_path / "x.png"
        )
        assert code == 64
        assert ".html (a page) or .svg (a drawing)" in complaint


def test_an_imported_backbone_needs_drives(own_compared: Compared, olivine, tmp_path: Path):
    backbone = trace(own_compared.store, own_compared.all).of_kind("backbone")
    imported = import_without_heads(backbone)
    call = [
        "figure",
        "embeddings",
        "--backbone",
        imported.id,
        "--store",
        own_compared.folder,
        "--out",
        tmp_path / "x.svg",
    ]
    code, _, complaint = olivine(*call)
    assert (code, "--drives" in complaint) == (64, True)
    code, _, complaint = olivine(*call, "--drives", backbone.manifest.inputs["drives"].id)
    assert code == 0, complaint


@pytest.mark.parametrize(
    "options", [["--palette", "loud"], ["--points-per-class", "0"], ["--seed", "-1"], ["--method", "umap"]]
)
def test_options_have_bounds(options, ids, olivine):
    code, _, complaint = olivine("figure", "embeddings", *ids["--backbone"], *options)
    assert code == 64
    assert options[0] in complaint


def test_classes_are_those_of_labels_or_of_drives(compared: Compared, ids, olivine, tmp_path: Path):
    drives = compared.all[0].manifest.inputs["drives"].id
    call = ["figure", "class-distribution", "--store", compared.folder, "--out", tmp_path / "x.svg"]
    assert olivine(*call, "--drives", drives)[0] == 0
    for options in ([], ["--drives", drives, *ids["--weak-labels"]]):
        code, _, complaint = olivine(*call, *options)
        assert (code, "--drives alone" in complaint) == (64, True)
