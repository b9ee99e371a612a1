"""Ways to keep checkpoints, as `checkpoint_kill_worker` kills them: what is saved says which step and rank it is of.

`open` runs in each forked process, `save` and `load` after it. A `load` gives the step that it found, 0 for none, and
`BROKEN` for a checkpoint that is there and not whole.
"""

from __future__ import annotations

import itertools
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from olivine.artifacts import begin
from olivine.store import open_store
from olivine.training.checkpoint import Checkpoint, Keep, Place, load_checkpoint, save_checkpoint

ELEMENTS = 400_000
BROKEN = -1
OTHER_DISK = Path("/dev/shm")


def state(step: int, rank: int) -> dict[str, torch.Tensor]:
    return {name: torch.full((ELEMENTS,), float(step * 100 + rank)) for name in ("a", "b")}


def sound(tensors: dict[str, torch.Tensor], step: int, rank: int) -> bool:
    return all(torch.equal(tensors[name], value) for name, value in state(step, rank).items())


class Stepwise:
    """A contender that saves when it is told to; a trainer with a loop of its own has its own `train`."""

    def train(self, steps: range, rank: int, run: str, ready: Callable[[], None], saved: Callable[[int], None]) -> None:
        """Save a checkpoint of each of `steps`; `ready` is called before the first, `saved` after each."""
        self.open(rank, run)
        ready()
        for step in steps:
            self.save(step, rank, run)
            saved(step)


class Ours(Stepwise):
    """Checkpoints of an artifact in a store: every rank its shard, the first one the manifest."""

    meets = False
    """Whether the ranks meet after each checkpoint, as a training would have them do; ours meet in the store."""
    loads_together = False
    """Whether loading takes all ranks."""

    def __init__(self, folder: Path, ranks: int) -> None:
        self.ranks, self.store = ranks, open_store(str(folder))

    def open(self, rank: int, run: str) -> None:
        pass

    def _out(self):
        return begin(self.store, "pretrain", "backbone", {}, {"seed": 1}, seed=1)

    def save(self, step: int, rank: int, run: str) -> None:
        place = Place(rank, self.ranks, run, patience_s=30)
        shard = Checkpoint(step, {f"shard-{rank}": state(step, rank)}, {"history": list(range(step))})
        save_checkpoint(self._out(), shard, place, keep=Keep(2))

    def load(self, rank: int) -> int:
        found = load_checkpoint(self._out())
        if found is None:
            return 0
        whole = len(found.tensors) == self.ranks
        parts = all(sound(found.tensors.get(f"shard-{rank}", {}), found.step, rank) for rank in range(self.ranks))
        return found.step if whole and parts and found.notes["history"] == list(range(found.step)) else BROKEN


class TorchSave(Stepwise):
    """`torch.save` to one file a rank, written over, as most training scripts do."""

    meets, loads_together = True, False

    def __init__(self, folder: Path, ranks: int) -> None:
        self.files = [folder / f"checkpoint-{rank}.pt" for rank in range(ranks)]

    def open(self, rank: int, run: str) -> None:
        pass

    def save(self, step: int, rank: int, run: str) -> None:
        torch.save({"step": step, "model": state(step, rank)}, self.files[rank])

    def load(self, rank: int) -> int:
        if not any(file.exists() for file in self.files):
            return 0
        try:
            found = [torch.load(file, weights_only=True) for file in self.files]
        except Exception:
            return BROKEN
        step = found[0]["step"]
        whole = all(one["step"] == step and sound(one["model"], step, rank) for rank, one in enumerate(found))
        return step if whole else BROKEN


class DeepSpeed(Stepwise):
    """`DeepSpeedEngine.save_checkpoint`, found again by its file `latest`; ZeRO-2 where there are several ranks."""

    meets, loads_together = True, True

    def __init__(self, folder: Path, ranks: int, zero_stage: int | None = None) -> None:
        from olivine.training.deepspeed_engine import _import_deepspeed

        self.folder, self.ranks, self.library = folder / "checkpoints", ranks, _import_deepspeed()
        self.zero_stage = zero_stage if zero_stage is not None else 2 * (ranks > 1)
        self.meeting = folder
        self.folder.mkdir(exist_ok=True)
        # Takes seconds of imports, once instead of in every child.
        torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)

    def open(self, rank: int, run: str) -> None:
        """Process groups do not outlive a fork, so each process makes its own."""
        meeting = f"file://{self.meeting / f'meeting-{run}'}"
        torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=self.ranks)
        module = torch.nn.Linear(ELEMENTS, 2, bias=False)
        config = {
            "train_micro_batch_size_per_gpu": 1,
            "zero_optimization": {"stage": self.zero_stage},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**9,
        }
        self.engine, *_ = self.library.initialize(
            model=module,
            optimizer=torch.optim.SGD(module.parameters(), lr=0.1),
            config=config,
            dist_init_required=False,
        )

    def _shards(self) -> list[torch.Tensor]:
        """What this rank alone keeps."""
        return self.engine.optimizer.single_partition_of_fp32_groups if self.zero_stage else []

    def save(self, step: int, rank: int, run: str) -> None:
        with torch.no_grad():
            self.engine.module.weight.fill_(float(step))
            for shard in self._shards():
                shard.fill_(float(step * 100 + rank))
        self.engine.save_checkpoint(str(self.folder), tag=f"step{step}", client_state={"step": step})

    def load(self, rank: int) -> int:
        if not any(self.folder.iterdir()):
            return 0
        try:
            _, found = self.engine.load_checkpoint(str(self.folder))
        except Exception:
            return BROKEN
        if not found:
            return 0
        step = found["step"]
        shards = self._shards()
        kept = shards or [self.engine.module.weight]
        expected = float(step * 100 + rank if shards else step)
        return step if all(bool((tensor == expected).all()) for tensor in kept) else BROKEN


class Lightning:
    """`ModelCheckpoint` after every step of a `Trainer`, gone on with by `ckpt_path="last"`; DDP for several ranks.

    The first rank alone writes: a file of the step, then `last.ckpt`.
    """

    meets, loads_together = False, True

    def __init__(self, folder: Path, ranks: int) -> None:
        import pytorch_lightning

        self.folder, self.meeting, self.ranks, self.library = folder / "checkpoints", folder, ranks, pytorch_lightning
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        # Takes seconds of imports, once instead of in every child.
        self._trainer()

    def _trainer(self, limit_train_batches: int | None = None):
        return self.library.Trainer(
            accelerator="cpu",
            devices=self.ranks,
            strategy="ddp" if self.ranks > 1 else "auto",
            callbacks=[self.library.callbacks.ModelCheckpoint(self.folder, save_last=True, every_n_train_steps=1)],
            default_root_dir=self.folder,
            max_epochs=-1,
            limit_train_batches=limit_train_batches,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    def open(self, rank: int, run: str) -> None:
        """Process groups do not outlive a fork, so each process makes its own; the trainer takes it as it is."""
        if self.ranks > 1:
            os.environ["LOCAL_RANK"] = str(rank)
            meeting = f"file://{self.meeting / f'meeting-{run}'}"
            torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=self.ranks)

    def train(self, steps: range, rank: int, run: str, ready: Callable[[], None], saved: Callable[[int], None]) -> None:
        self.open(rank, run)
        # One epoch without an end, in which all tries go on.
        batches = itertools.count(steps.start)
        self._trainer().fit(_counting_module(self.library, steps, ready, saved), batches, ckpt_path="last")

    def load(self, rank: int) -> int:
        """What `fit` brings back before its first batch, of which it is given none."""
        module = _counting_module(self.library, range(0), lambda: None, lambda step: None)
        try:
            self._trainer(limit_train_batches=0).fit(module, itertools.count(), ckpt_path="last")
        except Exception:
            if rank == 0:
                # By hand, as after any such error: a run that is started again would end with it too.
                for file in self.folder.glob("last*.ckpt"):
                    file.unlink()
            return BROKEN
        whole = all(bool((tensor == float(module.step)).all()) for tensor in module.parameters())
        return module.step if whole else BROKEN


class LightningTwoDisks(Lightning):
    """The same where the folder of temporary files is on another filesystem than the checkpoints.

    Lightning writes there and moves the file, which between two filesystems is a copy.
    """

    def __init__(self, folder: Path, ranks: int) -> None:
        super().__init__(folder, ranks)
        if OTHER_DISK.stat().st_dev == folder.stat().st_dev:
            raise OSError(f"{OTHER_DISK} and {folder} are on one filesystem: set TMPDIR to a folder on another")
        self.temporary = tempfile.TemporaryDirectory(dir=OTHER_DISK)
        tempfile.tempdir = self.temporary.name


def _counting_module(library, steps: range, ready: Callable[[], None], saved: Callable[[int], None]):
    """Tensors that a step of SGD raises by one, so that those of step n are n everywhere; a batch is a step's number."""

    class CountingModule(library.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = (torch.nn.Parameter(torch.zeros(ELEMENTS)) for _ in range(2))
            self.step = 0

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

        def on_train_start(self) -> None:
            # Where steps were lost, the next try begins after them all the same.
            with torch.no_grad():
                for tensor in self.parameters():
                    tensor.fill_(float(steps.start - 1))
            ready()

        def training_step(self, batch: int) -> torch.Tensor:
            self.step = batch
            return -(self.a.sum() + self.b.sum())

        def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
            checkpoint["step"] = self.step

        def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
            self.step = checkpoint["step"]

        def on_train_batch_end(self, *_: object) -> None:
            """Comes after that of `ModelCheckpoint`."""
            saved(self.step)
            self.trainer.should_stop = self.step == steps[-1]

    return CountingModule()


CONTENDERS = {
    "ours": Ours,
    "torch_save": TorchSave,
    "deepspeed": DeepSpeed,
    "lightning": Lightning,
    "lightning_two_disks": LightningTwoDisks,
}
