"""Options that commands of every group share, so that one flag means and says the same everywhere."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

StoreOption = Annotated[str, typer.Option(help="Where artifacts are: a directory or s3://bucket/prefix.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
ExecutorOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--executor-input", help="For pipeline steps: what KFP fills in for '{{$}}'; replaces all else."),
]
