"""`olivine table`: scores of any number of arms and seeds, from the store or from files, as one table.

olivine table --metrics ID --metrics ID --baseline random --out table.tex
olivine table --scores ours:0=a.json --scores theirs:0=b.json
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olivine.artifacts import find_artifact
from olivine.errors import DataError, UsageError
from olivine.report.arms import ScoredRun, compare_arms
from olivine.report.arms_text import WRITERS
from olivine.report.page import write_whole
from olivine.report.trace import frozen_of
from olivine.store import open_store


def run_table(store_url: str, ids: Sequence[str], scores: Sequence[str], baseline: str, out: Sequence[Path]) -> str:
    """Compare, write each file of `out` in the format that its suffix names, and return the table as Markdown.

    Raises:
        UsageError: nothing to compare, scores that cannot be compared, a suffix without a format.
        DataError: a file is no score.
    """
    unknown = [path for path in out if path.suffix not in WRITERS]
    if unknown:
        raise UsageError(f"{unknown[0]}: give a file that ends in one of {', '.join(WRITERS)}.")
    runs = [*(_runs_of_store(store_url, ids) if ids else []), *map(_run_of_file, scores)]
    comparison = compare_arms(runs, baseline or None)
    for path in out:
        write_whole(path, WRITERS[path.suffix](comparison).encode())
    return WRITERS[".md"](comparison)


def _runs_of_store(store_url: str, ids: Sequence[str]) -> list[ScoredRun]:
    """Runs of metrics of the store; what they were scored on must be the same."""
    store = open_store(store_url)
    found = [find_artifact(store, "evaluate", id) for id in ids]
    manifests = [artifact.manifest for artifact in found]
    for what, values in {
        "drives": [manifest.inputs["drives"].id[:12] for manifest in manifests],
        "splits": [str(manifest.summary["split"]) for manifest in manifests],
        "label fractions": [str(manifest.summary["fraction"]) for manifest in manifests],
        "parts of the network": [frozen_of(artifact) for artifact in found],
    }.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise UsageError(f"runs on different {what} ({', '.join(different)}) cannot be compared: choose one.")
    return [
        ScoredRun(
            str(manifest.summary["init"]), manifest.seed, manifest.summary["miou"], manifest.summary["per_category"]
        )
        for manifest in manifests
    ]


def _run_of_file(text: str) -> ScoredRun:
    name, _, path = text.partition("=")
    arm, _, seed = name.rpartition(":")
    if not arm or not seed.isdecimal() or not path:
        raise UsageError(f"--scores {text!r} is not ARM:SEED=FILE, as in ours:0=scores.json.")
    try:
        content: Any = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}): give what `olivine score ... --json` printed"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error}): give what `olivine score ... --json` printed") from None
    if (
        not isinstance(content, dict)
        or not _is_share(content.get("miou"))
        or not _is_score(content.get("per_category"))
    ):
        raise DataError(f"{path} is no score: it needs miou and per_category, shares 0..1 or null")
    return ScoredRun(arm, int(seed), content["miou"], content["per_category"])


def _is_score(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_share, value.values()))


def _is_share(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
