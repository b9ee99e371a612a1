"""Whose network weights are: what a file states, what the caller says, and that a contradiction is refused."""

from __future__ import annotations

import pytest

from exchange.conftest import NETWORKS
from olivine.errors import DataError, UsageError
from olivine.exchange.layouts import LAYOUTS
from olivine.exchange.network import describe_backbone, differences, read_statement, resolve_network, write_config
from olivine.models.network import build_backbone
from olivine.models.network_recipe import NetworkRecipe, VoxelNetRecipe

REFERENCE = LAYOUTS["slidr"].reference
RELEASED = {"cylindrical_coordinates": True, "voxel_size": 0.1, "lr": 0.5}
CYLINDRICAL = {"kind": "minkunet", "coordinates": "cylindrical", "voxel_size": [0.1, 1.0, 0.1]}


def test_the_released_config():
    assert read_statement({"config": RELEASED}, "f") == CYLINDRICAL
    cartesian = {"cylindrical_coordinates": False, "voxel_size": 0.05}
    assert read_statement({"config": cartesian}, "f") == CYLINDRICAL | {
        "coordinates": "cartesian",
        "voxel_size": [0.05] * 3,
    }


@pytest.mark.parametrize("content", [{}, [], None, {"config": None}, {"config": {"lr": 1}}, {"olivine": 3}])
def test_files_that_state_nothing(content):
    assert read_statement(content, "f") == {}


@pytest.mark.parametrize("size", ["0.1", True, None, [0.1, 0.1]])
def test_a_voxel_size_that_is_none(size):
    with pytest.raises(DataError, match=r"f: voxel_size of its config is .*, not a number"):
        read_statement({"config": RELEASED | {"voxel_size": size}}, "f")


def test_a_file_of_ours_states_everything(network):
    assert read_statement({"olivine": {"network": network.resolved()}, "config": RELEASED}, "f") == network.resolved()
    for wrong in ({"coordinates": "polar"}, {"no_such_field": 1}, 7):
        with pytest.raises(DataError, match="f states a network that does not exist here"):
            read_statement({"olivine": {"network": wrong}}, "f")


def test_the_word_of_the_file_is_taken():
    found = resolve_network(CYLINDRICAL, None, REFERENCE, "f")
    assert found == NetworkRecipe(voxel_feature="first", intensity_scale=1.0)
    assert differences(found, CYLINDRICAL, REFERENCE) == []


def test_a_file_that_says_nothing_needs_the_caller():
    with pytest.raises(UsageError, match=r"f does not say which coordinates and voxels .*: --recipe NAME"):
        resolve_network({}, None, REFERENCE, "f")
    wanted = NetworkRecipe()
    assert resolve_network({}, wanted, REFERENCE, "f") is wanted


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("coordinates", "cartesian", "coordinates cylindrical instead of cartesian"),
        ("voxel_size", (0.1, 1.0, 0.2), r"voxel_size \[0.1, 1.0, 0.1\] instead of \[0.1, 1.0, 0.2\]"),
    ],
)
def test_other_voxels_than_the_files_are_refused(field, value, message):
    with pytest.raises(UsageError, match=rf"f was trained with another network: {message}\. .*leave out --recipe"):
        resolve_network(CYLINDRICAL, NetworkRecipe().model_copy(update={field: value}), REFERENCE, "f")


def test_another_sparse_library_is_no_other_network():
    wanted = NetworkRecipe(backend="minkowski")
    assert resolve_network(NetworkRecipe().resolved(), wanted, {}, "f") is wanted


def test_what_belongs_to_other_backbones_is_not_compared():
    other = NetworkRecipe(voxelnet=VoxelNetRecipe(radius_m=20.0))
    assert resolve_network(NetworkRecipe().resolved(), other, {}, "f") is other
    with pytest.raises(
        UsageError, match=r"another network: kind minkunet instead of voxelnet, voxelnet {'radius_m': 5"
    ):
        resolve_network(NetworkRecipe().resolved(), other.model_copy(update={"kind": "voxelnet"}), {}, "f")


def test_the_released_voxelnet_has_no_choice():
    config = {"model_points": "voxelnet", "cylindrical_coordinates": False, "voxel_size": 0.1}
    statement = read_statement({"config": config}, "f")
    network = resolve_network(statement, None, REFERENCE, "f")
    assert network == NetworkRecipe(kind="voxelnet", intensity_scale=1.0)
    assert write_config(network) == config
    with pytest.raises(UsageError, match="the VoxelNet of the paper's code alone"):
        write_config(network.model_copy(update={"voxelnet": VoxelNetRecipe(radius_m=20.0)}))


def test_what_the_layouts_program_does_otherwise_is_told():
    lines = differences(NetworkRecipe(), CYLINDRICAL, REFERENCE)
    assert len(lines) == 2
    assert lines[0].startswith("voxel_feature is mean here and first in the program")
    assert differences(NetworkRecipe(), NetworkRecipe().resolved(), REFERENCE) == []


@pytest.mark.parametrize("size", [0.05, 0.1])
@pytest.mark.parametrize("coordinates", ["cylindrical", "cartesian"])
def test_the_config_that_is_written_is_read_the_same(coordinates, size):
    voxel_size = (size, 1.0, size) if coordinates == "cylindrical" else (size,) * 3
    network = NetworkRecipe(coordinates=coordinates, voxel_size=voxel_size)
    statement = read_statement({"config": write_config(network)}, "f")
    assert statement == {"kind": "minkunet", "coordinates": coordinates, "voxel_size": list(voxel_size)}


@pytest.mark.parametrize(
    ("coordinates", "voxel_size"), [("cylindrical", (0.1, 2.0, 0.1)), ("cartesian", (0.1, 0.1, 0.2))]
)
def test_voxels_that_the_layout_cannot_say(coordinates, voxel_size):
    with pytest.raises(UsageError, match=r"cannot be said in this layout.*Choose layout huggingface"):
        write_config(NetworkRecipe(coordinates=coordinates, voxel_size=voxel_size))


def test_a_description_takes_no_room(network):
    found = describe_backbone(network)
    assert found.name in NETWORKS
    assert all(tensor.is_meta for tensor in found.tensors.values())
    built = build_backbone(network, 0.05, 0)
    assert found.num_parameters == sum(parameter.numel() for parameter in built.parameters())
    assert found.out_channels == built.out_channels
    with pytest.raises(UsageError, match="needs 9 widths"):
        describe_backbone(NetworkRecipe(widths=(1, 2)))
