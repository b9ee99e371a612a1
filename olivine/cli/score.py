"""Commands about predictions: write them, and score them: anyone's, or a segmenter's on corrupted sweeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from olivine.cli.options import JsonOption, StoreOption, id_option
from olivine.errors import UsageError

if TYPE_CHECKING:
    from olivine.artifacts import Artifact

score_app = typer.Typer(help="Score predictions made by anyone, by the official definition.", no_args_is_help=True)

SegmenterOption = Annotated[str, id_option("segmenter")]


def predict(
    drives: Annotated[str, id_option("drives to predict on")],
    segmenter: SegmenterOption,
    out: Annotated[Path, typer.Option(help="Folder to write; it may not be there yet.")],
    split: Annotated[Literal["test", "select"], typer.Option(help="What to predict; needs no hand labels.")] = "test",
    store: StoreOption = "./store",
    as_json: JsonOption = False,
) -> None:
    """Write a segmenter's predictions as the evaluator of the data set takes them: nuScenes lidarseg, SemanticKITTI."""
    given, model = _find_model(store, drives, segmenter)
    from olivine.evaluate.predict import write_predictions

    written = write_predictions(given, model, split, out)
    if as_json:
        print(json.dumps(written.as_json()))
        return
    print(f"{written.keyframes} keyframes: {written.predictions}")


def robustness(
    drives: Annotated[str, id_option("drives")],
    segmenter: SegmenterOption,
    split: Annotated[Literal["test", "select"], typer.Option(help="What to score; needs hand labels.")] = "test",
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the corruptions.")] = 0,
    baseline: Annotated[
        Path | None,
        typer.Option(help="What this command printed with --json for another segmenter: gives mCE against it."),
    ] = None,
    store: StoreOption = "./store",
    as_json: JsonOption = False,
) -> None:
    """Score a segmenter on sweeps with simulated fog, snow, missing beams and so on: mRR, and mCE with a baseline."""
    if baseline and not baseline.is_file():
        # Said before every sweep is predicted 25 times.
        raise UsageError(f"--baseline {baseline} is no file: give what `olivine robustness --json` printed.")
    given, model = _find_model(store, drives, segmenter)
    from olivine.evaluate.robustness import add_baseline, measure_robustness

    result = measure_robustness(given, model, split, seed)
    if baseline:
        result = add_baseline(result, baseline)
    if as_json:
        print(json.dumps(result))
        return
    from olivine.evaluate.robustness_text import robustness_lines
    from olivine.report.setting import caveats

    print("\n".join([*robustness_lines(result), *caveats(given.manifest)]))


def _find_model(store: str, drives: str, segmenter: str) -> tuple[Artifact, Artifact]:
    """Drives that are not withdrawn, and a segmenter to be tried on them."""
    from olivine.artifacts import find_artifact
    from olivine.steps import refuse_withdrawn
    from olivine.store import open_store

    opened = open_store(store)
    given = find_artifact(opened, "ingest", drives, "drives")
    refuse_withdrawn(opened, {"drives": given})
    return given, find_artifact(opened, "finetune", segmenter, "segmenter")


@score_app.command("nuscenes-lidarseg")
def score_nuscenes_lidarseg(
    predictions: Annotated[Path, typer.Option(help="Folder of <LiDAR token>_lidarseg.bin, uint8 1..16 a point.")],
    ground_truth: Annotated[Path, typer.Option(help="Folder of such files with 0..16, or a nuScenes data set.")],
    version: Annotated[str, typer.Option(help="For a data set: folder of its tables.")] = "",
    split: Annotated[Literal["train", "select", "test"], typer.Option(help="For a data set: what to score.")] = "test",
    as_json: JsonOption = False,
) -> None:
    """Score folders of predictions as the nuScenes lidarseg evaluator does."""
    from olivine.ingest.nuscenes import lidarseg_files
    from olivine.metrics.score import score_nuscenes_lidarseg as score

    truth = lidarseg_files(ground_truth, version, split) if version else ground_truth
    _print_score(score(predictions, truth, raw_labels=bool(version)), as_json)


@score_app.command("semantickitti")
def score_semantickitti(
    predictions: Annotated[Path, typer.Option(help="Folder that holds sequences/08/predictions/000000.label ...")],
    ground_truth: Annotated[Path, typer.Option(help="Folder that holds sequences/08/labels/000000.label ...")],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Sequences to score; val is 08.")] = "val",
    as_json: JsonOption = False,
) -> None:
    """Score a folder of predictions as SemanticKITTI's evaluator does. Absent classes count 0 in the official mean."""
    from olivine.metrics.semantickitti import score_semantickitti as score

    result = score(predictions, ground_truth, split)
    _print_score(result, as_json)
    if not as_json:
        print(f"{'mIoU, present classes':22} {result['miou_present']:.4f}")


@score_app.command("kitti-object")
def score_kitti_object(
    predictions: Annotated[Path, typer.Option(help="Folder of 000000.txt ..., 16 fields a line, the last a score.")],
    ground_truth: Annotated[Path, typer.Option(help="The benchmark's label_2.")],
    frames: Annotated[
        Path | None,
        typer.Option(help="List of frames that must be there, as ImageSets/val.txt; default: those predicted."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score 3D detections as KITTI's evaluator does: AP at 40 recall points, on the ground and in space."""
    from olivine.metrics.kitti_object import score_kitti_object as score

    result = score(predictions, ground_truth, frames)
    if as_json:
        print(json.dumps(result))
        return
    for view, by_class in result["ap"].items():
        for name, by_difficulty in by_class.items():
            values = "  ".join(f"{difficulty} {100 * ap:6.2f}" for difficulty, ap in by_difficulty.items())
            print(f"{view:3}  {name:10}  {values}")
    print(f"{result['num_frames']} of {result['num_frames_of_ground_truth']} labelled frames")


def _print_score(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result["per_category"].items():
        print(f"{name:22} {'absent' if value is None else f'{value:.4f}'}")
    print(f"{'mIoU':22} {result['miou']:.4f}")
