"""Options that commands of several groups share, so that one flag means and says the same everywhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def id_option(what: str) -> Any:
    """An artifact by its id; `what` names it in the help."""
    return typer.Option(help=f"Id of the {what}, or its first 6 or more characters.")


StoreOption = Annotated[str, typer.Option(help="Where artifacts are: a directory or s3://bucket/prefix.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ExecutorOption = Annotated[
    str | None,
    typer.Option("--executor-input", help="For pipeline steps: what KFP fills in for '{{$}}'; replaces all else."),
]
RecipeOption = Annotated[str, typer.Option(help="Name of a recipe; `olivine recipes` lists them.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="Change one field of the recipe: stage.field=value. May be repeated."),
]
DrivesOption = Annotated[str, id_option("drives to use")]
BackboneOption = Annotated[str, id_option("backbone")]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(help="Id of metrics, as `olivine evaluate` printed it; once for each arm and seed."),
]
