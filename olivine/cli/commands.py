"""Every command under its name, as the help shows them: by what they are for, single commands first, then groups."""

from __future__ import annotations

from collections.abc import Callable
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

_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Whole runs": (demo, run),
    "Stages": (ingest, weigh, pretrain, finetune, evaluate),
    "Results": (report, compare, table, predict, robustness, view),
    "Recipes, weights and data": (recipes, synth),
    "Lineage": (card, gc),
    "Registry and store": (plan, promote, rollback),
    "Cluster": (doctor, submit, runs, receive, reap),
}
_STEPS_OF_PIPELINES = (groups, share, gate, close)
_GROUPS = (
    ("study", study_app, "Whole runs"),
    ("label", label_app, "Stages"),
    ("score", score_app, "Results"),
    ("figure", figure_app, "Results"),
    ("weights", weights_app, "Recipes, weights and data"),
    ("datasets", datasets_app, "Recipes, weights and data"),
    ("detect", detect_app, "Recipes, weights and data"),
    ("lineage", lineage_app, "Lineage"),
    ("drives", drives_app, "Lineage"),
    ("registry", registry_app, "Registry and store"),
    ("store", store_app, "Registry and store"),
    ("schedule", schedule_app, "Cluster"),
)

app = typer.Typer(
    name="olivine",
    help="Drives in, an audited 3D backbone out: image-to-LiDAR distillation with weak labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for panel, commands in _PANELS.items():
    for command in commands:
        stage = BY_WORD.get(command.__name__)
        app.command(help=stage.summary if stage else None, rich_help_panel=panel)(command)
for command in _STEPS_OF_PIPELINES:
    app.command(hidden=True)(command)
for name, group, panel in _GROUPS:
    app.add_typer(group, name=name, rich_help_panel=panel)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit
