"""`olivine report`: from ids of metrics to a page, by hand and as a pipeline step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from olivine.artifacts import Artifact, find_artifact
from olivine.errors import UsageError
from olivine.kfp_io import ExecutorInput
from olivine.report.page import write_report
from olivine.report.setting import setting_lines
from olivine.report.summary import summarise
from olivine.report.table import print_table
from olivine.store import Store, open_store

_PARAMETERS = ("store", "title", "metrics_ids", "baseline_ids")


def run_report(store_url: str, ids: Sequence[str], out: Path, title: str) -> Path:
    """Print the table about the metrics with these ids (or their first 6 or more characters) and write the page.

    Raises:
        UsageError: no such metrics, or metrics that cannot be compared; else what `write_report` raises.
    """
    store = open_store(store_url)
    metrics = _find(store, ids)
    page = write_report(store, metrics, out, title)
    print_table(summarise(store, metrics), Console(), setting_lines(store, metrics))
    return page


def run_report_executor(executor_input: str) -> None:
    """Write the page as a pipeline step: `store`, `title`, `metrics_ids` and `baseline_ids` in, the page `report` out.

    Both lists are taken together: the metrics themselves say which arm they are of. Ids are parameters, beside the
    artifacts, because the platform's cache key knows the names of artifacts and not their content.

    Raises:
        UsageError: a parameter is missing, unknown or not what it must be; else what `write_report` raises.
    """
    io = parse_step("report", executor_input)
    store = open_store(read_text(io, "store"))
    metrics = _find(store, [*read_ids(io, "baseline_ids"), *read_ids(io, "metrics_ids")])
    write_report(store, metrics, io.output_path("report"), read_text(io, "title"))
    summary = summarise(store, metrics)
    facts = {f"miou_{name}": arm["miou"] for name, arm in summary["arms"].items()}
    metadata = {**facts, "paired_gain": summary["paired_gain"]["mean"], "num_seeds": len(summary["seeds"])}
    io.write_raw("report", {name: value for name, value in metadata.items() if value is not None}, {})


def parse_step(step: str, executor_input: str) -> ExecutorInput:
    """What KFP gave a step about metrics; UsageError for a parameter that it does not have."""
    io = ExecutorInput.parse(executor_input)
    unknown = io.parameters.keys() - set(_PARAMETERS)
    if unknown:
        raise UsageError(f"step {step}: there is no parameter {', '.join(sorted(unknown))}.")
    return io


def _find(store: Store, ids: Sequence[str]) -> list[Artifact]:
    return [find_artifact(store, "evaluate", id) for id in ids]


def read_text(io: ExecutorInput, name: str) -> str:
    """A parameter that must be text; else UsageError."""
    value: Any = io.parameters.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"the parameter {name!r} is {value!r}, but must be text.")
    return value


def read_ids(io: ExecutorInput, name: str) -> list[str]:
    """A parameter that must be a list of ids, or of such lists; else UsageError. A missing one is empty."""
    value: Any = io.parameters.get(name) or []
    ids = list(_flatten(value))
    if not isinstance(value, list) or not all(isinstance(item, str) for item in ids):
        raise UsageError(f"the parameter {name!r} is {value!r}, but must be a list of ids.")
    return ids


def _flatten(value: Any) -> Iterator[Any]:
    if not isinstance(value, list):
        yield value
        return
    for item in value:
        yield from _flatten(item)
