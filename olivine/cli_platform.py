"""Commands around the stages: the drive registry, the gate, and which model is promoted."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Optional

import typer

from olivine.cli_options import ExecutorOption, JsonOption, StoreOption

schedule_app = typer.Typer(help="Recurring runs of a KFP server, as a file says them.", no_args_is_help=True)
registry_app = typer.Typer(help="Raw drives in the store: register them, see which there are.", no_args_is_help=True)

HostOption = Annotated[str, typer.Option(help="Address of KFP, as http://localhost:8888; a token in KFP_TOKEN.")]
ImageOption = Annotated[str, typer.Option(help="Image of every step: name@sha256:<digest>.")]
AllowTagOption = Annotated[bool, typer.Option("--allow-tag", help="Take an image by tag, which can be moved.")]
NamespaceOption = Annotated[str, typer.Option(help="Namespace of the user, where KFP knows several.")]
ReasonOption = Annotated[str, typer.Option(help="Why, for those who read the history.")]


@registry_app.command("add")
def registry_add(
    drive: Annotated[str, typer.Argument(help="Name of the drive.")],
    folder: Annotated[Path, typer.Argument(help="Its data set, in nuScenes v1.0 layout.")],
    version: Annotated[str, typer.Option(help="Folder of the tables in it.")] = "v1.0-trainval",
    store: StoreOption = "./store",
) -> None:
    """Upload a drive: its files first, then _READY.json with their digests; a killed upload goes on."""
    from olivine.registry.ready import add_drive
    from olivine.store import open_store

    ready = add_drive(open_store(store), drive, folder, version)
    print(f"drive {drive}: {len(ready.files)} files, {sum(file.size_bytes for file in ready.files)} bytes")


@registry_app.command("list")
def registry_list(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """List the complete drives, whether the promoted model was trained on each, and why others are not taken."""
    from olivine.registry.catalogue import read_catalogue
    from olivine.registry.plan import read_marked
    from olivine.store import open_store

    opened = open_store(store)
    catalogue, marked = read_catalogue(opened), read_marked(opened)
    rows = [
        {
            "drive": name,
            "version": ready.version,
            "files": len(ready.files),
            "bytes": sum(file.size_bytes for file in ready.files),
            "trained": marked.get(name) == ready.digest,
        }
        for name, ready in catalogue.drives.items()
    ]
    if as_json:
        print(json.dumps({"drives": rows, "refused": catalogue.refused}))
        return
    for row in rows:
        state = "trained" if row["trained"] else "new"
        print(f"{row['drive']:32} {row['version']:14} {row['files']:7} files {row['bytes']:15} bytes  {state}")
    for name, reason in catalogue.refused.items():
        print(f"{name:32} refused: {reason}")


def plan(
    version: Annotated[str, typer.Option(help="Folder of the tables in every drive.")] = "v1.0-trainval",
    recipe: Annotated[str, typer.Option(help="Name of the recipe to train by.")] = "olivine",
    min_new: Annotated[int, typer.Option(min=1, help="Fewer new drives are not worth a training.")] = 1,
    drive: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Train on just these drives, new or not (backfill). May be repeated."),
    ] = None,
    warm_start: Annotated[bool, typer.Option(help="Pretrain from the promoted backbone, where there is one.")] = True,
    store: StoreOption = "./store",
    as_json: JsonOption = False,
    executor_input: ExecutorOption = None,
) -> None:
    """Plan the next training on new drives, and claim it: two runs never train on one set."""
    from olivine.platform.executor import run_once
    from olivine.platform.retrain_steps import run_plan_executor
    from olivine.registry.plan import Request, make_plan
    from olivine.store import open_store

    if executor_input is not None:
        print(run_once("plan", executor_input, run_plan_executor).reason)
        return
    request = Request(version, recipe, min_new=min_new, only=tuple(drive or ()), warm_start=warm_start)
    made = make_plan(open_store(store), request, _by_hand(), datetime.now(UTC))
    if as_json:
        print(json.dumps({"plan": made.plan and made.plan.digest, "reason": made.reason, "new": made.new}))
        return
    for name, reason in made.refused.items():
        print(f"left out {name}: {reason}")
    print(made.reason + (f"\nplan {made.plan.digest}" if made.plan else ""))


def gate(executor_input: ExecutorOption = None) -> None:
    """The last step of a retraining: compare, record, promote, and move the watermark. For pipelines alone."""
    from olivine.errors import UsageError
    from olivine.platform.executor import run_once
    from olivine.platform.retrain_steps import run_gate_executor

    if executor_input is None:
        raise UsageError("gate is a step of the pipeline retrain_on_new_drives. By hand: `olivine promote`.")
    decision = run_once("gate", executor_input, run_gate_executor)
    print(f"{'promoted' if decision.passed else 'not promoted'}: {decision.reason}")


def groups(executor_input: ExecutorOption = None) -> None:
    """Name the groups that share a labelling. For pipelines alone."""
    from olivine.errors import UsageError
    from olivine.platform.share_steps import run_groups_executor

    if executor_input is None:
        raise UsageError("groups is a step of the pipelines that label.")
    print(" ".join(run_groups_executor(executor_input)))


def share(executor_input: ExecutorOption = None) -> None:
    """Label one group's share of the drives, for a step `label` after all groups. For pipelines alone."""
    from olivine.errors import UsageError
    from olivine.platform.share_steps import run_share_executor

    if executor_input is None:
        raise UsageError(
            "share is a step of the pipelines that label. By hand: "
            "`torchrun --nproc-per-node N --no-python olivine label ...`."
        )
    print(f"{run_share_executor(executor_input)} keyframes of this group are labelled")


def close(executor_input: ExecutorOption = None) -> None:
    """The last step of every run: publish how it ended, and release what it claimed. For pipelines alone."""
    from olivine.errors import UsageError
    from olivine.platform.close_step import run_close_executor

    if executor_input is None:
        raise UsageError("close is the last step of a pipeline; there is nothing to close by hand.")
    print(f"run ended: {run_close_executor(executor_input)}")


def promote(
    segmenter: Annotated[str, typer.Argument(help="Id of the segmenter, or its first 6 or more characters.")],
    reason: ReasonOption,
    metrics: Annotated[str, typer.Option(help="Id of metrics of it, to be recorded with the promotion.")] = "",
    store: StoreOption = "./store",
) -> None:
    """Make a segmenter the promoted one, by a person's decision."""
    from olivine.artifacts import find_artifact
    from olivine.registry.promotion import promote as move
    from olivine.store import open_store

    opened = open_store(store)
    model = find_artifact(opened, "finetune", segmenter, "segmenter")
    scores = find_artifact(opened, "evaluate", metrics, "metrics") if metrics else None
    done = move(opened, model, scores, reason, _by_hand(), datetime.now(UTC))
    print(f"promoted: segmenter {done.segmenter.id}")


def rollback(reason: ReasonOption, store: StoreOption = "./store") -> None:
    """Bring back the segmenter that was promoted before; again: the one before that."""
    from olivine.registry.promotion import roll_back
    from olivine.store import open_store

    done = roll_back(open_store(store), reason, _by_hand(), datetime.now(UTC))
    print(f"promoted: segmenter {done.segmenter.id}")


def reap(
    namespace: Annotated[
        str, typer.Option(help="Namespace of the TrainJobs; default: that of the service account.")
    ] = "",
) -> None:
    """Delete the TrainJobs whose supervisor is gone, and those that ended a week ago. k8s/ runs it on a schedule."""
    from olivine.platform.trainjob.cluster import connect
    from olivine.platform.trainjob.reaper import reap as run

    for name, reason in run(connect(namespace), datetime.now(UTC)).items():
        print(f"deleted {name}: {reason}")


@registry_app.command("history")
def registry_history(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """Show every promotion and rollback, the newest first."""
    from olivine.registry.promotion import read_history
    from olivine.store import open_store

    for item in read_history(open_store(store)):
        if as_json:
            print(json.dumps(item.model_dump(mode="json")))
        else:
            what = f"{item.action:8} segmenter {item.segmenter.id[:12]}"
            print(f"{item.at:%Y-%m-%d %H:%M} {what} by {item.run}: {item.reason}")


def doctor(
    store: StoreOption = "./store",
    cluster: Annotated[bool, typer.Option("--cluster", help="Look at the cluster of the kubeconfig as well.")] = False,
    namespace: Annotated[str, typer.Option(help="With --cluster: namespace of the TrainJobs.")] = "",
    host: Annotated[str, typer.Option(help="With --cluster: address of KFP, as http://localhost:8888.")] = "",
) -> None:
    """Look at this machine, a store, and with --cluster a cluster: what is there, what is missing, what to do."""
    from olivine.errors import ConfigError
    from olivine.platform.doctor import check_cluster, check_kfp, check_machine
    from olivine.platform.trainjob.cluster import connect

    findings = list(check_machine(store))
    if cluster:
        findings += check_cluster(connect(namespace))
        findings += [check_kfp(host)] if host else []
    for finding in findings:
        print(f"{finding.state:6} {finding.what:20} {finding.said}")
    faults = sum(finding.state == "fault" for finding in findings)
    if faults:
        raise ConfigError(f"{faults} of {len(findings)} checks found a fault; each line above says what to do.")


def submit(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    host: HostOption,
    image: ImageOption,
    parameter: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--parameter", "-p", help="A parameter of the pipeline: name=value. May be repeated."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the run; default: that of the pipeline and the time.")] = "",
    experiment: Annotated[str, typer.Option(help="Experiment that the run belongs to.")] = "olivine",
    namespace: NamespaceOption = "",
    service_account: Annotated[str, typer.Option(help="Account of the pods; default: the server's.")] = "",
    allow_tag: AllowTagOption = False,
) -> None:
    """Start a pipeline on a KFP server; prints the id of the run."""
    from olivine.platform.compiled_pipelines import check_image, check_parameters, load_pipeline, with_image
    from olivine.platform.kfp_api import Kfp
    from olivine.platform.run_command import read_assignments

    compiled = load_pipeline(pipeline)
    values = check_parameters(compiled, read_assignments(parameter or []))
    text = with_image(compiled.text, check_image(image, allow_tag))
    run_name = name or f"{pipeline} {datetime.now(UTC):%Y-%m-%d %H:%M}"
    print(Kfp(host, namespace).submit(text, run_name, experiment, values, service_account))


def runs(
    host: HostOption,
    namespace: NamespaceOption = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many of the newest.")] = 20,
) -> None:
    """List the newest runs of a KFP server."""
    from olivine.platform.kfp_api import Kfp

    for run in Kfp(host, namespace).list_runs(limit):
        print(f"{run.id:36} {run.created:16} {run.state:10} {run.name}")


@schedule_app.command("apply")
def schedule_apply(
    file: Annotated[Path, typer.Argument(help="The schedules, in YAML; docs/uses.md shows one.")],
    host: HostOption,
    image: ImageOption,
    namespace: NamespaceOption = "",
    allow_tag: AllowTagOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
) -> None:
    """Bring the recurring runs of a KFP server to what a file says; those of others stay as they are."""
    from olivine.platform.compiled_pipelines import check_image
    from olivine.platform.kfp_api import Kfp
    from olivine.platform.schedule import apply_schedules, read_schedules

    schedules = read_schedules(file)
    for change in apply_schedules(Kfp(host, namespace), schedules, check_image(image, allow_tag), dry_run):
        print(f"{change.action:8} {change.name}")


@schedule_app.command("list")
def schedule_list(host: HostOption, namespace: NamespaceOption = "") -> None:
    """List the recurring runs of a KFP server."""
    from olivine.platform.kfp_api import Kfp

    for item in Kfp(host, namespace).list_schedules():
        print(f"{item.id:36} {'enabled' if item.enabled else 'disabled':8} {item.cron:20} {item.name}")


def receive(
    file: Annotated[Path, typer.Argument(help="The schedules, in YAML.")],
    name: Annotated[str, typer.Argument(help="The schedule whose runs are started early.")],
    host: HostOption,
    image: ImageOption,
    namespace: NamespaceOption = "",
    allow_tag: AllowTagOption = False,
    address: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    quiet_s: Annotated[float, typer.Option(min=1, help="Seconds without an event before a run is started.")] = 300.0,
    longest_s: Annotated[float, typer.Option(min=1, help="Seconds from the first event at most.")] = 3600.0,
) -> None:
    """Start the runs of a schedule early, when the store posts that a drive is complete (OLIVINE_WEBHOOK_TOKEN)."""
    import time

    from olivine.platform.compiled_pipelines import check_image, check_parameters, load_pipeline, with_image
    from olivine.platform.kfp_api import Kfp
    from olivine.platform.schedule import find_schedule
    from olivine.platform.webhook import TOKEN_VARIABLE, Debounce, Receiver, start_when_due

    schedule = find_schedule(file, name)
    compiled = load_pipeline(schedule.pipeline)
    values = check_parameters(compiled, dict(schedule.parameters))
    text = with_image(compiled.text, check_image(image, allow_tag))

    def submit() -> str:
        run_name = f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M} (a drive is complete)"
        return Kfp(host, namespace).submit(text, run_name, schedule.experiment, values, schedule.service_account)

    debounce = Debounce(quiet_s, longest_s)
    receiver = Receiver(address, port, os.environ.get(TOKEN_VARIABLE, ""), debounce)
    print(f"listening on {address}:{receiver.port}", flush=True)
    while True:
        start_when_due(debounce, submit, lambda line: print(line, flush=True))
        time.sleep(1.0)


def _by_hand() -> str:
    return f"{os.environ.get('USER') or 'somebody'}-{uuid.uuid4().hex[:8]}"


COMMANDS = (plan, groups, share, gate, close, promote, rollback, reap, doctor, submit, runs, receive)
