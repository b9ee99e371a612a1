"""`olivine store`: object storage."""

from __future__ import annotations

from typing import Annotated

import typer

from olivine.cli.options import StoreOption
from olivine.errors import IntegrityError, UsageError
from olivine.stages import BY_WORD

store_app = typer.Typer(help="Object storage: prepare it, check what is in it, hand out links.", no_args_is_help=True)


@store_app.command("init")
def store_init(
    store: Annotated[str, typer.Argument(help="A directory or s3://bucket/prefix.")],
    lock_records_days: Annotated[
        int | None,
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
    from olivine.store import open_store

    if stage not in BY_WORD:
        raise UsageError(f"{stage!r} is no stage: choose one of {', '.join(BY_WORD)}.")
    artifact = find_artifact(open_store(store), stage, id)
    problems = verify(artifact)
    if problems:
        raise IntegrityError("\n".join([f"{len(problems)} problems:", *problems]))
    print(f"{artifact.manifest.kind} {artifact.id}: every byte is as it was published.")
