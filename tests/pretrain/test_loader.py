"""The loader: the same batches from any number of processes and workers, and after a resume."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from chain import damage

from olivine.drives import Drives
from olivine.errors import IntegrityError
from olivine.models.cloud import CloudBatch
from olivine.packs import DiskCache, Pack
from olivine.pretrain.loader import Loader
from olivine.pretrain.samples import PretrainSamples, Sources
from olivine.recipes import load_recipe
from olivine.training.order import Order

RECIPE = load_recipe(
    "tiny_cpu", ["pretrain.weight_point_pixel=0", "pretrain.weight_category=0", "pretrain.batch_size=4"]
)


def made(chain, cache=None):
    drives, weights = (chain.made[word] for word in ("ingest", "weigh"))
    reader = Drives(drives, cache)
    sources = Sources(reader, Pack(weights, cache=cache), None, None, 13)
    return PretrainSamples(sources, RECIPE.pretrain), reader.tokens("all_train")


def tensors(batch):
    found = {}
    for field in fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, torch.Tensor):
            found[field.name] = value
        elif isinstance(value, CloudBatch):
            found |= {name: tensor for name, tensor in vars(value).items() if tensor is not None}
    return found


def same(one, other):
    one, other = tensors(one), tensors(other)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def whole(chain):
    samples, tokens = made(chain)
    order = Order(len(tokens), 4, 2, 0)
    return order, list(Loader(samples, tokens, order.batches(), 1, 0))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_any_number_of_processes_and_parts_makes_the_same_global_batches(chain, whole, size):
    order, expected = whole
    for accumulate in (1, 2) if size < 4 else (1,):
        samples, tokens = made(chain)
        shares = [list(Loader(samples, tokens, order.batches(0, rank, size), accumulate, 0)) for rank in range(size)]
        for step, one in enumerate(expected):
            keyframes = [name for share in shares for name in share[step].keyframes]
            assert keyframes == one.keyframes
            points = [part.clouds.features_VF for share in shares for part in share[step].parts]
            assert torch.equal(torch.cat(points), one.parts[0].clouds.features_VF)


def test_workers_and_a_resume_change_nothing(chain, whole):
    order, expected = whole
    samples, tokens = made(chain)
    found = list(Loader(samples, tokens, order.batches(1), 1, 1))
    assert [item.place for item in found] == [item.place for item in expected[1:]]
    assert all(same(one.parts[0], other.parts[0]) for one, other in zip(found, expected[1:], strict=True))
    assert sum(item.read_bytes for item in found) > 0


def test_the_second_epoch_of_a_node_comes_from_its_cache(chain, tmp_path):
    cache = DiskCache(tmp_path / "cache", 10**9)
    samples, tokens = made(chain, cache)
    order = Order(len(tokens), 4, 1, 0)
    first = list(Loader(samples, tokens, order.batches(), 1, 0))
    assert cache.hits == 0
    again, _ = made(chain, DiskCache(tmp_path / "cache", 10**9))
    before = again.traffic.read_bytes
    second = list(Loader(again, tokens, order.batches(), 1, 0))
    assert again.traffic.read_bytes == before
    assert all(same(one.parts[0], other.parts[0]) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_stops_it_with_its_own_message(own_chain, workers):
    damage(own_chain, own_chain.made["ingest"], "shards")
    samples, tokens = made(own_chain)
    order = Order(len(tokens), 4, 1, 0)
    with pytest.raises(IntegrityError, match=r"bytes \d+ to \d+ are not those that were written") as error:
        list(Loader(samples, tokens, order.batches(), 1, workers))
    assert "Traceback" not in str(error.value)


def test_what_it_waits_is_measured(chain):
    samples, tokens = made(chain)
    loader = Loader(samples, tokens, Order(len(tokens), 4, 1, 0).batches(), 1, 0)
    next(iter(loader))
    assert loader.wait_s > 0
    assert np.isfinite(loader.wait_s)
