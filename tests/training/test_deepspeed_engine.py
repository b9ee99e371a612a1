"""What several processes agree on, in two real gloo processes without DeepSpeed's import."""

from __future__ import annotations

import multiprocessing

import pytest
import torch

from olivine.errors import ConfigError
from olivine.training.deepspeed_engine import World, any_process, join_world

CPU = torch.device("cpu")


def ask(rank, folder, queue):
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    world = World(rank, 2, CPU)
    queue.put((rank, [any_process(flag, world) for flag in (False, rank == 0, rank == 1, True)]))
    torch.distributed.destroy_process_group()


def test_a_flag_of_any_process_is_known_to_all(tmp_path):
    """Else the one that got SIGTERM leaves, and the other waits for its gradients."""
    spawn = multiprocessing.get_context("spawn")
    queue = spawn.Queue()
    processes = [spawn.Process(target=ask, args=(rank, tmp_path, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    answers = dict(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert answers == {0: [False, True, True, True], 1: [False, True, True, True]}


@pytest.mark.parametrize("flag", [True, False])
def test_one_process_asks_nobody(flag):
    assert any_process(flag, World(0, 1, CPU)) is flag


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ConfigError, match=r"process 1 of this node has no GPU: there are 1\. .*--nproc"):
        join_world()
