"""The model card of an exported folder: Markdown below the YAML front matter that Hugging Face reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from olivine.artifacts import Artifact
from olivine.exchange.provenance import describe_origin, recipe_name

_TAGS = ("lidar", "point-cloud", "autonomous-driving")


def write_card(artifact: Artifact, backbone: str, num_parameters: int) -> str:
    """The card of a backbone, from its manifest and those that it was made from."""
    manifest = artifact.manifest
    # What the data allow decides, not the licence of the code: no identifier of the hub says that.
    front = {
        "library_name": "olivine",
        "license": "other",
        "license_name": "; ".join(manifest.licences),
        "tags": list(_TAGS),
    }
    parts = [
        "---",
        *(f"{name}: {json.dumps(value)}" for name, value in front.items()),
        "---",
        "",
        f"# 3D backbone {artifact.id[:12]}",
        "",
        f"A LiDAR backbone ({backbone}, {num_parameters:,} parameters) written by olivine {manifest.code.version}.",
        "",
        "## Know this first",
        "",
        *(f"- {_line(fact)}" for fact in [*describe_origin(artifact), *manifest.summary.get("notes", [])]),
        "",
        "## Licence",
        "",
        "Weights inherit the licence of the data that they were trained on:",
        "",
        *(f"- {_line(licence)}" for licence in manifest.licences),
        "",
        "## Network",
        "",
        *_table(manifest.recipe["network"].items()),
        "",
        "## Where it comes from",
        "",
        *_table(_origin(artifact)),
        "",
        "## Use",
        "",
        "`olivine weights import FOLDER --layout huggingface --licence TEXT --store STORE` makes it a backbone that",
        "`olivine finetune --backbone ID` takes. `config.json` names the network and the digest of the tensors.",
        "",
    ]
    return "\n".join(parts)


def _origin(artifact: Artifact) -> Iterable[tuple[str, Any]]:
    manifest = artifact.manifest
    yield "artifact", f"backbone {manifest.id}"
    yield "data digest", manifest.data_digest
    yield "manifest digest", manifest.manifest_digest
    yield "recipe", "none: imported" if "imported" in manifest.recipe else recipe_name(manifest.recipe)
    yield "weak labels", manifest.summary.get("weak_labels")
    yield "seed", manifest.seed
    yield "commit", manifest.code.commit or "not recorded"
    yield from manifest.counts.items()


def _table(rows: Iterable[tuple[str, Any]]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {_line(value)} |" for name, value in rows)]


def _line(value: Any) -> str:
    """One line that does not end its table cell."""
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(text.split()).replace("|", "\\|")
