"""The one file that talks to DeepSpeed: one process or many under `torchrun`, gloo on the CPU, NCCL on a GPU."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from olivine.errors import ConfigError, PeerError
from olivine.training.shards import cut_state
from olivine.training.tensors import flatten_optimizer, restore_optimizer

JOIN_S = 100
"""Seconds that a process waits for the others of its run to come."""

FIRST_SCALE, LEAST_SCALE, STEPS_TO_DOUBLE = 2.0**16, 1.0, 2000
"""Loss scale of fp16 at the beginning, below which it never goes, and good steps in a row after which it doubles."""

_met_in: Any = None


@dataclass(frozen=True)
class World:
    """This process among all of a run."""

    rank: int
    size: int
    device: torch.device
    peers: Any = None
    """The key-value store that the processes met in; None for a world of one."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0


class Engine:
    """A module and its optimiser under DeepSpeed; gradients are averaged over processes and accumulated parts.

    With `fp16` the loss is scaled, so that gradients stay within the range of the module's autocast: halved when they
    leave it (`absorb_overflow`), doubled after many good steps. Gradients have their own size wherever they are seen.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        batch_size: int,
        world: World,
        clip_norm: float | None,
        zero_stage: int = 0,
        accumulate: int = 1,
        fp16: bool = False,
    ) -> None:
        deepspeed = _import_deepspeed()
        config = {
            "train_batch_size": batch_size,
            "train_micro_batch_size_per_gpu": batch_size // world.size // accumulate,
            "gradient_accumulation_steps": accumulate,
            "zero_optimization": {"stage": zero_stage},
            "zero_allow_untested_optimizer": True,
            "gradient_clipping": clip_norm or 0.0,
            # Losses are printed by our own loop.
            "steps_per_print": 10**9,
        }
        self._world, self._zero = world, zero_stage > 0
        self.optimizer = optimizer
        # Before DeepSpeed gives the groups flat partitions of its own.
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        self._engine, _, _, _ = deepspeed.initialize(
            model=module.to(world.device), optimizer=optimizer, config=config, dist_init_required=False
        )
        self._scaler = _loss_scaler() if fp16 else None
        self._used_scale = 1.0
        if self._scaler and self._zero:
            # ZeRO scales the loss and unscales its pieces itself. It would tell the scaler in between, and divide the
            # gradients of the step at which the scale changes by the new one: `step` does that, when it is done.
            self._engine.optimizer.loss_scaler = self._scaler
            self._engine.optimizer._update_scale = lambda has_overflow=False: None

    def forward(self, *inputs: Any) -> dict[str, Tensor]:
        """Run the module."""
        outputs: dict[str, Tensor] = self._engine(*inputs)
        return outputs

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one part; those of the last part are averaged over processes."""
        if self._scaler:
            self._used_scale = self._scaler.loss_scale
        if self._scaler is None or self._zero:
            self._engine.backward(loss)
            return
        self._engine.backward(self._scaler.scale_loss(loss))
        if self._engine.is_gradient_accumulation_boundary():
            # A power of two: nothing is rounded.
            torch._foreach_div_(self._gradients(), self._used_scale)

    def gradient_norm(self) -> float | None:
        """Norm of the averaged gradients before clipping; None where ZeRO has them in pieces, until `step`."""
        if self._zero:
            return None
        return float(torch.nn.utils.get_total_norm(self._gradients()))

    def _gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def step(self) -> float | None:
        """End a part; after the last one, an optimiser step. Under ZeRO the norm of its gradients, else None."""
        ends_step = self._engine.is_gradient_accumulation_boundary()
        self._engine.step()
        if self._scaler and ends_step:
            self._scaler.update_scale(self._zero and self._engine.optimizer.overflow)
        norm = self._engine.get_global_grad_norm() if self._zero else None
        return None if norm is None else float(norm)

    def absorb_overflow(self) -> bool:
        """Answer a norm that is not finite: forget the gradients, with half the loss scale from the next step on.

        Returns:
            Whether a smaller scale may help. False without fp16, and where the scale was at its least: then the norm
            is no matter of range.
        """
        if self._scaler is None or self._used_scale <= LEAST_SCALE:
            return False
        if not self._zero:
            self._scaler.update_scale(True)
            self.drop_gradients()
            # The part counts, its step is left out.
            self._engine.set_gradient_accumulation_boundary(False)
            self._engine.step()
            self._engine.set_gradient_accumulation_boundary(None)
        return True

    def scaler_state(self) -> dict[str, float]:
        """The loss scale and where it stands in its schedule; empty without fp16."""
        return {name: getattr(self._scaler, name) for name in _SCALER_FIELDS} if self._scaler else {}

    def restore_scaler(self, state: dict[str, float]) -> None:
        """Take over what `scaler_state` gave."""
        for name, value in state.items():
            setattr(self._scaler, name, value)

    def drop_gradients(self) -> None:
        """Forget what was accumulated, without a step."""
        self._engine.zero_grad()
        self._engine.optimizer.zero_grad()

    def state_shard(self) -> dict[str, Tensor]:
        """This process's pieces of the optimiser's state (`olivine.training.shards`)."""
        if not self._zero:
            return cut_state(flatten_optimizer(self.optimizer), self._world.rank, self._world.size)
        pieces = {}
        for number, values, run, first in self._runs():
            for field, value in values.items():
                if torch.is_tensor(value) and value.numel() > 1:
                    pieces[f"{number}.{field}@{first}"] = value.reshape(-1)[run]
                elif value is not None:
                    # The step count of the partition is that of each parameter in it.
                    pieces[f"{number}.{field}@0"] = torch.as_tensor(value).reshape(1).clone()
        return pieces

    @property
    def shapes(self) -> dict[int, torch.Size]:
        """Shape of each parameter by its number in the optimiser."""
        return {number: parameter.shape for number, parameter in enumerate(self._parameters)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the whole state of the optimiser, after the module took its parameters."""
        if not self._zero:
            restore_optimizer(self.optimizer, state)
            return
        zero = self._engine.optimizer
        zero.refresh_fp32_params()
        for number, _, run, first in self._runs():
            partition = self._partition_of(number)
            values = self.optimizer.state[partition]
            for name, tensor in state.items():
                owner, _, field = name.partition(".")
                if int(owner) != number:
                    continue
                if field == "step":
                    values[field] = tensor.clone()
                    continue
                whole = values.setdefault(field, torch.zeros_like(partition))
                whole.reshape(-1)[run] = tensor.reshape(-1)[first : first + run.stop - run.start].to(whole.device)

    def _runs(self) -> Iterator[tuple[int, dict[str, Any], slice, int]]:
        """Number, state, place in this process's partition and first element of each parameter that reaches into it."""
        zero, numbers = self._engine.optimizer, {id(parameter): n for n, parameter in enumerate(self._parameters)}
        for group, partition in enumerate(zero.single_partition_of_fp32_groups):
            start = self._world.rank * partition.numel()
            places = zip(zero.round_robin_bit16_groups[group], zero.round_robin_bit16_offsets[group], strict=True)
            for parameter, offset in places:
                first, last = max(offset, start), min(offset + parameter.numel(), start + partition.numel())
                if last > first:
                    values = self.optimizer.state[partition]
                    yield numbers[id(parameter)], values, slice(first - start, last - start), first - offset

    def _partition_of(self, number: int) -> Tensor:
        zero, wanted = self._engine.optimizer, self._parameters[number]
        for group, partition in enumerate(zero.single_partition_of_fp32_groups):
            if any(parameter is wanted for parameter in zero.round_robin_bit16_groups[group]):
                found: Tensor = partition
                return found
        raise KeyError(number)


_SCALER_FIELDS = ("cur_scale", "cur_iter", "last_overflow_iter")


def _loss_scaler() -> Any:
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler

    return DynamicLossScaler(
        init_scale=FIRST_SCALE,
        scale_window=STEPS_TO_DOUBLE,
        min_scale=LEAST_SCALE,
        delayed_shift=1,
        consecutive_hysteresis=False,
        raise_error_at_min_scale=False,
    )


def join_world() -> World:
    """Join the processes that `torchrun` started (RANK, WORLD_SIZE, ...), or be a world of one.

    Joined once a process: DeepSpeed keeps groups of its own, which must not be closed under it.

    Raises:
        PeerError: a process never came; the message names it. ConfigError: there are fewer GPUs than processes here.
    """
    device = _own_device()
    cuda = device.type == "cuda"
    if not torch.distributed.is_initialized():
        backend = "nccl" if cuda else "gloo"
        if "RANK" in os.environ:
            _join(backend)
        else:
            # A store in memory: a world of one needs no port.
            alone = torch.distributed.HashStore()  # type: ignore[attr-defined]
            torch.distributed.init_process_group(backend, store=alone, rank=0, world_size=1)
        atexit.register(torch.distributed.destroy_process_group)
    return World(torch.distributed.get_rank(), torch.distributed.get_world_size(), device, _met_in)


def _own_device() -> torch.device:
    """The GPU of this process, or the CPU where there is none."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"process {number} of this node has no GPU: there are {count}. Start at most {count} a node (--nproc), or "
            "hide the GPUs (CUDA_VISIBLE_DEVICES=) to train on the CPU."
        )
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)
    return device


def _join(backend: str) -> None:
    """A roll call first: torch's own wait would end without a name."""
    global _met_in
    distributed: Any = torch.distributed
    store, rank, size = next(distributed.rendezvous("env://", timeout=timedelta(seconds=JOIN_S)))
    roll = distributed.PrefixStore("olivine/roll", store)
    roll.set(str(rank), "here")
    missing: list[int] = []
    for other in range(size):
        try:
            # Whoever is late is waited for once, not once for each that is late.
            roll.wait([str(other)], timedelta(seconds=1 if missing else JOIN_S))
        except RuntimeError:
            missing.append(other)
    if missing:
        raise PeerError(
            f"rank {', '.join(map(str, missing))} of {size} did not join within {JOIN_S} s. Look at the logs of its "
            "node; every node needs the same --nnodes, --nproc and --master."
        )
    torch.distributed.init_process_group(
        backend, store=distributed.PrefixStore("olivine/group", store), rank=rank, world_size=size
    )
    _met_in = store


def any_process(flag: bool, world: World) -> bool:
    """Whether the flag is set in any process: what one of them does on its own leaves the others waiting for it."""
    if world.size == 1:
        return flag
    flags = torch.tensor([float(flag)], device=world.device)
    torch.distributed.all_reduce(flags)
    return bool(flags.item() > 0)


def sum_processes(value: float, world: World) -> float:
    """The sum of a number over all processes."""
    if world.size == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=world.device)
    torch.distributed.all_reduce(total)
    return float(total)


def tell_all(word: str, world: World) -> str:
    """The word of the first process, in every process."""
    if world.size == 1:
        return word
    words = [word]
    torch.distributed.broadcast_object_list(words, src=0)
    return words[0]


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
