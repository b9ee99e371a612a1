"""Which network weights belong to: what their file says of it, what the caller says, and whether both agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from olivine.errors import DataError, UsageError
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe

OWN_KEY = "olivine"
"""Key under which files that we write say where they come from; other programs ignore it."""


@dataclass(frozen=True)
class Description:
    """A backbone: its name (the network's `kind`), and its tensors on the meta device."""

    name: str
    tensors: dict[str, Tensor]
    out_channels: int
    num_parameters: int


def describe_backbone(network: NetworkRecipe) -> Description:
    """What a network's backbone consists of; nothing is allocated. UsageError for one that cannot be built."""
    with torch.device("meta"):
        backbone = build_backbone(network.model_copy(update={"backend": "plain"}), bn_momentum=0.05, seed=0)
    return Description(
        name=network.kind,
        tensors=backbone.state_dict(),
        out_channels=backbone.out_channels,
        num_parameters=sum(parameter.numel() for parameter in backbone.parameters()),
    )


def read_statement(content: Any, where: str) -> dict[str, Any]:
    """Fields of the network that a checkpoint states; empty when it states none.

    Files of ours hold the whole recipe; those of SLidR's family their `config`, of which two fields are about it.

    Raises:
        DataError: a statement that cannot be understood.
    """
    own = _mapping(_mapping(content).get(OWN_KEY)).get("network")
    if own is not None:
        return validate(own, where).resolved()
    config = _mapping(_mapping(content).get("config"))
    if config.get("model_points") == "voxelnet":
        # Range, voxels and widths stand in the code of that family, which has those of the paper alone.
        return {"kind": "voxelnet", "voxelnet": VoxelNetRecipe().resolved()}
    if not {"cylindrical_coordinates", "voxel_size"} <= config.keys():
        return {}
    size = config["voxel_size"]
    if isinstance(size, bool) or not isinstance(size, int | float):
        raise DataError(f"{where}: voxel_size of its config is {ascii(size)[:120]}, not a number [m].")
    is_cylindrical = bool(config["cylindrical_coordinates"])
    return {
        "kind": "minkunet",
        "coordinates": "cylindrical" if is_cylindrical else "cartesian",
        # The angle of a cylindrical voxel is always one degree in that family.
        "voxel_size": [float(size), 1.0 if is_cylindrical else float(size), float(size)],
    }


def write_config(network: NetworkRecipe) -> dict[str, Any]:
    """The `config` that loaders of SLidR's family compare; `read_statement` turned round.

    Raises:
        UsageError: voxels that this family cannot say.
    """
    if network.kind == "voxelnet":
        if network.voxelnet != VoxelNetRecipe():
            raise UsageError(
                "this layout has the VoxelNet of the paper's code alone, without its range and voxels being said: "
                f"network.voxelnet must be the default, {VoxelNetRecipe().resolved()}. Choose layout huggingface."
            )
        size = network.voxelnet.voxel_size[0]
        return {"model_points": "voxelnet", "cylindrical_coordinates": False, "voxel_size": size}
    first, second, third = network.voxel_size
    is_cylindrical = network.coordinates == "cylindrical"
    if first != third or second != (1.0 if is_cylindrical else first):
        raise UsageError(
            f"{network.coordinates} voxels of {network.voxel_size} cannot be said in this layout, which has one size "
            "[m] and an angle of 1 degree. Choose layout huggingface."
        )
    return {"model_points": "minkunet", "cylindrical_coordinates": is_cylindrical, "voxel_size": first}


def resolve_network(
    statement: Mapping[str, Any],
    wanted: NetworkRecipe | None,
    reference: Mapping[str, Mapping[str, Any]],
    where: str,
) -> NetworkRecipe:
    """The network of a file.

    Args:
        statement: what the file says of it.
        wanted: what the caller says; None to take the file's word.
        reference: by backbone, fields that have but one value in the layout's program, so that no file says them.
        where: the file, for messages.

    Raises:
        UsageError: both disagree, or neither says anything. DataError: the statement is not a network.
    """
    if wanted is None:
        if not statement:
            raise UsageError(
                f"{where} does not say which coordinates and voxels it was trained with. Say so: --recipe NAME, and "
                "--set finetune.network.FIELD=VALUE where that recipe differs."
            )
        return validate({**reference.get(statement["kind"], {}), **statement}, where)
    given = wanted.resolved()
    # The sparse library may differ, for parameters are interchangeable, and what belongs to other backbones.
    ignored = {"backend", "voxelnet", "waffleiron"} - {wanted.kind}
    other = [name for name in statement if name not in ignored and statement[name] != given.get(name)]
    if other:
        raise UsageError(
            f"{where} was trained with another network: "
            + ", ".join(f"{name} {statement[name]} instead of {given.get(name)}" for name in other)
            + ". A backbone works on the voxels that it was trained with alone: leave out --recipe."
        )
    return wanted


def differences(
    network: NetworkRecipe, statement: Mapping[str, Any], reference: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Fields in which a network differs from the layout's program, where the file itself says nothing; as sentences."""
    given = network.resolved()
    return [
        f"{name} is {given[name]} here and {value} in the program that this layout is of: its own weights expect that."
        for name, value in reference.get(network.kind, {}).items()
        if name not in statement and given[name] != value
    ]


def validate(fields: Any, where: str) -> NetworkRecipe:
    """A network from fields that a file states; DataError when they are none."""
    try:
        return NetworkRecipe.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:120]
        problem = f"{ascii(field)[1:-1]}: {first['msg'][:200]}"
        raise DataError(f"{where} states a network that does not exist here ({problem}).") from error


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
