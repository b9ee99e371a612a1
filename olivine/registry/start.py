"""What the next pretraining starts from: the backbone behind the promoted segmenter, unless that cannot be."""

from __future__ import annotations

from collections.abc import Collection

from olivine.artifacts import Artifact, open_artifact
from olivine.registry.promotion import read_promoted
from olivine.store import Store


def find_start(store: Store, withdrawn: Collection[str]) -> tuple[str | None, str]:
    """Id of the backbone to start from, and a word on it for the log.

    None, with a word why where there is something to say: no model was promoted, it was fine-tuned from random, its
    backbone is gone, or that was trained on a drive that was `withdrawn` since.
    """
    promoted = read_promoted(store)
    segmenter = open_artifact(store, promoted.segmenter.stage, promoted.segmenter.id) if promoted else None
    ref = segmenter.manifest.inputs.get("backbone") if segmenter else None
    if ref is None:
        return None, ""
    backbone = open_artifact(store, ref.stage, ref.id)
    if backbone is None:
        return None, f"from random: the promoted backbone {ref.id[:12]} is gone"
    tainted = sorted(drives_behind(backbone) & set(withdrawn))
    if tainted:
        seen = f"the promoted backbone {ref.id[:12]} saw {', '.join(tainted)}"
        return None, f"from random: {seen}, withdrawn since"
    return backbone.id, f"from the promoted backbone {backbone.id[:12]}"


def drives_behind(backbone: Artifact) -> set[str]:
    """Names of the drives that a backbone was trained on, and those that it started from; imported ones name none."""
    found: set[str] = set()
    waiting: Artifact | None = backbone
    while waiting:
        inputs = waiting.manifest.inputs
        drives = open_artifact(waiting.store, "ingest", inputs["drives"].id) if "drives" in inputs else None
        found |= set(drives.manifest.summary.get("drives", [])) if drives else set()
        waiting = open_artifact(waiting.store, "pretrain", inputs["start"].id) if "start" in inputs else None
    return found
