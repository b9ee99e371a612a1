"""Rows and statistics shared by real gloo processes: loss, gradients and running statistics of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from chain import worker_environment
from torch import nn
from training.cross_rank_worker import loss_of, network, rows

from olivine.training.cross_rank import CrossRankBatchNorm, gather_rows, share_batch_norm, sum_over_ranks


@pytest.mark.parametrize("size", [2, 4])
def test_shared_by_processes_as_by_one(tmp_path, size):
    worker = Path(__file__).with_name("cross_rank_worker.py")
    processes = [
        subprocess.Popen([sys.executable, str(worker), str(rank), str(size), str(tmp_path)], env=worker_environment())
        for rank in range(size)
    ]
    assert [process.wait(timeout=280) for process in processes] == [0] * size
    model = network().train()
    expected = loss_of(model(torch.cat(rows())))
    expected.backward()
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], expected.detach())
        for name, value in model.state_dict().items():
            torch.testing.assert_close(found["state"][name], value)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(found["gradients"][name], parameter.grad)
    assert len(found["labels"]) == len(torch.cat(rows()))
    assert found["labels"].tolist() == sorted(found["labels"].tolist())


@pytest.mark.parametrize("shape", [(7, 5), (2, 5, 7)])
def test_one_process_is_batch_norm(shape):
    plain, shared = nn.BatchNorm1d(5, momentum=0.3), nn.Sequential(nn.BatchNorm1d(5, momentum=0.3))
    share_batch_norm(shared)
    assert isinstance(shared[0], CrossRankBatchNorm)
    for training in (True, False):
        plain.train(training)
        shared.train(training)
        values = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        torch.testing.assert_close(shared(values), plain(values))
    torch.testing.assert_close(shared[0].state_dict(), plain.state_dict())


def test_one_process_asks_nobody():
    values = torch.ones(3, 2)
    assert gather_rows(values) is values
    assert sum_over_ranks(values) is values
