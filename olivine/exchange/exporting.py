"""Export a backbone to the layout of another program, or to a folder in the style of Hugging Face."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olivine.artifacts import Artifact
from olivine.errors import UsageError
from olivine.exchange.card import write_card
from olivine.exchange.foreign import CARD_FILE, CONFIG_FILE, TENSORS_FILE
from olivine.exchange.layouts import Layout, Rule, find_layout, rename
from olivine.exchange.network import OWN_KEY, Description, describe_backbone, validate, write_config
from olivine.exchange.provenance import describe_artifact
from olivine.exchange.write import write_new_file, write_new_folder
from olivine.training.tensors import bytes_tensors

_BACKBONE, _DISTILLER = "backbone.safetensors", "distiller.safetensors"


def export_backbone(artifact: Artifact, layout: str, destination: Path) -> Path:
    """Write a backbone to `destination`, whole or not at all; return where it is.

    Args:
        artifact: a `backbone`, pretrained here or imported.
        layout: name of the layout to write (`olivine.exchange.layouts`).
        destination: the file, or for layout `huggingface` the folder; it must not exist.

    Raises:
        UsageError: no backbone, a layout that does not have it, voxels that the layout cannot say, or a destination
            that exists. IntegrityError: the artifact is damaged.
    """
    if artifact.manifest.kind != "backbone":
        raise UsageError(f"{artifact.manifest.kind} {artifact.id[:12]} is no backbone: give what pretraining printed.")
    table = find_layout(layout)
    network = validate(artifact.manifest.recipe["network"], artifact.manifest.key)
    backbone = describe_backbone(network)
    rules = table.rules_of(backbone.name)
    facts = describe_artifact(artifact)
    if table.name == "huggingface":
        write_new_folder(destination, _folder(artifact, backbone, facts))
        return destination
    # In the order of the network: loaders of this family look at the first name to find prefixes.
    tensors = bytes_tensors(artifact.read(_BACKBONE), _BACKBONE)
    tensors = _rename_all({name: tensors[name] for name in backbone.tensors}, rules, table)
    content = {table.write_key: tensors | _heads(artifact, table, backbone.name), OWN_KEY: facts}
    if table.has_config:
        content["config"] = write_config(network)
    write_new_file(destination, _torch_bytes(content))
    return destination


def _folder(artifact: Artifact, backbone: Description, facts: dict[str, Any]) -> dict[str, bytes]:
    config = {
        "model_type": "olivine",
        "architectures": [backbone.name],
        "out_channels": backbone.out_channels,
        "num_parameters": backbone.num_parameters,
        OWN_KEY: facts,
    }
    return {
        TENSORS_FILE: artifact.read(_BACKBONE),
        CONFIG_FILE: (json.dumps(config, indent=2) + "\n").encode(),
        CARD_FILE: write_card(artifact, backbone.name, backbone.num_parameters).encode(),
    }


def _heads(artifact: Artifact, table: Layout, backbone: str) -> dict[str, Tensor]:
    """The 3D heads of pretraining where the layout has a name for them and the artifact has them."""
    rules = table.head_rules.get(backbone, ())
    if not rules or all(blob.path != _DISTILLER for blob in artifact.manifest.data):
        return {}
    distiller = bytes_tensors(artifact.read(_DISTILLER), _DISTILLER).items()
    heads = {name: tensor for name, tensor in sorted(distiller) if any(re.fullmatch(rule.ours, name) for rule in rules)}
    return _rename_all(heads, rules, table)


def _rename_all(tensors: dict[str, Tensor], rules: tuple[Rule, ...], table: Layout) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in tensors.items():
        theirs, axes = rename(rules, name)
        renamed[f"{table.write_prefix}{theirs}"] = axes.to_theirs(tensor).contiguous()
    return renamed


def _torch_bytes(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()
