"""Commands of auditors: lineage, model cards, withdrawn drives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from olivine.cli.options import JsonOption, StoreOption

lineage_app = typer.Typer(
    help="What made what: from drives to numbers and back, out of the store.", no_args_is_help=True
)
drives_app = typer.Typer(help="Drives: withdraw one, list what is withdrawn.", no_args_is_help=True)

MirrorOption = Annotated[bool, typer.Option("--mirror", help="Ask the local mirror (`olivine lineage mirror`).")]
OutOption = Annotated[Path | None, typer.Option(help="File to write; default: the terminal.")]
NameArgument = Annotated[str, typer.Argument(help="Id of an artifact of any stage, or its first 6 or more characters.")]


@lineage_app.command()
def trace(
    artifact: NameArgument,
    frames: Annotated[bool, typer.Option("--frames", help="Count keyframes by drive too (reads the index).")] = False,
    store: StoreOption = "./store",
    mirror: MirrorOption = False,
    as_json: JsonOption = False,
) -> None:
    """Which drives, labels, weights, code and runs made this."""
    from olivine.lineage.command import run_trace

    run_trace(store, artifact, frames, mirror, as_json)


@lineage_app.command()
def impact(
    name: Annotated[
        str,
        typer.Argument(help="A drive, keyframe, commit, SHA-256 of weights or artifact; or sort:name, as drive:n008."),
    ],
    store: StoreOption = "./store",
    mirror: MirrorOption = False,
    as_json: JsonOption = False,
) -> None:
    """What was made from this: all that must be looked at when it is withdrawn."""
    from olivine.lineage.command import run_impact

    run_impact(store, name, mirror, as_json)


@lineage_app.command()
def verify(
    artifact: NameArgument,
    keys: Annotated[
        Path | None,
        typer.Option(help="Folder of public keys (PEM): one of them must have signed each statement."),
    ] = None,
    store: StoreOption = "./store",
) -> None:
    """Hash everything behind an artifact again; exit code 65 and the names of what differs."""
    from olivine.lineage.command import run_verify

    run_verify(store, artifact, keys)


@lineage_app.command()
def diff(one: NameArgument, other: NameArgument, store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """What differs between two: data, recipe, code, environment, result."""
    from olivine.lineage.command import run_diff

    run_diff(store, one, other, as_json)


@lineage_app.command()
def why(
    number: Annotated[str, typer.Argument(help="A number of one seed as a table shows it, as 27.13 or 0.2713.")],
    store: StoreOption = "./store",
    as_json: JsonOption = False,
) -> None:
    """From a number in a table to its evaluation, model, labelled frames and drives."""
    from olivine.lineage.command import run_why

    run_why(store, number, as_json)


@lineage_app.command()
def search(
    kind: Annotated[str, typer.Option(help="Kind of artifact, as backbone or metrics.")] = "",
    recipe: Annotated[str, typer.Option(help="A field and its value, as method=olivine, or a value alone.")] = "",
    drive: Annotated[str, typer.Option(help="Only what this drive has reached.")] = "",
    since: Annotated[str, typer.Option(help="Finished at this date or time (ISO 8601) or later.")] = "",
    until: Annotated[str, typer.Option(help="Finished before this date or time.")] = "",
    metric: Annotated[str, typer.Option(help="Bound of a number of the summary, as miou>=0.3.")] = "",
    store: StoreOption = "./store",
    mirror: MirrorOption = False,
    as_json: JsonOption = False,
) -> None:
    """List artifacts by what they are."""
    from olivine.lineage.command import run_search
    from olivine.lineage.search import Query

    run_search(store, Query(kind, recipe, drive, since, until, metric), mirror, as_json)


@lineage_app.command()
def export(
    artifact: NameArgument,
    format: Annotated[
        Literal["json", "mermaid", "intoto", "openlineage", "html"], typer.Option("--format", help="Whose words.")
    ] = "json",
    out: OutOption = None,
    store: StoreOption = "./store",
) -> None:
    """Write the lineage of an artifact as JSON, Mermaid, in-toto statements, OpenLineage events or a page."""
    from olivine.lineage.command import run_export

    run_export(store, artifact, format, out)


@lineage_app.command()
def mirror(store: StoreOption = "./store") -> None:
    """Build the local mirror of a store's lineage (SQLite); what it had is not read again."""
    from olivine.lineage.command import run_mirror

    run_mirror(store)


@lineage_app.command()
def repair(store: StoreOption = "./store") -> None:
    """Write missing records: of older artifacts, or of a run that was killed in between."""
    from olivine.lineage.command import run_repair

    run_repair(store)


@drives_app.command()
def withdraw(
    drive: Annotated[str, typer.Argument(help="Name of the drive.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    by: Annotated[str, typer.Option(help="Who decides; default: the user.")] = "",
    store: StoreOption = "./store",
) -> None:
    """Withdraw a drive: nothing more is made from it, and what it has reached is listed. Nothing is deleted."""
    from olivine.lineage.command import run_withdraw

    run_withdraw(store, drive, reason, by)


@drives_app.command("list")
def drives_list(store: StoreOption = "./store", as_json: JsonOption = False) -> None:
    """List withdrawn drives with who and why."""
    from olivine.lineage.command import run_drives

    run_drives(store, as_json)


def card(artifact: NameArgument, out: OutOption = None, store: StoreOption = "./store") -> None:
    """Write the model card of a backbone, segmenter or detector, from its records."""
    from olivine.lineage.command import run_card

    run_card(store, artifact, out)


def gc(
    days: Annotated[int, typer.Option(help="Keep everything that was finished within so many days.")] = 30,
    withdrawn: Annotated[
        bool,
        typer.Option("--withdrawn", help="Also what withdrawn drives have reached, of any age, and their raw files."),
    ] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it; without, it is only shown.")] = False,
    by: Annotated[str, typer.Option(help="Who decides, for the record; default: the user.")] = "",
    store: StoreOption = "./store",
    as_json: JsonOption = False,
) -> None:
    """Show, or delete, what no promoted and no recent model needs."""
    from olivine.lineage.command import run_gc

    run_gc(store, days, withdrawn, delete, by, as_json)
