"""Every command under its name. The help lists them in this order: single commands first, then groups."""

from __future__ import annotations

from typing import Annotated

import typer

from olivine import __version__
from olivine.cli.chain import evaluate, finetune, ingest, weigh
from olivine.cli.cluster import doctor, reap
from olivine.cli.datasets import datasets_app
from olivine.cli.demo import demo, synth
from olivine.cli.detect import detect_app
from olivine.cli.figure import figure_app
from olivine.cli.label import label_app, view
from olivine.cli.lineage import card, drives_app, gc, lineage_app
from olivine.cli.pipelines import receive, run, runs, schedule_app, submit
from olivine.cli.pretrain import pretrain
from olivine.cli.registry import plan, promote, registry_app, rollback
from olivine.cli.report import compare, report, table
from olivine.cli.score import predict, robustness, score_app
from olivine.cli.steps import close, gate, groups, share
from olivine.cli.store import store_app
from olivine.cli.study import recipes, study_app
from olivine.cli.weights import weights_app
from olivine.stages import BY_WORD

_COMMANDS = (
    *(view, recipes, card, gc),
    *(plan, groups, share, gate, close, promote, rollback, reap, doctor, submit, runs, receive),
    *(predict, robustness, table),
    *(ingest, weigh, pretrain, finetune, evaluate),
    *(run, report, compare, demo, synth),
)
_GROUPS = {
    "label": label_app,
    "study": study_app,
    "weights": weights_app,
    "detect": detect_app,
    "datasets": datasets_app,
    "lineage": lineage_app,
    "drives": drives_app,
    "registry": registry_app,
    "schedule": schedule_app,
    "store": store_app,
    "score": score_app,
    "figure": figure_app,
}

app = typer.Typer(
    name="olivine",
    help="Drives in, an audited 3D backbone out: image-to-LiDAR distillation with weak labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in _COMMANDS:
    stage = BY_WORD.get(command.__name__)
    app.command(help=stage.summary if stage else None)(command)
for name, group in _GROUPS.items():
    app.add_typer(group, name=name)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit
