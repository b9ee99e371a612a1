"""The command line: one verb a stage, and what goes around them. A command imports what it needs when it is called."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

from olivine import __version__, cli_platform
from olivine.cli_detect import detect_app
from olivine.cli_figure import figure_app
from olivine.cli_label import label_app, view
from olivine.cli_lineage import card, drives_app, gc, lineage_app
from olivine.cli_options import ExecutorOption, JsonOption, StoreOption
from olivine.cli_research import datasets_app, recipes, study_app, weights_app
from olivine.cli_score import predict, robustness, score_app, table
from olivine.errors import DataError, OlivineError, UsageError
from olivine.memory import keep_freed_memory
from olivine.stages import BY_WORD

if TYPE_CHECKING:
    from olivine.artifacts import Artifact

app = typer.Typer(
    name="olivine",
    help="Drives in, an audited 3D backbone out: image-to-LiDAR distillation with weak labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
store_app = typer.Typer(help="Object storage: prepare it, check what is in it, hand out links.", no_args_is_help=True)
app.add_typer(label_app, name="label")
app.command()(view)
app.add_typer(study_app, name="study")
app.add_typer(weights_app, name="weights")
app.add_typer(detect_app, name="detect")
app.add_typer(datasets_app, name="datasets")
app.command()(recipes)
app.add_typer(lineage_app, name="lineage")
app.add_typer(drives_app, name="drives")
app.command()(card)
app.command()(gc)
app.add_typer(cli_platform.registry_app, name="registry")
app.add_typer(cli_platform.schedule_app, name="schedule")
for command in cli_platform.COMMANDS:
    app.command()(command)
app.add_typer(store_app, name="store")
app.add_typer(score_app, name="score")
app.add_typer(figure_app, name="figure")
app.command()(predict)
app.command()(robustness)
app.command()(table)

RecipeOption = Annotated[str, typer.Option(help="Name of a recipe; `olivine recipes` lists them.")]
SetOption = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", "-s", help="Change one field of the recipe: stage.field=value. May be repeated."),
]


_LABEL_HELP = f"""{BY_WORD["label"].summary}

Without classes, on any machine: `olivine label fetch-weights mobile_sam`, then
`olivine label --drives ID --segmenter mobile_sam`.

With classes: `olivine label fetch-weights grounding-dino-tiny` prints the settings of the detector; then
`olivine label --drives ID --segmenter mobile_sam --set label.labeler=grounded_sam` and those settings."""


def _id_option(kind: str) -> Any:
    return typer.Option(help=f"Id of the {kind} to use, or its first 6 or more characters.")


def _execution_option(name: str, text: str) -> Any:
    return typer.Option(envvar=f"OLIVINE_PRETRAIN_{name.upper()}", help=text)


def _stage(word: str, executor_input: str | None, as_json: bool, **given: Any) -> Artifact:
    from olivine.steps import StepCall, describe, is_first_process, run_step

    execution = given.get("execution")
    if executor_input is not None:
        from olivine.platform.executor import run_executor

        artifact = run_executor(word, executor_input, execution)
    else:
        inputs = {port: given[port] for port in BY_WORD[word].takes if given.get(port)}
        settings = given["settings"] or []
        call = StepCall(given["store"], given["recipe"], settings, inputs, given.get("source"), execution)
        artifact = run_step(word, call)
    if not is_first_process():
        return artifact
    found = describe(artifact)
    if as_json:
        print(json.dumps(found))
        return artifact
    for trap in found["summary"].get("traps", []):
        print(f"note: {trap}", file=sys.stderr)
    for item in found["quarantined"]:
        print(f"left out {item['frame']}: {item['reason']}", file=sys.stderr)
    counts = ", ".join(f"{value} {name}" for name, value in found["counts"].items())
    print(f"{counts}", file=sys.stderr)
    print(f"{found['kind']} {found['id']}")
    return artifact


@app.command(help=BY_WORD["ingest"].summary)
def ingest(
    drives: Annotated[
        str,
        typer.Option(help="Folder of the raw drives, in nuScenes v1.0 layout or as ingest.dataset says; or plan:ID."),
    ] = "",
    version: Annotated[str, typer.Option(help="Folder of the tables in it, as v1.0-mini; default: the recipe's.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Declared by help=."""
    settings = [*([f"ingest.version={json.dumps(version)}"] if version else []), *(set_ or [])]
    _stage("ingest", executor_input, as_json, store=store, recipe=recipe, settings=settings, source=drives)


@label_app.callback(help=_LABEL_HELP)
def label(
    context: typer.Context,
    drives: Annotated[str, _id_option("drives")] = "",
    segmenter: Annotated[
        str,
        typer.Option(
            help="mobile_sam, sam or sam2: short for label.segmenter.name; alone, for its masks without classes."
        ),
    ] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Declared by help=."""
    if context.invoked_subcommand is None:
        settings = [*_segmenter_settings(segmenter, set_ or []), *(set_ or [])]
        _stage("label", executor_input, as_json, store=store, recipe=recipe, settings=settings, drives=drives)


def _segmenter_settings(segmenter: str, settings: list[str]) -> list[str]:
    """A segmenter by itself finds masks without classes; with a labeler that was chosen it cuts out its boxes."""
    if not segmenter:
        return []
    named = [f"label.segmenter.name={segmenter.replace('-', '_')}"]
    if any(setting.startswith("label.labeler=") for setting in settings):
        return named
    return [*named, "label.labeler=none", "label.superpixels=automatic"]


@app.command(help=BY_WORD["weigh"].summary)
def weigh(
    drives: Annotated[str, _id_option("drives")] = "",
    weak_labels: Annotated[str, _id_option("weak_labels")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Declared by help=."""
    given = {"drives": drives, "weak_labels": weak_labels}
    _stage("weigh", executor_input, as_json, store=store, recipe=recipe, settings=set_, **given)


@app.command(help=BY_WORD["pretrain"].summary)
def pretrain(
    drives: Annotated[str, _id_option("drives")] = "",
    weak_labels: Annotated[str, _id_option("weak_labels")] = "",
    density_weights: Annotated[str, _id_option("density_weights")] = "",
    start: Annotated[str, typer.Option(help="Id of a backbone to start from; none: random parameters.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
    launch: Annotated[
        bool, typer.Option("--launch", help="Start a process for each GPU, on one node or more.")
    ] = False,
    nproc: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="With --launch: processes on this node; default: its GPUs, or 1."),
    ] = None,
    nnodes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="With --launch: nodes; run the same command on each, with its --node-rank."),
    ] = None,
    node_rank: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=0, help="With --nnodes: number of this node, from 0."),
    ] = None,
    master: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="With --nnodes: HOST:PORT on node 0 that the others reach."),
    ] = None,
    zero: Annotated[int, _execution_option("zero", "ZeRO stage of DeepSpeed: 0, 1 or 2.")] = 0,
    accumulate: Annotated[
        int, _execution_option("accumulate", "Parts that a process cuts its share of a batch into.")
    ] = 1,
    recompute_activations: Annotated[
        bool, _execution_option("recompute_activations", "Keep fewer activations of MinkUNet: less memory, more time.")
    ] = False,
    workers: Annotated[int, _execution_option("workers", "Processes that prepare samples, for each process.")] = 0,
    cache: Annotated[
        Optional[Path],  # noqa: UP045
        _execution_option("cache", "Folder on a local disk that keeps what was read from the store."),
    ] = None,
    cache_gb: Annotated[float, _execution_option("cache_gb", "Size of that folder in GB.")] = 50.0,
    keep: Annotated[int, _execution_option("keep", "Checkpoints that stay, the last ones.")] = 3,
    keep_best: Annotated[
        bool, _execution_option("keep_best", "Beside them, the checkpoint with the lowest mean training loss stays.")
    ] = True,
    background_checkpoints: Annotated[
        bool, _execution_option("background_checkpoints", "Write checkpoints beside the training.")
    ] = False,
    hang_s: Annotated[
        float, _execution_option("hang_s", "Seconds without progress of a process after which the run fails.")
    ] = 90.0,
    metrics_port: Annotated[
        Optional[int],  # noqa: UP045
        _execution_option("metrics_port", "Port of a Prometheus endpoint on each node."),
    ] = None,
    tracker: Annotated[
        Literal["none", "tensorboard", "mlflow", "wandb"],
        _execution_option("tracker", "Where curves are shown as well."),
    ] = "none",
    tracker_folder: Annotated[Path, _execution_option("tracker_folder", "Folder that the tracker writes to.")] = Path(
        "olivine-tracking"
    ),
) -> None:
    """Declared by help=."""
    from olivine.training.execution import Execution

    execution = Execution(
        zero_stage=zero,
        accumulate=accumulate,
        recompute_activations=recompute_activations,
        workers=workers,
        cache=cache,
        cache_gb=cache_gb,
        keep_checkpoints=keep,
        keep_best=keep_best,
        background_checkpoints=background_checkpoints,
        hang_s=hang_s,
        metrics_port=metrics_port,
        tracker=tracker,
        tracker_folder=tracker_folder,
    )
    if launch:
        from olivine.training.launch import Launch
        from olivine.training.launch import launch as start_processes

        sys.exit(start_processes(sys.argv[1:], Launch(nproc, nnodes, node_rank, master)))
    if (nproc, nnodes, node_rank, master) != (None,) * 4:
        raise UsageError("--nproc, --nnodes, --node-rank and --master go with --launch.")
    given = {"drives": drives, "weak_labels": weak_labels, "density_weights": density_weights, "start": start}
    options = {"store": store, "recipe": recipe, "settings": set_, "execution": execution}
    _stage("pretrain", executor_input, as_json, **options, **given)


@app.command(help=BY_WORD["finetune"].summary)
def finetune(
    drives: Annotated[str, _id_option("drives")] = "",
    backbone: Annotated[str, typer.Option(help="Id of the backbone to start from; none: start from random.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Declared by help=."""
    given = {"drives": drives, "backbone": backbone}
    _stage("finetune", executor_input, as_json, store=store, recipe=recipe, settings=set_, **given)


@app.command(help=BY_WORD["evaluate"].summary)
def evaluate(
    drives: Annotated[str, _id_option("drives")] = "",
    segmenter: Annotated[str, _id_option("segmenter")] = "",
    official: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder of the raw drives: score by the nuScenes devkit's own evaluator too."),
    ] = None,
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Declared by help=."""
    if official and not official.is_dir():
        # Said before the split is predicted, which may take an hour.
        raise UsageError(f"--official {official} is no folder: give the raw drives with their hand labels.")
    given = {"drives": drives, "segmenter": segmenter}
    artifact = _stage("evaluate", executor_input, as_json, store=store, recipe=recipe, settings=set_, **given)
    if official:
        from olivine.evaluate.official import score_artifact

        print(score_artifact(artifact, official))


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")] = "full",
    drives: Annotated[str, typer.Option(help="Folder of the raw drives, in nuScenes v1.0 layout.")] = "",
    version: Annotated[str, typer.Option(help="Folder of the tables in it; default v1.0-trainval.")] = "",
    store: StoreOption = "./store",
    recipe: Annotated[str, typer.Option(help="Name of a recipe; default: the pipeline's, which is olivine.")] = "",
    seeds: Annotated[str, typer.Option(help="Fine-tuning seeds, as in 0,1,2 (the default).")] = "",
    set_: SetOption = None,
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--parameter", "-p", help="Any parameter of the pipeline: name=value. May be repeated."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("olivine-run"),
    timeout_s: Annotated[float, typer.Option(help="Seconds that one step may take.")] = 86_400.0,
    container: Annotated[
        bool, typer.Option("--container", help="Run each step in a container, by Podman or Docker.")
    ] = False,
    image: Annotated[str, typer.Option(help="With --container: an image of this machine; default olivine:dev.")] = "",
) -> None:
    """Run a whole pipeline on this machine, each step a process; a second run finds what is finished."""
    from olivine.platform import run_command
    from olivine.platform.compiled_pipelines import PLACEHOLDER_IMAGE

    if image and not container:
        raise UsageError("--image names the image of containers: add --container.")

    options: dict[str, Any] = {"drives": drives, "version": version, "store": store, "recipe": recipe}
    options |= {"seeds": run_command.parse_seeds(seeds), "settings": set_}
    chosen = (image or PLACEHOLDER_IMAGE) if container else None
    run_command.run(pipeline, options, parameter or [], out, timeout_s, chosen)


@app.command()
def report(
    metrics: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Id of metrics, as `olivine evaluate` printed it; once for each arm and seed."),
    ] = None,
    store: StoreOption = "./store",
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Random start and pretrained backbone",
    executor_input: ExecutorOption = None,
) -> None:
    """Compare metrics: a table here, and one self-contained HTML page."""
    from olivine.platform.executor import run_once
    from olivine.report.command import run_report, run_report_executor

    if executor_input is not None:
        run_once("report", executor_input, run_report_executor)
        return
    print(run_report(store, metrics or [], out, title))


@app.command()
def compare(
    runs: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            help="Two or more ids of backbones, segmenters, metrics or others; the first is the baseline. "
            "NAME=ID,ID,... names an arm, and joins its seeds and label fractions."
        ),
    ] = None,
    store: StoreOption = "./store",
    out: Annotated[Optional[Path], typer.Option(help="Page to write too.")] = None,  # noqa: UP045
    title: Annotated[str, typer.Option(help="Title of the page.")] = "Runs compared",
    all_: Annotated[bool, typer.Option("--all", help="Tell what is equal too.")] = False,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """What differs between runs in data, recipe, code, environment and cost, and their results in pairs of seeds."""
    from olivine.lineage.compare_command import run_compare, run_compare_executor
    from olivine.platform.executor import run_once

    if executor_input is not None:
        run_once("compare", executor_input, run_compare_executor)
        return
    run_compare(store, runs or [], out, title, all_, as_json)


@app.command()
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


@app.command()
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
        Optional[int],  # noqa: UP045
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


@store_app.command("init")
def store_init(
    store: Annotated[str, typer.Argument(help="A directory or s3://bucket/prefix.")],
    lock_records_days: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, help="Lock the records against change for so many days."),
    ] = None,
) -> None:
    """Prepare a store: bucket, versions, lifecycle, object lock, and a trial of conditional writes."""
    from olivine.store.admin import init_store

    for line in init_store(store, lock_records_days):
        print(line)


@store_app.command("link")
def store_link(
    store: Annotated[str, typer.Argument(help="s3://bucket/prefix.")],
    key: Annotated[str, typer.Argument(help="Key of the object.")],
    hours: Annotated[float, typer.Option(min=0.001, max=168, help="How long the link works.")] = 1.0,
) -> None:
    """Print a link that lets anybody read one object for a while."""
    from datetime import timedelta

    from olivine.store.admin import presign

    print(presign(store, key, timedelta(hours=hours)))


@store_app.command("verify")
def store_verify(
    stage: Annotated[str, typer.Argument(help="Stage that made the artifact.")],
    id: Annotated[str, typer.Argument(help="Id of the artifact, or its first 6 or more characters.")],
    store: StoreOption = "./store",
) -> None:
    """Read an artifact and all it was made from again and compare every digest."""
    from olivine.artifacts import find_artifact, verify
    from olivine.errors import IntegrityError
    from olivine.store import open_store

    if stage not in BY_WORD:
        raise UsageError(f"{stage!r} is no stage: choose one of {', '.join(BY_WORD)}.")
    artifact = find_artifact(open_store(store), stage, id)
    problems = verify(artifact)
    if problems:
        raise IntegrityError("\n".join([f"{len(problems)} problems:", *problems]))
    print(f"{artifact.manifest.kind} {artifact.id}: every byte is as it was published.")


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; errors end with their message and exit code."""
    keep_freed_memory()
    if os.getpid() == 1:
        # The first process of a container gets no signal that it has no handler for; this one is what SIGTERM does.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    try:
        sys.exit(app(standalone_mode=False))
    except OlivineError as error:
        _tell_launcher(error)
        print(f"olivine: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.TyperException as error:
        # What the parser of the command line refuses is a wrong call like any other. No arguments at all ask for help.
        _tell_launcher(UsageError(error.format_message()))
        if message := error.format_message():
            print(f"olivine: {message} `--help` shows the options.", file=sys.stderr)
        sys.exit(UsageError.exit_code)
    except OSError as error:
        _tell_launcher(DataError(str(error)))
        print(f"olivine: {error}. Check that the file or folder is there and may be used.", file=sys.stderr)
        sys.exit(DataError.exit_code)
    except Exception as error:
        _tell_launcher(error)
        raise


def _tell_launcher(error: Exception) -> None:
    from olivine.training.launch import write_error_file

    write_error_file(error)
