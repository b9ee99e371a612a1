"""Commands for who has no drives: synthetic ones, and the whole chain on them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from olivine.errors import UsageError


def demo(
    seeds: Annotated[int, typer.Option(min=1, help="Fine-tunings of each arm; fewer than 5 claim nothing.")] = 3,
    out: Annotated[Path, typer.Option(help="Folder for drives, store, report and summary.")] = Path("build/demo"),
    scale: Annotated[
        Literal["full", "tiny"], typer.Option(help="tiny: every step in seconds, with numbers without meaning.")
    ] = "full",
) -> None:
    """The whole chain on synthetic drives: a table, a page and a summary."""
    from olivine.demo import SCALES, run_demo

    run_demo(seeds, out, SCALES[scale])


def synth(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or hold the same drives.")],
    layout: Annotated[
        Literal["nuscenes", "semantickitti"],
        typer.Option(
            help="nuscenes: 32 beams and six cameras. semantickitti: 64 beams, no cameras, the eleven labelled "
            "sequences; of the options it takes --keyframes, --columns and --seed."
        ),
    ] = "nuscenes",
    train_scenes: Annotated[int, typer.Option(min=8, help="Scenes to train on.")] = 8,
    select_scenes: Annotated[int, typer.Option(min=0, help="Scenes to choose models by.")] = 2,
    test_scenes: Annotated[int, typer.Option(min=2, help="Scenes to report on.")] = 2,
    keyframes: Annotated[int, typer.Option(min=1, max=60, help="Keyframes a scene or sequence, 0.5 s apart.")] = 4,
    image_width: Annotated[
        int, typer.Option(min=32, max=4096, help="Width of the images in pixels; height is 9/16 of it.")
    ] = 512,
    columns: Annotated[
        int | None,
        typer.Option(min=8, max=8192, help="LiDAR firings in one turn; default: 1085, or 2083 with 64 beams."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
) -> None:
    """Write synthetic drives with hand labels, that no one has to download: valid nuScenes v1.0, or SemanticKITTI."""
    from olivine.progress import Progress
    from olivine.synth import ScanSetRecipe, SynthRecipe, write_drives, write_scan_set

    if layout == "semantickitti":
        _refuse_given(context, "semantickitti", ("train_scenes", "select_scenes", "test_scenes", "image_width"))
        scans = ScanSetRecipe(seed=seed, scans_per_sequence=keyframes, num_columns=columns or 2083)
        with Progress("synth", 11 * keyframes, "scans") as progress:
            write_scan_set(out, scans, lambda done, total: progress.advance(done - progress.done))
        print(out)
        return
    recipe = SynthRecipe(
        seed=seed,
        num_train_scenes=train_scenes,
        num_select_scenes=select_scenes,
        num_test_scenes=test_scenes,
        train_keyframes_per_scene=keyframes,
        select_keyframes_per_scene=keyframes,
        test_keyframes_per_scene=keyframes,
        image_width=image_width,
        image_height=round(image_width * 9 / 16),
        num_columns=columns or 1085,
    )
    with Progress("synth", (train_scenes + select_scenes + test_scenes) * keyframes, "keyframes") as progress:
        write_drives(out, recipe, lambda done, total: progress.advance(done - progress.done))
    print(out)


def _refuse_given(context: typer.Context, layout: str, names: tuple[str, ...]) -> None:
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{name.replace('_', '-')} does not go with --layout {layout}, which fixes it.")
