"""Where a backbone comes from: what must stand beside its weights wherever they go."""

from __future__ import annotations

from typing import Any

from olivine.artifacts import Artifact, open_artifact
from olivine.lineage.diff import flatten
from olivine.recipes import METHODS, RECIPES, SCALES, load_recipe

_LABELS = {
    "simulated": "SIMULATED weak labels: a simulator's own renderings, made wrong on purpose. No labeler ran.",
    "truth": "The weak labels are the HAND LABELS themselves: an upper bound, not a result.",
    "import": "The weak labels were made elsewhere and imported; how right they are was not measured.",
}
_MOST_FIELDS = 8


def describe_artifact(artifact: Artifact) -> dict[str, Any]:
    """What a file of these weights says of itself, as plain JSON values: network, origin, licences, digests."""
    manifest = artifact.manifest
    return {
        "version": manifest.code.version,
        "network": manifest.recipe["network"],
        "licences": list(manifest.licences),
        "origin": describe_origin(artifact),
        "source": manifest.input_ref().model_dump(),
        "tensors_sha256": manifest.blob("backbone.safetensors").sha256,
    }


def describe_origin(artifact: Artifact) -> list[str]:
    """What a reader must know of a backbone: what is simulated, imported or a stand-in, and what is not known here."""
    summary = artifact.manifest.summary
    if "imported" in summary:
        imported = summary["imported"]
        line = f"IMPORTED from {imported['file']} (layout {imported['layout']}, sha256 {imported['sha256']}): "
        if not imported["stated_origin"]:
            return [f"{line}trained elsewhere, on what is not known here."]
        return [f"{line}trained elsewhere. Its file says:", *imported["stated_origin"]]
    return [*_drives_lines(artifact), *_label_lines(artifact), *_encoder_lines(summary.get("encoder") or {})]


def recipe_name(recipe: dict[str, Any]) -> str:
    """The named recipe whose pretraining a manifest's recipe is, with the fields that were changed."""
    fields = _flatten(recipe)
    changed: dict[str, list[str]] = {}
    for name in (*RECIPES, *(f"{method}@{scale}" for method in METHODS for scale in SCALES)):
        pretrain = load_recipe(name).pretrain
        if pretrain is not None:
            named = _flatten(pretrain.resolved())
            changed[name] = [key for key in {**named, **fields} if named.get(key) != fields.get(key)]
    nearest = min(changed, key=lambda name: len(changed[name]))
    if not changed[nearest]:
        return nearest
    shown = [f"{key}={fields.get(key)}" for key in changed[nearest][:_MOST_FIELDS]]
    rest = len(changed[nearest]) - len(shown)
    return f"{nearest}, changed: {', '.join(shown)}{f' and {rest} more' if rest else ''}"


def _drives_lines(artifact: Artifact) -> list[str]:
    drives = _open_input(artifact, "drives")
    if drives is None:
        return ["Whether its drives were recorded or synthetic is not known here: they are not in this store."]
    return ["SYNTHETIC drives: ray-cast streets, not recordings."] if drives.manifest.summary["synthetic"] else []


def _label_lines(artifact: Artifact) -> list[str]:
    kind = artifact.manifest.summary.get("weak_labels")
    labels = _open_input(artifact, "weak_labels")
    accuracy = labels.manifest.summary.get("accuracy") if labels else None
    right = "" if accuracy is None else f" {100 * accuracy:.1f} % of the labelled pairs are right."
    return [_LABELS.get(str(kind), f"Weak labels: {kind}.") + right]


def _encoder_lines(encoder: dict[str, Any]) -> list[str]:
    if encoder.get("note"):
        return [f"STAND-IN: {encoder['note']}"]
    return [f"Image encoder: {encoder['encoder']}, pretrained and frozen."] if encoder.get("encoder") else []


def _open_input(artifact: Artifact, port: str) -> Artifact | None:
    ref = artifact.manifest.inputs.get(port)
    return open_artifact(artifact.store, ref.stage, ref.id) if ref else None


def _flatten(recipe: dict[str, Any]) -> dict[str, Any]:
    """Fields by dotted path; the seed is left out, which does not make another recipe."""
    return {name: value for name, value in flatten(recipe).items() if name != "seed"}
