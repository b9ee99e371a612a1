"""`olivine figure NAME`: from ids to a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import UsageError
from olivine.report.figures.class_bars import draw_class_bars
from olivine.report.figures.conflict import draw_conflict
from olivine.report.figures.cost import draw_cost
from olivine.report.figures.density import draw_density
from olivine.report.figures.distribution import draw_distribution
from olivine.report.figures.embeddings import Method, Split, draw_embeddings
from olivine.report.figures.errors import draw_errors
from olivine.report.figures.pipeline import draw_pipeline
from olivine.report.figures.similarity import Similarities, read_similarities
from olivine.report.figures.similarity_maps import draw_similarity
from olivine.report.figures.similarity_page import similarity_page
from olivine.report.figures.weak_labels import draw_weak_labels_figure
from olivine.report.figures.write import write_figure
from olivine.report.page import environment, write_whole
from olivine.report.palette import Palette
from olivine.report.trace import open_input
from olivine.store import Store, open_store


def run_self_conflict(store_url: str, backbone: str, out: Path) -> Path:
    """Figure 1. Raises UsageError for no such backbone, or an imported one; as all of these for a bad `out`."""
    return write_figure(draw_conflict(_backbone(open_store(store_url), backbone)), out)


def run_pipeline(store_url: str, metrics: Sequence[str], out: Path) -> Path:
    """Figure 2."""
    store = open_store(store_url)
    return write_figure(draw_pipeline(store, _metrics(store, metrics)), out)


def run_errors(
    store_url: str, metrics: Sequence[str], keyframes: Sequence[str], camera: str, palette: Palette, out: Path
) -> Path:
    """Figures 3 and 8 to 11."""
    store = open_store(store_url)
    return write_figure(draw_errors(store, _metrics(store, metrics), keyframes, camera, palette), out)


def run_embeddings(
    store_url: str,
    backbones: Sequence[str],
    drives: str,
    split: Split,
    method: Method,
    points_per_class: int,
    seed: int,
    palette: Palette,
    out: Path,
) -> Path:
    """Figure 4; the drives are those of the first backbone where none are named.

    Raises:
        UsageError: an imported backbone, which has no drives, without `drives`; else what `draw_embeddings` raises.
    """
    store = open_store(store_url)
    found = [_backbone(store, name) for name in backbones]
    if drives:
        given = find_artifact(store, "ingest", drives, "drives")
    elif found and "drives" in found[0].manifest.inputs:
        given = open_input(store, found[0], "drives")
    else:
        raise UsageError("say with --drives whose points to show: the first backbone was imported, or there is none.")
    return write_figure(draw_embeddings(given, found, split, method, points_per_class, seed, palette), out)


def run_class_distribution(store_url: str, weak_labels: str, drives: str, palette: Palette, out: Path) -> Path:
    """Figures 5 and 6; of drives alone their hand labels.

    Raises:
        UsageError: both, or neither, are named; else what `draw_distribution` raises.
    """
    if bool(weak_labels) == bool(drives):
        raise UsageError("give --weak-labels, whose drives are counted too, or --drives alone.")
    store = open_store(store_url)
    if drives:
        return write_figure(draw_distribution(find_artifact(store, "ingest", drives, "drives"), None, palette), out)
    return write_figure(draw_distribution(*_labels(store, weak_labels), palette), out)


def run_similarity(store_url: str, backbone: str, keyframe: str, camera: str, anchor: str, out: Path) -> Path:
    """Figure 7: a page whose anchor a click moves (.html), or still pictures (.svg)."""
    given = read_similarities(_backbone(open_store(store_url), backbone), keyframe, camera, anchor)
    if out.suffix != ".html":
        return write_figure(draw_similarity(given), out)
    write_whole(out, render_similarity(given).encode())
    return out


def render_similarity(given: Similarities) -> str:
    """The page with its script."""
    template = environment().get_template("figures/similarity.html")
    title = "Similarity to an anchor point"
    return template.render(figure=similarity_page(given), title=title, name="similarity")


def run_weak_labels(
    store_url: str, weak_labels: str, keyframes: Sequence[str], cameras: Sequence[str], palette: Palette, out: Path
) -> Path:
    """Figures 12 and 13."""
    drives, labels = _labels(open_store(store_url), weak_labels)
    return write_figure(draw_weak_labels_figure(drives, labels, keyframes, cameras, palette), out)


def run_density(store_url: str, density_weights: str, out: Path) -> Path:
    """Pairs before and after weighting."""
    store = open_store(store_url)
    weights = find_artifact(store, "weigh", density_weights, "density_weights")
    drives, labels = (open_input(store, weights, port) for port in ("drives", "weak_labels"))
    return write_figure(draw_density(drives, labels, weights), out)


def run_class_bars(store_url: str, metrics: Sequence[str], out: Path) -> Path:
    """Tables 10 and 11 as bars."""
    store = open_store(store_url)
    return write_figure(draw_class_bars(store, _metrics(store, metrics)), out)


def run_cost(store_url: str, backbones: Sequence[str], out: Path) -> Path:
    """Table 9."""
    store = open_store(store_url)
    return write_figure(draw_cost([_backbone(store, name) for name in backbones]), out)


def _metrics(store: Store, names: Sequence[str]) -> list[Artifact]:
    return [find_artifact(store, "evaluate", name, "metrics") for name in names]


def _backbone(store: Store, name: str) -> Artifact:
    return find_artifact(store, "pretrain", name, "backbone")


def _labels(store: Store, name: str) -> tuple[Artifact, Artifact]:
    labels = find_artifact(store, "label", name, "weak_labels")
    return open_input(store, labels, "drives"), labels
