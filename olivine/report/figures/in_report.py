"""The figures of the paper that the report shows beside its own: what its artifacts allow, and else why not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from olivine.artifacts import Artifact
from olivine.drives import CAMERAS, Drives
from olivine.errors import ConfigError, DataError, IntegrityError, UsageError
from olivine.nuscenes_categories import IGNORE_CATEGORY
from olivine.packs import Pack
from olivine.report.figures.conflict import draw_conflict
from olivine.report.figures.density import draw_density
from olivine.report.figures.embeddings import draw_embeddings
from olivine.report.figures.errors import draw_errors_in_camera
from olivine.report.figures.figure import Figure, Panel, described, has_cameras
from olivine.report.figures.similarity import read_similarities
from olivine.report.figures.similarity_page import SimilarityPage, similarity_page
from olivine.report.scans import NUM_SCANS, spread
from olivine.report.trace import Trace, open_input

_CAMERA = CAMERAS[0]
# The report must not take long: each keyframe is a pass through the whole backbone on the processor.
_EMBEDDED_KEYFRAMES, _POINTS_PER_CLASS, _SEED = 4, 40, 0

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class ReportFigures:
    """Figures, each None where there is nothing to draw it of; `left_out` are sentences that say why."""

    errors: list[Panel]
    conflict: Figure | None
    density: Figure | None
    embeddings: Figure | None
    similarity: SimilarityPage | None
    left_out: list[str]


def draw_report_figures(traced: Trace) -> ReportFigures:
    """The figures of what was traced; those of pretraining are of the first backbone.

    Raises:
        IntegrityError: an artifact is damaged.
    """
    left_out: list[str] = []
    backbones = [artifact for artifact in traced.artifacts if artifact.manifest.kind == "backbone"]
    labels, weights = traced.of_kind("weak_labels"), traced.of_kind("density_weights")
    density = draw_density(_drives_of(labels), labels, weights) if labels and weights else None
    if not backbones:
        return ReportFigures(_errors(traced), None, density, None, None, left_out)
    return ReportFigures(
        errors=_errors(traced),
        conflict=_try("Self-conflict", lambda: draw_conflict(backbones[0]), left_out),
        density=density,
        embeddings=_try_network("Embeddings", lambda: _embeddings(backbones), left_out),
        similarity=_try_network(
            "Similarity", lambda: similarity_page(read_similarities(backbones[0], "", _CAMERA)), left_out
        ),
        left_out=left_out,
    )


def _errors(traced: Trace) -> list[Panel]:
    """The first of the sweeps that the report shows from above, as the front camera sees it."""
    if not has_cameras(traced.drives):
        return []
    runs = {arm: traced.of_arm(arm)[0] for arm in traced.arms}
    tokens = Pack(next(iter(runs.values())).metrics).index.column("keyframe")
    drives = Drives(traced.drives)
    for token in spread(tokens, NUM_SCANS):
        if (drives.lidarseg(token) != IGNORE_CATEGORY).any():
            return draw_errors_in_camera(traced.drives, runs, token, _CAMERA)
    return []


def _embeddings(backbones: list[Artifact]) -> Figure:
    drives = _drives_of(backbones[0])
    return draw_embeddings(drives, backbones, "test", "pca", _POINTS_PER_CLASS, _SEED, None, _EMBEDDED_KEYFRAMES)


def _drives_of(artifact: Artifact) -> Artifact:
    """What labels or a backbone were made from: not the drives of the runs, where those are others.

    Raises:
        UsageError: a backbone that was imported.
    """
    if "drives" not in artifact.manifest.inputs:
        raise UsageError(f"{described(artifact)} was imported, without the drives that it was trained on.")
    return open_input(artifact.store, artifact, "drives")


def _try_network(name: str, draw: Callable[[], Drawn], left_out: list[str]) -> Drawn | None:
    if importlib.util.find_spec("torch") is None:
        left_out.append(f"{name}: needs torch, which is not installed where this page was made.")
        return None
    return _try(name, draw, left_out)


def _try(name: str, draw: Callable[[], Drawn], left_out: list[str]) -> Drawn | None:
    """The figure; or None, with the reason noted, where its artifacts do not allow it."""
    try:
        return draw()
    except IntegrityError:
        raise
    except (UsageError, DataError, ConfigError) as error:
        left_out.append(f"{name}: {error}")
        return None
