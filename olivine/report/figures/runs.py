"""What a figure is drawn of: runs that may stand beside each other, and a keyframe of their drives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.report.trace import Run, open_run
from olivine.store import Store


def open_runs(store: Store, metrics: Sequence[Artifact]) -> dict[str, Run]:
    """Runs by the name that a figure shows, in the order given: the arm, with its seed where an arm is there twice.

    Raises:
        UsageError: no metrics, metrics of other drives or of another split, or the same metrics twice.
    """
    if not metrics:
        raise UsageError("this figure needs metrics: give the id of at least one with --metrics.")
    runs = [open_run(store, artifact) for artifact in metrics]
    for what, values in {
        "drives": [run.metrics.manifest.inputs["drives"].id[:12] for run in runs],
        "splits": [str(run.metrics.manifest.summary["split"]) for run in runs],
    }.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise UsageError(f"metrics of different {what} ({', '.join(different)}) show other sweeps: choose one.")
    arms = Counter(run.arm for run in runs)
    names = [run.arm if arms[run.arm] == 1 else f"{run.arm}, seed {run.seed}" for run in runs]
    if len(set(names)) < len(names):
        # Two pretrainings or label fractions under one name.
        names = [f"{name}, {run.metrics.id[:6]}" for name, run in zip(names, runs, strict=True)]
    if len(set(names)) < len(names):
        raise UsageError("the same metrics are there twice: give each once.")
    return dict(zip(names, runs, strict=True))


def choose_keyframes(tokens: Sequence[str], given: Sequence[str], count: int, where: str) -> list[str]:
    """The keyframes asked for, by their tokens or the first 6 or more characters; else some, spread over all.

    Raises:
        UsageError: a keyframe that is not there, or a name that several have.
    """
    if not given:
        count = min(count, len(tokens))
        return [tokens[(2 * i + 1) * len(tokens) // (2 * count)] for i in range(count)]
    return [_find(tokens, name, where) for name in given]


def _find(tokens: Sequence[str], name: str, where: str) -> str:
    found = [token for token in tokens if token == name or (len(name) >= 6 and token.startswith(name))]
    if len(found) == 1:
        return found[0]
    problem = "names several keyframes" if found else "is no keyframe"
    shown = ", ".join(token[:12] for token in tokens[:5])
    raise UsageError(f"{name!r} {problem} of {where}: it has {len(tokens)}, as {shown}.")
