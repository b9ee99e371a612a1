"""Points of each class in the space of the heads, laid out in a plane (paper, figure 4).

Shapes: S sampled points, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from olivine.artifacts import Artifact
from olivine.drives import Drives
from olivine.errors import ConfigError, DataError, UsageError
from olivine.progress import Progress
from olivine.report.colours import Swatch, hand_classes, recolour
from olivine.report.figures.charts import scatter_chart
from olivine.report.figures.figure import Figure, Panel, Table, described, origins
from olivine.report.palette import Palette
from olivine.report.scans import spread
from olivine.report.trace import behind

if TYPE_CHECKING:
    from olivine.pretrain.embed import Embedder

Method = Literal["pca", "tsne"]
Split = Literal["train", "select", "test"]
_MOST_KEYFRAMES = 40
_PERPLEXITY = 30.0
_LEAST_POINTS = 4


def draw_embeddings(
    drives_artifact: Artifact,
    backbones: Sequence[Artifact],
    split: Split,
    method: Method,
    points_per_class: int,
    seed: int,
    palette: Palette | None,
    most_keyframes: int = _MOST_KEYFRAMES,
) -> Figure:
    """One panel for each backbone, of the same points: the semantic space where there is one, as in the paper.

    Without a palette the classes have the colours of both, for a page that can change them.

    Raises:
        UsageError: no backbone, or the same one twice. DataError: too few points that have a hand label and that every
            backbone sees. ConfigError: t-SNE without scikit-learn.
    """
    if not backbones:
        raise UsageError("this figure needs backbones: give the id of at least one with --backbone.")
    if len({backbone.id for backbone in backbones}) < len(backbones):
        raise UsageError("the same backbone is there twice: give each once.")
    from olivine.pretrain.embed import Embedder

    drives = Drives(drives_artifact)
    tokens = spread([token for token in drives.tokens(split) if drives.has_lidarseg(token)], most_keyframes)
    classes = hand_classes(drives_artifact)
    sample = _sample(drives, tokens, len(classes), points_per_class, seed)
    truth_S = np.concatenate([truth for _, _, truth in sample]) if sample else np.zeros(0, np.uint8)
    _require_points(drives_artifact, len(truth_S), f"points of the split {split} have a scored hand label")
    embedders = [Embedder(backbone) for backbone in backbones]
    spaces = [_space_of(embedder) for embedder in embedders]
    embedded = [_embed(drives, embedder, space, sample) for embedder, space in zip(embedders, spaces, strict=True)]
    # Points that a backbone does not see have no features: they have no neighbour and no place.
    seen_S = np.all([features_SD.any(axis=1) for features_SD in embedded], axis=0)
    truth_S, num_unseen = truth_S[seen_S], int(np.count_nonzero(~seen_S))
    _require_points(drives_artifact, len(truth_S), f"labelled points of the split {split} are seen by every backbone")
    swatches = recolour(classes, palette) if palette else classes
    colours = [swatches[category - 1] for category in truth_S]
    panels, rows = [], []
    for backbone, space, features_SD in zip(backbones, spaces, (part[seen_S] for part in embedded), strict=True):
        panels.append(_panel(backbone, space, features_SD, colours, method, seed))
        agreement = f"{100 * nearest_agreement(features_SD, truth_S):.1f}"
        rows.append((f"{backbone.manifest.summary['method']}, {backbone.id[:6]}", _said(space), agreement))
    return Figure(
        name="embeddings",
        title="Points of each class in the space of the heads",
        caption=f"The same {len(truth_S)} points under each backbone, at most {points_per_class} a class, in the "
        f"colour of their hand label; {_METHODS[method]}. Distances between clusters mean little; whether a class lies "
        "together does.",
        panels=panels,
        legend=[swatch for id, swatch in enumerate(swatches, start=1) if id in set(truth_S.tolist())],
        facts=[
            *origins([drives_artifact, *(item for one in backbones for item in behind(one.store, [one]))]),
            f"{described(drives_artifact)}, {len(tokens)} keyframes of the split {split}; seed {seed}"
            + (f", perplexity {_perplexity(len(truth_S)):g}." if method == "tsne" else "."),
            *([f"Left out: {num_unseen} points that a backbone does not see."] if num_unseen else []),
        ],
        tables=[
            Table(
                "Points whose nearest other point, by cosine, has their hand label",
                ("backbone", "space", "share [%]"),
                rows,
            )
        ],
    )


_METHODS = {"pca": "principal components", "tsne": "t-SNE"}


def _space_of(embedder: Embedder) -> str:
    """The semantic space where there is one, else that of the other heads, else the backbone's own features."""
    return next((name for name in ("semantic", "point_pixel") if name in embedder.spaces), "backbone")


def _said(space: str) -> str:
    return space.replace("_", "-")


def _panel(
    backbone: Artifact,
    space: str,
    features_SD: NDArray[np.float32],
    colours: Sequence[Swatch],
    method: Method,
    seed: int,
) -> Panel:
    place_S2, spread_note = lay_out(features_SD, method, seed)
    name = str(backbone.manifest.summary["method"])
    chart = scatter_chart(f"{name}: points by class", place_S2, colours)
    return Panel(f"{name} ({_said(space)} space)", chart, f"{described(backbone)}. {spread_note}")


def _require_points(drives: Artifact, num_points: int, which: str) -> None:
    if num_points < _LEAST_POINTS:
        raise DataError(f"{described(drives)}: {num_points} {which}, and a plane needs {_LEAST_POINTS}.")


def _sample(
    drives: Drives, tokens: Sequence[str], num_classes: int, points_per_class: int, seed: int
) -> list[tuple[str, NDArray[np.int64], NDArray[np.uint8]]]:
    """By keyframe the points drawn and their classes: of every class at most so many, in equal shares (to within one
    point) from the keyframes that have it."""
    truths = {token: drives.lidarseg(token) for token in tokens}
    holders = {id: [t for t in tokens if (truths[t] == id).any()] for id in range(1, num_classes + 1)}
    rng, sample = np.random.default_rng(seed), []
    for token in tokens:
        drawn = []
        for id, holding in holders.items():
            if token in holding:
                rows = np.flatnonzero(truths[token] == id)
                place, among = holding.index(token), len(holding)
                share = (place + 1) * points_per_class // among - place * points_per_class // among
                drawn.append(rng.permutation(rows)[:share])
        point_S = np.sort(np.concatenate(drawn)) if drawn else np.zeros(0, np.int64)
        if len(point_S):
            sample.append((token, point_S, truths[token][point_S]))
    return sample


def _embed(
    drives: Drives,
    embedder: Embedder,
    space: str,
    sample: Sequence[tuple[str, NDArray[np.int64], NDArray[np.uint8]]],
) -> NDArray[np.float32]:
    parts = []
    with Progress("figure embeddings", len(sample), "keyframes") as progress:
        for token, point_S, _ in sample:
            parts.append(embedder.embed_points(drives.keyframe(token).points_N4)[space][point_S])
            progress.advance()
    return np.concatenate(parts)


def lay_out(features_SD: NDArray[np.float32], method: Method, seed: int) -> tuple[NDArray[np.float64], str]:
    """Places float64 [S, 2], and a sentence on how true they are.

    Raises ConfigError where t-SNE is asked for and scikit-learn is not installed.
    """
    if method == "tsne":
        return _tsne(features_SD, seed)
    centred_SD = features_SD.astype(np.float64) - features_SD.mean(axis=0, dtype=np.float64)
    left_SK, value_K, right_KD = np.linalg.svd(centred_SD, full_matrices=False)
    # The sign of a component is arbitrary: the greatest entry is made positive.
    sign_2 = np.sign(right_KD[np.arange(2), np.abs(right_KD[:2]).argmax(axis=1)])
    total = float((value_K**2).sum())
    kept = 100 * float((value_K[:2] ** 2).sum()) / total if total else 0.0
    return left_SK[:, :2] * value_K[:2] * sign_2, f"Both components hold {kept:.1f} % of the variance."


def _tsne(features_SD: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], str]:
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ConfigError(
            "t-SNE needs scikit-learn: pip install 'olivine[figures]', or choose --method pca, which needs nothing."
        ) from None
    model = TSNE(perplexity=_perplexity(len(features_SD)), metric="cosine", init="random", random_state=seed, n_jobs=1)
    return model.fit_transform(features_SD).astype(
        np.float64
    ), f"Kullback-Leibler divergence {model.kl_divergence_:.2f}."


def _perplexity(num_points: int) -> float:
    return min(_PERPLEXITY, (num_points - 1) / 3)


def nearest_agreement(features_SD: NDArray[np.float32], truth_S: NDArray[np.uint8]) -> float:
    """Share of points whose nearest other point by cosine has their class: what the plane shows, measured in D.

    Features are those of points that are seen: a row of zeros is as near to every other.
    """
    similarity_SS = features_SD @ features_SD.T
    np.fill_diagonal(similarity_SS, -np.inf)
    return float((truth_S[similarity_SS.argmax(axis=1)] == truth_S).mean())
