"""F5, the restored state: a checkpoint of two gloo ranks taken up by other numbers of ranks, and cut anew there.

Usage: FOLDER RANKS..., prints one JSON line: for each number of ranks, whether optimiser and parameters are, to the bit,
those that were saved.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import torch  # noqa: E402
from checkpoint_kill_worker import fork  # noqa: E402

from olivine.artifacts import begin  # noqa: E402
from olivine.store import open_store  # noqa: E402
from olivine.training.checkpoint import Checkpoint, Place, load_checkpoint, save_checkpoint  # noqa: E402
from olivine.training.deepspeed_engine import Engine, World, _import_deepspeed  # noqa: E402
from olivine.training.shards import join_state  # noqa: E402

torch.set_num_threads(1)
SAVED_ON, STEPS, BATCH = 2, 2, 4


class Network(torch.nn.Module):
    """Sizes that no number of ranks divides."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))

    def forward(self, rows_N7: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.layers(rows_N7).square().mean()}


def make(rank: int, size: int, folder: Path, why: str) -> tuple[Network, Engine]:
    meeting = f"file://{folder / f'meeting-{why}-{size}'}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    return network, Engine(network, optimizer, BATCH, World(rank, size, torch.device("cpu")), None, zero_stage=1)


def output(folder: Path):
    return begin(open_store(str(folder / "store")), "pretrain", "backbone", {}, {"seed": 1}, seed=1)


def save(rank: int, folder: Path) -> None:
    network, engine = make(rank, SAVED_ON, folder, "save")
    generator = torch.Generator().manual_seed(rank)
    for _ in range(STEPS):
        engine.backward(engine.forward(torch.randn(BATCH // SAVED_ON, 7, generator=generator))["loss"])
        engine.step()
    tensors = {f"optimizer-{rank}": engine.state_shard()} | ({"model": network.state_dict()} if rank == 0 else {})
    save_checkpoint(output(folder), Checkpoint(STEPS, tensors, {}), Place(rank, SAVED_ON, "run", patience_s=60))


def joined(shards) -> dict[str, torch.Tensor]:
    return join_state(shards, {number: value.shape for number, value in enumerate(Network().parameters())})


def saved_state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    tensors = load_checkpoint(output(folder)).tensors
    return joined(shard for name, shard in tensors.items() if name != "model"), tensors["model"]


def take_up(rank: int, size: int, folder: Path) -> None:
    network, engine = make(rank, size, folder, "take-up")
    state, model = saved_state(folder)
    network.load_state_dict(model)
    engine.restore(state)
    shard = {name: tensor.clone() for name, tensor in engine.state_shard().items()}
    torch.save((shard, network.state_dict()), folder / f"{size}-{rank}.pt")


def run(size: int, act) -> None:
    pids = [fork(lambda rank=rank: act(rank)) for rank in range(size)]
    while pids:
        pid, status = os.wait()
        pids.remove(pid)
        if status:
            for other in pids:
                os.kill(other, signal.SIGKILL)
            raise RuntimeError("a rank failed")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def main(folder: Path, numbers: list[int]) -> None:
    _import_deepspeed()
    # Takes seconds of imports, once instead of in every child.
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
    run(SAVED_ON, lambda rank: save(rank, folder))
    state, model = saved_state(folder)
    report = {"moments": sum(bool(tensor.any()) for tensor in state.values())}
    for size in numbers:
        run(size, lambda rank, size=size: take_up(rank, size, folder))
        taken = [torch.load(folder / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)]
        report[str(size)] = same(joined(shard for shard, _ in taken), state) and all(
            same(parameters, model) for _, parameters in taken
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
