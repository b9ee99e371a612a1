"""The one file that talks to DeepSpeed: one process or many under `torchrun`, gloo on the CPU, NCCL on a GPU."""

from __future__ import annotations

import atexit
import logging
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from olivine.errors import ConfigError


@dataclass(frozen=True)
class World:
    """This process among all of a run."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0


class Engine:
    """A module and its optimiser under DeepSpeed; gradients are averaged over processes."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch_size: int,
        world: World,
        clip_norm: float | None,
    ) -> None:
        deepspeed = _import_deepspeed()
        config = {
            "train_batch_size": batch_size,
            "train_micro_batch_size_per_gpu": batch_size // world.size,
            "gradient_accumulation_steps": 1,
            "zero_optimization": {"stage": 0},
            "zero_allow_untested_optimizer": True,
            "gradient_clipping": clip_norm or 0.0,
            # Losses are printed by our own loop.
            "steps_per_print": 10**9,
        }
        self._engine, _, _, _ = deepspeed.initialize(
            model=module.to(world.device), optimizer=optimizer, config=config, dist_init_required=False
        )

    def forward(self, *inputs: Any) -> dict[str, Tensor]:
        """Run the module."""
        outputs: dict[str, Tensor] = self._engine(*inputs)
        return outputs

    def backward_and_step(self, loss: Tensor) -> None:
        """One optimiser step on the gradients of `loss`, averaged over processes."""
        self._engine.backward(loss)
        self._engine.step()


def join_world() -> World:
    """Join the processes that `torchrun` started (RANK, WORLD_SIZE, ...), or be a world of one.

    Joined once a process: DeepSpeed keeps groups of its own, which must not be closed under it.
    """
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if not torch.distributed.is_initialized():
        backend = "nccl" if cuda else "gloo"
        if "RANK" in os.environ:
            torch.distributed.init_process_group(backend)
        else:
            # A store in memory: a world of one needs no port.
            alone = torch.distributed.HashStore()  # type: ignore[attr-defined]
            torch.distributed.init_process_group(backend, store=alone, rank=0, world_size=1)
        atexit.register(torch.distributed.destroy_process_group)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)


def any_process(flag: bool, world: World) -> bool:
    """Whether the flag is set in any process: what one of them does on its own leaves the others waiting for it."""
    if world.size == 1:
        return flag
    flags = torch.tensor([float(flag)], device=world.device)
    torch.distributed.all_reduce(flags)
    return bool(flags.item() > 0)


def wait_for_all() -> None:
    """Return when every process has come here."""
    torch.distributed.barrier()


def _import_deepspeed() -> Any:
    # DeepSpeed asks for what a launcher sets, and warns when it has to look for an accelerator itself.
    os.environ.setdefault("LOCAL_RANK", "0")
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
    except ImportError as error:
        raise ConfigError("DeepSpeed is not installed: pip install 'olivine[train]'.") from error
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    if not torch.cuda.is_available():
        # Its shared-memory all-reduce would be compiled at first use, for a minute, to save microseconds here.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
