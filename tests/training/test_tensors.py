"""Tensors as bytes, and the optimiser's state there and back: a step after it is the same, to the bit."""

from __future__ import annotations

import pytest
import torch

from olivine.errors import IntegrityError
from olivine.training.optimizer import build_optimizer
from olivine.training.optimizer_recipe import OptimizerRecipe
from olivine.training.tensors import (
    _DTYPES,
    bytes_tensors,
    flatten_optimizer,
    restore_optimizer,
    tensors_bytes,
    tensors_pieces,
)


def test_same_tensors_same_bytes_in_any_order():
    tensors = {"b": torch.arange(6).reshape(2, 3).T, "a": torch.tensor(2.5, dtype=torch.float64)}
    data = tensors_bytes(tensors)
    assert data == tensors_bytes(dict(reversed(tensors.items())))
    found = bytes_tensors(data, "test")
    assert found.keys() == tensors.keys()
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def joined(pieces):
    return b"".join(pieces.chunks(1 << 20))


@pytest.mark.parametrize("dtype", _DTYPES)
def test_pieces_are_the_file_that_safetensors_writes(dtype):
    tensors = {
        "b": torch.arange(6).reshape(2, 3).T.to(dtype),
        "a": torch.ones(()).to(dtype),
        "none": torch.ones(0, 3).to(dtype),
        "odd": torch.ones(3, dtype=torch.uint8),
        "wide": torch.ones(3, dtype=torch.int64),
    }
    assert joined(tensors_pieces(tensors, {"run": "1"})) == tensors_bytes(tensors, {"run": "1"})


def test_pieces_show_tensors_and_parts_of_them():
    buffer = torch.zeros(10)
    pieces = tensors_pieces({"part": buffer[2:5]}, {})
    buffer += 1
    assert bytes_tensors(joined(pieces), "test")["part"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("data", [b"", b"\0" * 9, tensors_bytes({"a": torch.ones(9)})[:-1]])
def test_damage_is_refused(data):
    with pytest.raises(IntegrityError, match=r"backbone: not a safetensors file .*Run the stage that made it again"):
        bytes_tensors(data, "backbone")


def make(recipe):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 2)
    parameters = [{"params": [model.weight], "lr": 0.1}, {"params": [model.bias], "lr": 0.2}]
    return model, build_optimizer(recipe, parameters)


def step(model, optimizer, number):
    optimizer.zero_grad()
    model(torch.full((1, 4), 0.1 * (number + 1))).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    "recipe", [OptimizerRecipe(), OptimizerRecipe(momentum=0), OptimizerRecipe(name="adamw", lr=0.1)]
)
def test_steps_after_a_restore_are_bitwise_equal(recipe):
    model, optimizer = make(recipe)
    for number in range(3):
        step(model, optimizer, number)
    kept = bytes_tensors(tensors_bytes(flatten_optimizer(optimizer)), "optimizer")
    parameters = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other, fresh = make(recipe)
    other.load_state_dict(parameters)
    restore_optimizer(fresh, kept)
    for number in range(3, 6):
        step(model, optimizer, number)
        step(other, fresh, number)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert [group["lr"] for group in fresh.param_groups] == [0.1, 0.2]
