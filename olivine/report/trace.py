"""From metrics upwards: which runs are compared, and every artifact that they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from olivine.artifacts import Artifact, open_artifact
from olivine.errors import IntegrityError, UsageError
from olivine.stages import BY_WORD, WORDS
from olivine.store import Store

RANDOM = "random"
"""The arm that starts from random parameters; it is shown first, and others are compared with it."""


@dataclass(frozen=True)
class Run:
    """One arm with one seed."""

    arm: str
    seed: int
    segmenter: Artifact
    metrics: Artifact


@dataclass(frozen=True)
class Trace:
    """Runs by arm and seed, and every artifact behind them by stage, arm and seed, each once."""

    runs: tuple[Run, ...]
    artifacts: tuple[Artifact, ...]

    def of_arm(self, arm: str) -> list[Run]:
        """Runs of an arm by seed."""
        return [run for run in self.runs if run.arm == arm]

    @property
    def arms(self) -> list[str]:
        """Arms that have runs."""
        return list(dict.fromkeys(run.arm for run in self.runs))

    @property
    def seeds(self) -> list[int]:
        """Fine-tuning seeds; every arm has each of them once."""
        return [run.seed for run in self.of_arm(self.runs[0].arm)]

    @property
    def drives(self) -> Artifact:
        """The drives that all runs were fine-tuned and scored on."""
        return self.input_of(self.runs[0].metrics, "drives")

    def input_of(self, artifact: Artifact, port: str) -> Artifact:
        """What an artifact of the trace was made from."""
        id = artifact.manifest.inputs[port].id
        return next(item for item in self.artifacts if item.id == id)

    def of_kind(self, kind: str) -> Artifact | None:
        """The first artifact of a kind; None where no arm was pretrained."""
        return next(iter(self._of_kind(kind)), None)

    def owner(self, artifact: Artifact) -> tuple[str | None, int | None]:
        """Arm and seed of an artifact; None for what several runs share."""
        for run in self.runs:
            if artifact.id in (run.segmenter.id, run.metrics.id):
                return run.arm, run.seed
        return None, None

    def _of_kind(self, kind: str) -> list[Artifact]:
        return [artifact for artifact in self.artifacts if artifact.manifest.kind == kind]


def trace(store: Store, metrics: Sequence[Artifact]) -> Trace:
    """Walk the manifests from `metrics` upwards.

    Raises:
        UsageError: nothing to compare, or runs that cannot be compared: a seed twice in an arm, other seeds in the
            other arm, other drives, split, label fraction or weak labels.
        IntegrityError: an input is missing or is not what the artifact was made from.
    """
    if not metrics:
        raise UsageError("a report needs metrics: give the id of at least one with --metrics.")
    runs = sorted((open_run(store, artifact) for artifact in metrics), key=lambda run: (_rank(run.arm), run.seed))
    _check_pairs(runs)
    found: dict[str, Artifact] = {}
    for run in runs:
        _collect(store, run.metrics, found)
    order = {artifact.id: row for row, run in enumerate(runs) for artifact in (run.segmenter, run.metrics)}
    artifacts = sorted(
        found.values(),
        key=lambda item: (
            WORDS.index(item.manifest.stage),
            item.manifest.kind == BY_WORD[item.manifest.stage].makes,
            order.get(item.id, -1),
            item.id,
        ),
    )
    _check_shared(runs, artifacts)
    return Trace(tuple(runs), tuple(artifacts))


def _rank(arm: str) -> tuple[int, str]:
    return (0 if arm == RANDOM else 1, arm)


def open_run(store: Store, metrics: Artifact) -> Run:
    """The run behind one metrics.

    Raises:
        UsageError: it is no metrics. IntegrityError: its segmenter is missing or is not what it was made from.
    """
    manifest = metrics.manifest
    if manifest.kind != "metrics":
        raise UsageError(f"{manifest.kind} {metrics.id[:12]} is no metrics: give what `olivine evaluate` printed.")
    return Run(str(manifest.summary["init"]), manifest.seed, open_input(store, metrics, "segmenter"), metrics)


def open_input(store: Store, artifact: Artifact, port: str) -> Artifact:
    """What an artifact was made from; IntegrityError when it is missing or another one."""
    ref = artifact.manifest.inputs[port]
    given = open_artifact(store, ref.stage, ref.id)
    if given is None or given.manifest.input_ref() != ref:
        problem = "is missing" if given is None else "is not what it was made from"
        raise IntegrityError(
            f"{artifact.manifest.key}: its {port} {ref.id[:12]} {problem} in {store.url}. Restore it from a copy, or "
            f"run `olivine {ref.stage}` and what follows it again."
        )
    return given


def behind(store: Store, artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Artifacts and all that they were made from, each once; IntegrityError when something is missing."""
    found: dict[str, Artifact] = {}
    for artifact in artifacts:
        _collect(store, artifact, found)
    return list(found.values())


def _collect(store: Store, artifact: Artifact, found: dict[str, Artifact]) -> None:
    """Add an artifact and all that it was made from."""
    if artifact.id in found:
        return
    found[artifact.id] = artifact
    for port in artifact.manifest.inputs:
        if port == "start":
            # What a backbone started from has a history of its own, with other drives and labels: `olivine lineage`.
            continue
        _collect(store, open_input(store, artifact, port), found)
    # A cache of its own, no port: it can be gone without harm, and costs and lineage show it while it is there.
    features = artifact.manifest.summary.get("image_features")
    if features and (cached := open_artifact(store, "pretrain", str(features))):
        found[cached.id] = cached


def _check_pairs(runs: Sequence[Run]) -> None:
    seeds: dict[str, list[int]] = {}
    for run in runs:
        seeds.setdefault(run.arm, []).append(run.seed)
    for arm, of_arm in seeds.items():
        if len(set(of_arm)) < len(of_arm):
            raise UsageError(f"the arm {arm!r} has a seed twice ({of_arm}): give one metrics for each seed.")
    if len({tuple(of_arm) for of_arm in seeds.values()}) > 1:
        shown = "; ".join(f"{arm}: {of_arm}" for arm, of_arm in seeds.items())
        raise UsageError(f"runs are compared in pairs of one seed, but seeds differ ({shown}). Run the missing ones.")


def _check_shared(runs: Sequence[Run], artifacts: Sequence[Artifact]) -> None:
    shared = {
        "splits": [run.metrics.manifest.summary["split"] for run in runs],
        "label fractions": [run.metrics.manifest.summary["fraction"] for run in runs],
        "parts of the network": [frozen_of(run.metrics) for run in runs],
        # A backbone may come from other drives, all arms from the same: those of the weak labels.
        "drives": [item.manifest.inputs["drives"].id[:12] for run in runs for item in (run.metrics, run.segmenter)],
        "weak labels": _ids(artifacts, "weak_labels"),
    }
    for what, values in shared.items():
        different = list(dict.fromkeys(values))
        if len(different) > 1:
            raise UsageError(f"runs on different {what} ({', '.join(different)}) cannot be compared: choose one.")


def frozen_of(metrics: Artifact) -> str:
    """What was trained, in words: all of the network, or the head alone, as in linear probing."""
    frozen = str(metrics.manifest.summary.get("frozen", "no"))
    return "all trained" if frozen == "no" else f"head alone, backbone frozen ({frozen})"


def _ids(artifacts: Iterable[Artifact], kind: str) -> list[str]:
    return [artifact.id[:12] for artifact in artifacts if artifact.manifest.kind == kind]
