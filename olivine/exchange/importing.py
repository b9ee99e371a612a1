"""Import weights that were trained elsewhere: a `backbone` artifact that fine-tuning takes like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from olivine.artifacts import Artifact, begin, sha256_hex
from olivine.errors import UsageError
from olivine.exchange.foreign import LONGEST_TEXT, read_weights
from olivine.exchange.layouts import find_layout
from olivine.exchange.match import Match, complete_tensors, fitting_layouts, match_tensors, require_complete
from olivine.exchange.network import Description, describe_backbone, differences, resolve_network
from olivine.models.network_recipe import NetworkRecipe
from olivine.store import Store
from olivine.training.tensors import tensors_bytes


def import_backbone(
    store: Store, source: Path, layout: str, licence: str, network: NetworkRecipe | None = None
) -> Artifact:
    """Publish the weights in `source` as a `backbone`, or find them published already.

    Args:
        store: where the artifact goes.
        source: a checkpoint, or for layout `huggingface` a folder.
        layout: name of the layout it is in (`olivine.exchange.layouts`).
        licence: under which licence the weights are, in words: it comes with the data that they were trained on, and
            everything made from them inherits it. Licences that the file states are added.
        network: the network they belong to; None to take the word of the file.

    Raises:
        UsageError: no such layout, no licence, or a network that is not the file's.
        DataError: a file that cannot be read safely, weights of another architecture, or numbers that are not finite.
    """
    if not licence.strip() or len(licence) > LONGEST_TEXT:
        raise UsageError(
            f"say under which licence the weights are: --licence TEXT, 1 to {LONGEST_TEXT} characters. Weights "
            "trained on nuScenes, for one, are for non-commercial use, as it is."
        )
    table = find_layout(layout)
    weights = read_weights(source, table)
    resolved = resolve_network(weights.statement, network, table.reference, str(source))
    backbone = describe_backbone(resolved)
    match = match_tensors(weights.tensors, backbone.tensors, table, backbone.name)
    advice = "" if match.is_complete else _advice(weights.tensors, backbone)
    require_complete(match, weights.tensors, backbone.tensors, str(source), advice)
    imported = {
        "layout": table.name,
        "backbone": backbone.name,
        "file": weights.file,
        "sha256": weights.sha256,
        "size_bytes": weights.size_bytes,
        "network_stated_by": "file" if network is None else "caller",
        "stated_origin": list(weights.origin),
    }
    notes = differences(resolved, weights.statement, table.reference)
    if not weights.is_ours:
        notes += table.notes.get(backbone.name, ())
    licences = tuple(dict.fromkeys([licence.strip(), *weights.licences]))
    tensors = complete_tensors(match, backbone.tensors)
    return _publish(store, resolved, imported, match, tensors, licences, notes)


def _advice(found: dict[str, Tensor], backbone: Description) -> str:
    fitting = fitting_layouts(found, backbone.tensors, backbone.name)
    if fitting:
        return f"It fits layout {' or '.join(fitting)}."
    return "`olivine weights inspect` shows what is in it; another network is chosen by --recipe and --set."


def _publish(
    store: Store,
    network: NetworkRecipe,
    imported: dict[str, Any],
    match: Match,
    tensors: dict[str, Tensor],
    licences: tuple[str, ...],
    notes: list[str],
) -> Artifact:
    data = tensors_bytes(tensors)
    # The digest of what came out is part of the recipe: a better reader makes another artifact, never this one anew.
    recipe = {
        "imported": {**imported, "licences": list(licences), "tensors_sha256": sha256_hex(data)},
        "network": network.resolved(),
    }
    out = begin(store, "pretrain", "backbone", {}, recipe, seed=0)
    if isinstance(out, Artifact):
        return out
    out.put("backbone.safetensors", data)
    out.put("history.json", json.dumps([]).encode())
    names = {"left_out": match.left_out, "filled_with_zero": match.filled}
    out.put("import.json", json.dumps(names).encode())
    summary = {
        "method": f"imported_{imported['layout']}",
        "imported": imported,
        "notes": notes,
        "loss": None,
        "encoder": {},
        "image_features": None,
        "weak_labels": "unknown: trained elsewhere",
    }
    counts = {"tensors": len(tensors), "left_out": len(match.left_out), "filled_with_zero": len(match.filled)}
    return out.publish(counts, summary, licences)
