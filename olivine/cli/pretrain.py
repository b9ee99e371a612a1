"""`olivine pretrain`: the stage itself, on how many processes, and how they carry it out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from olivine.cli.options import (
    DrivesOption,
    ExecutorOption,
    JsonOption,
    RecipeOption,
    SetOption,
    StoreOption,
    id_option,
)
from olivine.cli.stage import run_stage
from olivine.errors import UsageError

LaunchOption = Annotated[bool, typer.Option("--launch", help="Start a process for each GPU, on one node or more.")]
NprocOption = Annotated[
    int | None, typer.Option(min=1, help="With --launch: processes on this node; default: its GPUs, or 1.")
]
NnodesOption = Annotated[
    int | None,
    typer.Option(min=1, help="With --launch: nodes; run the same command on each, with its --node-rank."),
]
NodeRankOption = Annotated[int | None, typer.Option(min=0, help="With --nnodes: number of this node, from 0.")]
MasterOption = Annotated[str | None, typer.Option(help="With --nnodes: HOST:PORT on node 0 that the others reach.")]


def _execution_option(name: str, text: str) -> Any:
    """A field of `Execution`, by its flag or by a variable of the environment."""
    return typer.Option(envvar=f"OLIVINE_PRETRAIN_{name.upper()}", help=text)


ZeroOption = Annotated[int, _execution_option("zero", "ZeRO stage of DeepSpeed: 0, 1 or 2.")]
AccumulateOption = Annotated[
    int, _execution_option("accumulate", "Parts that a process cuts its share of a batch into.")
]
RecomputeOption = Annotated[
    bool, _execution_option("recompute_activations", "Keep fewer activations of MinkUNet: less memory, more time.")
]
WorkersOption = Annotated[int, _execution_option("workers", "Processes that prepare samples, for each process.")]
CacheOption = Annotated[
    Path | None, _execution_option("cache", "Folder on a local disk that keeps what was read from the store.")
]
CacheSizeOption = Annotated[float, _execution_option("cache_gb", "Size of that folder in GB.")]
KeepOption = Annotated[int, _execution_option("keep", "Checkpoints that stay, the last ones.")]
KeepBestOption = Annotated[
    bool, _execution_option("keep_best", "Beside them, the checkpoint with the lowest mean training loss stays.")
]
BackgroundOption = Annotated[
    bool, _execution_option("background_checkpoints", "Write checkpoints beside the training.")
]
HangOption = Annotated[
    float, _execution_option("hang_s", "Seconds without progress of a process after which the run fails.")
]
MetricsPortOption = Annotated[
    int | None, _execution_option("metrics_port", "Port of a Prometheus endpoint on each node.")
]
TrackerOption = Annotated[
    Literal["none", "tensorboard", "mlflow", "wandb"], _execution_option("tracker", "Where curves are shown as well.")
]
TrackerFolderOption = Annotated[Path, _execution_option("tracker_folder", "Folder that the tracker writes to.")]


def pretrain(
    drives: DrivesOption = "",
    weak_labels: Annotated[str, id_option("weak_labels to use")] = "",
    density_weights: Annotated[str, id_option("density_weights to use")] = "",
    start: Annotated[str, typer.Option(help="Id of a backbone to start from; none: random parameters.")] = "",
    store: StoreOption = "./store",
    recipe: RecipeOption = "olivine",
    set_: SetOption = None,
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
    launch: LaunchOption = False,
    nproc: NprocOption = None,
    nnodes: NnodesOption = None,
    node_rank: NodeRankOption = None,
    master: MasterOption = None,
    zero: ZeroOption = 0,
    accumulate: AccumulateOption = 1,
    recompute_activations: RecomputeOption = False,
    workers: WorkersOption = 0,
    cache: CacheOption = None,
    cache_gb: CacheSizeOption = 50.0,
    keep: KeepOption = 3,
    keep_best: KeepBestOption = True,
    background_checkpoints: BackgroundOption = False,
    hang_s: HangOption = 80.0,
    metrics_port: MetricsPortOption = None,
    tracker: TrackerOption = "none",
    tracker_folder: TrackerFolderOption = Path("olivine-tracking"),
) -> None:
    """The stage `pretrain`."""
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
    ids = {"drives": drives, "weak_labels": weak_labels, "density_weights": density_weights, "start": start}
    run_stage(
        "pretrain",
        executor_input,
        as_json,
        store=store,
        recipe=recipe,
        settings=set_,
        ids=ids,
        execution=execution,
    )
