"""Look into weights without importing them: what is in a file, what it says, and which layouts it fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from olivine.errors import DataError
from olivine.exchange.checkpoint import Checkpoint, read_checkpoint, tensors_in
from olivine.exchange.foreign import TENSORS_FILE, find_tensors, read_weights
from olivine.exchange.layouts import LAYOUTS
from olivine.exchange.match import match_tensors
from olivine.exchange.network import describe_backbone, read_statement, resolve_network
from olivine.models.network_recipe import NetworkRecipe

_DEFAULTS = [NetworkRecipe(kind=kind) for kind in get_args(NetworkRecipe.model_fields["kind"].annotation)]


def inspect_weights(source: Path, network: NetworkRecipe | None = None) -> dict[str, Any]:
    """What is in a checkpoint or an exported folder, as plain JSON values.

    Keys: `file`, `sha256`, `size_bytes`; `statement`, what it says of its network; `tensors` with name, shape, type;
    `fits` by layout, compared with the backbone of `network` (None: of the stated one, or of that default which fits
    best): `matched` of `wanted` tensors, `left_out` of heads and other modules, `complete` when all is there.

    Raises:
        DataError: it cannot be read safely. UsageError: `network` is not what the file states.
    """
    if source.is_dir():
        weights = read_weights(source, LAYOUTS["huggingface"])
        checkpoint, statement = read_checkpoint(source / TENSORS_FILE), weights.statement
        found = {"huggingface": weights.tensors}
    else:
        checkpoint = read_checkpoint(source)
        statement = read_statement(checkpoint.content, str(source))
        found = dict(_by_layout(checkpoint))
    return {
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "size_bytes": checkpoint.size_bytes,
        "statement": statement,
        "tensors": [
            {"name": ".".join(keys), "shape": list(tensor.shape), "type": str(tensor.dtype).removeprefix("torch.")}
            for keys, tensor in tensors_in(checkpoint.content)
        ],
        "fits": _compare(found, statement, network, str(source)),
    }


def _by_layout(checkpoint: Checkpoint) -> Iterator[tuple[str, dict[str, Tensor]]]:
    for name, layout in LAYOUTS.items():
        try:
            yield name, find_tensors(checkpoint.content, layout, str(checkpoint.path))
        except DataError:
            continue


def _compare(
    found: Mapping[str, dict[str, Tensor]], statement: dict[str, Any], network: NetworkRecipe | None, where: str
) -> dict[str, Any]:
    fits = {}
    for name, tensors in found.items():
        table = LAYOUTS[name]
        networks = [resolve_network(statement, network, table.reference, where)] if statement or network else _DEFAULTS
        backbones = [describe_backbone(candidate) for candidate in networks if candidate.kind in table.rules]
        matches = [(backbone, match_tensors(tensors, backbone.tensors, table, backbone.name)) for backbone in backbones]
        if matches:
            backbone, match = max(matches, key=lambda pair: len(pair[1].tensors))
            fits[name] = {
                "backbone": backbone.name,
                "matched": len(match.tensors),
                "wanted": len(backbone.tensors),
                "left_out": len(match.left_out),
                "complete": match.is_complete,
            }
    return fits
