"""Commands about whole pipelines: run one on this machine, submit it to a KFP server, or have it run on a schedule."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from olivine.cli.options import SetOption, StoreOption
from olivine.errors import UsageError

schedule_app = typer.Typer(help="Recurring runs of a KFP server, as a file says them.", no_args_is_help=True)

HostOption = Annotated[str, typer.Option(help="Address of KFP, as http://localhost:8888; a token in KFP_TOKEN.")]
ImageOption = Annotated[str, typer.Option(help="Image of every step: name@sha256:<digest>.")]
AllowTagOption = Annotated[bool, typer.Option("--allow-tag", help="Take an image by tag, which can be moved.")]
NamespaceOption = Annotated[str, typer.Option(help="Namespace of the user, where KFP knows several.")]


def run(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")] = "full",
    drives: Annotated[str, typer.Option(help="Folder of the raw drives, in nuScenes v1.0 layout.")] = "",
    version: Annotated[str, typer.Option(help="Folder of the tables in it; default v1.0-trainval.")] = "",
    store: StoreOption = "./store",
    recipe: Annotated[str, typer.Option(help="Name of a recipe; default: the pipeline's, which is olivine.")] = "",
    seeds: Annotated[str, typer.Option(help="Fine-tuning seeds, as in 0,1,2 (the default).")] = "",
    set_: SetOption = None,
    parameter: Annotated[
        list[str] | None,
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


def submit(
    pipeline: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    host: HostOption,
    image: ImageOption,
    parameter: Annotated[
        list[str] | None,
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
