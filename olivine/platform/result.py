"""What a run of a pipeline reports: each step with what it made and what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from olivine.artifacts import Manifest
from olivine.artifacts.record import records_folder
from olivine.errors import OlivineError
from olivine.store import open_store


@dataclass(frozen=True)
class StepResult:
    """One step that ended well.

    `wall_s` is what the step took in this run; `made_wall_s` and `peak_rss_mb` are those of the run that made the
    artifact, this one or, where it was `found` finished, an earlier one. `group` is that of a step which shares a
    labelling with others.
    """

    stage: str
    init: str | None
    seed: int | None
    exit_code: int
    wall_s: float
    manifest: Manifest | None = None
    found: bool = False
    made_wall_s: float | None = None
    peak_rss_mb: float | None = None
    group: str = ""

    @property
    def id(self) -> str | None:
        """Id of the artifact; None for a step that makes none (the report)."""
        return self.manifest.id if self.manifest else None

    @property
    def data_digest(self) -> str | None:
        """Digest of the artifact's data."""
        return self.manifest.data_digest if self.manifest else None

    @property
    def label(self) -> str:
        """How a person calls the step: `finetune from backbone, seed 1`."""
        return step_label(self.stage, self.init, self.seed, self.group)


@dataclass(frozen=True)
class RunResult:
    """A run that ended well: its steps in the order in which they ended, and the files it left (`report`)."""

    steps: list[StepResult] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    def of_stage(self, stage: str) -> list[StepResult]:
        """The steps of one stage, by initialisation and seed."""
        found = [step for step in self.steps if step.stage == stage]
        return sorted(found, key=lambda step: (step.init or "", -1 if step.seed is None else step.seed))


def step_label(stage: str, init: str | None, seed: int | None, group: str = "") -> str:
    """`finetune from backbone, seed 1`, or `share 3/8`; the stage alone where there is but one."""
    arm = f" from {init}" if init else group and f" {group}"
    return f"{stage}{arm}" if seed is None else f"{stage}{arm}, seed {seed}"


def read_costs(store_url: str, manifest: Manifest, since: datetime) -> dict[str, Any]:
    """What the records in the store say of the newest run that made an artifact; fields of `StepResult`.

    Args:
        store_url: where the artifact is.
        manifest: the artifact.
        since: when the step began; an artifact without a later record was found finished.
    """
    try:
        store = open_store(store_url, retry_s=10.0)
        records = [json.loads(store.read(key)) for key in store.list(records_folder(manifest))]
    except (OlivineError, FileNotFoundError):
        # The artifact is there and whole; a run must not fail for want of its costs.
        return {}
    if not records:
        return {"found": True}
    newest = max(records, key=lambda record: datetime.fromisoformat(record["started"]))
    return {
        "found": datetime.fromisoformat(newest["started"]) < since,
        "made_wall_s": newest["wall_s"],
        "peak_rss_mb": newest["peak_rss_mb"],
    }
