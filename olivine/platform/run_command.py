"""`olivine run`: run a pipeline on this machine and print what came out."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from olivine.errors import UsageError
from olivine.platform.local import run_pipeline
from olivine.platform.result import RunResult


def run(
    pipeline: str,
    options: dict[str, Any],
    assignments: list[str],
    out: Path,
    timeout_s: float,
    image: str | None = None,
) -> RunResult:
    """Run `pipeline` and print a line for each step, the results, and where the report is.

    Args:
        pipeline: name of a compiled pipeline.
        options: values of its parameters; None and empty ones are left to the pipeline's defaults.
        assignments: more of them as `key=value`, which win.
        out: folder for the report.
        timeout_s: time [s] that one step may take.
        image: an image of this machine to run every step in; None runs processes.

    Raises:
        UsageError: an assignment without '=', or a parameter that the pipeline does not have.
    """
    parameters = {name: value for name, value in options.items() if value not in (None, "", [])}
    parameters |= read_assignments(assignments)
    result = run_pipeline(pipeline, parameters, out, timeout_s=timeout_s, image=image)
    print_results(result)
    return result


def read_assignments(assignments: list[str]) -> dict[str, str]:
    """`name=value` each; UsageError for one without '='."""
    parameters = {}
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if not sign:
            raise UsageError(f"{assignment!r} gives no parameter: write -p name=value.")
        parameters[name] = value
    return parameters


def parse_seeds(text: str) -> list[int]:
    """`0,1,2` as numbers; UsageError when they are none, or when one comes twice and would count twice."""
    try:
        seeds = [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"--seeds {text}: write whole numbers with commas between, as in 0,1,2.") from error
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text}: every seed once.")
    return seeds


def print_results(result: RunResult) -> None:
    """Print the mIoU of each arm, and where the report is."""
    arms: dict[str, list[float | None]] = {}
    for step in result.of_stage("evaluate"):
        if step.manifest:
            arms.setdefault(step.init or "", []).append(step.manifest.summary.get("miou"))
    width = max([12, *map(len, arms)])
    if arms:
        print(f"\n{'start':{width}} {'mIoU [%]':>8}  by seed")
    for init, shares in arms.items():
        known = [share for share in shares if share is not None]
        mean = f"{100 * fmean(known):8.2f}" if known else f"{'-':>8}"
        print(f"{init:{width}} {mean}  {' '.join('-' if share is None else f'{100 * share:.2f}' for share in shares)}")
    for name, path in result.files.items():
        print(f"\n{name}: {path}")
