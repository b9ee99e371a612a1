"""`olivine figure`: the figures of the paper, one command each, from artifacts of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from olivine.cli.options import BackboneOption, MetricsOption, StoreOption, id_option

figure_app = typer.Typer(
    help="Draw a figure of the paper from artifacts: a page (.html) or a drawing (.svg).", no_args_is_help=True
)

BackbonesOption = Annotated[
    list[str] | None,
    typer.Option(help="Id of a backbone, or its first 6 or more characters; once for each."),
]
WeakLabelsOption = Annotated[str, id_option("weak labels")]
KeyframesOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Token of a keyframe, or its first 6 or more characters; may be repeated. Default: spread evenly."
    ),
]
PaletteOption = Annotated[
    Literal["official", "safe"],
    typer.Option(help="Colours of classes: the data set's own, or those that colour-blind people tell apart."),
]
OutOption = Annotated[Path, typer.Option(help="The file to write: .html or .svg.")]


@figure_app.command("list")
def list_figures() -> None:
    """List the figures: name, number in the paper, what it needs, what it shows."""
    from olivine.report.figures.catalogue import catalogue_lines

    print("\n".join(catalogue_lines()))


@figure_app.command("self-conflict")
def self_conflict(
    backbone: BackboneOption, store: StoreOption = "./store", out: OutOption = Path("self-conflict.html")
) -> None:
    """Figure 1: how many of an anchor's negatives are of its own class, by loss and sampler, in a run's batches."""
    from olivine.report.figures.command import run_self_conflict

    print(run_self_conflict(store, backbone, out))


@figure_app.command()
def pipeline(
    metrics: MetricsOption = None, store: StoreOption = "./store", out: OutOption = Path("pipeline.html")
) -> None:
    """Figure 2: the pipeline as it ran, drawn from the lineage of metrics: stages, ids and counts."""
    from olivine.report.figures.command import run_pipeline

    print(run_pipeline(store, metrics or [], out))


@figure_app.command()
def errors(
    metrics: MetricsOption = None,
    keyframe: KeyframesOption = None,
    camera: Annotated[str, typer.Option(help="Camera to look through.")] = "CAM_FRONT",
    palette: PaletteOption = "official",
    store: StoreOption = "./store",
    out: OutOption = Path("errors.html"),
) -> None:
    """Figures 3 and 8 to 11: error maps of several arms on the same sweeps, from above and in a camera."""
    from olivine.report.figures.command import run_errors

    print(run_errors(store, metrics or [], keyframe or [], camera, palette, out))


@figure_app.command()
def embeddings(
    backbone: BackbonesOption = None,
    drives: Annotated[str, typer.Option(help="Id of the drives; default: those of the first backbone.")] = "",
    split: Annotated[Literal["train", "select", "test"], typer.Option(help="Whose points.")] = "test",
    method: Annotated[
        Literal["pca", "tsne"], typer.Option(help="Principal components, or t-SNE, which needs the extra figures.")
    ] = "pca",
    points_per_class: Annotated[int, typer.Option(min=1, max=300, help="Points of each class, at most.")] = 60,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the points and of t-SNE.")] = 0,
    palette: PaletteOption = "official",
    store: StoreOption = "./store",
    out: OutOption = Path("embeddings.html"),
) -> None:
    """Figure 4: points of each class in the space of the heads, in a plane; the same points under each backbone."""
    from olivine.report.figures.command import run_embeddings

    print(run_embeddings(store, backbone or [], drives, split, method, points_per_class, seed, palette, out))


@figure_app.command("class-distribution")
def class_distribution(
    weak_labels: Annotated[str, typer.Option(help="Id of the weak labels; their drives are counted too.")] = "",
    drives: Annotated[str, typer.Option(help="Id of drives, to count their hand labels alone.")] = "",
    palette: PaletteOption = "official",
    store: StoreOption = "./store",
    out: OutOption = Path("class-distribution.html"),
) -> None:
    """Figures 5 and 6: how often each class occurs in points, pairs and pixels."""
    from olivine.report.figures.command import run_class_distribution

    print(run_class_distribution(store, weak_labels, drives, palette, out))


@figure_app.command()
def similarity(
    backbone: BackboneOption,
    keyframe: Annotated[str, typer.Option(help="Token of the keyframe; default: one of the split test.")] = "",
    camera: Annotated[str, typer.Option(help="Camera to look through.")] = "CAM_FRONT",
    anchor: Annotated[
        str, typer.Option(help="ROW,COLUMN of the first anchor, shares 0..1 of the image; default: near the middle.")
    ] = "",
    store: StoreOption = "./store",
    out: OutOption = Path("similarity.html"),
) -> None:
    """Figure 7: similarity to an anchor point under both pairs of heads. In the page a click moves the anchor."""
    from olivine.report.figures.command import run_similarity

    print(run_similarity(store, backbone, keyframe, camera, anchor, out))


@figure_app.command("weak-labels")
def weak_labels_figure(
    weak_labels: WeakLabelsOption,
    keyframe: KeyframesOption = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(help="Camera to look through; may be repeated. Default: CAM_FRONT and CAM_BACK_LEFT."),
    ] = None,
    palette: PaletteOption = "official",
    store: StoreOption = "./store",
    out: OutOption = Path("weak-labels.html"),
) -> None:
    """Figures 12 and 13: weak labels on the images and on the cloud."""
    from olivine.report.figures.command import run_weak_labels

    print(run_weak_labels(store, weak_labels, keyframe or [], camera or [], palette, out))


@figure_app.command()
def density(
    density_weights: Annotated[str, id_option("density weights")],
    store: StoreOption = "./store",
    out: OutOption = Path("density.html"),
) -> None:
    """Section 3.4: where pairs lie, over range and class, before and after weighting."""
    from olivine.report.figures.command import run_density

    print(run_density(store, density_weights, out))


@figure_app.command("class-bars")
def class_bars(
    metrics: MetricsOption = None, store: StoreOption = "./store", out: OutOption = Path("class-bars.html")
) -> None:
    """Tables 10 and 11: IoU of every class, arm by arm, means over seeds."""
    from olivine.report.figures.command import run_class_bars

    print(run_class_bars(store, metrics or [], out))


@figure_app.command()
def cost(backbone: BackbonesOption = None, store: StoreOption = "./store", out: OutOption = Path("cost.html")) -> None:
    """Table 9: time, memory and throughput of each pretraining, from the records of its run."""
    from olivine.report.figures.command import run_cost

    print(run_cost(store, backbone or [], out))
